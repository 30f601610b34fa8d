"""Scores and vectors of the user, through the stages and the command line."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sandbox import Sandbox, write_corpus

from gendata import files, params, template
from gendata.embed import EmbedParams, stage
from gendata.embed.image import LayoutEncoder
from gendata.errors import GendataError, ParamsError
from gendata.tag import TagParams
from pipelines import embed, scan

PICTURES = [f"picture-{i:03d}.png" for i in range(5)]
VECTORS = [[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    """Five images; of all a score in a csv, of four a vector of a model that is not here."""
    box = Sandbox(tmp_path_factory.mktemp("brought") / "project")
    template.create(box.root)
    write_corpus(box.root / "photos", texts=1, images=5)
    lines = [f"{name},{i + 0.5},{'poor' if i < 3 else 'good'}" for i, name in enumerate(PICTURES)]
    (box.root / "scores.csv").write_text("\n".join(["uri,aesthetic,verdict", *lines, "gone.png,1,x"]) + "\n")
    table = pa.table({"file": [*PICTURES[:4], "note-000.txt"], "v": [*VECTORS, VECTORS[0]]})
    pq.write_table(table, box.root / "clip.parquet")
    box.sources(photos={"kind": "folder", "origin": "real", "path": "photos"})
    with box.settings() as sections:
        scores = {"path": "scores.csv", "source": "photos", "columns": ["aesthetic", "verdict"]}
        sections["tag"]["tables"] = {"scores": scores}
        clip = {"path": "clip.parquet", "source": "photos", "key": "file", "columns": ["v"]}
        sections["embed"]["image"] |= {"model": "their/clip", "compute": False, "tables": {"clip": clip}}
    box.first = box.gendata("run")
    return box


def test_a_run_tells_what_was_used(brought):
    assert "brought    5 of 6 rows of tag.scores (1 unmatched-key)" in brought.first.stdout
    assert "           4 of 5 rows of embed.image.clip (1 not-an-image)" in brought.first.stdout
    metrics = json.loads((brought.root / "artifacts/metrics/embed.json").read_text())
    assert (metrics["images"], metrics["brought"], metrics["without"]) == (4, {"image": 4}, {"image": 1})
    assert metrics["image"] == {"model": "their/clip", "dim": 3}
    rejected = brought.json("sql", "SELECT source, uri, stage, reason FROM rejected ORDER BY stage")
    assert [tuple(row.values()) for row in rejected] == [
        ("photos", "clip.parquet#5", "embed", "not-an-image"),
        ("photos", "scores.csv#6", "tag", "unmatched-key"),
    ]
    assert brought.json("doctor") == []
    stats = {(row["by"], row["value"]): row["items"] for row in brought.json("stats")}
    assert stats["rejected (tag)", "unmatched-key"] == 1


def test_what_is_brought_is_asked_for(brought):
    (row,) = brought.json("sql", "SELECT avg(brought.aesthetic) AS a, max(brought.verdict) AS v FROM items")
    assert row == {"a": 2.5, "v": "poor"}
    hits = brought.json("search", "drawing", "--where", "brought.aesthetic > 2 AND brought.verdict = 'good'")
    assert sorted(hit["uri"] for hit in hits) == PICTURES[3:]
    assert json.loads(brought.json("show", brought.root / "photos" / PICTURES[2])[0]["brought"]) == {
        "aesthetic": 2.5, "verdict": "poor",
    }  # fmt: skip


def test_vectors_of_a_model_that_is_not_here_are_compared_with_each_other_alone(brought):
    hits = brought.json("search", "--image", brought.root / "photos" / PICTURES[0], "-n", "4")
    assert [hit["uri"] for hit in hits][:2] == PICTURES[:2]
    assert hits[0]["score"] == pytest.approx(1)
    by_id = brought.json("search", "--image", hits[0]["id"][:12], "-n", "4")
    assert by_id == hits
    refused = brought.gendata("search", "--image", brought.root / "photos" / PICTURES[4], code=1)
    assert "embed.image.compute is off, so that their/clip cannot make one" in refused.stderr
    words = brought.gendata("search", "drawing", "--modality", "image")
    assert "or is not run (embed.image.compute: false)" in words.stderr


def test_an_edit_of_a_table_runs_its_stage_alone(brought):
    table = brought.root / "scores.csv"
    table.write_text(table.read_text().replace("0.5", "50"))
    ran = brought.gendata("run").stderr
    assert "running tag" in ran
    assert "running store" in ran
    assert not {"running ingest@photos", "running dedup", "running embed"} & set(ran.splitlines())
    assert brought.json("sql", "SELECT max(brought.aesthetic::INTEGER) AS a FROM items") == [{"a": 50}]


def test_what_is_brought_and_what_is_computed_are_of_one_model(brought, monkeypatch):
    """The image that is in no table is computed, by a model that makes other vectors, or the same."""
    monkeypatch.chdir(brought.root)
    monkeypatch.setattr(stage, "load_image_encoder", lambda *_: LayoutEncoder())  # no model of images and texts is here
    with brought.settings() as sections:
        sections["embed"]["image"]["compute"] = True
    at = brought.root / "artifacts"
    with pytest.raises(
        GendataError, match="their vectors have 3 numbers, those of their/clip 832: they are of another"
    ):
        embed.run(at / "ingest", at / "dedup", at / "elsewhere", at / "metrics/elsewhere.json")
    encoder, contents = LayoutEncoder(), [(brought.root / "photos" / name).read_bytes() for name in PICTURES]
    own = encoder.encode(contents)
    for vectors, cosine in ((np.roll(own, 7, axis=1), r"their cosine is -?0\.\d"), (own * 3, None)):
        table = pa.table({"file": PICTURES[:4], "v": vectors[:4].tolist()})
        pq.write_table(table, brought.root / "clip.parquet")
        if cosine:
            with pytest.raises(GendataError, match=cosine):
                embed.run(at / "ingest", at / "dedup", at / "elsewhere", at / "metrics/elsewhere.json")
            assert not (at / "elsewhere").exists()
    embed.run(at / "ingest", at / "dedup", at / "elsewhere", at / "metrics/elsewhere.json")
    metrics = files.read_json(at / "metrics/elsewhere.json")
    assert (metrics["images"], metrics["brought"], metrics["without"]) == (5, {"image": 4}, {"image": 0})
    rows = files.read_table(at / "elsewhere/photos/00000.parquet").to_pylist()
    found = [row["vector"] for row in rows if row["start"] is None]
    assert np.allclose(found, own[[0, 1, 2, 3, 4]], atol=1e-6)


@pytest.mark.parametrize(
    ("cls", "section", "message"),
    [
        (
            TagParams,
            {"tables": {"A b": {"path": "x.csv", "source": "s", "columns": ["n"]}}},
            "the name 'A b' must match",
        ),
        (
            TagParams,
            {"tables": {"a": {"path": "x.csv", "source": "s", "columns": []}}},
            "must name at least one column",
        ),
        (TagParams, {"tables": {"a": {"path": "x.csv", "columns": ["n"]}}}, "source is missing"),
        (TagParams, {"tables": {"a": {"path": "x.csv", "by": "name", "columns": ["n"]}}}, "one of uri, id"),
        (EmbedParams, {"image": {"tables": {"a": {"path": "x", "by": "id", "columns": ["n"]}}}}, "model must name it"),
        (
            EmbedParams,
            {"image": {"model": "m", "tables": {"a": {"path": "x", "by": "id", "columns": ["n", "m"]}}}},
            "a vector is in one column",
        ),
    ],
)
def test_settings_that_make_no_sense_are_told(cls, section, message):
    with pytest.raises(ParamsError, match=message):
        params.build(cls, section, "params.yaml: x")


def test_a_scan_without_tables_and_references_keeps_what_ingest_has_finished(brought, monkeypatch):
    monkeypatch.chdir(brought.root)
    kept = {path.name for path in (brought.root / ".gendata/cache/ingest").iterdir()}
    with brought.settings() as sections:
        sections["tag"]["tables"] = sections["embed"]["image"]["tables"] = {}
    scan.run(brought.root / "artifacts/scan")
    assert {path.name for path in (brought.root / ".gendata/cache/ingest").iterdir()} == kept == {"photos"}
