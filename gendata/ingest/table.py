"""Kind ``table``: the rows of .jsonl, .json, .csv, .tsv, .parquet and .arrow files; one, a folder or a glob of them.

``map`` says which column is the text, image, audio, label, license, split or origin; without a map the
columns of these very names are taken. All other columns go to ``meta``. A row with an image is an
image item and its text the caption, one with audio an audio item and its text the transcript. Rows
of messages, or of prompt and reply, are records (``chats``); without a map they are known by their
usual names, where there is none of text, image and audio. Where rows have none of all these, they are records, too:
their text is the JSON of all columns that are not mapped, keys sorted.

An image or audio is a path relative to the folder of its table, which it must not leave; base64, with
``data:`` before it or not; in Parquet also the bytes themselves, or {bytes, path} as Hugging Face writes. The origin of
a row is never more trusted than that of the source, where that is given.

``include`` and ``exclude`` choose among the files of a folder. The uri of a row is
``data.jsonl#17``, counted as in ``records``. If the table has a column of images or audio, such files
under its folder are listed too (role linked), so that an edit is noticed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from gendata.errors import ParamsError
from gendata.ingest.cells import as_bytes, as_label, as_meta, as_origin, as_split, as_string, as_text
from gendata.ingest.chats import read_chat, usual_columns
from gendata.ingest.formats import MEDIA, audio, images
from gendata.ingest.globs import matcher
from gendata.ingest.paths import as_path, open_inside, read_inside, resolve, split_suffix, walk
from gendata.ingest.places import Place, place
from gendata.ingest.reader import LINKED, UNIT, Entry, UnitError
from gendata.ingest.records import SUFFIXES, columns, records
from gendata.ingest.settings import FIELDS, IngestParams, SourceParams
from gendata.ingest.sources import in_derived
from gendata.items import Item, Reject, canonical_json, content_id, decode_uri, encode_uri

KEYS = frozenset({"path", "include", "exclude", "map"})

_OF_IMAGES = {"ai", "c2pa", "gen"}
"""Keys of ``meta`` that tell what an image file says of itself: a column of such a name gets another."""

_MEDIA = {"image", "audio"}
"""Fields of ``map`` that hold bytes, or a path to a file."""

_CHAT = {"messages", "reply"}
"""Fields of ``map`` of which rows that are chats have one."""


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """The table files, and the files of images and audio that they may point to."""
    there = _place(name, source, root)
    base, excluded, included = there.base, matcher(source.exclude), matcher(source.include)
    tables = []
    if there.only is not None:
        tables.append(Entry(encode_uri(there.only), base=base))
    else:
        for path, problem in there.walk(excluded):
            if (not source.include or included(path)) and not _is_medium(path):
                supported = "unsupported-type" if split_suffix(path)[1] not in SUFFIXES else None
                tables.append(Entry(encode_uri(path), problem=problem or supported, base=base))
    yield from tables
    if _MEDIA & set(source.map or _columns(base, tables, IngestParams())):
        for path, problem in walk(base, lambda p: in_derived(base + b"/" + p, root, base=base)):
            if problem is None and _is_medium(path):
                yield Entry(encode_uri(path), LINKED, base=base)


def _place(name: str, source: SourceParams, root: Path) -> Place:
    there = place(name, source, root)
    if there.only is not None and (
        split_suffix(there.only)[1] not in SUFFIXES or not as_path(there.base + b"/" + there.only).is_file()
    ):
        raise ParamsError(
            f"params.yaml: sources.{name}.path: {source.path} is neither a folder nor a {', '.join(SUFFIXES)} file"
        )
    return there


def _is_medium(path: bytes) -> bool:
    return split_suffix(path)[1] in MEDIA


def _columns(base: bytes, tables: Sequence[Entry], params: IngestParams) -> list[str]:
    """The columns of all readable tables."""
    found: dict[str, None] = {}
    for entry in tables:
        path = decode_uri(entry.uri)
        if entry.problem is None:
            try:
                with open_inside(base, path) as file:
                    found |= dict.fromkeys(columns(file, split_suffix(path)[1], params))
            except (UnitError, OSError):
                continue  # it is a reject when it is read
    return list(found)


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams
) -> Iterator[Item | Reject]:
    """Every row of every table, file by file. Raises ParamsError if no table has a mapped column."""
    base = _place(name, source, root).base
    tables = [e for e in entries if e.role == UNIT]
    mapping = _mapping(name, source, _columns(base, tables, params))
    for entry in tables:
        try:
            if entry.problem is not None:
                raise UnitError(entry.problem)
            with open_inside(base, decode_uri(entry.uri)) as file:
                yield from _Table(entry, base, root, mapping, source, params).outcomes(file)
        except UnitError as error:
            yield error.at(entry.uri)
        except OSError:
            yield UnitError("unreadable").at(entry.uri)


def _mapping(name: str, source: SourceParams, there: Sequence[str]) -> Mapping[str, str]:
    """Field to column. Raises ParamsError naming the columns that there are; without any, all is let through."""
    mapping = source.map or {f: f for f in FIELDS if f in there}
    if not source.map and not {"text", *_MEDIA} & set(there):
        mapping = mapping | usual_columns(there)
    where, listed = f"params.yaml: sources.{name}", ", ".join(there)
    for field, column in mapping.items():
        if there and column not in there:
            raise ParamsError(f"{where}.map.{field}: no column {column!r}; there are: {listed}")
    return mapping


class _Table:
    """One table file while it is read: what its rows share."""

    def __init__(
        self, entry: Entry, base: bytes, root: Path, mapping: Mapping[str, str], source: SourceParams,
        params: IngestParams,
    ) -> None:  # fmt: skip
        path = decode_uri(entry.uri)
        self._entry, self._root, self._mapping, self._source, self._params = entry, root, mapping, source, params
        self._suffix = split_suffix(path)[1]
        self._folder = (base + b"/" + path).rpartition(b"/")[0]

    def outcomes(self, file: BinaryIO) -> Iterator[Item | Reject]:
        """An Item or a Reject for each record."""
        for position, record in records(file, self._suffix, self._params):
            uri = f"{self._entry.uri}#{position}"
            try:
                if isinstance(record, UnitError):
                    raise record
                item = self._item(uri, record)
            except UnitError as error:
                yield error.at(uri)
            else:
                yield item

    def _item(self, uri: str, record: dict[str, Any]) -> Item:
        cell = {field: record.get(column) for field, column in self._mapping.items()}
        rest = {column: value for column, value in record.items() if column not in self._mapping.values()}
        is_chat = bool(_CHAT & cell.keys())
        if is_chat:
            item = self._chat(uri, cell)
        else:
            item = self._text_or_medium(uri, cell) if {"text", *_MEDIA} & cell.keys() else self._values(uri, rest)
        if is_chat and "chat" in rest:
            rest["chat_"] = rest.pop("chat")  # that name is taken
        if item.modality == "image":
            rest = {f"{name}_" if name in _OF_IMAGES else name: value for name, value in rest.items()}
        split = as_split(cell.get("split"))
        if split is None and cell.get("split") is not None:
            rest[self._mapping["split"]] = cell["split"]  # not a name that is known: kept as it is
        return replace(
            item,
            origin=as_origin(cell.get("origin"), required=self._source.origin is None),
            label=as_label(cell.get("label")),
            license=as_string("license", cell.get("license")),
            source_split=split,
            meta={**item.meta, **as_meta(rest)},
        )

    def _chat(self, uri: str, cell: Mapping[str, Any]) -> Item:
        text, chat = read_chat(cell, self._params.max_text_chars)
        return Item(
            modality="record",
            uri=uri,
            media_type="text/plain",
            text=text,
            file_sha256=self._entry.sha256,
            meta={"chat": chat},
        )

    def _values(self, uri: str, rest: Mapping[str, Any]) -> Item:
        """A record that is no chat."""
        if not any(value not in (None, "") for value in rest.values()):
            raise UnitError("empty", "no column has a value")
        text = as_text(canonical_json(as_meta(rest)), self._params.max_text_chars)
        return Item(
            modality="record", uri=uri, media_type="application/json", text=text, file_sha256=self._entry.sha256
        )

    def _text_or_medium(self, uri: str, cell: Mapping[str, Any]) -> Item:
        text = as_text(cell.get("text"), self._params.max_text_chars)
        found = {field: self._bytes(field, cell[field]) for field in sorted(_MEDIA & cell.keys())}
        given = [(field, data, path) for field, (data, path) in found.items() if data is not None]
        if len(given) > 1:
            raise UnitError("invalid-row", "both an image and audio: a row is one item")
        if not given:
            if text is None:
                raise UnitError("empty", "neither text nor image nor audio")
            return Item(modality="text", uri=uri, media_type="text/plain", text=text, file_sha256=self._entry.sha256)
        ((field, data, path),) = given
        probe = self._probe(field, data, path)
        return Item(
            modality=field,
            uri=uri,
            media_type=probe.media_type,
            text=text,
            text_origin="column" if text is not None else None,
            data=data,
            file_sha256=content_id(data) if path else self._entry.sha256,
            meta=probe.meta,
            marks=probe.marks if isinstance(probe, images.Probe) else (),
        )

    def _probe(self, field: str, data: bytes, path: str) -> "images.Probe | audio.Probe":
        if field == "audio":
            return audio.probe(data, path, self._params.max_audio_seconds)
        return images.probe(data, path, self._params.max_pixels)

    def _bytes(self, field: str, cell: Any) -> tuple[bytes | None, str]:
        """The bytes of the image or audio in a cell, and the path that they were read from, if they were."""
        if isinstance(cell, dict) and cell.keys() <= {"bytes", "path"}:
            cell = cell.get("bytes") or cell.get("path")
        if cell is None or cell == "":
            return None, ""
        if isinstance(cell, bytes):
            if len(cell) > self._params.max_file_bytes:
                raise UnitError("too-large")
            return cell, ""
        if not isinstance(cell, str):
            raise UnitError("invalid-row", f"{field} is neither a path nor bytes but {type(cell).__name__}")
        if (data := as_bytes(cell)) is not None:
            return data, ""
        return self._file(cell), cell

    def _file(self, path: str) -> bytes:
        if path.startswith("/"):
            raise UnitError("path-outside", f"{path}: not relative to the folder of the table")
        try:
            if in_derived(resolve(self._folder, path.encode()), self._root, base=self._folder):
                raise UnitError("path-outside", "in a folder that the pipeline writes")
            return read_inside(self._folder, path.encode(), self._params.max_file_bytes)
        except UnitError as error:
            reason, detail = _PATH_REASONS.get(error.reason, (error.reason, error.detail))
            raise UnitError(reason, f"{path}: {detail}") from None


_PATH_REASONS = {
    "symlink-outside": ("path-outside", "not under the folder of the table"),
    "symlink-broken": ("missing-file", "no such file"),
    "vanished": ("missing-file", "no such file"),
}
"""How a path in a row differs from one that was scanned."""
