"""Kind ``webdataset``: tar shards of samples; one, a folder of them, or a glob as ``data/shard-{000..127}.tar``.

Members in a row whose names are equal up to the first dot of the last part are a sample, the item
``shard-000.tar!key``: an image with ``.txt`` or ``.caption`` as its caption, else a text. ``.cls`` is the label, and
what no other member states is taken from the object in ``.json`` (``facts``): our own export is read back as it was.
A member that has no place in its sample is a reject of its own. ``include`` and ``exclude`` choose among the members,
``exclude`` also among the shards.

A sample whose json, label or image cannot be read is a reject as a whole: what is kept should say what it said. Of a
shard that is cut, the sample at the cut is part of the shard's own reject.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from gendata.errors import ParamsError
from gendata.ingest import formats
from gendata.ingest.archives import ArchiveError, Found, found_in
from gendata.ingest.beside import caption, invalid
from gendata.ingest.facts import described, is_exported, take_text
from gendata.ingest.formats.texts import decode
from gendata.ingest.globs import matcher
from gendata.ingest.paths import is_tar
from gendata.ingest.places import place
from gendata.ingest.pool import ordered
from gendata.ingest.reader import Entry, UnitError
from gendata.ingest.records import parse_json
from gendata.ingest.scan import Scanned
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.items import Item, Reject, encode_uri

KEYS = frozenset({"path", "include", "exclude"})

_NAME = re.compile(rb"((?:.*/)?[^./]*)(?:\.([^/]*))?", re.DOTALL)


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """The shards; any other file of a folder is a problem."""
    there = place(name, source, root)
    if there.only is not None and not is_tar(there.only):
        raise ParamsError(f"params.yaml: sources.{name}.path: {source.path} is neither a folder nor a .tar file")
    for path, problem in there.walk(matcher(source.exclude)):
        problem = problem or (None if is_tar(path) else "unsupported-type")
        yield Entry(encode_uri(path), problem=problem, base=there.base)


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """The samples of every shard, decoded on ``params.workers`` threads."""
    scanned = Scanned(name, root, place(name, source, root).base)
    for entry in (e for e in entries if e.uri >= since):
        try:
            with scanned.open(entry) as file:
                samples = _samples(entry.uri, file, source, params)
                for outcomes in ordered(partial(_outcomes, params=params), samples, params.workers):
                    yield from outcomes
        except UnitError as error:
            yield error.at(entry.uri)


@dataclass(slots=True)
class _Sample:
    """What one key stands for: of each role the uri and the content of a member, or why there is none."""

    uri: str
    parts: dict[str, tuple[str, bytes | UnitError]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)

    def content(self, role: str) -> bytes | None:
        """Raises UnitError where it could not be read."""
        _, data = self.parts.get(role, ("", None))
        if isinstance(data, UnitError):
            raise data
        return data


def _samples(shard: str, file: BinaryIO, source: SourceParams, params: IngestParams) -> Iterator[_Sample]:
    """The samples in their order; last why the shard ends too early."""
    included, seen = matcher(source.include), dict[bytes, int]()
    try:
        chosen = (f for f in found_in(shard, file, source, params) if not source.include or included(f.path))
        for key, members in groupby(chosen, lambda found: _split(found.path)[0]):
            seen[key] = seen.get(key, 0) + 1
            sample = _Sample(f"{shard}!{encode_uri(key)}")
            if seen[key] > 1:
                for _ in members:
                    pass
                sample.rejects = [UnitError("duplicate-key").at(f"{sample.uri}#{seen[key]}")]
            else:
                for found in members:
                    _add(sample, found, params)
            yield sample
    except UnitError as error:
        yield _Sample(shard, rejects=[error.at(shard)])


def _split(path: bytes) -> tuple[bytes, str]:
    """Key and extension of a member, the latter in lower case."""
    key, extension = _NAME.fullmatch(path).groups()  # type: ignore[union-attr]  # matches anything
    return key, (extension or b"").decode("utf-8", "replace").lower()


def _add(sample: _Sample, found: Found, params: IngestParams) -> None:
    """A member to its place in the sample, or its reject. Raises ArchiveError."""
    role, problem = _role(_split(found.path)[1]), found.member.problem
    if problem not in {"duplicate-name", "path-outside"}:
        problem = "surplus-member" if role in sample.parts else None
    if role is None or problem is not None:
        has_key = b"." in found.path.rpartition(b"/")[2]  # without, its uri would be that of a sample
        sample.rejects.append(UnitError(problem or "unsupported-type").at(found.uri if has_key else f"{found.uri}!"))
        return
    try:
        sample.parts[role] = found.uri, found.read(params.max_file_bytes)
    except ArchiveError:
        raise
    except UnitError as error:
        sample.parts[role] = found.uri, error


def _role(extension: str) -> str | None:
    if extension in {"json", "cls"}:
        return extension
    if extension in {"txt", "caption"}:
        return "text"
    if f".{extension}" in formats.SUFFIXES:
        return "media" if f".{extension}" in formats.MEDIA else "document"
    return None


def _outcomes(sample: _Sample, params: IngestParams) -> list[Item | Reject]:
    outcomes: list[Item | Reject] = []
    if sample.parts:
        try:
            outcomes.append(_item(sample, params))
        except UnitError as error:
            outcomes.append(error.at(sample.uri))
    return [*outcomes, *sample.rejects]


def _item(sample: _Sample, params: IngestParams) -> Item:
    record = _record(sample.content("json"))
    label = _label(sample.content("cls"))
    return replace(described(_content(sample, record, params), record, label), uri=sample.uri)


def _record(data: bytes | None) -> dict[str, Any]:
    value = parse_json(data) if data is not None else {}
    if not isinstance(value, dict):
        raise UnitError("invalid-json", "valid JSON, but not an object")
    return value


def _label(data: bytes | None) -> str | None:
    try:
        return (data or b"").decode().strip() or None
    except UnicodeDecodeError as error:
        raise UnitError("invalid-utf8", f"label: byte {error.start}: {error.reason}") from None


def _content(sample: _Sample, record: dict[str, Any], params: IngestParams) -> Item:
    """The item without what is said about it; where the text is taken from the record, it is taken out."""
    if (data := sample.content("media")) is not None:
        uri, text = sample.parts["media"][0], None
        try:
            if (beside := sample.content("text")) is not None:
                text = decode(beside, params).text if is_exported(record) else caption(beside, params)
        except UnitError as error:
            sample.rejects.insert(0, invalid(error).at(sample.parts["text"][0]))
        item = formats.item(uri, data, params, text)
        if "text" not in sample.parts and (text := take_text(record, params)) is not None:
            item = replace(item, text=text, text_origin="json")
        return item
    if is_exported(record) and record["modality"] in {"image", "audio"}:
        raise UnitError("empty", f"the {record['modality']} is not there, or of no type that is read")
    if (data := sample.content("document")) is not None:
        return formats.item(sample.parts["document"][0], data, params)
    if (data := sample.content("text")) is not None:
        return formats.item("text.txt", data, params)
    if (text := take_text(record, params)) is not None:
        return Item(modality="text", uri=sample.uri, media_type="text/plain", text=text)
    raise UnitError("empty", "neither text nor image")
