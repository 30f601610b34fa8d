"""Doctor over a whole project: outputs, manifests, checkpoints, the ledger. Stores of data: see tests/store."""

import json
import os
import shutil
import subprocess
import sys

import duckdb
import lancedb
import pyarrow as pa
import pytest
import spine
from spine import FAMILIES

from gendata import doctor, files
from gendata.records.ledger import Ledger
from gendata.records.manifest import Manifest, read_manifest, write_manifest
from gendata.records.outputs import write_adhoc
from gendata.store.head import Store, read_head

TOY, TEXTS = FAMILIES
SOURCES = list(spine.PARAMS["sources"])
HEX = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made") / "project"
    spine.trained(root)
    spine.collected(root)
    return root


@pytest.fixture
def project(made, tmp_path):
    return shutil.copytree(made, tmp_path / "project")


def examine(root, sources=SOURCES):
    return doctor.examine(root, sources)


def repair(root):
    said = []
    found = doctor.examine(root, SOURCES, repair=said.append)
    assert all("\n" not in line for line in said)
    return found


def _adhoc(root, **changes):
    """An ad-hoc output like one of the pipeline's."""
    (shard,) = (root / "artifacts/generate" / TOY / "items").glob("*.parquet")
    row = files.read_table(shard).to_pylist()[0] | changes
    return write_adhoc(root, [row], "2026-01-01T00:00:00Z", row["checkpoint_id"])


def test_a_whole_project_holds_together(project):
    _adhoc(project)
    assert examine(project) == []


def test_a_project_whose_models_did_not_run_holds_together(project):
    for name in ("select", "train", "generate", "collect", "store/outputs"):
        shutil.rmtree(project / "artifacts" / name)
    shutil.rmtree(project / "records")
    assert examine(project) == []


def _junk_outputs_catalog(root):
    store = root / "artifacts/store/outputs"
    (store / read_head(store).catalog).write_bytes(b"junk")


def _outputs_relabelled(root):
    with duckdb.connect(str(Store.open(root / "artifacts/store/outputs").catalog)) as connection:
        connection.execute("UPDATE items SET checkpoint_id = 'another' WHERE model = 'toy'")


def _outputs_count(root):
    path = root / "artifacts/store/outputs/store.json"
    files.write_json(path, files.read_json(path) | {"items": 5000})


def _planted_in_lance(root, origin="generated", store="real"):
    folder = root / "artifacts/store" / store
    table = lancedb.connect(folder / "lance").open_table("items")
    row = {"id": HEX, "modality": "text", "origin": origin, "source": "notes", "uri": "x", "text": "planted"}
    table.add(pa.Table.from_pylist([row], table.schema))
    head = read_head(folder)
    versions = {**head.lance, "items": table.version}
    (folder / "HEAD.json").write_text(json.dumps({"schema": 1, "catalog": head.catalog, "lance": versions}))


def _planted_in_the_catalog(root, store="real"):
    with duckdb.connect(str(Store.open(root / "artifacts/store" / store).catalog)) as connection:
        connection.execute("INSERT INTO items BY NAME SELECT * REPLACE ('generated' AS origin) FROM items LIMIT 1")


def _planted_in_both(root):
    _planted_in_lance(root)
    _planted_in_the_catalog(root)


def _real_among_outputs(root):
    _planted_in_lance(root, "real", "outputs")


@pytest.mark.parametrize(
    ("damage", "where", "problem"),
    [
        (_junk_outputs_catalog, "store/outputs", "does not read"),
        (_outputs_relabelled, "store/outputs", "the catalog is not what the shards give"),
        (_outputs_count, "store/outputs", "not what the shards give"),
        (_planted_in_lance, "store/real", "items holds rows of origin generated"),
        (_planted_in_the_catalog, "store/real", "holds items of origin generated"),
        (_planted_in_both, "store/real", "holds items of origin generated"),
        (_real_among_outputs, "store/outputs", "items holds rows of origin real"),
    ],
)
def test_stores_are_mended_from_the_shards(project, damage, where, problem):
    damage(project)
    found = repair(project)
    assert any(problem in f.problem for f in found)
    assert {f.where for f in found} == {f"artifacts/{where}"}
    assert all(f.repaired for f in found)
    assert examine(project) == []


def _no_manifest_kept(root):
    manifest = read_manifest(root / "artifacts/select" / TOY / "manifest.parquet")
    (root / "records/ledger/manifests" / f"{manifest.id}.parquet").unlink()


def _no_card_kept(root):
    card = files.read_json(root / "artifacts/train" / TEXTS / "card.json")
    (root / "records/ledger/checkpoints" / f"{card['checkpoint_id']}.json").unlink()


def _no_ledger(root):
    shutil.rmtree(root / "records/ledger")


@pytest.mark.parametrize("damage", [_no_manifest_kept, _no_card_kept, _no_ledger])
def test_what_the_ledger_lacks_is_put_back(project, damage):
    before = {p.name: p.read_bytes() for kind in ("manifests", "checkpoints") for p in _kept(project, kind)}
    damage(project)
    found = repair(project)
    assert any("is not in the ledger" in f.problem for f in found)
    assert all(f.repaired for f in found)
    assert examine(project) == []
    assert {p.name: p.read_bytes() for kind in ("manifests", "checkpoints") for p in _kept(project, kind)} == before


def _kept(root, kind):
    return sorted((root / "records/ledger" / kind).iterdir())


def _changed_manifest(root, change):
    path = root / "artifacts/select" / TOY / "manifest.parquet"
    manifest = read_manifest(path)
    changed = Manifest.of(
        manifest.selection, pa.Table.from_pylist(change(manifest.rows.to_pylist()), manifest.rows.schema)
    )
    write_manifest(path, changed)
    Ledger(root).keep_manifest(changed)


def _generated_in_the_manifest(root):
    _changed_manifest(root, lambda rows: [rows[0] | {"origin": "generated"}, *rows[1:]])


def _rows_gone(root):
    _changed_manifest(root, lambda rows: [*rows, rows[0] | {"id": HEX}, rows[0] | {"id": HEX[::-1]}])


def _cut(root, pattern):
    (path,) = root.glob(pattern)
    path.write_bytes(path.read_bytes()[:-10])


def _card_of_other_weights(root):
    path = root / "artifacts/train" / TOY / "card.json"
    files.write_json(path, files.read_json(path) | {"checkpoint_id": HEX})


def _checkpoint_of_another_family(root):
    params = json.loads((root / "params.yaml").read_text())
    (root / "params.yaml").write_text(json.dumps(params | {"train": {**params["train"], "vae": {}}}))
    shutil.copytree(root / "artifacts/train" / TOY, root / "artifacts/train/vae")


def _tampered_record(root):
    path = _kept(root, "checkpoints")[0]
    files.write_json(path, files.read_json(path) | {"checkpoint_id": HEX})


def _card_without_manifest(root):
    card = files.read_json(_kept(root, "checkpoints")[0])
    Ledger(root).keep_checkpoint(card | {"checkpoint_id": HEX, "manifest_id": HEX[::-1]})


@pytest.mark.parametrize(
    ("damage", "where", "problem"),
    [
        (_generated_in_the_manifest, "artifacts/select/toy/manifest.parquet", "are not real (1 generated from "),
        (_rows_gone, "artifacts/select/toy/manifest.parquet", "2 of its "),
        (
            lambda r: _cut(r, "artifacts/select/toy/*.parquet"),
            "artifacts/select/toy/manifest.parquet",
            "not a manifest",
        ),
        (lambda r: _cut(r, "artifacts/train/toy/*.safetensors"), "artifacts/train/toy", "cut short or changed"),
        (_card_of_other_weights, "artifacts/train/toy", "not the weights of checkpoint"),
        (_checkpoint_of_another_family, "artifacts/train/vae", "holds a checkpoint of family toy, not vae"),
        (_tampered_record, "records/ledger/checkpoints/", "holds another record than its name says"),
        (_card_without_manifest, f"records/ledger/checkpoints/{HEX}.json", "is not in the ledger"),
        (
            lambda r: _cut(r, "artifacts/generate/toy/items/*"),
            "artifacts/generate/toy/items/",
            "not a readable Parquet",
        ),
        (lambda r: _adhoc(r, checkpoint_id=HEX), "records/outputs/", f"1 outputs name checkpoint {HEX[:12]}, which"),
        (lambda r: _adhoc(r, manifest_id=HEX), "records/outputs/", f"1 outputs name manifest {HEX[:12]}, which"),
        (lambda r: _adhoc(r, origin="real"), "records/outputs/", "1 outputs claim to be real"),
    ],
)
def test_what_only_a_person_can_mend_is_named(project, damage, where, problem):
    damage(project)
    found = repair(project)
    assert [f.where for f in found if problem in f.problem and f.where.startswith(where)], found
    assert all(str(project) not in f.problem and "\n" not in f.problem for f in found)
    assert not any(f.repaired for f in found)


def test_a_source_that_was_removed_since_is_found_in_manifests(project):
    text = (project / "params.yaml").read_text()
    params = json.loads(text)
    del params["sources"]["drawn"]
    (project / "params.yaml").write_text(json.dumps(params))
    doctor.rebuild(project)
    (found,) = examine(project, list(params["sources"]))
    assert found.where == f"artifacts/select/{TOY}/manifest.parquet"
    gone = sum(row["source"] == "drawn" for row in read_manifest(project / found.where).rows.to_pylist())
    assert f": {gone} of its " in found.problem
    assert "rows are no longer in the store" in found.problem


def test_records_whose_manifest_or_card_is_gone_are_named(project):
    ledger = Ledger(project)
    ledger.keep_export({"format": "csv", "manifest_id": HEX, "rows": 1})
    ledger.keep_run({"run_id": "a" * 32, "family": TOY, "checkpoint_id": HEX})
    problems = {f.where.split("/")[2]: f.problem for f in examine(project)}
    assert problems == {
        "exports": f"its manifest {HEX[:12]} is not in the ledger",
        "runs": f"its checkpoint {HEX[:12]} is not in the ledger",
    }


def _dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_parts_of_killed_writers_go_and_those_of_live_ones_stay(project):
    left = [
        project / "records/outputs" / f".a.parquet.{_dead()}.part",
        project / "records/ledger/checkpoints" / f".b.json.{_dead()}.part",
        project / ".gendata/train/toy-0123/.step-00000250.part/state.safetensors",
    ]
    live = [
        project / "records/outputs" / f".a.parquet.{os.getpid()}.part",
        project / ".gendata/train/toy-4567/.step-00000250.part/state.safetensors",
    ]
    for path in left + live:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    with files.lock(project / ".gendata/locks/toy-4567"):
        assert len(examine(project)) == len(left)
        assert all(f.repaired for f in repair(project))
        assert examine(project) == []
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in live)
