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

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeVar

from gendata.errors import ParamsError
from gendata.ingest.batches import in_blocks
from gendata.ingest.blocks import Block, Gathered
from gendata.ingest.formats import MEDIA
from gendata.ingest.globs import matcher
from gendata.ingest.parted import are_large, read_apart
from gendata.ingest.paths import as_path, open_inside, read_inside, resolve, split_suffix, walk
from gendata.ingest.places import Place, place
from gendata.ingest.reader import LINKED, UNIT, Entry, UnitError
from gendata.ingest.records import COLUMNS, SUFFIXES, Part, batches, columns, parts, records
from gendata.ingest.rows import MEDIA_FIELDS, Rows, columns_of
from gendata.ingest.scan import Scanned
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import in_derived
from gendata.items import Item, Reject, content_id, decode_uri, encode_uri

T = TypeVar("T")

KEYS = frozenset({"path", "include", "exclude", "map"})


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
    if MEDIA_FIELDS & set(source.map or _columns(base, tables, IngestParams())):
        for path, problem in walk(base, lambda _: False, lambda p: in_derived(base + b"/" + p, root, base=base)):
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
    """The columns of all readable tables; of those that a scan has seen remembered, as ingest asks twice."""
    known = all(entry.sha256 or entry.problem for entry in tables)
    return (_seen_columns if known else _seen_columns.__wrapped__)(base, tuple(tables), params)


@lru_cache(maxsize=1)
def _seen_columns(base: bytes, tables: Sequence[Entry], params: IngestParams) -> list[str]:
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
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """Every row of every table, file by file. Raises ParamsError if no table has a mapped column."""
    for table in _tables(name, source, root, entries, params, since)[0]:
        yield from table.outcomes()


def blocks(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Block | Item | Reject]:
    """The same in blocks; what is large is read by processes."""
    found, can_be_parted = _tables(name, source, root, entries, params, since)
    by_processes = params.workers != 1 and can_be_parted
    yield from read_apart(found, params.workers) if by_processes else chain.from_iterable(t.blocks() for t in found)


def _tables(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str
) -> tuple[list["_Table"], bool]:
    """The tables, and whether they are worth processes."""
    base = _place(name, source, root).base
    tables = [e for e in entries if e.role == UNIT]
    mapping = columns_of(name, source, _columns(base, tables, params))
    scanned = Scanned(name, root, base)
    linked = {e.uri: e.sha256 for e in entries if e.role == LINKED}

    def table(entry: Entry) -> _Table:
        named = partial(_file, base, decode_uri(entry.uri), root, linked, params.max_file_bytes)
        rows = Rows(mapping, source, params, named, entry.sha256)
        return _Table(entry, scanned, base, rows, params, Gathered(name, source))

    found = [table(entry) for entry in tables if entry.uri >= since]
    return found, not MEDIA_FIELDS & mapping.keys() and are_large(tables)


def shared(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams
) -> Mapping[str, str]:
    """What the rows of a table depend on beside it: the mapping follows from the columns of all tables."""
    base = _place(name, source, root).base
    return columns_of(name, source, _columns(base, [e for e in entries if e.role == UNIT], params))


class _Table:
    """One table file while it is read. It can be pickled, to read a part of what is open here."""

    def __init__(
        self, entry: Entry, scanned: Scanned, base: bytes, rows: Rows, params: IngestParams, gathered: Gathered
    ) -> None:
        self.uri, self._entry, self._scanned, self._base, self._params = entry.uri, entry, scanned, base, params
        self._path, self._rows, self._gathered = decode_uri(entry.uri), rows, gathered

    def parts(self) -> Iterator[Part | Reject]:
        """What can be read by itself; last a Reject of the table if it cannot be read on."""
        return self._opened(lambda: self._scanned.open(self._entry), parts)

    def outcomes(self, part: Part | None = None) -> Iterator[Item | Reject]:
        """An Item or a Reject for each record, of all or of a part; last as ``parts``."""
        if part is None:
            return self._opened(lambda: self._scanned.open(self._entry), self._outcomes)
        return self._opened(lambda: open_inside(self._base, self._path), partial(self._outcomes, part=part))

    def blocks(self, part: Part | None = None) -> Iterator[Block | Item | Reject]:
        """The same in blocks."""
        if self._rows.text_column is not None and split_suffix(self._path)[1] in COLUMNS:
            return self._opened(lambda: self._scanned.open(self._entry), self._in_blocks)
        return self._gathered.outcomes(self.outcomes(part))

    def _opened(
        self, opened: Callable[[], AbstractContextManager[BinaryIO]], found: Callable[[BinaryIO], Iterator[T]]
    ) -> Iterator[T | Reject]:
        try:
            with opened() as file:
                yield from found(file)
        except UnitError as error:
            yield error.at(self.uri)
        except OSError:
            yield UnitError("unreadable").at(self.uri)

    def _in_blocks(self, file: BinaryIO) -> Iterator[Block | Item | Reject]:
        return in_blocks(self.uri, batches(file, split_suffix(self._path)[1], self._params), self._rows, self._gathered)

    def _outcomes(self, file: BinaryIO, part: Part | None = None) -> Iterator[Item | Reject]:
        found = records(file, split_suffix(self._path)[1], self._params, part)
        return self._rows.outcomes((f"{self.uri}#{position}", record) for position, record in found)


def _file(base: bytes, table: bytes, root: Path, linked: Mapping[str, str | None], limit: int, path: str) -> bytes:
    """The bytes of the file that a row of ``table`` names, if they are those that the scan saw."""
    folder = (base + b"/" + table).rpartition(b"/")[0]
    if path.startswith("/"):
        raise UnitError("path-outside", f"{path}: not relative to the folder of the table")
    try:
        if in_derived(resolve(folder, path.encode()), root, base=folder):
            raise UnitError("path-outside", "in a folder that the pipeline writes")
        data = read_inside(folder, path.encode(), limit)
        if linked.get(_uri(table, path)) not in {None, content_id(data)}:
            raise UnitError("changed")
        return data
    except UnitError as error:
        reason, detail = _PATH_REASONS.get(error.reason, (error.reason, error.detail))
        raise UnitError(reason, f"{path}: {detail}") from None


def _uri(table: bytes, path: str) -> str:
    """Of the file that a row names, as the listing has it."""
    return encode_uri(posixpath.normpath(posixpath.join(posixpath.dirname(table), path.encode())))


_PATH_REASONS = {
    "symlink-outside": ("path-outside", "not under the folder of the table"),
    "symlink-broken": ("missing-file", "no such file"),
    "vanished": ("missing-file", "no such file"),
}
"""How a path in a row differs from one that was scanned."""
