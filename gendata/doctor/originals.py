"""The originals that stay where they are: each there, and what was ingested. Nothing here can mend one."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gendata import files
from gendata.doctor.finding import Finding
from gendata.errors import StoreError
from gendata.originals import REMEDY, OriginalError, Originals

_COLUMNS = ("id", "source", "uri", "size")


def check_originals(root: Path, sources: Iterable[str]) -> Iterator[Finding]:
    """One finding for each source and reason; every original is read."""
    originals = Originals(root)
    for source in sources:
        broken: dict[str, list[str]] = {}
        with contextlib.suppress(StoreError):  # shards that do not read are a finding of their own
            for row in _rows(root / "artifacts" / "ingest" / source / "items"):
                try:
                    originals.content(row)
                except OriginalError as error:
                    broken.setdefault(error.reason, []).append(originals.where(source, row["uri"]))
        for reason, places in sorted(broken.items()):
            yield Finding(
                f"sources.{source}",
                f"{reason}: {len(places)} originals, first {places[0]}",
                REMEDY,
            )


def _rows(shards: Path) -> Iterator[dict[str, Any]]:
    for path in files.shards(shards):
        for batch in files.iter_batches(path, _COLUMNS):
            yield from (row for row in batch.to_pylist() if row.get("size") is not None)
