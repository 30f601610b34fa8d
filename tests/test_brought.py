"""Scores and vectors of the user, through the stages and the command line."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sandbox import Sandbox, write_corpus

from gendata import files, params, template
from gendata.embed import EmbedParams, TextEncoderParams, stage
from gendata.embed.image import LayoutEncoder
from gendata.embed.text import load_text_encoder
from gendata.errors import GendataError, ParamsError
from gendata.items import content_id
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


NOTES = {
    "river.txt": "The river freezes in January. Boats lie on the bank.",
    "bread.txt": "A loaf of rye bread keeps for a week.",
    "clock.txt": "The clock in the tower is slow. Nobody minds.",
    "glass.txt": "Glass is blown while it glows.",
}
SPANS = [("river.txt", 30, 52), ("river.txt", 0, 29), ("bread.txt", None, None), ("clock.txt", 0, 31)]


@pytest.fixture(scope="module")
def own():
    """What the model itself makes of the passages."""
    found = load_text_encoder(TextEncoderParams(), "cpu").encode([NOTES[uri][start:end] for uri, start, end in SPANS])
    return dict(zip(SPANS, found, strict=True))


def write_vectors(box, vectors):
    """A row per passage, given as (uri, start, end)."""
    columns = dict(zip(("uri", "start", "end"), map(list, zip(*vectors, strict=True)), strict=True))
    pq.write_table(pa.table(columns | {"v": [v.tolist() for v in vectors.values()]}), box.root / "v.parquet")


@pytest.fixture(scope="module")
def notes(tmp_path_factory, own):
    """Four texts, of one of which two passages are in a table, of one the whole, of one a part."""
    box = Sandbox(tmp_path_factory.mktemp("texts") / "project")
    template.create(box.root)
    (box.root / "notes").mkdir()
    for name, text in NOTES.items():
        (box.root / "notes" / name).write_text(text)
    write_vectors(box, {span: 3 * vector for span, vector in own.items()})
    box.sources(notes={"kind": "folder", "origin": "real", "path": "notes"})
    with box.settings() as sections:
        table = {"path": "v.parquet", "source": "notes", "columns": ["v", "start", "end"]}
        sections["embed"]["text"]["tables"] = {"minilm": table}
        sections["embed"]["device"] = "cpu"
    box.first = box.gendata("run")
    return box


PASSAGES = """SELECT uri, part, start, "end", p.text, vector FROM passages p JOIN passage_vectors USING (id, part)
JOIN items USING (id) ORDER BY uri, part"""


def test_vectors_of_texts_are_stored_as_they_are_brought_and_the_rest_is_computed(notes, own):
    assert "brought    4 of 4 rows of embed.text.minilm" in notes.first.stdout
    metrics = json.loads((notes.root / "artifacts/metrics/embed.json").read_text())
    assert (metrics["passages"], metrics["brought"], metrics["without"]) == (5, {"text": 3}, {"text": 0})
    rows = notes.json("sql", PASSAGES)
    assert [(row["uri"], row["part"], row["text"]) for row in rows] == [
        ("bread.txt", 0, NOTES["bread.txt"]),
        ("clock.txt", 0, "The clock in the tower is slow."),
        ("glass.txt", 0, NOTES["glass.txt"]),
        ("river.txt", 0, "The river freezes in January."),
        ("river.txt", 1, "Boats lie on the bank."),
    ]
    stored = [np.float32(row["vector"]) for row in rows]
    for at, span in ((0, SPANS[2]), (1, SPANS[3]), (3, SPANS[1]), (4, SPANS[0])):
        scaled = np.float64(np.float32(3) * own[span])
        scaled /= np.abs(scaled).max()
        np.testing.assert_array_equal(stored[at], np.float32(scaled / np.linalg.norm(scaled)))
    computed = load_text_encoder(TextEncoderParams(), "cpu").encode([NOTES["glass.txt"]])[0]
    np.testing.assert_array_equal(stored[2], computed)
    assert notes.json("doctor") == []
    (hit,) = notes.json("search", "a frozen stream", "--mode", "semantic", "-n", "1")
    assert (hit["uri"], hit["start"], hit["end"]) == ("river.txt", 0, 29)


def test_the_bytes_do_not_depend_on_the_cache(notes, monkeypatch):
    monkeypatch.chdir(notes.root)
    at = notes.root / "artifacts"
    shard = (at / "embed/notes/00000.parquet").read_bytes()
    shutil.rmtree(notes.root / ".gendata/cache/embed")
    embed.run(at / "ingest", at / "dedup", at / "elsewhere", at / "metrics/elsewhere.json")
    assert (at / "elsewhere/notes/00000.parquet").read_bytes() == shard
    with notes.settings() as sections:
        tables, sections["embed"]["text"]["tables"] = sections["embed"]["text"]["tables"], {}
    embed.run(
        at / "ingest", at / "dedup", at / "elsewhere", at / "metrics/elsewhere.json"
    )  # none of the cache is theirs
    found = files.read_table(at / "elsewhere/notes/00000.parquet").to_pylist()
    with notes.settings() as sections:
        sections["embed"]["text"]["tables"] = tables
    model = load_text_encoder(TextEncoderParams(), "cpu")
    by_id = {content_id(text): text for text in NOTES.values()}
    assert len(found) == 4
    for row in found:
        np.testing.assert_array_equal(np.float32(row["vector"]), model.encode([by_id[row["id"]]])[0])


@pytest.mark.parametrize(
    ("turned", "message"),
    [
        (lambda vector: np.roll(vector, 7), r"embed\.text\.tables: .* their cosine is -?0\.\d"),
        (
            lambda vector: vector[:100],
            "have 100 numbers, those of all-MiniLM-L6-v2 384: they are of another model",
        ),
    ],
)
def test_vectors_of_texts_by_another_model_are_refused(notes, own, monkeypatch, turned, message):
    """Though all texts are in the table: queries are of the model."""
    monkeypatch.chdir(notes.root)
    at, table = notes.root / "artifacts", (notes.root / "v.parquet").read_bytes()
    vectors = own | {("glass.txt", None, None): own[SPANS[0]]}
    write_vectors(notes, {span: turned(vector) for span, vector in vectors.items()})
    with pytest.raises(GendataError, match=message):
        embed.run(at / "ingest", at / "dedup", at / "other", at / "metrics/other.json")
    assert not (at / "other").exists()
    shutil.rmtree(".gendata/work/project-artifacts-other")
    (notes.root / "v.parquet").write_bytes(table)


def test_texts_without_a_model_are_found_by_words(notes, own):
    """And an edited table runs its stage and what comes after alone."""
    write_vectors(notes, own)
    with notes.settings() as sections:
        sections["embed"]["text"] |= {"compute": False, "model": "their/model"}
    ran = set(notes.gendata("run").stderr.splitlines())
    assert {"running embed", "running similar", "running store"} <= ran
    assert not {"running ingest@notes", "running dedup", "running tag"} & ran
    metrics = json.loads((notes.root / "artifacts/metrics/embed.json").read_text())
    assert (metrics["passages"], metrics["brought"], metrics["without"]) == (4, {"text": 3}, {"text": 1})
    assert metrics["text"] == {"model": "their/model", "dim": 384}
    said = notes.gendata("search", "glass", "--format", "json")
    assert "no text encoder is run (embed.text.compute: false): ranked by words alone" in said.stderr
    (hit,) = json.loads(said.stdout)
    assert (hit["uri"], hit["text"], hit["start"]) == ("glass.txt", NOTES["glass.txt"], None)
    assert [hit["uri"] for hit in notes.json("search", "glass", "--mode", "keyword")] == ["glass.txt"]
    refused = notes.gendata("search", "glass", "--mode", "semantic", code=1)
    assert "semantic search needs the text encoder and its vectors: no text encoder is run" in refused.stderr
    assert notes.json("doctor") == []
    with notes.settings() as sections:
        sections["embed"]["text"]["tables"] = {}
    notes.gendata("run")
    assert {hit["uri"] for hit in notes.json("search", "the")} <= set(NOTES)
    assert [hit["uri"] for hit in notes.json("search", "clock")] == ["clock.txt"]
    assert [hit["uri"] for hit in notes.json("search", "rye", "--mode", "keyword")] == ["bread.txt"]
    assert notes.json("sql", "SELECT count(*) AS n FROM passages") == [{"n": 0}]


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
            "a vector is in one column$",
        ),
        (
            EmbedParams,
            {"text": {"tables": {"a": {"path": "x", "by": "id", "columns": ["v", "start"]}}}},
            "a vector is in one column, with those of start and end after it for passages",
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
