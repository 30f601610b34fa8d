"""Stage train: a manifest becomes a checkpoint with its card, its curves and its model card."""

import csv
import hashlib
import inspect
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import gendata
from gendata import files
from gendata.errors import StoreError
from gendata.items import canonical_json
from gendata.models import MODELS, load_family, needs
from gendata.models.family import DataSpec, Recipe
from gendata.models.tokens import Tokenizer
from gendata.records.manifest import Manifest
from gendata.select.contents import Contents
from gendata.tracking import Tracker


def train(
    name: str,
    contents: Contents,
    config: Recipe,
    out: Path,
    tracker: Tracker,
    halfway: Path = files.WORK / "train",
) -> dict[str, Any]:
    """Train a family on a manifest and write its checkpoint into ``out``.

    ``out`` gets weights.safetensors, card.json, README.md (the model card), history.csv (curves) and
    samples.png or samples.txt. A training that was killed goes on from its last state in ``halfway``.

    Args:
        name: of the family.
        contents: of the manifest to train on.
        config: the family's Config.
        out: replaced as a whole when all is done.
        tracker: logs the run.
        halfway: where states of trainings that are not done lie.

    Returns:
        The card with figures and baselines; empty in all but the first process (``torchrun``), which writes and tracks.

    Raises:
        DivergedError: a loss is not finite any more, or far above what it was.
        StoreError: content is not what the manifest says, or a checkpoint cannot be written.
        GendataError: the recipe does not fit the machine.
    """
    import torch

    from gendata.models.checkpoint import card_of
    from gendata.train.data import load_data
    from gendata.train.loop import fit
    from gendata.train.machine import open_machine

    with open_machine(config, name) as machine:
        with machine.first_alone():
            data = load_data(contents, needs(name).modality, config)
        spec = DataSpec(data.classes, data.tokenizer)
        torch.set_num_threads(config.threads)  # the order of sums, and with it the last bits, follows from it
        torch.manual_seed(config.seed)
        model = load_family(name).Model(config, spec).to(machine.device)
        states = halfway / _key(name, contents.manifest, config, machine.facts())
        if machine.rank:
            fit(name, model, config, data, states, _Silent(), machine)
            return {}
        tracker.start(asdict(config) | {"family": name}, contents.manifest.summary())
        watch = _Watch(name, model, spec, config, tracker)
        if remark := data.remark():
            watch.say(remark)
        with files.lock(files.WORK / "locks" / states.name):  # by which doctor knows that it is alive
            state = fit(name, model, config, data, states, watch, machine)
    figures = {k: v for k, v in state.history[-1].items() if k.startswith("valid/")} | data.baselines()
    trained = {"steps": state.step, "figures": figures, "machine": machine.facts()}
    card = card_of(name, replace(config, device="auto"), spec, _facts(contents.manifest, model) | trained)
    card = _write(out, model, card, data.tokenizer, state.history, watch)
    _drop(set(halfway.glob(f"{name}-*")) - {states})  # of params that were given up
    return card


def _drop(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder)


def _facts(manifest: Manifest, model: Any) -> dict[str, Any]:
    import torch

    return {
        "manifest_id": manifest.id,
        "data": {k: v for k, v in manifest.summary().items() if k in {"rows", "by", "selection"}},
        "parameters": sum(p.numel() for p in model.parameters()),
        "gendata": gendata.__version__,
        "torch": torch.__version__.partition("+")[0],
    }


def _write(
    out: Path,
    model: Any,
    card: Mapping[str, Any],
    tokenizer: Tokenizer,
    history: list[dict[str, Any]],
    watch: "_Watch",
) -> dict[str, Any]:
    """The checkpoint's folder, whole or not at all; its card with the id."""
    from gendata.models.checkpoint import save_checkpoint
    from gendata.train.card import model_card

    with files.output(out) as work:
        checkpoint = save_checkpoint(work, model, card, tokenizer)
        (work / "README.md").write_text(model_card(checkpoint.card), encoding="utf-8")
        _write_history(work / "history.csv", history)
        watch.write_samples(work)
        watch.tracker.checkpoint(work, checkpoint.card)
    return dict(checkpoint.card)


class _Silent:
    """Of a process that is not the first: the same is told by that one."""

    def figures(self, step: int, values: Mapping[str, float]) -> None: ...

    def validated(self, step: int) -> None: ...

    def say(self, line: str) -> None: ...


class _Watch:
    """Passes figures and samples on to the tracker."""

    def __init__(self, name: str, model: Any, spec: DataSpec, config: Recipe, tracker: Tracker) -> None:
        self._name, self._model, self._spec, self._config, self.tracker = name, model, spec, config, tracker

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        self.tracker.figures(step, values)

    def validated(self, step: int) -> None:
        if isinstance(sample := self._sample(), bytes):
            self.tracker.image("samples", step, sample)
        else:
            self.tracker.text("samples", step, sample)

    def say(self, line: str) -> None:
        sys.stderr.write(f"train {self._name}: {line}\n")

    def write_samples(self, folder: Path) -> None:
        if isinstance(sample := self._sample(), bytes):
            (folder / "samples.png").write_bytes(sample)
        else:
            (folder / "samples.txt").write_text(sample, encoding="utf-8")

    def _sample(self) -> bytes | str:
        from gendata.train.samples import sample_grid, sample_texts

        if needs(self._name).modality == "image":
            return sample_grid(self._model, self._spec.classes, self._config.seed)
        return sample_texts(self._model, self._spec, self._config.seed)


def _key(name: str, manifest: Manifest, config: Recipe, machine: Mapping[str, Any]) -> str:
    """Where half-way states of this training lie: other data, params, code or machine is another training."""
    import torch

    modules = [
        MODELS[name],
        "gendata.models.family",
        "gendata.models.muon",
        "gendata.models.text",
        "gendata.models.tokens",
        "gendata.train.loop",
        "gendata.train.step",
        "gendata.train.machine",
        "gendata.train.data",
    ]
    code = "".join(inspect.getsource(import_module(m)) for m in modules)
    parts = [manifest.id, canonical_json(asdict(config)), code, torch.__version__, canonical_json(machine)]
    return f"{name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    if not history:
        raise StoreError(f"{path}: a training without a step has no history")
    names = ["step", *sorted({key for row in history for key in row} - {"step"})]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [n.replace("/", "_") for n in names], lineterminator="\n")
        writer.writeheader()
        writer.writerows({k.replace("/", "_"): v for k, v in row.items()} for row in history)
