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
from gendata.compare import EXPERIMENTS, REPEATED, TIMED, WHOLE, CompareParams
from gendata.compare.evidence import Evidence, MissingError
from gendata.compare.finding import Finding
from gendata.compare.over import SEEDS, TRAININGS, over
from gendata.compare.statements import STATEMENTS
from gendata.engine import map_shards
from gendata.items import canonical_json

CACHE = files.WORK / "cache" / "compare"
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
    made = set[str]()
    for some, label, workers in ((beside, "compare", params.workers), (alone, "compare: times", 1)):
        results = map_shards(_measured, some, label=label, workers=workers, unit="parts")
        for (part,), (path, findings) in zip(some, results, strict=True):
            found.setdefault(part.name, []).append(findings)
            made.add(_origin(path))
    for old in CACHE.glob("*.json"):  # of other code or data; what was measured with other params or seeds is kept
        if old.name.partition("-")[0] in found and _origin(old) not in made:
            old.unlink()
    rows = {key: finding.row() for name, parts in found.items() for key, finding in _joined(name, parts).items()}
    return {key: {"statement": said.text, **(rows.get(key) or _unmeasured(key))} for key, said in STATEMENTS.items()}


def _origin(path: Path) -> str:
    """Of a file of the cache: experiment, code and data that it is of."""
    return path.name.rpartition("-")[0]


def _parts(name: str, module: str, params: CompareParams, trainings: Sequence[Evidence]) -> list[_Part]:
    own, seeds = getattr(params, name, None), tuple(range(params.seeds))
    if REPEATED.get(name) == TRAININGS:
        return [_Part(name, module, own, (), evidence) for evidence in trainings]
    if REPEATED.get(name) == SEEDS:
        return [_Part(name, module, own, (seed,), trainings[0]) for seed in seeds]
    return [_Part(name, module, own, seeds if name in WHOLE else (), trainings[0])]


def _joined(name: str, parts: Sequence[Mapping[str, Finding]]) -> Mapping[str, Finding]:
    """What all parts of an experiment found, by statement."""
    if name not in REPEATED:
        return parts[0]
    return {key: over([found[key] for found in parts], REPEATED[name]) for key in parts[0]}


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
    path = CACHE / f"{part.name}-{_origin_digest(part, read)}-{_asked_digest(part)}.json"
    if not path.is_file():
        try:
            found: dict[str, Finding] = loaded.run(part.own, part.seeds, read)
        except MissingError as error:
            said = [key for key, each in STATEMENTS.items() if each.experiment == part.name]
            return path, {key: Finding((), str(error)) for key in said}
        files.write_json(path, {key: finding.plain() for key, finding in found.items()})
    return path, {key: Finding.read(kept) for key, kept in files.read_json(path).items()}  # as it will be read again


def _origin_digest(part: _Part, read: Evidence) -> str:
    """Of the code and the data that a part is about."""
    import torch

    spec = importlib.util.find_spec(part.module)
    assert spec is not None
    assert spec.origin is not None
    return _digest(files.sha256(Path(spec.origin)), _shared(), read.digest(), torch.__version__)


def _asked_digest(part: _Part) -> str:
    """Of params and seeds."""
    own = part.own
    values = asdict(own) if is_dataclass(own) and not isinstance(own, type) else {}
    return _digest(canonical_json(values), canonical_json(list(part.seeds)))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _shared() -> str:
    """The digests of the code that experiments share."""
    package = Path(__file__).parents[1]
    return "".join(files.sha256(path) for pattern in _SHARED for path in sorted(package.glob(pattern)))


def counts(rows: Mapping[str, Mapping[str, Any]], verdicts: Sequence[str]) -> dict[str, int]:
    """How many statements have each verdict."""
    return {verdict: sum(row["verdict"] == verdict for row in rows.values()) for verdict in verdicts}
