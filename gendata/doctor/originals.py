"""The originals that stay where they are: each there, and what was ingested. Nothing here can mend one."""

from collections.abc import Iterable, Iterator
from pathlib import Path

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
        try:
            for path in files.shards(root / "artifacts" / "ingest" / source / "items"):
                for row in (row for batch in files.iter_batches(path, _COLUMNS) for row in batch.to_pylist()):
                    if row.get("size") is None:
                        continue
                    try:
                        originals.read(*(row[name] for name in _COLUMNS))
                    except OriginalError as error:
                        broken.setdefault(error.reason, []).append(originals.where(source, row["uri"]))
        except StoreError:
            continue  # of shards that do not read there is a finding, and of a source that is gone as a whole
        for reason, places in sorted(broken.items()):
            yield Finding(
                f"sources.{source}",
                f"{reason}: {len(places)} originals, first {places[0]}",
                REMEDY,
            )
