"""The model half end to end, through the real command line, on models so small that they train in no time.

One project for the whole module; the tests change it in their order, since each run costs seconds.
"""

import json
import re
import shutil
import subprocess
import sys

import pytest
from sandbox import draw, full_project

from gendata.compare.statements import STATEMENTS

FAMILIES = ("gan", "rnn")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    box = full_project(tmp_path_factory.mktemp("models") / "project", FAMILIES)
    box.first = box.gendata("run")
    return box


def ran(result):
    """The stages that a run names, without the scan that always runs."""
    lines = [line.removeprefix("running ") for line in result.stderr.splitlines() if line.startswith("running ")]
    return [stage for stage in lines if stage != "scan"]


def one_by_one(project):
    """A run with no family beside another: one start of DVC instead of five."""
    return project.gendata("run", "--jobs", "1")


def after(project, stage):
    """The stages that DVC runs where this one runs."""
    command = [sys.executable, "-m", "dvc", "repro", "--dry", "--force", "--downstream", stage]
    told = subprocess.run(command, cwd=project.root, env=project.environment(), capture_output=True, text=True)
    return set(re.findall(r"^Running stage '(.+)'", told.stdout, re.MULTILINE))


def metrics(project, name):
    return json.loads((project.root / "artifacts" / "metrics" / f"{name}.json").read_text())


def test_a_first_run_goes_from_sources_to_the_table(project):
    stages = ran(project.first)
    for family in FAMILIES:
        order = [stages.index(f"{s}@{family}") for s in ("select", "train", "generate", "evaluate")]
        assert order == sorted(order)
    assert {"collect", "compare"} <= set(stages)
    assert "valid loss" in project.first.stdout
    assert "unigram" in project.first.stdout
    table = (project.root / "artifacts/compare/table.md").read_text()
    for name in ("frechet_floor", "bits_per_byte_bigram", "overlap_max", "label_accuracy"):
        assert f"| {name} |" in table
    assert metrics(project, "collect")["items"] == 8
    report = json.loads((project.root / "artifacts/reports/comparison.json").read_text())
    assert set(report["statements"]) == set(STATEMENTS)
    assert report["statements"]["T1"]["effects"]
    assert report["statements"]["G7"]["note"] == "no family vae in params.yaml"
    assert metrics(project, "compare")["verdicts"]["G7"] == "not measurable here"


def test_dvc_plots_curves_and_pictures(project):
    command = [sys.executable, "-m", "dvc", "plots", "show", "--json"]
    shown = subprocess.run(command, cwd=project.root, env=project.environment(), capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    plots = json.loads(shown.stdout)["data"]
    found = {str(name).removeprefix("artifacts/evaluate/") for name in plots}
    assert {"gan/curves.csv", "gan/neighbours.png", "rnn/curves.csv", "rnn/overlaps.csv"} <= found, found


def test_a_second_run_does_nothing(project):
    assert ran(project.gendata("run")) == []


def test_the_chain_of_an_output_leads_to_its_training_rows(project):
    (output,) = project.json("sql", "SELECT id, checkpoint_id, manifest_id FROM outputs WHERE model = 'gan' LIMIT 1")
    chain = project.json("show", output["id"], "--chain")
    steps = {row["step"]: row for row in chain}
    assert [row["step"] for row in chain][:3] == ["output", "checkpoint", "manifest"]
    assert output["checkpoint_id"].startswith(steps["checkpoint"]["what"][:12])
    assert output["manifest_id"].startswith(steps["manifest"]["what"][:12])
    assert "22 training rows of 24" in steps["manifest"]["detail"]
    assert steps["source"]["what"] == "digits"
    assert steps["license"]["what"] == "CC0-1.0"
    assert len([row for row in chain if row["step"] == "nearest"]) == 5


def test_outputs_are_searched_asked_and_counted_beside_the_data(project):
    hits = project.json("search", "0", "--mode", "keyword", "--origin", "generated")
    assert {hit["origin"] for hit in hits} == {"generated"}
    assert hits[0]["source"] == "gan"
    image = project.root / "digits" / "000.png"
    found = project.json("search", "--image", image, "-n", "40")
    assert {hit["origin"] for hit in found} == {"generated", "real"}
    assert project.json("search", "0", "--mode", "keyword", "--where", "model = 'gan' AND seed = 0")
    counts = project.json("stats", "--by", "store,model")
    assert {(row["store"], row["model"]): row["items"] for row in counts} == {
        ("real", None): 44,
        ("outputs", "gan"): 4,
        ("outputs", "rnn"): 4,
    }
    tables = project.json(
        "sql", "SELECT c.family, m.train_rows FROM checkpoints c JOIN manifests m USING (manifest_id)"
    )
    assert {row["family"]: row["train_rows"] for row in tables} == {"gan": 22, "rnn": 18}


def test_outputs_made_by_hand_join_the_store_and_train_nothing(project):
    made = project.json("generate", "gan", "-n", "6", "--label", "1", "--seed", "5", "--grid", "grid.png")
    assert {row["label"] for row in made} == {"1"}
    assert (project.root / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert ran(one_by_one(project)) == ["collect"]
    assert metrics(project, "collect")["items"] == 14
    (row,) = project.json("sql", f"SELECT seed, created_at FROM outputs WHERE id = '{made[0]['id']}'")
    assert row["seed"] == 5
    assert row["created_at"]
    asked = ("export", "made", "--as", "jsonl", "--where", "model = 'gan'")
    assert project.gendata(*asked, code=1).stderr.startswith("error: ")
    (export,) = project.json(*asked, "--origin", "generated")
    lines = [line for path in (project.root / "made").glob("*.jsonl") for line in path.read_text().splitlines()]
    exported = [json.loads(line) for line in lines]
    assert len(exported) == export["rows"] == 10
    assert {row["origin"] for row in exported} == {"generated"}
    shutil.rmtree(project.root / "made")
    again = project.json("generate", "gan", "-n", "6", "--label", "1", "--seed", "5")
    assert [r["id"] for r in again] == [r["id"] for r in made]  # that they stay the same items is seen in the next run


def test_other_params_and_an_added_image_leave_the_text_model_alone(project):
    with project.settings() as sections:
        sections["train"]["gan"]["lr"] = 0.002
    changed = {row["stage"] for row in project.json("status")}
    assert changed == {"train@gan", "collect", "compare"}  # collect: what was made by hand again; compare: all params
    assert after(project, "train@gan") == {"train@gan", "generate@gan", "evaluate@gan", "collect", "compare"}
    folder = project.root / "digits"
    (folder / "900.png").write_bytes(draw(4242, (16, 16)))
    with (folder / "labels-0.jsonl").open("a") as file:
        file.write(json.dumps({"image": "900.png", "label": "1"}) + "\n")
    result = one_by_one(project)
    stages = set(ran(result))
    assert "embedded 1 new items, 44 from cache" in result.stderr  # no outputs collected in between cost them
    gan = {f"{stage}@gan" for stage in ("select", "train", "generate", "evaluate")}
    assert {"ingest@digits", "store", "select@rnn", "collect", "compare"} | gan <= stages
    assert not {"ingest@notes", "train@rnn", "generate@rnn"} & stages
    assert metrics(project, "collect")["items"] == 14
    cards = list((project.root / "records/ledger/checkpoints").glob("*.json"))
    assert len(cards) == 3  # the one before stays for good
    unknown = "checkpoint_id NOT IN (SELECT checkpoint_id FROM checkpoints)"
    old = project.json("sql", f"SELECT count(*) AS n FROM outputs WHERE {unknown}")
    assert old[0]["n"] == 0


def test_a_selection_that_is_not_real_is_one_line(project):
    with project.settings() as sections:
        sections["sources"]["made"] = {"kind": "folder", "path": "made", "origin": "generated"}
        sections["select"]["rnn"]["where"] = "modality = 'text'"
    (project.root / "made").mkdir()
    (project.root / "made" / "one.txt").write_text("a text that some model wrote")
    refused = project.gendata("run", "select@rnn", code=1)
    error = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert "1 of 21 rows are not real (1 generated from made)" in error[0]
    with project.settings() as sections:
        sections["select"]["rnn"]["allow_origins"] = ["generated"]
    project.gendata("run", "train@rnn")
    assert "1 rows (4.8%) are generated (1 from made)" in (project.root / "artifacts/train/rnn/README.md").read_text()


def test_a_selection_that_matches_nothing_is_skipped_with_its_reason(project):
    with project.settings() as sections:
        sections["select"]["rnn"] = {"where": "label = 'unicorn'"}
    result = one_by_one(project)
    for stage in ("select", "train", "generate", "evaluate"):
        assert metrics(project, f"{stage}/rnn") == {"status": "skipped", "reason": "the selection matches no item"}
    assert "skipped: the selection matches no item" in result.stdout
    assert "train@rnn skipped: the selection matches no item" in result.stderr
    assert metrics(project, "compare")["rnn"]["status"] == "skipped: the selection matches no item"
    assert {row["model"] for row in project.json("sql", "SELECT DISTINCT model FROM outputs")} == {"gan"}


def test_everything_derived_is_made_again_with_the_same_bytes(project):
    before = project.digest()
    models = project.root / "artifacts" / "train" / "gan" / "weights.safetensors"
    weights = models.read_bytes()
    for place in ("train/gan", "generate/gan", "evaluate/gan", "collect", "compare"):
        shutil.rmtree(project.root / "artifacts" / place)
    shutil.rmtree(project.root / ".gendata")
    shutil.rmtree(project.root / ".dvc" / "cache")
    project.gendata("run", "train@gan", "generate@gan", "evaluate@gan", "collect", "compare")
    assert models.read_bytes() == weights
    assert project.digest() == before


def test_a_family_taken_out_leaves_everywhere(project):
    with project.settings() as sections:
        del sections["train"]["rnn"]
    one_by_one(project)
    assert "rnn" not in (project.root / "artifacts/compare/table.md").read_text()
    assert project.json("doctor") == []


def test_an_unknown_family_is_named(project):
    with project.settings() as sections:
        sections["train"]["diffusion"] = {}
    error = project.gendata("run", code=1).stderr
    assert "unknown family 'diffusion'; there are gan, vae, transformer, rnn" in error
