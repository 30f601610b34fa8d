"""Families that are trained again from other seeds, with the stages' own functions."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from warehouse import image, stock

from gendata import files
from gendata.compare import EXPERIMENTS, CompareParams, stage, trainings
from gendata.compare.evidence import Folders, MissingError
from gendata.compare.over import TRAININGS, over
from gendata.compare.trainings import Sections
from gendata.evaluate import EvaluateParams
from gendata.evaluate.stage import evaluate
from gendata.generate import generate, load_generate, write_outputs
from gendata.models import needs, vae
from gendata.models.checkpoint import open_checkpoint
from gendata.records.manifest import write_manifest
from gendata.select import SelectParams
from gendata.select.contents import Contents
from gendata.select.selection import select
from gendata.tracking import NullTracker
from gendata.train import train
from gendata.train.loop import DivergedError

RECIPE = vae.Config(size=8, width=8, hidden=16, latent=4, steps=3, batch=4, warmup=1, every=1, seed=7)
SECTIONS = Sections({"vae": asdict(RECIPE)}, {"vae": {"n": 8}}, EvaluateParams(classifier_steps=2, shown=2))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a VAE of its own, and a family that was skipped."""
    root = tmp_path_factory.mktemp("project")
    here = Path.cwd()
    os.chdir(root)
    try:
        splits = ("train", "valid", "test")
        rows = [image(i, "ab"[i % 2], splits[max(0, i // 8 - 1)], low=60 * (i % 2)) for i in range(32)]
        stores = stock(root / "artifacts", photos=("real", rows))
        manifest, _ = select("vae", needs("vae"), SelectParams(where="modality = 'image'"), stores)
        folders = Folders(*(root / "artifacts" / name for name in ("select", "train", "generate", "evaluate", "store")))
        write_manifest(folders.selected / "vae" / "manifest.parquet", manifest)
        contents = Contents(manifest, stores)
        train("vae", contents, RECIPE, folders.trained / "vae", NullTracker())
        checkpoint = open_checkpoint(folders.trained / "vae")
        items = folders.generated / "vae" / "items"
        write_outputs(items, generate(checkpoint, load_generate("vae", SECTIONS.generate["vae"], "")))
        folders.evaluated.mkdir()
        evaluate(checkpoint, contents, items, SECTIONS.evaluate, folders.evaluated / "vae", root / "artifacts" / "s")
        files.write_json(folders.trained / "gan" / "skipped.json", {"reason": "no labels"})
    finally:
        os.chdir(here)
    return folders


@pytest.fixture
def again(project, tmp_path, monkeypatch):
    """What makes so many trainings, with an empty cache."""
    monkeypatch.chdir(tmp_path)

    def made(n, sections=SECTIONS):
        return trainings.trainings(["vae", "gan"], project, sections, n, 1)

    return made


def test_a_training_again_is_that_of_another_seed_and_the_first_is_the_projects_own(again, project):
    first, *others = again(3)
    assert first.checkpoint("vae").folder == project.trained / "vae"
    assert [each.checkpoint("vae").config() for each in others] == [replace(RECIPE, seed=seed) for seed in (8, 9)]
    assert len({each.checkpoint("vae").id for each in (first, *others)}) == 3
    assert len({each.digest() for each in (first, *others)}) == 3
    for each in others:
        assert each.card("vae")["manifest_id"] == first.card("vae")["manifest_id"]
        assert each.outputs("vae").num_rows == 8
        assert each.figures("vae").keys() == first.figures("vae").keys()
        assert len(each.history("vae")) == 3
        with pytest.raises(MissingError, match="gan was skipped: no labels"):
            each.checkpoint("gan")


def test_a_second_call_trains_nothing_and_what_is_of_other_params_is_removed(again, monkeypatch):
    before = [each.checkpoint("vae").id for each in again(3)]
    made = []
    own = trainings._make
    monkeypatch.setattr(trainings, "_make", lambda *args: made.append(args[1]) or own(*args))
    assert [each.checkpoint("vae").id for each in again(3)] == before
    assert len(again(1)) == 1
    assert [each.checkpoint("vae").id for each in again(3)] == before  # kept meanwhile
    assert not made
    changed = again(2, replace(SECTIONS, generate={"vae": {"n": 9}}))
    assert made == [1]
    assert changed[1].outputs("vae").num_rows == 9
    assert changed[1].checkpoint("vae").id == before[1]  # the same seed and data
    assert not (trainings.CACHE / "2" / "train" / "vae").exists()
    longer = {"vae": asdict(replace(RECIPE, steps=4))}
    assert len(again(2, replace(SECTIONS, train=longer))[1].history("vae")) == 4
    assert made == [1, 1]


def test_a_family_that_was_skipped_has_the_same_reason_in_all_trainings_also_when_it_changes(again, project):
    def reasons():
        found = []
        for each in again(2):
            with pytest.raises(MissingError) as error:
                each.checkpoint("gan")
            found.append(str(error.value))
        return found

    assert reasons() == ["gan was skipped: no labels"] * 2
    files.write_json(project.trained / "gan" / "skipped.json", {"reason": "too few items"})
    try:
        assert reasons() == ["gan was skipped: too few items"] * 2
    finally:
        files.write_json(project.trained / "gan" / "skipped.json", {"reason": "no labels"})


def test_what_is_said_of_trainings_is_measured_on_all_of_them(again):
    params = CompareParams(timed=False, workers=1)
    experiments = {name: EXPERIMENTS[name] for name in ("latents", "compression", "likeness", "samples")}
    rows = stage.measure(params, again(3), experiments)
    assert [effect["test"].split(",")[0] for effect in rows["G9"]["effects"]] == ["Student's t over 3 trainings"] * 2
    assert rows["N1"]["effects"][0]["what"].startswith("accuracy of telling vae from real")
    assert rows["G3"]["note"] == "gan was skipped: no labels"
    assert all("one training" in e["test"] for e in stage.measure(params, again(1), experiments)["G9"]["effects"])


def test_a_training_that_diverges_is_named_and_its_statements_are_undecided(again, monkeypatch):
    def diverge(name, number, *rest):
        if number == 2:
            raise DivergedError("vae: the loss is not finite at step 2")
        own(name, number, *rest)

    own = trainings._make
    monkeypatch.setattr(trainings, "_make", diverge)
    evidences = again(4)
    with pytest.raises(MissingError, match="skipped: its training 3 diverged: vae: the loss is not finite at"):
        evidences[2].checkpoint("vae")
    found = stage.import_module("gendata.compare.experiments.latents")
    joined = over([found.run(None, (), each)["G9"] for each in evidences], TRAININGS)
    assert len(joined.effects) == 2
    assert all("1 of 4 trainings gave nothing: vae was skipped" in e.interval.limit for e in joined.effects)


def test_an_error_of_the_machine_is_no_skipped_family(again, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainings, "_make", full)
    with pytest.raises(OSError, match="No space left"):
        again(2)
    assert not list(trainings.CACHE.glob("*/*.txt"))
