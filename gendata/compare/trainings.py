"""The families trained again from other seeds, as stages train, generate and evaluate do it, into the cache.

What one checkpoint makes says little of its family; a handful of trainings have a spread.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gendata import files
from gendata.compare.evidence import SKIPPED, Evidence, Folders
from gendata.engine import map_shards
from gendata.evaluate import EvaluateParams
from gendata.items import canonical_json

CACHE = files.WORK / "cache" / "trainings"
_STAGES, _SCORES = ("train", "generate", "evaluate"), "scores"


@dataclass(frozen=True)
class Sections:
    """What params.yaml says of the stages; the first two by family."""

    train: Mapping[str, Any]
    generate: Mapping[str, Any]
    evaluate: EvaluateParams


def trainings(names: Sequence[str], folders: Folders, sections: Sections, n: int, workers: int) -> list[Evidence]:
    """Evidence of the project's own checkpoints, and of n - 1 trainings of the same recipes from other seeds.

    A training that diverges is as a family that was skipped, with the reason. What lies in the cache of other recipes,
    data or code is removed; further trainings than n are kept for the next time.
    """
    again = [_again(folders, number) for number in range(1, n)]
    if again:
        keys = {name: _key(name, folders, sections) for name in names}
        _clean(keys)
        jobs = [(name, i, folders, into, sections, keys[name]) for i, into in enumerate(again, 1) for name in names]
        map_shards(train_again, jobs, label="compare: trainings", workers=_beside(workers), unit="trainings")
    return [Evidence(each, names) for each in (folders, *again)]


def _again(folders: Folders, number: int) -> Folders:
    """Where a further training lies; manifests and stores are those of the first."""
    trained, generated, evaluated = (CACHE / str(number) / name for name in _STAGES)
    return replace(folders, trained=trained, generated=generated, evaluated=evaluated)


def _clean(keys: Mapping[str, str]) -> None:
    for mark in CACHE.glob("*/*.txt"):
        if mark.read_text(encoding="utf-8") != keys.get(mark.stem):
            mark.unlink()
            for stage in (*_STAGES, _SCORES):
                shutil.rmtree(mark.parent / stage / mark.stem, ignore_errors=True)


def _beside(workers: int) -> int:
    """A GPU is not shared: several models at once may be more than it holds."""
    import torch

    return 1 if torch.cuda.is_available() else workers


def train_again(name: str, number: int, first: Folders, into: Folders, sections: Sections, key: str) -> None:
    """Train a family from the seed ``number`` above that of its recipe, generate and evaluate, unless it is there."""
    from gendata.train.loop import DivergedError

    mark, trained = into.trained.parent / f"{name}.txt", into.trained / name
    if mark.is_file():
        return
    skipped = first.trained / name / SKIPPED
    try:
        if skipped.is_file():
            files.write_json(trained / SKIPPED, files.read_json(skipped))
        else:
            _make(name, number, first, into, sections)
    except DivergedError as error:
        shutil.rmtree(trained, ignore_errors=True)
        files.write_json(trained / SKIPPED, {"reason": f"its training {number + 1} diverged: {error}"})
    files.write_bytes(mark, key.encode())


def _make(name: str, number: int, first: Folders, into: Folders, sections: Sections) -> None:
    from gendata.evaluate.stage import evaluate
    from gendata.generate import generate, load_generate, write_outputs
    from gendata.models import load_config
    from gendata.models.checkpoint import open_checkpoint
    from gendata.tracking import NullTracker
    from gendata.train import train

    config = load_config(name, {"train": sections.train})
    contents, trained, work = first.contents(name), into.trained / name, into.trained.parent
    train(name, contents, replace(config, seed=config.seed + number), trained, NullTracker(), work / "states")
    checkpoint = open_checkpoint(trained, name)
    asked = load_generate(name, sections.generate.get(name) or {}, f"params.yaml: generate.{name}")
    with files.output(into.generated / name) as out:
        write_outputs(out / "items", generate(checkpoint, asked))
    items, scored = into.generated / name / "items", work / _SCORES / name
    evaluate(checkpoint, contents, items, sections.evaluate, into.evaluated / name, scored)


def _key(name: str, first: Folders, sections: Sections) -> str:
    """Of all that such a training follows from: the project's own checkpoint has recipe, data and versions on it."""
    import torch

    package = Path(__file__).parents[1]
    used = [package / part for part in ("models", "train", "generate", "evaluate")]
    code = [files.sha256(path) for folder in used for path in sorted(folder.glob("*.py"))]
    made = [first.trained / name / part for part in ("card.json", SKIPPED)]
    first_made = [files.sha256(path) for path in made if path.is_file()]
    asked = [(section.get(name) or {}) for section in (sections.train, sections.generate)]
    parts = [*first_made, *code, canonical_json([*asked, asdict(sections.evaluate)]), torch.__version__]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
