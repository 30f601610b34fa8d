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
from gendata.compare.evidence import SKIPPED, Evidence, Folders, MissingError
from gendata.engine import map_shards
from gendata.evaluate import EvaluateParams
from gendata.items import canonical_json

CACHE = files.WORK / "cache" / "trainings"


@dataclass(frozen=True)
class Sections:
    """What params.yaml says of the stages after the training."""

    generate: Mapping[str, Any]
    """By family."""
    evaluate: EvaluateParams


def trainings(names: Sequence[str], folders: Folders, sections: Sections, n: int, workers: int) -> list[Evidence]:
    """Evidence of the project's own checkpoints, and of n - 1 trainings of the same recipes from other seeds.

    A training that fails is as a family that was skipped, with the reason. What lies in the cache for other recipes,
    data or code is made anew, and what is more than asked for is removed.
    """
    again = [_again(folders, number) for number in range(1, n)]
    jobs = [(name, number, folders, again[number - 1], sections) for number in range(1, n) for name in names]
    map_shards(train_again, jobs, label="compare: trainings", workers=workers, unit="trainings")
    for old in CACHE.glob("*"):
        if old.name not in {str(number) for number in range(1, n)}:
            shutil.rmtree(old)
    return [Evidence(each, names) for each in (folders, *again)]


def _again(folders: Folders, number: int) -> Folders:
    """Where a further training lies; manifests and stores are those of the first."""
    trained, generated, evaluated = (CACHE / str(number) / name for name in ("train", "generate", "evaluate"))
    return replace(folders, trained=trained, generated=generated, evaluated=evaluated)


def train_again(name: str, number: int, first: Folders, into: Folders, sections: Sections) -> None:
    """Train a family from the seed ``number`` above that of its recipe, generate and evaluate, unless it is there."""
    mark, trained = into.trained.parent / f"{name}.txt", into.trained / name
    key = _key(name, first, sections)
    if mark.is_file() and mark.read_text(encoding="utf-8") == key:
        return
    mark.unlink(missing_ok=True)
    from gendata.train.loop import DivergedError

    try:
        _make(name, number, first, into, sections)
    except (DivergedError, MissingError) as error:
        shutil.rmtree(trained, ignore_errors=True)
        reason = str(error) if isinstance(error, MissingError) else f"training {number + 1}: {error}"
        files.write_json(trained / SKIPPED, {"reason": reason})
    files.write_bytes(mark, key.encode())


def _make(name: str, number: int, first: Folders, into: Folders, sections: Sections) -> None:
    from gendata.evaluate.stage import evaluate
    from gendata.generate import generate, load_generate, write_outputs
    from gendata.models.checkpoint import open_checkpoint
    from gendata.tracking import NullTracker
    from gendata.train import train

    config = Evidence(first, [name]).checkpoint(name).config()
    contents = first.contents(name)
    own = replace(config, seed=config.seed + number)
    trained, work = into.trained / name, into.trained.parent
    train(name, contents, own, trained, NullTracker(), work / "states")
    checkpoint = open_checkpoint(trained, name)
    asked = load_generate(name, sections.generate.get(name) or {}, f"params.yaml: generate.{name}")
    with files.output(into.generated / name) as out:
        write_outputs(out / "items", generate(checkpoint, asked))
    items, scored = into.generated / name / "items", work / "scores" / name
    evaluate(checkpoint, contents, items, sections.evaluate, into.evaluated / name, scored)


def _key(name: str, first: Folders, sections: Sections) -> str:
    """Of all that such a training follows from: the project's own checkpoint has recipe, data and versions on it."""
    import torch

    card = first.trained / name / "card.json"
    package = Path(__file__).parents[1]
    used = [package / part for part in ("models", "train", "generate", "evaluate")]
    code = [files.sha256(path) for folder in used for path in sorted(folder.glob("*.py"))]
    asked = canonical_json([sections.generate.get(name) or {}, asdict(sections.evaluate)])
    made_of = [files.sha256(card) if card.is_file() else "", *code, asked, torch.__version__]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()
