"""`gendata export` end to end: the command, its messages, and what it leaves in the project."""

import json

import pytest
from click.testing import CliRunner
from sandbox import Sandbox
from warehouse import image, stock, text

from gendata import template
from gendata.cli import cli
from gendata.project import Project


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project whose store is built without a run."""
    box = Sandbox(tmp_path_factory.mktemp("project") / "box")
    template.create(box.root)
    (box.root / "notes").mkdir()
    box.sources(
        notes={"kind": "folder", "origin": "real", "path": "notes"},
        made={"kind": "table", "origin": "generated", "path": "made.csv"},
    )
    pictures = [image(i, "ab"[i % 2]) for i in range(4)]
    texts = [text(f"note {i}", ("train", "test")[i % 2]) for i in range(6)]
    made = [image(50, "a"), image(51, "b")]
    stock(box.root / "artifacts", notes=("real", pictures + texts), made=("generated", made))
    return box


def test_export_and_what_it_leaves(built, tmp_path):
    result = built.gendata("export", tmp_path / "digits", "--as", "imagefolder", "--origin", "any")
    (row,) = (json.loads(line) for line in result.stdout.splitlines())
    assert row.items() >= {"folder": str(tmp_path / "digits"), "as": "imagefolder", "rows": 6}.items()
    assert "6 items left out: not-image" in result.stderr
    ledger = built.root / "records" / "ledger"
    assert (ledger / "manifests" / f"{row['manifest_id']}.parquet").is_file()
    assert (ledger / "exports" / f"{row['export_id']}.json").is_file()
    facts = [
        json.loads(line)
        for path in (tmp_path / "digits").glob("*/metadata.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert sorted(fact["origin"] for fact in facts) == ["generated"] * 2 + ["real"] * 4


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("x", "--as", "xml"), 2, "'xml' is not one of"),
        (("artifacts/x", "--as", "csv"), 1, "lies in artifacts/, which is gendata's own"),
        (("notes/x", "--as", "csv"), 1, "lies in source 'notes', which would read it again"),
        (("notes", "--as", "csv"), 1, "lies in source 'notes'"),
        (("params.yaml/x", "--as", "csv"), 1, "is not a folder"),
        (("x", "--as", "csv", "--where", "modality = 'image'"), 1, "2 of 6 rows are not real (2 generated from made)"),
    ],
)
def test_mistakes_are_one_line(built, args, code, message, monkeypatch):
    monkeypatch.chdir(built.root)
    before = sorted(built.root.iterdir())
    result = CliRunner().invoke(cli, ["export", *args])
    assert result.exit_code == code
    assert message in result.stderr
    assert code == 2 or (result.stderr.startswith("error: ") and result.stderr.count("\n") == 1)
    assert result.stdout == ""
    assert sorted(built.root.iterdir()) == before


def test_from_python(built, tmp_path):
    here = Project(built.root)
    record = here.export(tmp_path / "out", "csv", where="source = 'notes'", splits=("train",))
    assert len((tmp_path / "out" / "train.csv").read_text(encoding="utf-8")) > 0
    assert here.export(tmp_path / "again", "csv", manifest=record["manifest_id"]) == record
    data = here.dataset("modality = 'image' AND origin = 'real'")
    assert len(data) == 4
    assert (built.root / "records/ledger/manifests" / f"{data.manifest.id}.parquet").is_file()
    assert data[0]["image"].size == (8, 8)
