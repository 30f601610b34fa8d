"""The stage: every statement's finding, from the cache or measured now, and the reports."""

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from gendata import files
from gendata.compare import EXPERIMENTS, CompareParams
from gendata.compare.evidence import Evidence, MissingError
from gendata.compare.finding import Finding
from gendata.compare.statements import STATEMENTS
from gendata.engine import map_shards
from gendata.items import canonical_json

CACHE = files.WORK / "cache" / "compare"
TIMED = frozenset({"speed", "race"})
"""Experiments that take the time of steps: what they find differs from run to run. Nothing runs beside them."""
_SHARED = tuple(
    f"compare/{name}.py" for name in ("finding", "stats", "sample", "direction", "trial", "retrain", "evidence")
) + tuple(f"{package}/*.py" for package in ("models", "train", "evaluate"))
"""Code that experiments share; a change to it re-runs all."""


def measure(params: CompareParams, evidence: Evidence, experiments: Mapping[str, str] = EXPERIMENTS) -> dict[str, Any]:
    """A row for every statement, by id: what is said, verdict, effects, note and plot.

    Args:
        params: of the stage.
        evidence: of all families of the project.
        experiments: module of each by name.
    """
    jobs = {name: (name, module, params, evidence) for name, module in experiments.items()}
    beside = [job for name, job in jobs.items() if name not in TIMED]
    alone = [job for name, job in jobs.items() if name in TIMED and params.timed]
    found: dict[str, Any] = {}
    for some, label, workers in ((beside, "compare", params.workers), (alone, "compare: times", 1)):
        for rows in map_shards(_experiment, some, label=label, workers=workers, unit="experiments"):
            found |= rows
    return {key: {"statement": said.text, **(found.get(key) or _unmeasured(key))} for key, said in STATEMENTS.items()}


def _unmeasured(key: str) -> dict[str, Any]:
    """The row of a statement that no experiment measures, with the reason."""
    timed = "compare.timed is false: times are not measured; `gendata run compare` does where it is true"
    return Finding((), STATEMENTS[key].reason or timed).row()


def _experiment(name: str, module: str, params: CompareParams, evidence: Evidence) -> dict[str, Any]:
    """The rows of an experiment, from the cache where code, params and data are those of the last time."""
    import torch

    torch.set_num_threads(1)  # or figures would depend on how many experiments run beside each other
    loaded = import_module(module)
    read = evidence.only(loaded.READS)
    own = getattr(params, name, None)
    path = CACHE / f"{name}-{_key(module, own, params.seeds, read)}.json"
    if path.is_file():
        kept: dict[str, Any] = files.read_json(path)
        return kept
    try:
        rows = {key: finding.row() for key, finding in loaded.run(own, params.seeds, read).items()}
    except MissingError as error:
        return {key: Finding((), str(error)).row() for key, said in STATEMENTS.items() if said.experiment == name}
    for old in CACHE.glob(f"{name}-*.json"):
        old.unlink()
    files.write_json(path, rows)
    return rows


def _key(module: str, own: Any, seeds: int, read: Evidence) -> str:
    import torch

    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    values = canonical_json(asdict(own)) if is_dataclass(own) and not isinstance(own, type) else ""
    parts = [files.sha256(Path(spec.origin)), _shared(), values, str(seeds), read.digest(), torch.__version__]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@lru_cache(maxsize=1)
def _shared() -> str:
    """The digests of the code that experiments share."""
    package = Path(__file__).parents[1]
    return "".join(files.sha256(path) for pattern in _SHARED for path in sorted(package.glob(pattern)))


def counts(rows: Mapping[str, Mapping[str, Any]], verdicts: Sequence[str]) -> dict[str, int]:
    """How many statements have each verdict."""
    return {verdict: sum(row["verdict"] == verdict for row in rows.values()) for verdict in verdicts}
