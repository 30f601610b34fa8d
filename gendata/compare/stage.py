"""The stage: every statement's finding, from the cache or measured now, and the reports."""

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from gendata import files
from gendata.compare import EXPERIMENTS, CompareParams
from gendata.compare.evidence import Evidence, MissingError
from gendata.compare.finding import Finding, over
from gendata.compare.statements import STATEMENTS
from gendata.engine import drop_unused, map_shards
from gendata.items import canonical_json

CACHE = files.WORK / "cache" / "compare"
TIMED = frozenset({"speed", "race"})
"""Experiments that take the time of steps: what they find differs from run to run. Nothing runs beside them."""
OVER_SEEDS = frozenset({"recall", "gradients", "scarcity", "anomalies", "augmentation", "transfer", "copies"})
"""Experiments that are run seed by seed."""
OVER_TRAININGS = frozenset({"samples", "latents", "compression", "likeness", "steering", "explanations"})
"""Experiments about what a checkpoint makes, run for each of the trainings of all families."""
_SHARED = tuple(
    f"compare/{name}.py" for name in ("finding", "stats", "sample", "direction", "trial", "evidence")
) + tuple(f"{package}/*.py" for package in ("models", "train", "evaluate"))
"""Code that experiments share; a change to it re-runs all."""


class _Part(NamedTuple):
    """One call of an experiment, which is cached for itself."""

    name: str
    module: str
    own: Any
    seeds: Sequence[int]
    evidence: Evidence


def measure(
    params: CompareParams, trainings: Sequence[Evidence], experiments: Mapping[str, str] = EXPERIMENTS
) -> dict[str, Any]:
    """A row for every statement, by id: what is said, verdict, effects, note and plot.

    Args:
        params: of the stage.
        trainings: evidence of all families of the project, then that of other trainings of them.
        experiments: module of each by name.
    """
    parts = [part for item in experiments.items() for part in _parts(*item, params, trainings)]
    beside = [(part,) for part in parts if part.name not in TIMED]
    alone = [(part,) for part in parts if part.name in TIMED and params.timed]
    found: dict[str, list[dict[str, Finding]]] = {}
    used = set()
    for some, label, workers in ((beside, "compare", params.workers), (alone, "compare: times", 1)):
        made = map_shards(_measured, some, label=label, workers=workers, unit="parts")
        for (part,), (path, findings) in zip(some, made, strict=True):
            found.setdefault(part.name, []).append(findings)
            used.add(path)
    drop_unused(CACHE, used)
    rows = {key: finding.row() for name, times in found.items() for key, finding in _joined(name, times).items()}
    return {key: {"statement": said.text, **(rows.get(key) or _unmeasured(key))} for key, said in STATEMENTS.items()}


def _parts(name: str, module: str, params: CompareParams, trainings: Sequence[Evidence]) -> list[_Part]:
    own, seeds = getattr(params, name, None), tuple(range(params.seeds))
    if name in OVER_TRAININGS:
        return [_Part(name, module, own, seeds, evidence) for evidence in trainings]
    if name in OVER_SEEDS:
        return [_Part(name, module, own, (seed,), trainings[0]) for seed in seeds]
    return [_Part(name, module, own, seeds, trainings[0])]


def _joined(name: str, times: Sequence[Mapping[str, Finding]]) -> dict[str, Finding]:
    """What all parts of an experiment found, by statement."""
    unit = "trainings" if name in OVER_TRAININGS else "seeds" if name in OVER_SEEDS else ""
    return {key: over([found[key] for found in times], unit) if unit else times[0][key] for key in times[0]}


def _unmeasured(key: str) -> dict[str, Any]:
    """The row of a statement that no experiment measures, with the reason."""
    timed = "compare.timed is false: times are not measured; `gendata run compare` does where it is true"
    return Finding((), STATEMENTS[key].reason or timed).row()


def _measured(part: _Part) -> tuple[Path, dict[str, Finding]]:
    """What a part finds, and where that is kept: it is read where code, params and data are those of the last time."""
    import torch

    torch.set_num_threads(1)  # or figures would depend on how many experiments run beside each other
    loaded = import_module(part.module)
    read = part.evidence.only(loaded.READS)
    path = CACHE / f"{part.name}-{_key(part, read)}.json"
    if path.is_file():
        return path, {key: Finding.read(kept) for key, kept in files.read_json(path).items()}
    try:
        found: dict[str, Finding] = loaded.run(part.own, part.seeds, read)
    except MissingError as error:
        return path, {key: Finding((), str(error)) for key, said in STATEMENTS.items() if said.experiment == part.name}
    files.write_json(path, {key: finding.plain() for key, finding in found.items()})
    return path, found


def _key(part: _Part, read: Evidence) -> str:
    import torch

    spec = importlib.util.find_spec(part.module)
    assert spec is not None
    assert spec.origin is not None
    values = canonical_json(asdict(part.own)) if is_dataclass(part.own) and not isinstance(part.own, type) else ""
    seeds = canonical_json(list(part.seeds))
    parts = [files.sha256(Path(spec.origin)), _shared(), values, seeds, read.digest(), torch.__version__]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@lru_cache(maxsize=1)
def _shared() -> str:
    """The digests of the code that experiments share."""
    package = Path(__file__).parents[1]
    return "".join(files.sha256(path) for pattern in _SHARED for path in sorted(package.glob(pattern)))


def counts(rows: Mapping[str, Mapping[str, Any]], verdicts: Sequence[str]) -> dict[str, int]:
    """How many statements have each verdict."""
    return {verdict: sum(row["verdict"] == verdict for row in rows.values()) for verdict in verdicts}
