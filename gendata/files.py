"""Parquet shards, JSON and locks on disk: atomic, byte-stable, durable.

A stage writes into ``.gendata/work`` and renames the finished folder into its out; what a kill
leaves behind is removed by the next run. The same rows always give the same Parquet bytes,
however they arrive: row groups are cut by the rows themselves.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gendata.errors import StoreError
from gendata.rename import fsync as fsync
from gendata.rename import fsync_all as fsync_all
from gendata.rename import replace
from gendata.rowgroups import GROUP_ROWS as GROUP_ROWS
from gendata.rowgroups import RowGroupWriter as RowGroupWriter
from gendata.rowgroups import Sizes
from gendata.rowgroups import row_bytes as row_bytes

WORK = Path(".gendata")
"""Caches and half-done output, relative to the project root; deletable at any time."""

SHARD_MIN_ROWS, SHARD_MEAN_ROWS, SHARD_MAX_ROWS, SHARD_BYTES = 1024, 2048, 8192, 128 << 20
"""Ingest shards end at an item whose id says so (1 in SHARD_MEAN_ROWS), so that rows added before
do not shift later boundaries; the limits bound the size of a shard."""

_ID_BYTES = 32
"""Of a digest that is an id."""


class ShardWriter:
    """Writes rows into ``folder/00000.parquet`` and on; boundaries depend on the ids (see above)."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._schema = folder, schema
        self._writer: RowGroupWriter | None = None
        self._shard, self._rows, self._bytes = 0, 0, 0

    def write(self, row: Mapping[str, Any], elsewhere: int = 0) -> Path | None:
        """One more row, with an ``id`` of hex digits, as of ``RowGroupWriter``; the shard that it ended."""
        self._open().write(row, elsewhere)
        return self._added(1, row_bytes(row) + elsewhere, row["id"])

    def extend(self, table: pa.Table, sizes: Sizes) -> Path | None:
        """As many rows as there is ``room`` for, or fewer, and their sizes; the shard that they ended."""
        self._open().extend(table, sizes)
        return self._added(table.num_rows, int(sizes.sum()), table["id"][-1].as_py())

    def room(self, table: pa.Table, sizes: Sizes) -> int:
        """How many of the rows, whose ids are digests, belong to the open shard: those up to the one that ends it."""
        counts = self._rows + np.arange(1, table.num_rows + 1)
        heads = np.frombuffer(bytes.fromhex("".join(table["id"].to_pylist())), ">u4")[:: _ID_BYTES // 4]
        ends = _ends_shard(counts, self._bytes + np.cumsum(sizes), heads)
        return int(ends.argmax()) + 1 if ends.any() else table.num_rows

    def _open(self) -> RowGroupWriter:
        if self._writer is None:
            self._writer = RowGroupWriter(shard_path(self._folder, self._shard), self._schema)
        return self._writer

    def _added(self, count: int, size: int, last_id: str) -> Path | None:
        """Count what was written; the shard, if its last row ended it."""
        self._rows, self._bytes = self._rows + count, self._bytes + size
        return self.close() if _ends_shard(self._rows, self._bytes, int(last_id[:8], 16)) else None

    def take(self, shard: Path) -> None:
        """A shard that was written before is the next one; none may be open."""
        link(shard, shard_path(self._folder, self._shard))
        self._shard += 1

    def close(self) -> Path | None:
        """End the open shard, if there is one; its path."""
        if self._writer is None:
            return None
        self._writer.close()
        self._writer, self._rows, self._bytes = None, 0, 0
        self._shard += 1
        return shard_path(self._folder, self._shard - 1)


def _ends_shard(rows: Any, size: Any, head: Any) -> Any:
    """Whether a row ends its shard, by the rows and bytes up to it and the first 32 bits of its id; or of many rows."""
    return ((rows >= SHARD_MIN_ROWS) & (head % SHARD_MEAN_ROWS == 0)) | (rows >= SHARD_MAX_ROWS) | (size >= SHARD_BYTES)


def link(path: Path, to: Path) -> None:
    """The same file by another name, in place of any there; a copy where the file system has no links."""
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(path, part)
    except OSError:
        shutil.copyfile(path, part)
    part.replace(to)


def shard_path(folder: Path, index: int) -> Path:
    """``folder/00017.parquet``: the same index is the same shard in every stage."""
    return folder / f"{index:05d}.parquet"


def shards(folder: Path) -> list[Path]:
    """The shards of one source, in order. Raises StoreError if one is missing in between."""
    found = sorted(folder.glob("[0-9]*.parquet"))
    if [p.name for p in found] != [shard_path(folder, i).name for i in range(len(found))]:
        raise StoreError(f"{folder}: shards are not numbered 0 to {len(found) - 1}; run `gendata run` again")
    return found


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> int:
    """Rows to one Parquet file with fixed row groups; the number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer, count = RowGroupWriter(path, schema), 0
    for row in rows:
        writer.write(row)
        count += 1
    writer.close()
    return count


def iter_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The row groups of a Parquet file, a batch at a time: memory stays bounded."""
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group, columns=list(columns) if columns else None).to_batches():
                    if batch.num_rows:
                        yield batch
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole Parquet file; for tables that are small by nature (decisions, tags, rejects)."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=list(columns) if columns else None)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> StoreError:
    """What to raise where a Parquet file could not be read."""
    return StoreError(f"{path}: not a readable Parquet file: {str(error).partition(chr(10))[0]}")


@contextlib.contextmanager
def output(out: Path) -> Iterator[Path]:
    """An empty folder in ``.gendata/work`` that becomes ``out`` when the block ends well.

    ``out`` never holds a part of a result: it is absent or whole, also after a kill.
    """
    name = "-".join(out.parts[-3:]).replace(os.sep, "")
    work = WORK / "work" / name
    with lock(WORK / "locks" / name):  # a stage whose parent was killed may still be at it
        work.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        yield work
        replace(work, out)


def fill(out: Path, whole: Callable[[Path], bool], make: Callable[[Path], None]) -> None:
    """Make a folder of a cache, unless it is whole: of processes that want it at once one makes it, and others wait."""
    if whole(out):
        return
    with lock(WORK / "locks" / f"{'-'.join(out.parts[-3:])}-fill"):
        if not whole(out):
            with output(out) as work:
                make(work)


def sha256(path: Path) -> str:
    """The digest of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: object) -> None:
    """JSON with sorted keys; see ``write_bytes``."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """JSON with sorted keys, for people too."""
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def write_bytes(path: Path, content: bytes) -> None:
    """A whole file, written beside and renamed: durable, never half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    fsync(part)
    part.replace(path)
    fsync(path.parent)


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises StoreError if it is absent or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path}: not found") from None
    except ValueError as error:
        raise StoreError(f"{path}: not valid JSON: {error}") from None


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on ``path`` now."""
    if not path.is_file():
        return False
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; waits for another holder. The kernel frees it on a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kept_batches(items: Path, decisions: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The kept rows of one ingest shard, a row group at a time.

    ``decisions`` is the dedup shard of the same index. Raises StoreError where the two do not
    hold the same rows: then one of them is from another run.
    """
    for batch, decided in aligned_batches(items, decisions, columns):
        kept = batch.filter(decided["kept"])
        if kept.num_rows:
            yield kept


def decided_shards(ingested: Path, decisions: Path, source: str) -> list[tuple[Path, Path]]:
    """(ingest shard, dedup shard) of a source, in order. Raises StoreError where they do not pair up."""
    if not (ingested / source).is_dir():
        raise StoreError(f"{ingested / source}: not there; run `gendata run` again")
    items, decided = shards(ingested / source / "items"), shards(decisions / source)
    if len(items) != len(decided):
        raise StoreError(f"{decisions / source}: {len(decided)} shards for {len(items)} of ingest; run `gendata run`")
    return list(zip(items, decided, strict=True))


def aligned_batches(
    items: Path, decisions: Path, columns: Sequence[str] | None = None
) -> Iterator[tuple[pa.RecordBatch, pa.Table]]:
    """Every row group of an ingest shard with its decisions, compared id by id."""
    decided = read_table(decisions)
    names = None if columns is None else ["id", *(c for c in columns if c != "id")]
    at = 0
    for batch in iter_batches(items, names):
        part = decided.slice(at, batch.num_rows)
        at += batch.num_rows
        if not part["id"].combine_chunks().equals(batch["id"]):
            raise StoreError(f"{decisions}: not about the rows of {items}; run `gendata run` again")
        yield batch, part
    if at != decided.num_rows:
        raise StoreError(f"{decisions}: {decided.num_rows} rows for {at} of {items}; run `gendata run` again")
