"""Kind ``database``: the rows of a query over a SQLite file (``path``) or a PostgreSQL server (``uri``).

``map`` works as for tables, whose rows these are (``rows``); images and audio are bytes. Nothing is written: see
``databases`` for how an engine is kept from it.

The uri of a row is ``notes.db#KEY`` where ``key`` names a column, whose values are whole numbers, texts or the like,
none twice; rows then come in their order. Without a key it is ``notes.db#17``, the position in the order that the
query gives. A server gives rows in any order, so that one needs a key.

A file is listed by its content, and so is the log of what is not yet in it (``-wal``); of a server the rows
themselves are hashed by the scan. Where ingest sees others in the end, it keeps them and gives one reject, ``changed``.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from gendata.errors import ParamsError
from gendata.ingest import addresses
from gendata.ingest.databases import Limit, Record, Result
from gendata.ingest.paths import open_inside
from gendata.ingest.reader import LINKED, UNIT, Entry, UnitError
from gendata.ingest.rows import MEDIA_FIELDS, Rows, columns_of, no_file
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import source_path
from gendata.items import Item, Reject, canonical_json, content_id, decode_uri, encode_uri

KEYS = frozenset({"path", "uri", "query", "key", "map"})


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """The database, and its log where it has one."""
    if source.uri is not None:
        database = addresses.database(addresses.expand(_where(name), source.uri))
        yield Entry(encode_uri(database), digest=partial(_digest, name, source, root))
        return
    path = source_path(name, source, root)
    if not path.is_file():
        raise ParamsError(f"{_where(name)}.path: {source.path} is not a file")
    base = os.fsencode(path.parent)
    yield Entry(encode_uri(os.fsencode(path.name)), base=base)
    log = path.with_name(f"{path.name}-wal")
    if _is_log(log):
        yield Entry(encode_uri(os.fsencode(log.name)), LINKED, base=base)


AT_ONCE = True


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """The rows, in one transaction. A query cannot begin in its middle: what is before ``since`` is read again."""
    (entry,) = (e for e in entries if e.role == UNIT)
    try:
        if entry.problem is not None:
            raise UnitError(entry.problem)
        seen = _Digest()
        with closing(_opened(name, source, root, params)) as result:
            mapping = columns_of(name, source, result.columns)
            found = result.records(_limit(source, result, name, params))
            records = seen.over(found) if source.uri else found
            rows = Rows(mapping, source, params, no_file, None if source.uri else entry.sha256)
            yield from rows.outcomes(_addressed(entry.uri, source.key, records))
        if _is_changed(name, source, root, entries, seen):
            raise UnitError("changed", "the rows are those of now, not those that were scanned; run again")
    except UnitError as error:
        yield error.at(entry.uri)


def shared(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams
) -> list[list[str | None]]:
    """What rows depend on beside their own file: the log of a database."""
    return [[entry.uri, entry.sha256] for entry in entries if entry.role == LINKED]


def _opened(name: str, source: SourceParams, root: Path, params: IngestParams) -> Any:
    """The engine's Query; engines are loaded on use."""
    where, query = _where(name), source.query or ""
    if source.uri is not None:
        from gendata.ingest.databases import postgres

        uri = addresses.expand(where, source.uri)
        return postgres.Query(where, uri, query, source.key or "", params.query_seconds)
    from gendata.ingest.databases import sqlite

    path = source_path(name, source, root)
    return sqlite.Query(where, path, query, source.key, params.query_seconds)


def _where(name: str) -> str:
    return f"params.yaml: sources.{name}"


def _limit(source: SourceParams, result: Result, name: str, params: IngestParams) -> Limit:
    mapping = columns_of(name, source, result.columns)
    media = {column for field, column in mapping.items() if field in MEDIA_FIELDS}
    return lambda column: params.max_file_bytes if column in media else params.max_record_bytes


def _addressed(
    uri: str, key: str | None, records: Iterator[Record]
) -> Iterator[tuple[str, dict[str, Any] | UnitError]]:
    """The uri of each row. One whose key is no name for it has one that no key can have: ``notes.db#!17``."""
    previous: Any = None
    for position, (record, problem) in enumerate(records, start=1):
        if key is None:
            yield f"{uri}#{position}", problem or record
            continue
        value = record.get(key)
        wrong = None if problem is not None and value is None else _misnamed(key, value, previous)
        if wrong is not None or value is None:
            yield f"{uri}#!{position}", wrong or problem or record
        else:
            yield f"{uri}#{encode_uri(str(value))}", problem or record
            previous = value


def _misnamed(key: str, value: Any, previous: Any) -> UnitError | None:
    """Why ``value`` does not name a row. Keys come in order, so that an equal one is the one before."""
    if value is None or isinstance(value, bool | float | bytes | list | dict | UnitError) or value == "":
        return UnitError("invalid-row", f"the key {key} is {'null' if value is None else type(value).__name__}")
    if previous is not None and type(value) is not type(previous):
        return UnitError(
            "invalid-row", f"the key {key} is {type(value).__name__}, that of others {type(previous).__name__}"
        )
    if value == previous:
        return UnitError("duplicate-key", f"a row with the {key} {value} came before")
    return None


class _Digest:
    """The hash of rows in their order, of values as JSON has them."""

    def __init__(self) -> None:
        self.size, self._hash = 0, hashlib.sha256()

    def over(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records, once each is hashed."""
        for record, problem in records:
            line = _line(record, problem)
            self.size += len(line)
            self._hash.update(line)
            yield record, problem

    @property
    def sha256(self) -> str:
        """Of what was seen so far."""
        return self._hash.hexdigest()


def _line(record: Mapping[str, Any], problem: UnitError | None) -> bytes:
    values = [content_id(value) if isinstance(value, bytes) else value for value in record.values()]
    return canonical_json([list(record), values, problem.reason if problem else None]).encode() + b"\n"


def _digest(name: str, source: SourceParams, root: Path, params: IngestParams) -> tuple[int, str]:
    """Size and hash of the rows of a server."""
    seen = _Digest()
    with closing(_opened(name, source, root, params)) as result:
        for _ in seen.over(result.records(_limit(source, result, name, params))):
            pass
    return seen.size, seen.sha256


def _is_changed(name: str, source: SourceParams, root: Path, entries: Sequence[Entry], seen: _Digest) -> bool:
    """Whether what was read is not what was scanned; a preview scans nothing."""
    known = {entry.uri: entry.sha256 for entry in entries}
    if None in known.values():
        return False
    if source.uri is not None:
        return seen.sha256 not in known.values()
    return {entry.uri: _file_digest(entry) for entry in listing(name, source, root)} != known


def _file_digest(entry: Entry) -> str:
    with open_inside(entry.base or b"", decode_uri(entry.uri)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_log(path: Path) -> bool:
    try:
        return path.stat().st_size > 0  # an empty one comes and goes with the programs that read
    except OSError:
        return False
