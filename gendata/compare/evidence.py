"""What the stages before left of each family, for experiments that read it: by name alone, and digested."""

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendata import files
from gendata.compare.finding import Finding
from gendata.errors import GendataError

if TYPE_CHECKING:
    import pyarrow as pa

    from gendata.models.checkpoint import Checkpoint
    from gendata.select.contents import Contents
    from gendata.train.data import ImageData, TextData

SKIPPED = "skipped.json"
"""In the folder of a family that was not trained, with the reason."""


class MissingError(GendataError):
    """Something that a statement takes is not there; the message is the reason."""


def findings(measures: Mapping[str, Callable[[], Finding]]) -> dict[str, Finding]:
    """The finding of each statement; one that misses something has that as its reason, and takes no other away."""
    found = {}
    for key, measure in measures.items():
        try:
            found[key] = measure()
        except MissingError as error:
            found[key] = Finding((), str(error))
    return found


def there(names: Sequence[str], evidence: "Evidence") -> tuple[list[str], str]:
    """Those of the families that were trained, and a note on the others. Raises MissingError where none was."""
    found, reasons = list[str](), list[str]()
    for name in names:
        try:
            evidence.card(name)
        except MissingError as error:
            reasons.append(str(error))
        else:
            found.append(name)
    if not found:
        raise MissingError("; ".join(reasons))
    return found, "; ".join(reasons)


def same_tokens(evidence: "Evidence", *names: str) -> None:
    """Raises MissingError where text families read other tokens: nats per token would be of different things."""
    kinds = {evidence.texts(name).tokenizer.text for name in names}
    if len(kinds) > 1:
        raise MissingError(f"{' and '.join(names)} read other tokens: nats per token do not compare")


@dataclass(frozen=True)
class Folders:
    """Where the stages before write, each with a folder per family, and the stores."""

    selected: Path
    trained: Path
    generated: Path
    evaluated: Path
    stores: Path

    def contents(self, name: str) -> "Contents":
        """What a family's manifest names."""
        from gendata.records.manifest import read_manifest
        from gendata.select.contents import Contents
        from gendata.store import INPUTS
        from gendata.store.head import open_stores

        manifest = read_manifest(self.selected / name / "manifest.parquet")
        return Contents(manifest, open_stores(self.stores, INPUTS))


class Evidence:
    """Checkpoints, curves, figures, data and outputs of some families."""

    def __init__(self, folders: Folders, families: Sequence[str]) -> None:
        self._folders, self._families = folders, families

    def only(self, names: Sequence[str]) -> "Evidence":
        """Of these families alone: what an experiment does not name it cannot read."""
        return Evidence(self._folders, [name for name in self._families if name in names])

    def digest(self) -> str:
        """Of all that experiments may read; a family that was skipped is its reason."""
        digest = hashlib.sha256()
        for name in self._families:
            parts = [self._folders.trained / name / SKIPPED, self._folders.trained / name / "card.json"]
            parts += [self._folders.trained / name / "history.csv", self._folders.evaluated / name / "figures.json"]
            outputs = self._folders.generated / name / "items"
            for path in [*parts, *(files.shards(outputs) if outputs.is_dir() else [])]:
                if path.is_file():
                    digest.update(f"{name}/{path.name}/{files.sha256(path)}\n".encode())
        return digest.hexdigest()

    def card(self, name: str) -> Mapping[str, Any]:
        """The card of a family's checkpoint. Raises MissingError where there is none."""
        if name not in self._families:
            raise MissingError(f"no family {name} in params.yaml")
        skipped = self._folders.trained / name / SKIPPED
        if skipped.is_file():
            raise MissingError(f"{name} was skipped: {files.read_json(skipped)['reason']}")
        card: Mapping[str, Any] = files.read_json(self._folders.trained / name / "card.json")
        return card

    def figures(self, name: str) -> Mapping[str, Any]:
        """Of stage evaluate. Raises MissingError."""
        self.card(name)
        found: Mapping[str, Any] = files.read_json(self._folders.evaluated / name / "figures.json")
        return found

    def figure(self, name: str, key: str) -> float:
        """One of them. Raises MissingError where there were too few samples for it."""
        value = self.figures(name).get(key)
        if value is None:
            raise MissingError(f"{name} has no figure {key}: too few samples, or of one class alone")
        return float(value)

    def history(self, name: str) -> list[dict[str, float]]:
        """Means of every validation. Raises MissingError."""
        self.card(name)
        with (self._folders.trained / name / "history.csv").open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]

    def checkpoint(self, name: str) -> "Checkpoint":
        """Opened. Raises MissingError."""
        from gendata.models.checkpoint import open_checkpoint

        self.card(name)
        return open_checkpoint(self._folders.trained / name)

    def images(self, name: str) -> "ImageData":
        """What an image family was trained on and is measured by. Raises MissingError."""
        data: ImageData = self._data(name)
        return data

    def classes(self, name: str) -> "ImageData":
        """The same, of at least two classes. Raises MissingError."""
        data = self.images(name)
        if len(data.classes) < 2:
            raise MissingError(f"the images of {name} are of one class: there is no other")
        return data

    def texts(self, name: str) -> "TextData":
        """What a text family was trained on and is measured by. Raises MissingError."""
        data: TextData = self._data(name)
        return data

    def _data(self, name: str) -> Any:
        return _data(name, self._folders, self.checkpoint(name).id)

    def outputs(self, name: str) -> "pa.Table":
        """What the pipeline generated: id, label, text, data. Raises MissingError."""
        import pyarrow as pa

        self.card(name)
        columns = ["id", "label", "text", "data"]
        folder = self._folders.generated / name / "items"
        return pa.concat_tables([files.read_table(path, columns) for path in files.shards(folder)])


@lru_cache(maxsize=2)
def _data(name: str, folders: Folders, checkpoint: str) -> Any:
    """Of a family, for the checkpoint with this id: parts of an experiment read the same, one after the other."""
    from gendata.models import needs
    from gendata.models.checkpoint import open_checkpoint
    from gendata.train.data import load_data

    config = open_checkpoint(folders.trained / name).config()
    return load_data(folders.contents(name), needs(name).modality, config)
