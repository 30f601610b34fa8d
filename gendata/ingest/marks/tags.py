"""What an audio file carries beside its sound: texts by name, XMP and C2PA, found without decoding it.

Sources: ID3v2.2 to 2.4 (informal standards of id3.org); RIFF and its LIST INFO; FLAC (RFC 9639, 8.6), Ogg (RFC 3533),
Vorbis comments and OpusTags (RFC 7845, 5.2); C2PA specification, A.3 (GEOB of ID3, C2PA of a WAV). Names of tags that
say which program wrote a file, and comments, are the same whatever the format. What is broken is left out.
"""

from collections.abc import Iterator

from gendata.ingest.marks.blocks import MAX_TEXT, Blocks, decode
from gendata.mpeg import id3_size, sync_safe

_MAX_PARTS = 10_000
"""Chunks, frames, pages or comments that are looked at."""

_NAMES = {
    **dict.fromkeys(("TSSE", "TENC", "TSS", "TEN", "ISFT", "ENCODER", "SOFTWARE", "ENCODED-BY"), "Software"),
    **dict.fromkeys(("COMM", "COM", "ICMT", "COMMENT", "DESCRIPTION"), "comment"),
}
_MAX_SAID = 20_000
"""Characters of one such text."""

_MANIFESTS = (b"application/c2pa", b"application/x-c2pa-manifest-store")
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")  # of ID3, by number


def read(data: bytes, media_type: str) -> Blocks:
    """The blocks of a WAV, MP3, FLAC or Ogg file."""
    found = Blocks()
    if media_type == "audio/wav":
        _wav(data, found)
    elif media_type == "audio/ogg":
        _comments(_ogg(data), found)
    else:
        at = id3_size(data)
        _id3(data[:at], found)
        if media_type == "audio/flac":
            _flac(data, at, found)
    return found


def _add(found: Blocks, name: str, text: str) -> None:
    """Keep who wrote the file, comments, all of them, and documents; titles and artists say nothing of a model."""
    name, text = _NAMES.get(name.upper(), name), text.strip("\0 ")
    if name in _NAMES.values():
        before = found.texts.get(name, "")
        if len(before) < _MAX_SAID:
            found.texts[name] = f"{before}\n{text[:_MAX_SAID]}".strip()
    elif text.startswith("{"):
        found.add_text(name.lower(), text)


def _wav(data: bytes, found: Blocks) -> None:
    for name, body in _riff(data, 12):
        if name == b"C2PA":
            found.c2pa.append(body)
        elif name == b"_PMX":
            found.xmp.append(body)
        elif name in (b"id3 ", b"ID3 "):
            _id3(body, found)
        elif name == b"LIST" and body[:4] == b"INFO":
            for key, text in _riff(body, 4):
                _add(found, key.decode("latin-1"), decode(text[:MAX_TEXT]))


def _riff(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(_MAX_PARTS):
        if at + 8 > len(data):
            return
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], b"" if data[at : at + 4] == b"data" else data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _id3(tag: bytes, found: Blocks) -> None:
    for name, body in _frames(tag):
        if name.startswith(("TXX", "COM")):
            encoding, body = body[:1], body[4 if name.startswith("COM") else 1 :]
            described, text = _split(body, encoding)
            _add(found, "COMM" if name.startswith("COM") else _text(described, encoding), _text(text, encoding))
        elif name.startswith("T"):
            _add(found, name, _text(body[1:], body[:1]))
        elif name == "GEOB":
            mime, _, rest = body[1:].partition(b"\0")
            if mime in _MANIFESTS:
                found.c2pa.append(_split(_split(rest, body[:1])[1], body[:1])[1])
        elif name == "PRIV" and body.startswith(b"XMP\0"):
            found.xmp.append(body[4:])


def _frames(tag: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of the frames that are neither packed nor encrypted."""
    if len(tag) < 10:
        return
    version, flags = tag[3], tag[5]
    content = tag[10:]
    if flags & 128 and version < 4:
        content = _synchronised(content)
    at = 0
    if flags & 64 and version > 2:  # an extended header, whose size counts itself since 2.4
        at = sync_safe(content[:4]) if version == 4 else 4 + int.from_bytes(content[:4])
    name_bytes, header = (3, 6) if version == 2 else (4, 10)
    for _ in range(_MAX_PARTS):
        if not content[at : at + 1].isalpha() or at + header > len(content):
            return
        size = content[at + name_bytes : at + 2 * name_bytes]
        end = at + header + (sync_safe(size) if version == 4 else int.from_bytes(size))
        how = content[at + 9] if version > 2 else 0
        body = content[at + header : end]
        if version == 4 and how & 1:
            body = body[4:]  # its size once more
        if version == 4 and how & 2:
            body = _synchronised(body)
        if not how & (12 if version == 4 else 192):
            yield content[at : at + name_bytes].decode("latin-1"), body
        at = end


def _synchronised(content: bytes) -> bytes:
    """Without the zeros that keep players from taking a tag for sound."""
    return content.replace(b"\xff\0", b"\xff")


def _split(body: bytes, encoding: bytes) -> tuple[bytes, bytes]:
    """A text that ends with a zero, and what follows."""
    if encoding not in (b"\1", b"\2"):
        first, _, rest = body.partition(b"\0")
        return first, rest
    end = body.find(b"\0\0", 0, MAX_TEXT)
    while end % 2 and end > 0:  # halves of two characters
        end = body.find(b"\0\0", end + 1, MAX_TEXT)
    return (body, b"") if end < 0 else (body[:end], body[end + 2 :])


def _text(body: bytes, encoding: bytes) -> str:
    number = encoding[0] if encoding else 0
    body = body[:MAX_TEXT]
    if number in (0, 3):
        return decode(body).strip("\0")  # many write UTF-8 and say Latin-1
    return body.decode(_ENCODINGS[number] if number < len(_ENCODINGS) else "latin-1", "replace").strip("\0\ufeff")


def _flac(data: bytes, at: int, found: Blocks) -> None:
    at += 4  # fLaC
    for _ in range(_MAX_PARTS):
        head = data[at : at + 4]
        if len(head) < 4:
            return
        size = int.from_bytes(head[1:])
        if head[0] & 127 == 4:
            _comments(data[at + 4 : at + 4 + size], found)
        if head[0] & 128:
            return
        at += 4 + size


def _ogg(data: bytes) -> bytes:
    """The comments of the first stream: its second packet, without what says that it is that."""
    parts: list[list[bytes]] = [[]]
    at = 0
    for _ in range(_MAX_PARTS):
        lengths = (
            data[at + 27 : at + 27 + data[at + 26]] if data[at : at + 4] == b"OggS" and len(data) > at + 27 else b""
        )
        at += 27 + len(lengths)
        for length in lengths:
            parts[-1].append(data[at : at + length])
            at += length
            if length < 255:
                parts.append([])
        if len(parts) > 2 or not lengths or len(parts[-1]) > MAX_TEXT // 255:
            break
    comments = b"".join(parts[1]) if len(parts) > 1 else b""
    return comments.removeprefix(b"\x03vorbis").removeprefix(b"OpusTags")


def _comments(packet: bytes, found: Blocks) -> None:
    """Vorbis comments: the vendor, how many there are, and NAME=text of each, all with their length."""
    at = 8 + int.from_bytes(packet[:4], "little")
    for _ in range(_MAX_PARTS):
        if at + 4 > len(packet):
            return
        size = int.from_bytes(packet[at : at + 4], "little")
        name, equals, text = packet[at + 4 : at + 4 + min(size, MAX_TEXT)].partition(b"=")
        if equals:
            _add(found, name.decode("latin-1"), decode(text))
        at += 4 + size
