"""Questions about single items: dropped copies lead to the item that was kept; what is broken says so."""

import hashlib
import importlib
import io
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from gendata import files
from gendata.cli import cli
from gendata.errors import QueryError, StoreError
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, REJECT_SCHEMA, TAG_SCHEMA, VECTOR_SCHEMA, Item
from gendata.search.directory import directory
from gendata.search.hits import Found, look_up
from gendata.search.lookup import KEPT, Lookup
from gendata.store import StoreParams
from gendata.store.build import build
from gendata.store.head import Store
from gendata.store.rows import Artifacts


def png(shade):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


TWIN, OTHER, NEAR = b"some text\r\n", png(200), png(10)


def units():
    """(item, reason, index of the item that stays, score, group); index None: it stays itself."""
    image = {"modality": "image", "media_type": "image/png"}
    text = {"modality": "text", "media_type": "text/plain"}
    return [
        (Item(uri="a.png", data=png(11), file_sha256=sha(png(11)), **image), None, 0, None),
        (Item(uri="b.png", data=NEAR, file_sha256=sha(NEAR), **image), "near-image", 0, 0.96875),
        (Item(uri="c.txt", text="some text", file_sha256=sha(b"some text"), **text), None, 2, None),
        (Item(uri="d.txt", text="some text", file_sha256=sha(TWIN), label="note", **text), "exact", 2, 1.0),
        (Item(uri="e.png", data=OTHER, file_sha256=sha(OTHER), **image), None, 4, None),
        (Item(uri="f.txt", text="mixed origins", **text), None, 5, None),
    ]


def taken(id_):
    return {"label": {"value": "note", "id": id_, "source": "a", "uri": "d.txt"}}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose items a.png and e.png are of one group, and f.txt came with several origins."""
    root = tmp_path_factory.mktemp("lookup")
    base = root / "artifacts"
    listed = units()
    rows = [item.row("a", "real", None) for item, *_ in listed]
    decisions, tags = [], []
    for row, (_, reason, stays, score) in zip(rows, listed, strict=True):
        kept_id, group = rows[stays]["id"], rows[0 if stays == 4 else stays]["id"]
        decisions.append(
            dict.fromkeys(DECISION_SCHEMA.names)
            | {"id": row["id"], "source": "a", "uri": row["uri"], "kept": reason is None, "reason": reason}
            | {"kept_id": kept_id, "score": score, "group": group, "copies": 2 if stays in {0, 2} else 1}
            | {"conflict_id": {"f.txt": row["id"], "e.png": kept_id[::-1]}.get(row["uri"])}
            | {"merged": json.dumps(taken(row["id"])) if row["uri"] == "c.txt" else None}
        )
        if reason is None:
            tags.append({f.name: None for f in TAG_SCHEMA} | {"id": row["id"], "split": "train"})
    files.write_table(base / "ingest/a/items/00000.parquet", rows, ITEM_SCHEMA)
    files.write_table(base / "dedup/a/00000.parquet", decisions, DECISION_SCHEMA)
    files.write_table(base / "tag/a/00000.parquet", tags, TAG_SCHEMA)
    files.write_table(base / "embed/a/00000.parquet", [], VECTOR_SCHEMA)
    for stage in ("ingest", "embed"):
        files.write_table(base / stage / "a" / "rejected.parquet", [], REJECT_SCHEMA)
    source = {"kind": "folder", "origin": "real", "path": "a"}
    (root / "params.yaml").write_text(json.dumps({"gendata": {"version": 1}, "sources": {"a": source}}))
    artifacts = Artifacts(base / "ingest", base / "dedup", base / "tag", base / "embed", ("a",))
    build(artifacts, {"a": source}, base / "store", StoreParams())
    return root


@pytest.fixture
def store(project):
    return Store.open(project / "artifacts" / "store" / "real")


@pytest.fixture
def lookup(store):
    return Lookup({"real": store})


def run(project, *args):
    result = CliRunner().invoke(cli, ["--project", str(project), *map(str, args)], prog_name="gendata")
    assert result.exit_code == 0, result.output
    return result


def test_a_dropped_copy_leads_to_the_kept_item(lookup, tmp_path):
    kept = sha(png(11))
    (tmp_path / "near.png").write_bytes(NEAR)
    for key in (sha(NEAR), sha(NEAR)[:8], sha(NEAR)[:8].upper(), tmp_path / "near.png"):
        assert lookup.resolve(key) == kept
        assert lookup.dropped(key)["reason"] == "near-image"
    (tmp_path / "twin.txt").write_bytes(TWIN)  # the same text in other bytes: only its file is dropped
    assert lookup.resolve(tmp_path / "twin.txt") == sha(b"some text")
    assert lookup.dropped(tmp_path / "twin.txt")["uri"] == "d.txt"
    assert lookup.dropped(kept) is None
    assert lookup.dropped(sha(b"some text")) is None
    (tmp_path / "none").write_bytes(b"?")
    with pytest.raises(QueryError, match="no item with this content"):
        lookup.resolve(tmp_path / "none")


def test_duplicates_have_scores_and_name_what_was_kept_of_the_group(lookup):
    rows = {r["uri"]: r for r in lookup.duplicates()}
    assert set(rows) == {"b.png", "d.txt"}
    assert (rows["b.png"]["score"], rows["b.png"]["kept_uri"]) == (0.96875, "a.png")
    assert rows["d.txt"]["score"] == 1.0
    of_one = [(r["uri"], r["reason"], r["score"]) for r in lookup.duplicates(sha(png(11)))]
    assert of_one == [("b.png", "near-image", 0.96875), ("e.png", KEPT, None)]
    assert [(r["uri"], r["reason"]) for r in lookup.duplicates(sha(OTHER))] == [
        ("b.png", "near-image"),
        ("a.png", KEPT),
    ]
    assert len(lookup.duplicates(limit=1)) == 1


def test_contents_of_copies_come_from_the_shards(lookup):
    found = {key[1]: (data, kind) for key, data, kind in lookup.dropped_contents(lookup.duplicates())}
    assert found == {"b.png": (NEAR, "image/png"), "d.txt": (b"some text", "text/plain")}
    assert list(lookup.dropped_contents([{"source": "gone", "uri": "x", "id": "0"}])) == []


def test_commands_tell_of_the_copy(project):
    shown = run(project, "show", sha(NEAR))
    assert json.loads(shown.stdout)["id"] == sha(png(11))
    assert f"{sha(NEAR)} was dropped as a copy (near-image) of {sha(png(11))[:12]}" in shown.stderr
    assert "dropped" not in run(project, "show", sha(png(11))).stderr
    listed = run(project, "duplicates", sha(NEAR)[:9])
    assert "was dropped as a copy (near-image) of" in listed.stderr
    assert [json.loads(line)["uri"] for line in listed.stdout.splitlines()] == ["b.png", "e.png"]


def test_a_label_of_a_copy_counts_everywhere_and_is_told(project):
    shown = run(project, "show", sha(b"some text"))
    item = json.loads(shown.stdout)
    assert (item["uri"], item["label"], json.loads(item["merged"])) == ("c.txt", "note", taken(item["id"]))
    assert f"label is of the copy a: d.txt ({item['id'][:12]})" in shown.stderr
    assert "of the copy" not in run(project, "show", sha(OTHER)).stderr
    found = run(project, "sql", "SELECT uri FROM items WHERE label = 'note' AND merged->>'$.label.uri' = 'd.txt'")
    assert json.loads(found.stdout) == {"uri": "c.txt"}
    copies = run(project, "sql", "SELECT uri, label FROM rejected WHERE label IS NOT NULL")
    assert json.loads(copies.stdout) == {"uri": "d.txt", "label": "note"}


def test_conflicts_are_worded_by_kind(project):
    notes = run(project, "duplicates").stderr.splitlines()
    same, near = sha(b"mixed origins"), sha(OTHER)
    assert f"origin-conflict: {same[:12]} (real, a: f.txt) came with several origins; counted as real" in notes
    assert f"origin-conflict: {near[:12]} (real, a: e.png) nearly equals {near[::-1][:12]} of another origin" in notes


def test_the_page_shows_both_pictures_and_equal_content_once(project, tmp_path):
    run(project, "duplicates", "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    pictures = [part.split('"')[0] for part in page.split("base64,")[1:]]
    assert len(set(pictures)) == len(pictures) == 2
    assert page.count("some text") == 1
    assert page.count("a: b.png") == page.count("a: a.png") == 1


def test_a_cut_list_says_so(project, tmp_path, monkeypatch):
    module = importlib.import_module("gendata.cli.duplicates")  # the package has the command by that name
    assert "more copies" not in run(project, "duplicates").stderr
    monkeypatch.setattr(module, "PAGE_LIMIT", 1)
    result = run(project, "duplicates", "--html", tmp_path / "page.html")
    assert "first 1 of 2 pairs" in result.stderr
    assert (tmp_path / "page.html").read_text().count("<li>") == 1
    monkeypatch.setattr(module, "LIMIT", 1)
    result = run(project, "duplicates")
    assert len(result.stdout.splitlines()) == 1
    assert "first 1 of more copies" in result.stderr


def test_stats_as_a_table_show_the_stores_too(project):
    table = run(project, "stats", "--format", "table").stdout
    counts, storage = table.split("\n\n")
    assert "modality" in counts
    assert "versions" in storage
    assert "catalog" in storage
    rows = [json.loads(line) for line in run(project, "stats", "--format", "jsonl").stdout.splitlines()]
    assert all(set(row) == {"by", "value", "items"} for row in rows)
    assert "fragments" not in run(project, "stats", "--by", "source", "--format", "table").stdout


@pytest.mark.parametrize("junk", [b"junk " * 5000, b""], ids=["junk", "empty"])
def test_a_broken_catalog_names_the_repair(store, lookup, junk):
    good = store.catalog.read_bytes()
    store.catalog.write_bytes(junk)
    known = int(directory(store, "items").keys[0])
    found = Found(
        store="real", key=known, score=1.0, part=None, keyword_score=None, semantic_score=None, visual_score=None
    )
    try:
        for ask in (lookup.counts, lambda: lookup.resolve("abcd"), lambda: look_up({"real": store}, [found])):
            with pytest.raises(StoreError, match="gendata doctor --repair") as caught:
                ask()
            assert "\n" not in str(caught.value)
    finally:
        store.catalog.write_bytes(good)
