"""What stage evaluate says of real images, from a trained VAE to a statement that joins it."""

import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from warehouse import image, stock

from gendata import files
from gendata.errors import QueryError, StoreError
from gendata.evaluate import EvaluateParams, latents
from gendata.evaluate.scores import SCORES, score_rows, score_tables, write_scores
from gendata.evaluate.stage import evaluate
from gendata.generate import GenerateParams, generate, write_outputs
from gendata.models import Needs, gan, vae
from gendata.models.checkpoint import open_checkpoint
from gendata.models.family import DataSpec, LatentModel
from gendata.models.request import ImageRequest
from gendata.project import Project
from gendata.search.sql import select_ids
from gendata.select import SelectParams
from gendata.select.contents import Contents
from gendata.select.selection import select
from gendata.tracking import NullTracker
from gendata.train import train
from gendata.train.data import ImageData

TINY = {"size": 8, "width": 8, "hidden": 16, "latent": 4, "steps": 3, "batch": 4, "warmup": 1, "every": 3}
PARAMS = EvaluateParams(classifier_steps=2, shown=2)
PICTURES = {f"{name}.png" for name in ("reconstructions", "interpolations", "traversals", "attribute-ink")}


def scored_at(root, name):
    return root / "artifacts" / "scores" / name


def evaluated(name, family, images, root):
    train(name, images, family.Config(**TINY), root / "train", NullTracker())
    checkpoint = open_checkpoint(root / "train")
    write_outputs(root / "made", generate(checkpoint, GenerateParams(n=8, seed=0, request=ImageRequest())))
    out = root / "artifacts" / "evaluate" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    return checkpoint, evaluate(checkpoint, images, root / "made", PARAMS, out, scored_at(root, name)), out


@pytest.fixture
def scored(images, tmp_path):
    return evaluated("vae", vae, images, tmp_path)


def test_every_row_of_the_manifest_has_a_score_and_the_latent_is_shown(scored, images, tmp_path):
    checkpoint, figures, out = scored
    table = files.read_table(scored_at(tmp_path, "vae") / "scores.parquet")
    assert table.schema.equals(SCORES)
    assert sorted(table["id"].to_pylist()) == sorted(images.manifest.rows["id"].to_pylist())
    assert set(table["checkpoint_id"].to_pylist()) == {checkpoint.id}
    assert set(zip(table["family"].to_pylist(), table["name"].to_pylist(), strict=True)) == {("vae", "negative_elbo")}
    values = table["value"].to_pylist()
    assert values == sorted(values, reverse=True)
    held_out = images.manifest.split("valid")["id"].to_pylist() + images.manifest.split("test")["id"].to_pylist()
    of_held_out = [v for v, key in zip(values, table["id"].to_pylist(), strict=True) if key in held_out]
    assert figures["score"] == pytest.approx(np.median(of_held_out), abs=1e-3)
    assert 0 <= figures["score_wrong_label"] <= 1
    assert {path.name for path in out.iterdir()} >= PICTURES
    for name in PICTURES:
        Image.open(out / name).verify()


def test_a_stage_that_runs_again_writes_the_same_bytes(scored, images, tmp_path):
    checkpoint, _, out = scored
    again = tmp_path / "again"
    evaluate(checkpoint, images, tmp_path / "made", PARAMS, again / "vae", again / "scores")
    for first, second in ((out, again / "vae"), (scored_at(tmp_path, "vae"), again / "scores")):
        assert {p.name: p.read_bytes() for p in first.iterdir()} == {p.name: p.read_bytes() for p in second.iterdir()}


def test_a_family_without_a_latent_scores_nothing(images, tmp_path):
    _, figures, out = evaluated("gan", gan, images, tmp_path)
    assert figures["score"] is None
    assert {path.name for path in out.iterdir()} == {"figures.json", "neighbours.csv", "neighbours.png", "curves.csv"}
    assert files.read_table(scored_at(tmp_path, "gan") / "scores.parquet").num_rows == 0
    assert figures["classes"] == 2
    for name in ("frechet_pca", "sharpness", "label_accuracy_pca"):
        assert figures[name] >= 0


@pytest.mark.parametrize("labels", ["aaaaaaab", "aaaaaaaa"], ids=["a label with one item", "one label"])
@pytest.mark.parametrize(("name", "family"), [("vae", vae), ("gan", gan)])
def test_the_least_that_can_be_trained_on_is_measured(tmp_path, monkeypatch, name, family, labels):
    """Images of several sizes, one of them held out; what needs more is null."""
    monkeypatch.chdir(tmp_path)
    splits = ["test", *["train"] * 7]
    rows = [image(i, c, s, size=(6 + i, 9)) for i, (c, s) in enumerate(zip(labels, splits, strict=True))]
    stores = stock(tmp_path / "artifacts", photos=("real", rows))
    chosen = SelectParams(where="modality = 'image'", min_per_label=1)
    least = Contents(select("s", Needs("image", labelled=True), chosen, stores)[0], stores)
    _, figures, _ = evaluated(name, family, least, tmp_path)
    assert figures["classes"] == len(set(labels))
    assert figures["frechet"] is figures["kid"] is figures["density"] is None
    assert figures["sharpness"] > 0
    assert (figures["score_wrong_label"] is None) == (name == "gan" or len(set(labels)) == 1)
    scored = files.read_table(scored_at(tmp_path, name) / "scores.parquet")
    assert scored.num_rows == (8 if name == "vae" else 0)


def test_what_is_strange_scores_high():
    """Bars that stand are of one class and bars that lie of the other; noise and a wrong label are strange."""
    random = np.random.default_rng(0)
    labels = np.arange(64) % 2
    pixels = random.integers(0, 40, (64, 1, 8, 8)).astype(np.uint8)
    pixels[labels == 0, :, :, 3:5] += 200
    pixels[labels == 1, :, 3:5, :] += 200
    torch.manual_seed(0)
    model = vae.Model(vae.Config(size=8, width=8, hidden=32, latent=4), DataSpec(("stands", "lies")))
    batch = latents._batch(pixels, labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        model.loss("elbo", batch, 1.0)[0].backward()
        optimizer.step()
    planted = pixels[:8].copy()
    planted[0] = random.integers(0, 256, (1, 8, 8))
    meant = labels[:8].copy()
    meant[5] = 1 - meant[5]
    data = ImageData(
        {"valid": planted, "train": pixels, "test": pixels[:0]},
        {"valid": meant, "train": labels, "test": labels[:0]},
        ("stands", "lies"),
    )
    values = latents._scores(model.eval(), data, "valid")
    assert set(np.argsort(-values)[:2]) == {0, 5}


def test_the_partner_of_an_image_is_another_of_its_label():
    batch = {"pixels": torch.arange(4.0).view(4, 1, 1, 1), "labels": torch.tensor([0, 1, 0, 2])}
    first, second = latents._pairs(batch)
    assert torch.equal(first["labels"], second["labels"])
    assert second["pixels"].flatten().tolist() == [2, 1, 0, 3]  # one that is alone is its own


def test_a_vae_is_a_latent_model_and_a_gan_is_none():
    data = DataSpec(("a",))
    assert isinstance(vae.Model(vae.Config(size=8), data), LatentModel)
    assert not isinstance(gan.Model(gan.Config(size=8), data), LatentModel)


def test_scores_join_items_in_sql(scored, stores, tmp_path):
    (tmp_path / "params.yaml").write_text(json.dumps({"gendata": {"version": 1}, "train": {"vae": {}}}))
    project = Project(tmp_path)
    project.__dict__["stores"] = stores
    rows = project.sql(
        "SELECT i.label, s.value FROM items i JOIN Scores s USING (id) ORDER BY s.value DESC"
    ).to_pylist()
    assert len(rows) == 16
    assert {row["label"] for row in rows} == {"a", "b"}
    assert [name for name in project.sql("SHOW TABLES")["name"].to_pylist() if name == "scores"]
    assert {(row["column"]) for row in project.tables() if row["table"] == "scores"} == set(SCORES.names)
    (tmp_path / "params.yaml").write_text(json.dumps({"gendata": {"version": 1}, "train": {"gan": {}}}))
    assert project.sql("SELECT * FROM scores").num_rows == 0  # of a family that was taken out


def test_a_selection_cannot_name_scores(stores):
    with pytest.raises(QueryError, match="scores"):
        select_ids("id IN (SELECT id FROM scores WHERE value < 100)", stores, stable=True)


def test_scores_are_written_a_group_of_rows_at_a_time(tmp_path):
    """The rows of so many images as dicts would be 40 MB."""
    n = 100_000
    ids, values = pa.chunked_array([[f"{i:064x}" for i in range(n)]]), np.arange(n, dtype=np.float32)
    tracemalloc.start()
    write_scores(tmp_path, score_rows("vae", "c" * 64, "negative_elbo", ids, values))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    written = files.read_table(tmp_path / "scores.parquet")["value"].to_pylist()
    assert written == sorted(values.tolist(), reverse=True)


def test_only_a_statement_that_mentions_scores_reads_them(tmp_path):
    rows = score_rows(
        "vae", "c" * 64, "negative_elbo", pa.chunked_array([["a", "c"], ["b"]]), np.array([1.0, 3.0, 3.0])
    )
    write_scores(tmp_path / "vae", rows)
    assert score_tables(tmp_path, ["vae"], "SELECT 1 FROM items") == {}
    assert score_tables(tmp_path, ["vae"], "show tables")["scores"].num_rows == 0
    found = score_tables(tmp_path, ["gan", "vae"], 'FROM "Scores"')["scores"]
    assert [row["id"] for row in found.to_pylist()] == ["b", "c", "a"]
    assert score_tables(tmp_path, [], "FROM scores")["scores"].schema.equals(SCORES)


@pytest.mark.parametrize("content", [b"", b"PAR1"])
def test_scores_that_do_not_read_are_one_line(tmp_path, content):
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "scores.parquet").write_bytes(content)
    with pytest.raises(StoreError) as raised:
        score_tables(tmp_path, ["vae"], "FROM scores")
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}.+", str(raised.value))


def test_another_table_is_no_table_of_scores(tmp_path):
    import pyarrow as pa

    (tmp_path / "vae").mkdir()
    files.write_table(Path(tmp_path / "vae" / "scores.parquet"), [{"x": 1}], pa.schema([("x", pa.int64())]))
    with pytest.raises(StoreError, match="not a table of scores"):
        score_tables(tmp_path, ["vae"], "FROM scores")
