"""What taggers said of contents before, so that a run asks them only about what is new.

A Parquet file per ingest shard lies in a folder such as ``.gendata/cache/tag/<key>/<source>``, named by the first and
the last id of the shard. Where shards end follows from the ids; so a shard finds its file by one of the two although
rows come and go before it, behind it and inside. A file that does not read is written anew; those that a finished run
did not use are dropped.
"""

import hashlib
import platform
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import version
from itertools import compress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gendata.files import write_bytes
from gendata.items import TAG_SCHEMA, canonical_json

LIBRARIES = ("numpy", "Pillow", "py3langid", "soundfile")
"""Whose results tags are made of."""

_NAME = 16
"""Digits of an id in the name of a file."""


def key_of(modules: Sequence[str]) -> str:
    """A digest of all that tags depend on beside the items.

    These are the taggers, the code of this folder, the libraries, Python (its tables of letters) and the types of the
    columns.
    """
    facts = [modules, *map(version, LIBRARIES), platform.python_version(), TAG_SCHEMA.to_string()]
    digest = hashlib.sha256(canonical_json(facts).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class CachedColumns:
    """The columns ``fields`` of the rows of one shard: those that no file in ``folder`` holds are asked for.

    They follow from the columns ``reads``, of which ``data`` is known by the id. ``ids`` are all of the shard.
    """

    def __init__(self, folder: Path, ids: pa.ChunkedArray, reads: Collection[str], fields: Sequence[pa.Field]) -> None:
        first, last = (ids[at].as_py()[:_NAME] for at in (0, -1)) if len(ids) else ("", "")
        self.path = folder / f"{first}-{last}.parquet"
        self.fresh = self.cached = 0
        self._reads = sorted({"id", *reads} - {"data"})
        self._fields = list(fields)
        self._before = _read([self.path, *folder.glob(f"{first}-*"), *folder.glob(f"*-{last}.parquet")])
        self._used: dict[bytes, tuple[Any, ...]] = {}

    def of(self, batch: pa.RecordBatch, ask: Callable[[pa.RecordBatch], Sequence[pa.Array]]) -> dict[str, list[Any]]:
        """The columns, a value per row. ``ask`` gives them for the rows of another batch."""
        read = zip(*(batch[name].to_pylist() for name in self._reads), strict=True)
        keys = [hashlib.sha256(canonical_json(row).encode()).digest() for row in read]
        new = [key not in self._before for key in keys]
        self.fresh += sum(new)
        self.cached += len(new) - sum(new)
        if any(new):
            answers = zip(*(column.to_pylist() for column in ask(batch.filter(pa.array(new)))), strict=True)
            self._used.update(zip(compress(keys, new), answers, strict=True))
        self._used.update((key, self._before[key]) for key in keys if key in self._before)
        return {field.name: [self._used[key][at] for key in keys] for at, field in enumerate(self._fields)}

    def keep(self) -> None:
        """Write the rows that were asked for, for the next run."""
        if not self._used or (self._used.keys() == self._before.keys() and self.path.is_file()):
            return
        columns = [[*self._used], *map(list, zip(*self._used.values(), strict=True))]
        schema = pa.schema([pa.field("key", pa.binary(32)), *self._fields])
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(arrays, schema), sink, write_page_checksum=True)
        write_bytes(self.path, sink.getvalue().to_pybytes())


def _read(paths: Sequence[Path]) -> dict[bytes, tuple[Any, ...]]:
    """By key, the rows of the first of the files that is there and whole."""
    for path in paths:
        try:
            table = pq.read_table(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException):
            continue
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        return {row[0]: row[1:] for row in rows}
    return {}
