"""``gendata generate``: which checkpoint is asked, what is kept of it, and what it refuses; ``gendata model``."""

import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import toy_family
import toy_text
from click.testing import CliRunner
from PIL import Image

import pipelines.evaluate
import pipelines.generate
from gendata import files
from gendata.cli import cli
from gendata.items import OUTPUT_SCHEMA, content_id
from gendata.models.checkpoint import WEIGHTS, card_of, save_checkpoint
from gendata.models.family import DataSpec
from gendata.project import Project
from gendata.records.ledger import Ledger
from gendata.records.manifest import MANIFEST_SCHEMA, Manifest, write_manifest
from gendata.records.outputs import OUTPUTS, read_adhoc

FAMILIES = {"toy": (toy_family, ("0", "1")), "toytext": (toy_text, ())}
MANIFEST = Manifest.of({"where": "true"}, MANIFEST_SCHEMA.empty_table())
PARAMS = {
    "gendata": {"version": 1},
    "tracking": {"to": "mlflow"},
    "generate": {"toy": {"n": 50, "seed": 5}, "toytext": {"max_tokens": 12}},
}


def save(folder, family, seed, manifest_id=MANIFEST.id):
    """A checkpoint with random weights, as stage train writes it."""
    folder.mkdir(parents=True)
    module, classes = FAMILIES[family]
    config, data = module.Config(), DataSpec(classes)
    model = module.Model(config, data)
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn(weights.shape, generator=torch.Generator().manual_seed(seed)))
    facts = {"manifest_id": manifest_id, "steps": 1, "parameters": 1, "figures": {}, "gendata": "0"}
    return save_checkpoint(folder, model, card_of(family, config, data, facts)).id


@pytest.fixture(autouse=True)
def families():
    with toy_family.registered(), toy_text.registered():
        yield


@pytest.fixture
def root(tmp_path):
    """A project with a trained checkpoint of each family, whose manifest is in the artifacts alone."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").write_text(json.dumps(PARAMS))
    (folder / "dvc.yaml").write_text(json.dumps({"stages": {"train": {"cmd": "python -m pipelines.train x"}}}))
    for family in FAMILIES:
        save(folder / "artifacts" / "train" / family, family, 0)
        write_manifest(folder / "artifacts" / "select" / family / "manifest.parquet", MANIFEST)
    return folder


def invoke(root, *args, code=0):
    result = CliRunner().invoke(cli, ["--project", str(root), *map(str, args)], prog_name="gendata")
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize("option", ["--grid", "--save"])
def test_nothing_is_written_where_it_would_be_ingested(root, option):
    (root / "mine").mkdir()
    sources = {"mine": {"kind": "folder", "path": "mine", "origin": "real"}}
    (root / "params.yaml").write_text(json.dumps(PARAMS | {"sources": sources}))
    assert "mine" in error(root, "generate", "toy", "-n", "2", option, root / "mine" / "x.png")
    assert not list((root / "mine").iterdir())
    assert not list((root / OUTPUTS).glob("*"))


def rows_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def error(root, *args, code=1):
    result = invoke(root, *args, code=code)
    assert result.stdout == ""
    return result.stderr.splitlines()[-1]


def kept(root):
    """All rows in records/outputs, a list per file."""
    return [table.to_pylist() for _, table in read_adhoc(root / OUTPUTS)]


def test_outputs_are_kept_with_all_that_they_lead_back_to(root):
    result = invoke(root, "generate", "toy", "-n", 3, "--label", "1")
    rows, (listed,) = rows_of(result), kept(root)
    checkpoint_id = files.read_json(root / "artifacts/train/toy/card.json")["checkpoint_id"]
    assert [row["id"] for row in rows] == [row["id"] for row in listed] == [content_id(row["data"]) for row in listed]
    for row in listed:
        assert row.keys() == set(OUTPUT_SCHEMA.names)
        assert (row["origin"], row["model"], row["label"], row["seed"]) == ("generated", "toy", "1", 5)
        assert (row["checkpoint_id"], row["manifest_id"]) == (checkpoint_id, MANIFEST.id)
        assert row["created_at"].endswith("Z")
    assert "seed 5" in result.stderr
    assert "gendata run collect" in result.stderr
    ledger = Ledger(root)
    assert ledger.checkpoint(checkpoint_id)["family"] == "toy"
    assert ledger.manifest(MANIFEST.id).id == MANIFEST.id


def test_the_same_request_is_the_same_content_and_another_record(root):
    first, second = (rows_of(invoke(root, "generate", "toytext", "-n", 3, "--prompt", "ab")) for _ in range(2))
    assert first == second
    assert all(row["text"].startswith("ab") for row in first)
    one, two = kept(root)
    assert {row.pop("created_at") for row in one}.isdisjoint({row.pop("created_at") for row in two})
    assert one == two


def test_the_options_are_what_is_asked(root):
    asked = ["--seed", 7, "--temperature", 0.5, "--top-k", 3, "--max-tokens", 4]
    invoke(root, "generate", "toytext", "-n", 1, *asked)
    invoke(root, "generate", "toytext", "-n", 1)
    (first,), (second,) = kept(root)
    expected = {"prompt": "", "temperature": 0.5, "top_k": 3, "max_tokens": 4, "index": 0, "label": None, "top_p": 1.0}
    assert (first["seed"], json.loads(first["request"])) == (7, expected)
    assert (second["seed"], json.loads(second["request"])["max_tokens"]) == (0, 12)


def test_grid_and_files(root, tmp_path):
    rows = rows_of(invoke(root, "generate", "toy", "-n", 5, "--grid", tmp_path / "g.png", "--save", tmp_path / "out"))
    with Image.open(tmp_path / "g.png") as sheet:
        assert sheet.width > sheet.height > 8
    assert {content_id(path.read_bytes()) for path in (tmp_path / "out").iterdir()} == {row["id"] for row in rows}
    rows = rows_of(invoke(root, "generate", "toytext", "-n", 2, "--save", tmp_path / "out"))
    assert {row["id"] for row in rows} <= {content_id(path.read_bytes()) for path in (tmp_path / "out").iterdir()}
    assert len(list((tmp_path / "out").glob("*.png"))) == 5


def test_a_table_has_short_ids(root):
    table = invoke(root, "generate", "toy", "-n", 1, "--format", "table").stdout
    assert kept(root)[0][0]["id"][:12] in table
    assert kept(root)[0][0]["id"] not in table


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["toy", "--prompt", "x"], "Error: toy takes no --prompt"),
        (["toy", "--max-tokens", "1"], "Error: toy takes no --max-tokens"),
        (["toytext", "--truncation", "1"], "Error: toytext takes no --truncation"),
        (["toytext", "--grid", "x.png"], "Error: toytext takes no --grid: it makes no images"),
        (["toy", "-n", "0"], "Error: Invalid value for '-n': 0 is not in the range 1<=x<=10000."),
    ],
)
def test_usage(root, args, message):
    assert error(root, "generate", *args, code=2) == message
    assert not (root / "records").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope"], "unknown family 'nope'; there are gan, vae, transformer, rnn, toy, toytext"),
        (["toy", "--label", "9"], "label '9' is none that toy knows: 0, 1"),
        (["toy", "--truncation", "2"], "generate toy: truncation: must be above 0 and at most 1, not 2.0"),
        (["toy", "--seed", "-1"], "generate toy: seed: must be between 0 and 2**62, not -1"),
        (["toy", "--checkpoint", "ffff"], "no checkpoint ffff in artifacts/train or records/ledger"),
        (["toy", "--checkpoint", "my"], "'my' is not the id of a checkpoint (at least 4 hex digits)"),
        (["toy", "--grid", "params.yaml/x.png"], None),
    ],
)
def test_errors_are_one_line(root, monkeypatch, args, message):
    monkeypatch.chdir(root)
    found = error(root, "generate", *args)
    assert found == f"error: {message}" if message else found.startswith("error: params.yaml/x.png: ")


def test_a_family_that_is_not_trained(root):
    shutil.rmtree(root / "artifacts/train/toy")
    assert error(root, "generate", "toy") == "error: toy is not trained: run `gendata run train@toy`"
    files.write_json(root / "artifacts/train/toy/skipped.json", {"reason": "the selection matches no item"})
    assert "toy is not trained (the selection matches no item)" in error(root, "generate", "toy")


def test_an_older_checkpoint_comes_from_its_run(root):
    ledger, run = Ledger(root), "0123456789abcdef" * 2
    older = save(root / "older", "toy", 1)
    card = files.read_json(root / "older" / "card.json")
    assert f"no checkpoint {older[:8]}" in error(root, "generate", "toy", "--checkpoint", older[:8])
    ledger.keep_checkpoint(card)
    ledger.keep_run({"family": "toy", "run_id": run, "checkpoint_id": older})
    gone = f"error: the weights of checkpoint {older[:12]} are neither in artifacts/train nor in a tracked run"
    assert error(root, "generate", "toy", "--checkpoint", older[:8]).startswith(gone)
    logged = root / "mlruns" / "artifacts" / run / "artifacts" / "checkpoint"
    shutil.copytree(root / "older", logged)
    rows = rows_of(invoke(root, "generate", "toy", "-n", 1, "--checkpoint", older[:8]))
    assert {row["checkpoint_id"] for row in rows} == {older}
    assert error(root, "generate", "toytext", "--checkpoint", older).endswith("is of family toy, not toytext")
    shutil.rmtree(logged)
    shutil.copytree(root / "artifacts/train/toy", logged)
    assert f"not {older[:12]}" in error(root, "generate", "toy", "--checkpoint", older)


def test_a_checkpoint_in_artifacts_is_found_by_its_id(root):
    trained = files.read_json(root / "artifacts/train/toy/card.json")["checkpoint_id"]
    rows = rows_of(invoke(root, "generate", "toy", "-n", 1, "--checkpoint", trained[:6].upper()))
    assert rows[0]["checkpoint_id"] == trained


def test_a_truncated_checkpoint_is_refused(root):
    path = root / "artifacts/train/toy" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-9])
    assert "cut short or changed" in error(root, "generate", "toy")
    assert not (root / "records").exists()


def test_what_could_not_be_traced_is_not_made(root):
    shutil.rmtree(root / "artifacts/select")
    assert "what it gives could not be traced" in error(root, "generate", "toy")
    assert not (root / OUTPUTS).exists()
    Ledger(root).keep_manifest(MANIFEST)
    invoke(root, "generate", "toy", "-n", 1)


def test_the_python_api_gives_whole_rows(root):
    rows = Project(root).generate("toy", n=2, label="0")
    table = pa.Table.from_pylist(rows, OUTPUT_SCHEMA)
    assert table.equals(pq.read_table(next((root / OUTPUTS).iterdir())))


def test_a_model_from_elsewhere_is_registered_and_cannot_be_run(root, tmp_path):
    Ledger(root).keep_manifest(MANIFEST)
    (root / "params.yaml").write_text(json.dumps(PARAMS | {"tracking": {"to": "none"}}))
    (tmp_path / "m.bin").write_bytes(b"weights")
    args = ["model", "add", "mine", "--manifest", MANIFEST.id[:8], "--weights", tmp_path / "m.bin", "--family", "toy"]
    result = invoke(root, *args, "--note", "by hand")
    (row,) = rows_of(result)
    assert row["checkpoint_id"] == content_id(b"weights")
    assert (row["name"], row["family"], row["manifest_id"], row["note"]) == ("mine", "toy", MANIFEST.id, "by hand")
    assert "m.bin is not safetensors" in result.stderr
    assert error(root, *args).startswith("error: m.bin: these weights are known as mine, trained on manifest")
    message = f"error: checkpoint {row['checkpoint_id'][:12]} was trained elsewhere: gendata cannot run it"
    assert error(root, "generate", "toy", "--checkpoint", row["checkpoint_id"]) == message


def test_without_model_stages_nothing_is_tracked(root, tmp_path):
    (root / "dvc.yaml").unlink()
    (root / "params.yaml").write_text(json.dumps({"gendata": {"version": 1}, "tracking": "somebody else's"}))
    Ledger(root).keep_manifest(MANIFEST)
    (tmp_path / "m.safetensors").write_bytes(b"")
    result = invoke(root, "model", "add", "mine", "--manifest", MANIFEST.id, "--weights", tmp_path / "m.safetensors")
    assert result.stderr == ""
    assert not (root / "mlruns").exists()


def test_images_say_what_made_them(root):
    (row,) = Project(root).generate("toy", n=1)
    with Image.open(io.BytesIO(row["data"])) as image:
        assert image.info["gendata:checkpoint"] == row["checkpoint_id"]
        assert "trainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]


def test_a_checkpoint_of_another_family_in_the_folder_is_refused(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    trained = Path("artifacts/train/toytext")
    shutil.rmtree(trained)
    shutil.copytree(trained.with_name("toy"), trained)
    said = f"{trained}: holds a checkpoint of family toy, not toytext; train toytext again\n"
    assert invoke(root, "generate", "toytext", code=1).stderr.endswith(said)
    for stage, paths in {
        pipelines.generate: [trained, "./out", "./metrics"],
        pipelines.evaluate: ["./selected", trained, "./generated", "./stores", "./out", "./scores", "./metrics"],
    }.items():
        monkeypatch.setattr("sys.argv", ["", "toytext", *map(str, paths)])
        with pytest.raises(SystemExit):
            pipelines.main(stage.run)
        assert capsys.readouterr().err == f"error: {said}"
    assert not Path("out").exists()
