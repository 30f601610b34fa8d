"""Tracking: what MLflow holds after a run, and that a training never notices when it does not work."""

import hashlib
import json
import math
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import gendata
from gendata import files, params
from gendata.errors import ParamsError, StoreError
from gendata.tracking import NullTracker, TrackingParams, checkpoint_folder, open_tracker
from gendata.tracking.version import data_version

MANIFEST = {
    "schema": 1,
    "manifest_id": "ab" * 32,
    "rows": 12,
    "by": {"split": {"test": 2, "train": 10}, "license": {"": 12}},
    "selection": {"where": "source = 'digits'"},
}
CARD = {"family": "vae", "checkpoint_id": "cd" * 32, "manifest_id": "ab" * 32}
README = "# vae cdcd\n\nTrained on 12 rows.\n"
PNG = b"\x89PNG\r\n\x1a\nnot looked at"


@pytest.fixture(scope="module", autouse=True)
def default_store():
    """No test logs where the environment of this machine says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def client(root):
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{root / 'mlruns' / 'mlflow.db'}")


def write_checkpoint(folder):
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "card.json").write_text(json.dumps(CARD))
    (folder / "README.md").write_text(README)
    return folder


def the_run(root, run_name):
    """The one run of this name."""
    found = client(root).search_runs(["1"], f"attributes.run_name = '{run_name}'")
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A project where one training was logged, with all that a training logs."""
    root = tmp_path_factory.mktemp("a project") / "größe #1"
    root.mkdir()
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    checkpoint = write_checkpoint(root / "vae")
    states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the state that others use
    with open_tracker(TrackingParams(), root, "vae") as tracker:
        tracker.start({"family": "vae", "lr": 0.001, "net": {"widths": [32, 64]}, "prompt": "x" * 9000}, MANIFEST)
        for step in range(1, 1201):  # more than a batch takes
            tracker.figures(step, {"train/loss": 1 / step})
        tracker.figures(1201, {"train/loss": math.nan, "valid/bpb": math.inf})
        tracker.image("samples", 250, PNG)
        tracker.text("samples", 250, "so it goes, naïvely")
        tracker.checkpoint(checkpoint, CARD)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # noqa: NPY002
    return SimpleNamespace(root=root, id=tracker.run_id)


def test_a_run_holds_params_and_tags(logged):
    run = client(logged.root).get_run(logged.id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "vae"
    assert run.data.params == {"family": "vae", "lr": "0.001", "net.widths": "[32, 64]", "prompt": "x" * 6000}
    assert run.data.tags.items() >= {"family": "vae", "manifest_id": "ab" * 32, "checkpoint_id": "cd" * 32}.items()
    assert (
        run.data.tags.items() >= data_version(logged.root).items() >= {"dvc_lock": sha256(b"schema: '2.0'\n")}.items()
    )
    assert "gendata" in run.data.tags
    assert "error" not in run.data.tags


def test_every_point_of_a_curve_is_logged_once(logged):
    points = client(logged.root).get_metric_history(logged.id, "train/loss")
    values = {p.step: p.value for p in points}
    assert len(points) == len(values) == 1201
    assert math.isnan(values.pop(1201))
    assert values == {step: 1 / step for step in range(1, 1201)}
    assert len(client(logged.root).get_metric_history(logged.id, "valid/bpb")) == 1


def test_the_manifest_is_a_dataset_of_the_run(logged):
    (given,) = client(logged.root).get_run(logged.id).inputs.dataset_inputs
    assert given.dataset.name == "manifest-vae"
    assert given.dataset.digest == MANIFEST["manifest_id"][:36]
    assert json.loads(given.dataset.profile) == {"num_rows": 12, **MANIFEST["by"]}
    assert MANIFEST["manifest_id"] in json.loads(given.dataset.source)["uri"]
    assert [(t.key, t.value) for t in given.tags] == [("mlflow.data.context", "training")]


def test_samples_are_artifacts_by_step(logged, tmp_path):
    mlflow = client(logged.root)
    mlflow.download_artifacts(logged.id, "samples", str(tmp_path))
    assert (tmp_path / "samples/step-000250.png").read_bytes() == PNG
    assert (tmp_path / "samples/step-000250.txt").read_text() == "so it goes, naïvely"


def test_the_checkpoint_is_a_model_version_with_its_card(logged):
    (version,) = client(logged.root).search_model_versions("name = 'gendata-vae'")
    assert version.description == README
    assert version.run_id == logged.id
    assert version.status == "READY"
    tags = {"checkpoint_id": "cd" * 32, "manifest_id": "ab" * 32, "gendata": gendata.__version__}
    assert version.tags == tags | {"dvc_lock": files.sha256(logged.root / "dvc.lock")}
    from mlflow.artifacts import list_artifacts

    names = [f.path.rpartition("/")[2] for f in list_artifacts(artifact_uri=version.source)]
    assert names == ["README.md", "card.json", "weights.safetensors"]


def test_everything_lies_in_mlruns(logged):
    assert {p.name for p in logged.root.iterdir()} == {"vae", "mlruns", "dvc.lock"}
    assert {p.name for p in (logged.root / "mlruns").iterdir()} == {"mlflow.db", ".mlflow.db.lock", "artifacts"}


def test_the_checkpoint_of_a_run_is_found_again(logged, tmp_path):
    folder = checkpoint_folder(logged.id, logged.root, TrackingParams())
    assert (folder / "weights.safetensors").read_bytes() == b"weights"
    assert checkpoint_folder("0" * 32, logged.root, TrackingParams()) is None
    moved = tmp_path / "moved"
    shutil.copytree(logged.root / "mlruns", moved / "mlruns")
    assert checkpoint_folder(logged.id, moved, TrackingParams(to="none")).is_relative_to(moved)


def test_the_checkpoint_of_a_run_elsewhere_is_copied(logged, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{logged.root / 'mlruns' / 'mlflow.db'}")
    folder = checkpoint_folder(logged.id, tmp_path, TrackingParams())
    assert folder.is_relative_to(tmp_path)
    assert (folder / "weights.safetensors").read_bytes() == b"weights"
    assert checkpoint_folder("0" * 32, tmp_path, TrackingParams()) is None
    assert checkpoint_folder(logged.id, tmp_path / "other", TrackingParams(to="none")) is None


@pytest.mark.parametrize(
    ("error", "status", "tag"),
    [
        (StoreError("a: not\nfound"), "FAILED", "a: not found"),
        (ZeroDivisionError(), "FAILED", "ZeroDivisionError"),
        (KeyboardInterrupt(), "KILLED", None),
    ],
)
def test_an_error_ends_the_run_and_passes_through(logged, error, status, tag, capsys):
    name = type(error).__name__

    def training():
        with open_tracker(TrackingParams(), logged.root, name) as tracker:
            tracker.figures(1, {"loss": 2.0})
            raise error

    with pytest.raises(type(error)) as raised:
        training()
    assert raised.value is error
    run = the_run(logged.root, name)
    assert (run.info.status, run.data.tags.get("error")) == (status, tag)
    assert run.data.metrics["loss"] == 2.0
    assert capsys.readouterr() == ("", "")


def test_what_the_machine_does_is_logged_also_of_a_short_run(logged):
    metrics = client(logged.root).get_run(logged.id).data.metrics
    names = {"cpu_utilization_percentage", "system_memory_usage_megabytes", "disk_usage_percentage"}
    assert {f"system/{name}" for name in names} <= metrics.keys()
    assert not [thread for thread in threading.enumerate() if "SystemMetrics" in thread.name]


def test_another_checkpoint_is_the_next_version_and_the_same_is_none(logged, tmp_path):
    with open_tracker(TrackingParams(), logged.root, "again") as tracker:
        for n, checkpoint in enumerate(["cd", "ef", "cd"]):
            card = CARD | {"family": "rnn", "checkpoint_id": checkpoint * 32}
            tracker.checkpoint(write_checkpoint(tmp_path / str(n)), card)
    found = client(logged.root).search_model_versions("name = 'gendata-rnn'")
    assert {int(v.version): v.tags["checkpoint_id"] for v in found} == {1: "cd" * 32, 2: "ef" * 32}


def test_the_version_of_the_data_is_what_is_there_of_commit_and_lock(tmp_path):
    assert data_version(tmp_path) == {}
    (tmp_path / "dvc.lock").write_bytes(b"locked")
    assert data_version(tmp_path) == {"dvc_lock": sha256(b"locked")}
    for command in (["init", "-q"], [*"-c user.name=a -c user.email=b commit -qm c --allow-empty".split()]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert data_version(tmp_path) == {"git_commit": told.stdout.strip(), "dvc_lock": sha256(b"locked")}


def test_a_store_that_breaks_half_way_stops_the_tracking_alone(logged, tmp_path, capsys):
    root = tmp_path / "project"
    shutil.copytree(logged.root / "mlruns", root / "mlruns")
    params = TrackingParams(experiment="other")  # the first one keeps its artifacts where it was made
    with open_tracker(params, root, "broken") as tracker:
        with sqlite3.connect(root / "mlruns" / "mlflow.db") as database:
            database.execute("ALTER TABLE metrics RENAME TO gone")
        for step in range(2000):
            tracker.figures(step, {"loss": 1.0})
        tracker.text("samples", 5, "not logged any more")
    said = capsys.readouterr().err
    assert said.startswith("tracking: the rest of this run is not logged: ")
    assert "metrics" in said
    assert said.count("\n") == 1
    run = client(root).get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert "tracking stopped" in run.data.tags["error"]
    assert client(root).list_artifacts(tracker.run_id) == []


def test_a_moved_project_does_not_write_into_its_old_place(logged, tmp_path, capsys):
    shutil.copytree(logged.root / "mlruns", tmp_path / "mlruns")
    with open_tracker(TrackingParams(), tmp_path, "moved") as tracker:
        assert isinstance(tracker, NullTracker)
    assert "project was moved: set tracking.experiment" in capsys.readouterr().err


def test_tracking_uri_of_the_environment_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other/runs.db")
    with open_tracker(TrackingParams(experiment="here"), tmp_path / "project", "vae") as tracker:
        tracker.text("samples", 1, "a")
    with sqlite3.connect(tmp_path / "other/runs.db") as database:
        found = database.execute("SELECT run_uuid, artifact_uri FROM runs").fetchall()
    assert [run for run, _ in found] == [tracker.run_id]
    assert not (tmp_path / "project/mlruns/mlflow.db").exists()
    assert list((tmp_path / "project/mlruns/artifacts").rglob("step-000001.txt"))


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:///{}", "sqlite:////proc/a/b.db", "who://knows"])
def test_no_mlflow_no_tracking_but_the_training_goes_on(uri, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(tmp_path))  # a folder is no database
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with open_tracker(TrackingParams(), tmp_path, "vae") as tracker:
        assert tracker.run_id is None
        tracker.start({"family": "vae"}, MANIFEST)
        tracker.figures(1, {"loss": 1.0})
    out, said = capsys.readouterr()
    assert out == ""
    assert said.startswith("tracking: this run is not logged: ")
    assert said.count("\n") == 1
    with pytest.raises(StoreError, match="not readable in MLflow"):
        checkpoint_folder("0" * 32, tmp_path, TrackingParams())


def test_tracking_off_imports_no_mlflow_and_writes_nothing(tmp_path):
    code = """
import sys
from pathlib import Path
from gendata.tracking import TrackingParams, open_tracker
with open_tracker(TrackingParams(to="none"), Path.cwd(), "vae") as tracker:
    tracker.figures(1, {"loss": 1.0})
assert tracker.run_id is None
assert not {"mlflow", "pyarrow"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [{"to": "wandb"}, {"experiment": " "}, {"experiment": "x" * 501}, {"uri": "x"}])
def test_params_out_of_range_name_the_key(value):
    with pytest.raises(ParamsError, match=f"tracking.*{next(iter(value))}"):
        params.build(TrackingParams, value, "params.yaml: tracking")
