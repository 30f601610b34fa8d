"""AI marks in audio files: in tags of every format, they lower the origin as those of images do."""

import base64
import json
import random
import struct
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sounds import FORMATS, sound

from gendata.ingest import SourceParams
from gendata.ingest.marks import find, tags
from gendata.items import canonical_json

from .test_ai_marks import C2PA_MARK, CAPTURED, STORE, XMP, XMP_MARK, manifests
from .test_fuzz import mutate

SUNO = "made with suno; created=2026-01-01T00:00:00Z; id=6ec687e6-b51d-4a4b-9472-27bd8be77ffa"
GRAPH = json.dumps(
    {
        "1": {"class_type": "KSampler", "inputs": {"seed": 7, "positive": ["2", 0], "negative": ["3", 0], "model": []}},
        "2": {"class_type": "TextEncodeAceStepAudio", "inputs": {"tags": "slow piano", "text": "slow piano"}},
        "3": {"class_type": "ConditioningZeroOut", "inputs": {}},
    }
)


def sync_safe(size):
    return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))


def id3(*frames, version=4, flags=0, extended=b""):
    """An ID3v2 tag of these (name, content)."""
    written = [
        name
        + {2: lambda n: n.to_bytes(3), 3: lambda n: n.to_bytes(4), 4: sync_safe}[version](len(body))
        + (b"" if version == 2 else b"\0\0")
        + body
        for name, body in frames
    ]
    content = extended + b"".join(written) + bytes(20)  # padding
    if flags & 128:
        content = content.replace(b"\xff", b"\xff\0")
    return b"ID3" + bytes([version, 0, flags]) + sync_safe(len(content)) + content


def geob(store, mime=b"application/c2pa"):
    return b"\0" + mime + b"\0c2pa\0c2pa manifest store\0" + store


def with_chunks(*chunks):
    """A WAV with these (name, body) at its end."""
    added = b"".join(n + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for n, b in chunks)
    plain = sound("a.wav")
    return b"RIFF" + struct.pack("<I", len(plain) - 8 + len(added)) + plain[8:] + added


def comments(*stated):
    """Vorbis comments."""
    written = [text.encode() for text in stated]
    parts = [struct.pack("<I", len(text)) + text for text in (b"vendor", *written)]
    return parts[0] + struct.pack("<I", len(written)) + b"".join(parts[1:])


def flac(*stated):
    """A FLAC with these comments behind its first block."""
    plain, body = sound("a.flac"), comments(*stated)
    return plain[:42] + b"\4" + len(body).to_bytes(3) + body + plain[42:]


def ogg_pages(*packets):
    """Pages as Ogg has them, without checksums."""
    lengths = b"".join(bytes([255] * (len(p) // 255) + [len(p) % 255]) for p in packets)
    body, pages = b"".join(packets), b""
    while lengths:
        now, lengths = lengths[:200], lengths[200:]
        pages += b"OggS\0" + bytes(21) + bytes([len(now)]) + now + body[: sum(now)]
        body = body[sum(now) :]
    return pages


MP3 = sound("a.mp3")
TOOL = {"mark": "mpeg:Software", "generator": "ElevenLabs"}
COMMENT = {"mark": "mpeg:comment", "generator": "Suno"}
MARKED = {
    "c2pa.wav": (with_chunks((b"C2PA", STORE)), C2PA_MARK),
    "xmp.wav": (with_chunks((b"_PMX", XMP)), XMP_MARK),
    "info.wav": (
        with_chunks((b"LIST", b"INFOISFT" + struct.pack("<I", 11) + b"ElevenLabs\0\0")),
        {"mark": "wav:Software", "generator": "ElevenLabs"},
    ),
    "id3.wav": (with_chunks((b"id3 ", id3((b"GEOB", geob(STORE))))), C2PA_MARK),
    "c2pa.mp3": (id3((b"TIT2", b"\3a title"), (b"GEOB", geob(STORE))) + MP3, C2PA_MARK),
    "c2pa-3.mp3": (id3((b"GEOB", geob(STORE, b"application/x-c2pa-manifest-store")), version=3) + MP3, C2PA_MARK),
    "unsynchronised.mp3": (id3((b"GEOB", geob(STORE)), version=3, flags=128) + MP3, C2PA_MARK),
    "wide.mp3": (
        id3((b"GEOB", b"\1application/c2pa\0" + 2 * ("ab".encode("utf-16") + b"\0\0") + STORE)) + MP3,
        C2PA_MARK,
    ),
    "xmp.mp3": (id3((b"PRIV", b"XMP\0" + XMP)) + MP3, XMP_MARK),
    "tool-2.mp3": (id3((b"TSS", b"\0ElevenLabs"), version=2) + MP3, TOOL),
    "tool.mp3": (id3((b"TSSE", b"\1" + "ElevenLabs".encode("utf-16"))) + MP3, TOOL),
    "extended.mp3": (id3((b"TSSE", b"\3ElevenLabs"), flags=64, extended=sync_safe(6) + b"\1\0") + MP3, TOOL),
    "suno.mp3": (id3((b"COMM", b"\3eng\0" + SUNO.encode())) + MP3, COMMENT),
    "suno-wide.mp3": (
        id3((b"COMM", b"\1eng" + "x".encode("utf-16") + b"\0\0" + SUNO.encode("utf-16")), version=3) + MP3,
        COMMENT,
    ),
    "c2pa.flac": (id3((b"GEOB", geob(STORE))) + sound("a.flac"), C2PA_MARK),
    "suno.flac": (flac(f"description={SUNO}"), {"mark": "flac:comment", "generator": "Suno"}),
    "several.flac": (
        flac(*(f"tag{i}=x" for i in range(100)), "comment=nice song", f"COMMENT={SUNO}"),
        {"mark": "flac:comment", "generator": "Suno"},
    ),
    "itunes.mp3": (id3((b"COMM", b"\0engiTunNORM\0 0000"), (b"COMM", b"\3eng\0" + SUNO.encode())) + MP3, COMMENT),
    "comfyui.flac": (flac("TITLE=a", f"prompt={GRAPH}"), {"mark": "flac:prompt", "generator": "ComfyUI"}),
}
NO_MARK = {
    "camera.wav": with_chunks((b"C2PA", manifests(CAPTURED))),
    "artist.mp3": id3((b"TPE1", b"\3Suno"), (b"TIT2", b"\3Song about ChatGPT and OpenAI")) + MP3,
    "encoder.flac": flac("ENCODER=Lavf62.3.100", "COMMENT=not made with suno"),
    "title.flac": flac(
        "Title=Episode 12: Is Stable Diffusion art?", "Artist=OpenAI", "Source=An interview with OpenAI"
    ),
    "lyrics.flac": flac("lyrics=Dance manual\nSteps: 4, Tempo: slow", 'comment="Hello" -s 5'),
    "copyright.mp3": id3((b"TCOP", b"\x032025 OpenAI. The OpenAI Podcast"), (b"TIT2", b"\3Made with Suno: a film"))
    + MP3,
    "packed.mp3": id3((b"TXXX", b"\0prompt\0a castle")) + MP3,
}


@pytest.fixture
def data(project):
    folder = project / "data"
    folder.mkdir()
    for name, content in ({n: c for n, (c, _) in MARKED.items()} | NO_MARK).items():
        (folder / name).write_bytes(content)
    return folder


def test_marked_audio_is_generated_and_keeps_the_evidence(data, run):
    result = run(SourceParams("folder", "unknown", "data"))
    assert {i["uri"]: i["origin"] for i in result.items} == dict.fromkeys(MARKED, "generated") | dict.fromkeys(
        NO_MARK, "unknown"
    )
    found = {i["uri"]: json.loads(i["meta"]).get("ai") for i in result.items}
    assert found == {n: [mark] for n, (_, mark) in MARKED.items()} | dict.fromkeys(NO_MARK)


def test_declared_real_it_is_quarantined(data, run):
    result = run(SourceParams("folder", "real", "data"))
    assert result.reasons() == dict.fromkeys(MARKED, "origin-conflict")
    assert {i["uri"] for i in result.items} == set(NO_MARK)


def test_what_a_graph_says_is_meta_gen(data, run):
    meta = json.loads(run(SourceParams("folder", "generated", "data")).item("comfyui.flac")["meta"])
    assert meta["gen"] == {"tool": "ComfyUI", "prompt": "slow piano", "seed": 7}


def test_columns_of_the_same_names_are_kept_beside_what_is_found(data, run):
    row = {"audio": MARKED["comfyui.flac"][0], "ai": "a column", "gen": "another", "c2pa": None}
    pq.write_table(pa.table({name: [value] for name, value in row.items()}), data / "t.parquet")
    (item,) = run(SourceParams("table", "unknown", "data/t.parquet")).items
    meta = json.loads(item["meta"])
    assert (meta["ai_"], meta["gen_"], item["origin"]) == ("a column", "another", "generated")
    assert (meta["ai"][0]["mark"], meta["gen"]["seed"]) == ("flac:prompt", 7)


@pytest.mark.parametrize("head", [b"\1vorbis" + bytes(23), b"OpusHead" + bytes(11)])
def test_comments_of_ogg_over_pages(head):
    begins = b"\3vorbis" if head[0] == 1 else b"OpusTags"
    packet = begins + comments("TITLE=" + "a" * 100_000, f"comment={SUNO}")
    found = find(ogg_pages(head, packet, bytes(300)), "audio/ogg")
    assert found.found == [{"mark": "ogg:comment", "generator": "Suno"}]
    assert found.meta == {"gen": {"tool": "Suno"}}


def test_stores_in_many_parts_are_put_together_once():
    size = 2000
    wav = b"RIFF\0\0\0\0WAVE" + (b"C2PA" + struct.pack("<I", size) + bytes(size)) * 9000
    assert len(b"".join(tags.read(wav, "audio/wav").c2pa)) == 9000 * size  # 81 GB are copied where each is appended
    frames = b"GEOB" + sync_safe(size + 19) + b"\0\0\0application/c2pa\0\0\0" + bytes(size - 1)
    mp3 = b"ID3\4\0\0" + sync_safe(len(frames) * 9000) + frames * 9000
    assert len(b"".join(tags.read(mp3, "audio/mpeg").c2pa)) == 9000 * (size - 1)


def fuzz(rounds, seed):
    rng = random.Random(seed)
    contents = {name: content for name, (content, _) in MARKED.items()}
    contents["a.ogg"] = ogg_pages(b"OpusHead" + bytes(11), b"OpusTags" + comments(f"comment={SUNO}"))
    start = time.perf_counter()
    for name, content in contents.items():
        for _ in range(rounds):
            mutated = mutate(rng, content[:3000])
            try:
                found = find(mutated, FORMATS[f"a.{name.rpartition('.')[2]}"][2])
                canonical_json([found.meta, found.found]).encode()
            except Exception as error:
                raise AssertionError(f"{name} {base64.b64encode(mutated)!r}") from error
    assert time.perf_counter() - start < 0.05 * rounds * len(contents)


def test_mutated_tags():
    fuzz(rounds=150, seed=12)


@pytest.mark.soak
def test_mutated_tags_at_length():
    fuzz(rounds=20_000, seed=random.randrange(2**32))
