"""The shards of the stages against each other."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from gendata import files
from gendata.doctor.finding import Finding
from gendata.errors import StoreError
from gendata.store.rows import Artifacts

_FORCE = "gendata run --force"


def check_shards(parts: Artifacts, root: Path) -> Iterator[Finding]:
    """Every item has a decision, every kept one tags, every kept id is kept once."""
    kept: Counter[str] = Counter()
    ingested, decisions, tags, vectors = (
        path.relative_to(root).as_posix() for path in (parts.ingested, parts.decisions, parts.tags, parts.vectors)
    )
    for source in parts.sources:
        if not (parts.ingested / source / "items").is_dir():
            yield Finding(f"{ingested}/{source}", "not ingested yet", "gendata run")
            continue
        try:
            for index, path in enumerate(files.shards(parts.ingested / source / "items")):
                decided = files.shard_path(parts.decisions / source, index)
                ids = [i for batch in files.kept_batches(path, decided, ("id",)) for i in batch["id"].to_pylist()]
                kept.update(ids)
                if _ids(parts.tags / source, index).to_pylist() != ids:
                    yield Finding(f"{tags}/{source} shard {index}", "rows differ from the kept items", _FORCE)
                if parts.similar is not None and _ids(parts.similar / source, index).to_pylist() != ids:
                    similar = parts.similar.relative_to(root).as_posix()
                    yield Finding(f"{similar}/{source} shard {index}", "rows differ from the kept items", _FORCE)
                if not set(_ids(parts.vectors / source, index).to_pylist()) <= set(ids):
                    yield Finding(f"{vectors}/{source} shard {index}", "vectors of items not kept", _FORCE)
        except StoreError as error:
            yield Finding(f"artifacts of {source}", str(error).replace(f"{root}/", ""), "gendata run")
    if twice := [i for i, n in kept.items() if n > 1]:
        problem = f"{len(twice)} ids are kept twice, first {min(twice)[:16]}"
        yield Finding(decisions, problem, _FORCE)


def _ids(folder: Path, index: int) -> pa.ChunkedArray:
    return files.read_table(files.shard_path(folder, index), ("id",))["id"]
