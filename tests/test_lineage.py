"""The chain of items and outputs, both ways; what is lost of it is said, and stops nothing."""

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spine
from click.testing import CliRunner

from gendata.cli import cli
from gendata.errors import QueryError
from gendata.project import Project
from gendata.records.ledger import Ledger
from gendata.records.manifest import read_manifest
from gendata.records.outputs import write_adhoc
from gendata.search.nearest import NEAREST

ASKED_AT = "2026-01-02T03:04:05.000000Z"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The project with outputs of the pipeline, and one ad hoc that is an image of the training data."""
    root = spine.trained(tmp_path_factory.mktemp("lineage") / "project")
    row = pq.read_table(root / "artifacts/generate/toy/items/00000.parquet").to_pylist()[1]
    train = ids_in(Project(root), "toy", "train")
    copied = next(item for item in spine.items("scans") if item.id == train[-1])
    planted = row | {"id": copied.id, "data": copied.data, "uri": "planted.png", "created_at": ASKED_AT}
    write_adhoc(root, [planted], ASKED_AT, row["checkpoint_id"])
    with spine.families():
        spine.collected(root)
    return root


@pytest.fixture
def project(built):
    """The project, to look at."""
    return Project(built)


@pytest.fixture
def copy(built, tmp_path):
    """The project, to spoil."""
    return Project(shutil.copytree(built, tmp_path / "project"))


def outputs(project, family):
    """The ids of what the pipeline made."""
    return pq.read_table(project.artifacts / "generate" / family / "items")["id"].to_pylist()


def verbatim(project):
    """The id of the image that was planted ad hoc."""
    return pq.read_table(project.root / "records" / "outputs")["id"].to_pylist()[0]


def ids_in(project, family, split):
    """The ids of a split of a family's manifest."""
    return read_manifest(project.artifacts / "select" / family / "manifest.parquet").split(split)["id"].to_pylist()


def steps(rows):
    return [row["step"] for row in rows]


def find(rows, step):
    return [(row["what"], row["detail"]) for row in rows if row["step"] == step]


def card_of(project, family):
    return next(card for card in Ledger(project.root).all("checkpoints") if card["family"] == family)


@pytest.mark.parametrize("family", spine.FAMILIES)
def test_an_output_leads_back_to_its_training_data(project, family):
    card, item_id = card_of(project, family), outputs(project, family)[0]
    train = Ledger(project.root).manifest(card["manifest_id"]).split("train").to_pylist()
    rows = project.chain(item_id[:12])
    (what, detail), *_ = find(rows, "output")
    assert what == item_id
    assert f"by {family}, seed {spine.PARAMS['generate'][family].get('seed', 0)}" in detail
    assert "ad hoc" not in detail
    assert find(rows, "checkpoint")[0][0] == card["checkpoint_id"]
    assert f"held-out loss {card['figures']['valid/loss']:.4g}" in find(rows, "checkpoint")[0][1]
    assert next(Ledger(project.root).all("runs"))["run_id"] in "".join(
        find(project.chain(outputs(project, name)[0]), "checkpoint")[0][1] for name in spine.FAMILIES
    )
    assert find(rows, "manifest")[0][0] == card["manifest_id"]
    assert (
        f"{len(train)} training rows of {card['data']['rows']}; where origin = 'real'" in find(rows, "manifest")[0][1]
    )
    for step in ("source", "license"):
        counts = Counter(row[step] or "not stated" for row in train)
        assert dict(find(rows, step)) == {name: f"{n} training rows" for name, n in counts.items()}
    assert len(find(rows, "nearest")) == NEAREST
    assert steps(rows) == sorted(steps(rows), key="output checkpoint manifest source license nearest".split().index)


@pytest.mark.parametrize(("family", "table"), [("toy", "images"), ("toytext", "passages")])
def test_the_nearest_are_those_of_brute_force(project, family, table):
    manifest = Ledger(project.root).manifest(card_of(project, family)["manifest_id"])
    train = {row["id"]: row for row in manifest.split("train").to_pylist()}
    made, known = (project.stores[name].table(table).to_table() for name in ("outputs", "real"))
    for item_id in outputs(project, family):
        queries = np.array([v for i, v in zip(*columns(made), strict=True) if i == item_id])
        scores = {}
        for other, vector in zip(*columns(known), strict=True):
            if other in train:
                cosines = queries @ vector / np.linalg.norm(queries, axis=1) / np.linalg.norm(vector)
                scores[other] = max(scores.get(other, -1), cosines.max())
        best = sorted(scores, key=scores.get, reverse=True)[:NEAREST]
        found = find(project.chain(item_id), "nearest")
        assert [what for what, _ in found] == best
        for what, detail in found:
            assert detail.startswith(f"similarity {scores[what]:.3f}, {train[what]['source']}: {train[what]['uri']}")


def columns(table):
    return table["id"].to_pylist(), np.array(table["vector"].to_pylist())


def test_a_training_item_leads_on_to_checkpoints_and_outputs(project):
    card = card_of(project, "toy")
    rows = project.chain(ids_in(project, "toy", "train")[0])
    assert steps(rows) == ["source", "file", "item", "manifest", "checkpoint"]
    assert find(rows, "manifest")[0][0] == card["manifest_id"]
    assert find(rows, "manifest")[0][1].startswith("in split train;")
    what, detail = find(rows, "checkpoint")[0]
    assert (what, detail.split(";")[-1]) == (card["checkpoint_id"], " 5 outputs in the store")
    assert "held out from it" not in detail
    assert "real" in find(rows, "source")[0][1]


def test_a_held_out_item_was_not_trained_on(project):
    rows = project.chain(ids_in(project, "toytext", "test")[0])
    assert find(rows, "manifest")[0][1].startswith("in split test;")
    assert find(rows, "checkpoint")[0][1].startswith("held out from it: toytext")


def test_an_output_that_is_a_training_item_has_both_chains(project):
    item_id = verbatim(project)
    rows = project.chain(item_id)
    assert steps(rows)[:3] == ["source", "file", "item"]
    assert f"ad hoc at {ASKED_AT}" in find(rows, "output")[0][1]
    assert find(rows, "nearest")[0][0] == item_id
    assert find(rows, "nearest")[0][1].startswith("similarity 1.000")
    assert [detail.startswith("in split train") for _, detail in find(rows, "manifest")] == [False, True]
    shown = project.show(item_id)
    assert (shown["store"], shown["origin"], shown["also_in"]) == ("real", "real", ["outputs"])
    assert project.duplicates(item_id) == []
    result = run(project, "show", item_id[:8])
    assert "is in store real and in store outputs: a model gave it verbatim" in result.stderr
    assert json.loads(result.stdout)["id"] == item_id


def run(project, *args):
    result = CliRunner().invoke(cli, ["--project", str(project.root), *args], prog_name="gendata")
    assert result.exit_code == 0, result.output
    return result


def test_the_command_prints_the_chain(project):
    (item_id, *_) = outputs(project, "toy")
    lines = [json.loads(line) for line in run(project, "show", item_id, "--chain").stdout.splitlines()]
    assert lines == project.chain(item_id)
    table = run(project, "show", item_id, "--chain", "--format", "table").stdout
    assert item_id[:12] in table
    assert item_id not in table


def test_lost_links_are_rows(copy):
    card = card_of(copy, "toy")
    folder, item_id = Ledger(copy.root).folder, outputs(copy, "toy")[0]
    (folder / "checkpoints" / f"{card['checkpoint_id']}.json").unlink()
    rows = copy.chain(item_id)
    assert find(rows, "checkpoint") == [
        (card["checkpoint_id"], f"lost: no checkpoint {card['checkpoint_id']} in records/ledger")
    ]
    assert len(find(rows, "nearest")) == NEAREST
    path = folder / "manifests" / f"{card['manifest_id']}.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    assert "it was changed" in find(copy.chain(item_id), "manifest")[0][1]
    path.unlink()
    rows = copy.chain(item_id)
    assert find(rows, "manifest")[0][1].startswith("lost: no manifest")
    assert steps(rows) == ["output", "checkpoint", "manifest"]
    assert steps(copy.chain(ids_in(copy, "toy", "train")[0])) == ["source", "file", "item"]


def test_what_is_broken_beside_the_way_stops_nothing(copy):
    folder, item_id = Ledger(copy.root).folder, ids_in(copy, "toy", "train")[0]
    before = copy.chain(item_id)
    for path in ("checkpoints/ab.json", "runs/ab.json", "exports/ab.json", "manifests/ab.parquet"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"{")
    rows = copy.chain(item_id)
    assert rows[: len(before)] == before
    assert {row["step"] for row in rows[len(before) :]} == {"checkpoint", "export", "manifest"}
    assert all(row["what"] == "ab" and row["detail"].startswith("lost: ") for row in rows[len(before) :])
    assert find(copy.chain(outputs(copy, "toy")[0]), "checkpoint")[0][1].startswith("toy, 20 steps")


def test_models_from_elsewhere_and_exports_are_part_of_it(copy, tmp_path):
    manifest_id = card_of(copy, "toy")["manifest_id"]
    (tmp_path / "other.safetensors").write_bytes(b"weights")
    card = copy.add_model("mine", manifest=manifest_id[:10], weights=tmp_path / "other.safetensors", family="gpt")
    export_id = Ledger(copy.root).keep_export({"format": "csv", "manifest_id": manifest_id, "rows": 26})
    rows = copy.chain(ids_in(copy, "toy", "train")[0])
    assert dict(find(rows, "checkpoint"))[card["checkpoint_id"]] == (
        "mine (gpt), trained elsewhere, file other.safetensors; 0 outputs in the store"
    )
    assert find(rows, "export") == [(export_id, "as csv, 26 rows")]


def test_without_the_vectors_of_the_training_data_the_rest_stays(copy):
    item_id = outputs(copy, "toy")[0]
    shutil.rmtree(copy.artifacts / "store" / "real")
    rows = Project(copy.root).chain(item_id)
    assert find(rows, "nearest") == [("unknown", "no vectors of the training items in the store")]
    assert len(find(rows, "source")) == 2


@pytest.mark.parametrize("key", ["ffffffff", "nope"])
def test_an_unknown_key_is_an_error(project, key):
    with pytest.raises(QueryError, match=key):
        project.chain(key)


def test_an_output_that_is_not_collected_yet_says_so(copy):
    with spine.families():
        (row,) = copy.generate("toy", n=1, seed=99)
    for ask in (copy.chain, copy.show):
        with pytest.raises(QueryError, match=r"is not in the store yet: run `gendata run collect`"):
            ask(row["id"][:10])
    (copy.root / "records" / "outputs" / "0.parquet").write_bytes(b"PAR1")
    with pytest.raises(QueryError, match="no item with id ffffffff"):
        copy.chain("ffffffff")


def test_stats_tell_the_stores_apart(project):
    counts = {(row["by"], row["value"]): row["items"] for row in project.stats()}
    assert (counts["store", "real"], counts["store", "outputs"]) == (46, 8)
    assert project.stats(("store", "model")) == [
        {"store": "real", "model": None, "items": 46},
        {"store": "outputs", "model": "toy", "items": 5},
        {"store": "outputs", "model": "toytext", "items": 3},
    ]


def test_sql_joins_outputs_with_the_ledger(project):
    sql = (
        "SELECT o.id, c.family, i.source FROM outputs o JOIN checkpoints c USING (checkpoint_id) "
        "JOIN manifest_items i ON i.manifest_id = c.manifest_id AND i.split = 'train' WHERE o.model = 'toytext'"
    )
    rows = project.sql(sql).to_pylist()
    assert {row["family"] for row in rows} == {"toytext"}
    assert len(rows) == 3 * card_of(project, "toytext")["data"]["by"]["split"]["train"]
