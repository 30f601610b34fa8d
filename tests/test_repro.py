"""What ``gendata run`` says of the models, and what it puts right before and after DVC."""

import shutil

import pytest
from ruamel.yaml import YAML

from gendata import files, repro, template
from gendata.cli.run import report
from gendata.items import OUTPUT_SCHEMA
from gendata.project import Project

COUNTS = {"enumerated": 3, "read": 3, "rejected_by_reason": {"empty": 1}}
ID = "ab" * 32


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made") / "p"
    template.create(root, full=True)
    yaml = YAML()
    sections = yaml.load(root / "params.yaml")
    sections["sources"] = {"a": {"kind": "pydocs", "origin": "real"}}
    yaml.dump(sections, root / "params.yaml")
    return root


@pytest.fixture
def project(made, tmp_path):
    """A project with the metrics of its data half."""
    root = shutil.copytree(made, tmp_path / "p")
    write(root, "ingest/a", COUNTS)
    write(root, "dedup", {"dropped_by_reason": {"exact": 1}, "kept": 2})
    write(root, "similar", {"remove": False, "similar": 0, "kept": 2})
    write(root, "tag", {"tables": {}})
    write(root, "embed", {"tables": {}})
    write(root, "store", {"real": {"items": 2}, "other": {"items": 0}})
    return Project(root)


def write(root, name, value):
    files.write_json(root / "artifacts/metrics" / f"{name}.json", value)


def output(root, family):
    row = {f.name: None for f in OUTPUT_SCHEMA} | {"id": ID, "modality": "image", "origin": "generated"}
    shard = root / "artifacts/generate" / family / "items/00000.parquet"
    files.write_table(shard, [row | {"source": family, "uri": "x"}], OUTPUT_SCHEMA)


def test_a_project_that_was_not_trained_says_so(project):
    told = report(repro.summary(project))
    assert "2 in artifacts/store/real;" in told
    for family in ("gan", "vae", "transformer", "rnn"):
        assert f"  {family:12} skipped: not trained yet\n" in told
    assert "--chain" not in told


def test_a_project_of_data_stages_says_nothing_of_models(project):
    shutil.rmtree(project.root)
    template.create(project.root)
    write(project.root, "ingest/pydocs", COUNTS)
    write(project.root, "ingest/mnist5k", COUNTS)
    write(project.root, "dedup", {"dropped_by_reason": {}, "kept": 2})
    write(project.root, "similar", {"remove": False, "similar": 0, "kept": 2})
    write(project.root, "tag", {"tables": {}})
    write(project.root, "embed", {"tables": {}})
    write(project.root, "store", {"real": {"items": 2}})
    told = report(repro.summary(project))
    assert "models" not in told
    assert "kept     2" in told


def test_models_are_told_with_what_their_figures_are_read_against(project):
    root = project.root
    done = {"status": "done", "checkpoint_id": "c" * 64}
    write(root, "train/gan", {**done, "valid/loss": 0.5})
    write(root, "evaluate/gan", {"status": "done", "frechet": 12.3456, "frechet_floor": 1.5, "label_accuracy": 0.75})
    write(root, "train/rnn", {**done, "valid/loss": 1.62, "valid/unigram": 3.312, "valid/bigram": 2.5})
    write(root, "train/transformer", {"status": "skipped", "reason": "the selection matches no item"})
    files.write_json(root / "artifacts/store/outputs/store.json", {"items": 7, "sources": []})
    output(root, "gan")
    told = report(repro.summary(project))
    lines = told.splitlines()
    gan, rnn = (next(n for n, line in enumerate(lines) if line.startswith(f"  {name} ")) for name in ("gan", "rnn"))
    assert lines[gan].endswith("checkpoint cccccccccccc")
    assert [line.strip() for line in lines[gan + 1 : gan + 3]] == ["frechet 12.35 (floor 1.5)", "label accuracy 0.75"]
    assert lines[rnn + 1].strip() == "valid loss 1.62 nats/token (unigram 3.31, bigram 2.50)"
    assert "  transformer  skipped: the selection matches no item\n" in told
    assert "  vae          skipped: not trained yet\n" in told
    assert "7 in artifacts/store/outputs" in told
    assert f"gendata show {ID[:12]} --chain" in told
    assert "gendata generate gan -n 60 --grid samples.png" in told
    assert "gendata generate rnn " in told


def test_figures_that_are_missing_are_no_error(project):
    write(project.root, "train/gan", {"status": "done"})
    write(project.root, "train/rnn", {"status": "done", "checkpoint_id": "d" * 64, "valid/unigram": 3.0})
    assert "  rnn          checkpoint dddddddddddd\n" in report(repro.summary(project))


def test_a_project_without_sources_runs_and_says_what_to_do(sandbox):
    ran = sandbox.gendata("run")
    assert "running store" in ran.stderr
    assert ran.stdout == "nothing to read yet; add data with `gendata add PATH --origin real`\n"
    assert sandbox.json("doctor") == []


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("train@foo", "no stage train@foo: train in params.yaml has gan, vae, transformer, rnn"),
        ("ingest@foo", "no stage ingest@foo: sources in params.yaml has digits, notes"),
        ("foo", "no stage foo: there are scan, ingest, "),
        ("foo@gan", "no stage foo@gan: there are scan, ingest, "),
    ],
)
def test_an_unknown_stage_is_told_with_those_there_are(full, stage, message):
    assert full.gendata("run", stage, code=1).stderr.startswith(f"error: {message}")
