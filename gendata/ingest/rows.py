"""Rows to items, for every kind of source that has rows: tables, databases, data sets.

``map`` says which column is what; see ``table`` for what follows from it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gendata.errors import ParamsError
from gendata.ingest.cells import as_bytes, as_label, as_meta, as_origin, as_split, as_string, as_text
from gendata.ingest.chats import read_chat, usual_columns
from gendata.ingest.formats import audio, images
from gendata.ingest.reader import UnitError
from gendata.ingest.settings import FIELDS, IngestParams, SourceParams
from gendata.items import Item, Reject, canonical_json, content_id

_OF_MEDIA = {"ai", "c2pa", "gen"}
"""Keys of ``meta`` that tell what an image or audio file says of itself: a column of such a name gets another."""

MEDIA_FIELDS = {"image", "audio"}
"""Fields of ``map`` that hold bytes, or a path to a file."""

_CHAT = {"messages", "reply"}
"""Fields of ``map`` of which rows that are chats have one."""


def columns_of(name: str, source: SourceParams, there: Sequence[str]) -> Mapping[str, str]:
    """Field of ``map`` to column, where rows have the columns ``there``; where these are not known, all is let through.

    Raises:
        ParamsError: names the columns that there are.
    """
    mapping = source.map or {f: f for f in FIELDS if f in there}
    if not source.map and not {"text", *MEDIA_FIELDS} & set(there):
        mapping = mapping | usual_columns(there)
    where, listed = f"params.yaml: sources.{name}", ", ".join(there)
    for field, column in mapping.items():
        if there and column not in there:
            raise ParamsError(f"{where}.map.{field}: no column {column!r}; there are: {listed}")
    return mapping


def no_file(path: str) -> bytes:
    """For rows that hold images and audio as bytes. Raises UnitError."""
    raise UnitError("path-outside", f"{path}: images and audio are bytes here; paths are not followed")


class Rows:
    """What the rows of one table share. ``file`` gives the bytes of a file that a row names; it raises UnitError."""

    def __init__(
        self, mapping: Mapping[str, str], source: SourceParams, params: IngestParams, file: Callable[[str], bytes],
        file_sha256: str | None,
    ) -> None:  # fmt: skip
        self._mapping, self._source, self._params = mapping, source, params
        self._file, self._file_sha256 = file, file_sha256
        self._mapped = frozenset(mapping.values())
        self._media = sorted(MEDIA_FIELDS & mapping.keys())
        self._is_chat, self._has_content = bool(_CHAT & mapping.keys()), bool({"text", *self._media} & mapping.keys())
        is_shared = len(self._mapped) < len(mapping)  # a column may be two things
        self.text_column = None if self._is_chat or self._media or is_shared else mapping.get("text")
        """The column that is the text and nothing else, where there are neither media nor chats."""
        self.max_text_chars = params.max_text_chars

    def outcomes(self, records: Iterable[tuple[str, dict[str, Any] | UnitError]]) -> Iterator[Item | Reject]:
        """An Item or a Reject for each uri and record."""
        for uri, record in records:
            try:
                if isinstance(record, UnitError):
                    raise record
                item = self._item(uri, record)
            except UnitError as error:
                yield error.at(uri)
            else:
                yield item

    def beside_text(self, uri: str, record: dict[str, Any]) -> Item:
        """The item of a text, from all other columns: the text itself is left out. Raises UnitError."""
        cell, rest = self._split(record)
        item = Item(modality="text", uri=uri, media_type="text/plain", file_sha256=self._file_sha256)
        return self._stated(item, cell, rest)

    def _split(self, record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Field to value, and all that is not mapped."""
        cell = {field: record.get(column) for field, column in self._mapping.items()}
        return cell, {column: value for column, value in record.items() if column not in self._mapped}

    def _item(self, uri: str, record: dict[str, Any]) -> Item:
        cell, rest = self._split(record)
        if self._is_chat:
            item = self._chat(uri, cell)
        else:
            item = self._text_or_medium(uri, cell) if self._has_content else self._values(uri, rest)
        if self._is_chat and "chat" in rest:
            rest["chat_"] = rest.pop("chat")  # that name is taken
        if item.modality in MEDIA_FIELDS:
            rest = {f"{name}_" if name in _OF_MEDIA else name: value for name, value in rest.items()}
        return self._stated(item, cell, rest)

    def _stated(self, item: Item, cell: Mapping[str, Any], rest: dict[str, Any]) -> Item:
        """The item with all that its row says beside its content."""
        split = as_split(cell.get("split"))
        if split is None and cell.get("split") is not None:
            rest[self._mapping["split"]] = cell["split"]  # not a name that is known: kept as it is
        item.origin = as_origin(cell.get("origin"), required=self._source.origin is None)
        item.label = as_label(cell.get("label"))
        item.license = as_string("license", cell.get("license"))
        item.source_split = split
        item.meta = {**item.meta, **as_meta(rest)} if item.meta else as_meta(rest)
        return item

    def _chat(self, uri: str, cell: Mapping[str, Any]) -> Item:
        text, chat = read_chat(cell, self._params.max_text_chars)
        return Item(
            modality="record",
            uri=uri,
            media_type="text/plain",
            text=text,
            file_sha256=self._file_sha256,
            meta={"chat": chat},
        )

    def _values(self, uri: str, rest: Mapping[str, Any]) -> Item:
        """A record that is no chat."""
        if not any(value not in (None, "") for value in rest.values()):
            raise UnitError("empty", "no column has a value")
        text = as_text(canonical_json(as_meta(rest)), self._params.max_text_chars)
        return Item(modality="record", uri=uri, media_type="application/json", text=text, file_sha256=self._file_sha256)

    def _text_or_medium(self, uri: str, cell: Mapping[str, Any]) -> Item:
        text = as_text(cell.get("text"), self._params.max_text_chars)
        if text is not None and not self._media:
            return Item(modality="text", uri=uri, media_type="text/plain", text=text, file_sha256=self._file_sha256)
        found = {field: self._bytes(field, cell[field]) for field in self._media}
        given = [(field, data, path) for field, (data, path) in found.items() if data is not None]
        if len(given) > 1:
            raise UnitError("invalid-row", "both an image and audio: a row is one item")
        if not given:
            if text is None:
                raise UnitError("empty", "neither text nor image nor audio")
            return Item(modality="text", uri=uri, media_type="text/plain", text=text, file_sha256=self._file_sha256)
        ((field, data, path),) = given
        probe = self._probe(field, data, path)
        return Item(
            modality=field,
            uri=uri,
            media_type=probe.media_type,
            text=text,
            text_origin="column" if text is not None else None,
            data=data,
            file_sha256=content_id(data) if path else self._file_sha256,
            meta=probe.meta,
            marks=probe.marks,
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
