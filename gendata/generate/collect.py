"""Gather all outputs, of the pipeline and ad hoc, into shards as ingest writes them, for the store ``outputs``."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gendata import files
from gendata.errors import StoreError
from gendata.items import OUTPUT_SCHEMA, REJECT_SCHEMA, content_id
from gendata.records.outputs import read_adhoc

_NAME = re.compile(r"[A-Za-z0-9_-]+")

ADHOC = "adhoc"
"""Source of what cannot be attributed to a family."""


def gather(generated: Path, adhoc: Path, families: Sequence[str], out: Path) -> dict[str, dict[str, str]]:
    """Write ``out/<family>/items/*.parquet`` (OUTPUT_SCHEMA) and ``rejected.parquet``.

    Outputs of the pipeline come first, then ad-hoc files in order of time. The same output twice (same
    place, same content) counts once. A file that cannot be read, or a row that does not say what made it,
    is a reject with its reason.

    Args:
        generated: ``<family>/items/*.parquet`` of stage generate.
        adhoc: ``records/outputs``.
        families: whose pipeline outputs count.
        out: gets a folder per family that has outputs.

    Returns:
        The sources as the catalog lists them, by name.

    Raises:
        StoreError: an output claims an origin that is not ``generated``.
    """
    shelves = _Shelves(out)
    for family in families:
        for path in files.shards(generated / family / "items"):
            for batch in files.iter_batches(path, OUTPUT_SCHEMA.names):
                shelves.take(batch.to_pylist(), path.as_posix())
    for path, rows in read_adhoc(adhoc):
        name = f"{adhoc.name}/{path.name}"
        if isinstance(rows, StoreError):
            shelves.reject(ADHOC, name, "corrupt-parquet", str(rows).removeprefix(f"{path}: "))
        else:
            shelves.take(rows.to_pylist(), name)
    return shelves.close()


class _Shelves:
    """A shard writer and a list of rejects per source."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._writers: dict[str, files.ShardWriter] = {}
        self._rejects: dict[str, list[Mapping[str, str]]] = {}
        self._seen: set[tuple[str, str, str]] = set()

    def take(self, rows: list[dict[str, Any]], where: str) -> None:
        """Rows of one file."""
        for row in rows:
            if row["origin"] != "generated":
                raise StoreError(f"{where}: output {row['id'][:12]} claims to be {row['origin']}, not generated")
            if not _NAME.fullmatch(row["source"]):  # it names a folder; a family that is gone by now stays known
                self.reject(ADHOC, row["uri"], "bad-source", f"{row['source']!r} cannot be the name of a family")
                continue
            if row["id"] != content_id(row["data"] if row["data"] is not None else row["text"] or ""):
                self.reject(row["source"], row["uri"], "wrong-id", "its content is not what its id says")
                continue
            if not row["model"] or not row["checkpoint_id"] or not row["manifest_id"]:
                self.reject(row["source"], row["uri"], "no-provenance", "does not say which checkpoint made it")
                continue
            key = (row["source"], row["uri"], row["id"])
            if key not in self._seen:
                self._seen.add(key)
                self._writer(row["source"]).write(row)

    def reject(self, source: str, uri: str, reason: str, detail: str) -> None:
        """A unit that does not get in."""
        self._writer(source)
        listed = {"source": source, "uri": uri, "stage": "collect", "reason": reason, "detail": detail}
        self._rejects.setdefault(source, []).append(listed)
        sys.stderr.write(f"{uri}: {reason}: {detail}\n")

    def close(self) -> dict[str, dict[str, str]]:
        for source, writer in self._writers.items():
            writer.close()
            rejects: Iterator[Mapping[str, str]] = iter(self._rejects.get(source, []))
            files.write_table(self._out / source / "rejected.parquet", rejects, REJECT_SCHEMA)
        return {source: {"kind": "model", "origin": "generated"} for source in sorted(self._writers)}

    def _writer(self, source: str) -> files.ShardWriter:
        if source not in self._writers:
            self._writers[source] = files.ShardWriter(self._out / source / "items", OUTPUT_SCHEMA)
        return self._writers[source]
