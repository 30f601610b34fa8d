"""dedup.against through the stages: scan lists references, dedup bars what matches, a change is seen."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gendata import files, params
from gendata.dedup import DedupParams
from gendata.errors import ParamsError, ProjectError
from pipelines import dedup, ingest, scan

LINE = "the quick brown fox jumps over the lazy dog and runs away from the angry farmer"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "quote.txt").write_text(f"As they say: {LINE.upper()}.")
    (tmp_path / "pages" / "other.txt").write_text("nothing that any test would ask")
    (tmp_path / "tests.jsonl").write_text(json.dumps({"text": LINE}) + "\n")

    def write(against):
        sources = {"pages": {"kind": "folder", "origin": "real", "path": "pages"}}
        sections = {"gendata": {"version": 1}, "sources": sources, "dedup": {"against": against}}
        (tmp_path / "params.yaml").write_text(json.dumps(sections))
        return tmp_path

    return write


def run(root):
    at = root / "artifacts"
    scan.run(at / "scan")
    ingest.run("pages", at / "scan/pages.parquet", at / "ingest/pages", at / "metrics/ingest/pages.json")
    reports = [at / "reports" / f"dedup.{kind}" for kind in ("json", "html")]
    dedup.run(at / "ingest", at / "scan/against", at / "dedup", *reports, at / "metrics/dedup.json")
    rows = files.read_table(at / "dedup/pages/00000.parquet").to_pylist()
    return {row["uri"]: row["reason"] for row in rows}, files.read_json(at / "metrics/dedup.json")["against"]


def test_what_shares_words_is_dropped_and_the_page_tells(project):
    root = project({"tests": {"path": "tests.jsonl", "ngram": 13}})
    decided, counts = run(root)
    assert decided == {"other.txt": None, "quote.txt": "reference"}
    nothing = {"rejected": 0, "rejected_in": [], "captions_left_out": {"reference": 0, "items": 0}, "unpaired": 0}
    assert counts == {"tests": {"items": 1, "matched": 1, "by_file": {"tests.jsonl": 1}} | nothing}
    assert "Matches of references" in (root / "artifacts/reports/dedup.html").read_text()
    listing = (root / "artifacts/scan/against/tests.parquet").read_bytes()
    (root / "tests.jsonl").write_text(json.dumps({"text": "other words"}) + "\n")
    decided, _ = run(root)
    assert decided == {"other.txt": None, "quote.txt": None}
    assert (root / "artifacts/scan/against/tests.parquet").read_bytes() != listing


def test_another_project_is_a_reference(project, tmp_path):
    root = project({})
    assert run(root)[0] == {"other.txt": None, "quote.txt": None}
    other = tmp_path / "older"
    shutil.copytree(root / "artifacts", other / "artifacts")
    shutil.copy(root / "params.yaml", other)
    (root / "pages" / "new.txt").write_text("a page that the older project has not")
    project({"older": "older"})
    decided, counts = run(root)
    assert decided == {"new.txt": None, "other.txt": "reference", "quote.txt": "reference"}
    assert counts["older"]["matched"] == counts["older"]["items"] == 2


def test_every_table_of_a_folder_is_read_and_what_is_not_is_named(project):
    root = project({"evals": {"path": "evals", "ngram": 8}})
    (root / "evals" / "deep").mkdir(parents=True)
    (root / "evals" / "a.jsonl").write_text(json.dumps({"question": "Who jumps?", "answer": LINE}) + "\n")
    (root / "evals" / "deep" / "a.JSONL").write_text(json.dumps({"text": LINE}) + "\n")
    (root / "evals" / "deep" / "b.csv").write_text(f"text\nother words\n{LINE}\n")
    (root / "evals" / "deep" / "c.ndjson").write_text(json.dumps({"text": "more of that"}) + "\nno JSON\n")
    (root / "evals" / "deep" / "d.txt").write_text("a text as before")
    pq.write_table(pa.table({"prompt": ["Say it."], "reply": [LINE]}), root / "evals" / "e.parquet")
    (root / "evals" / "f.json").write_text(json.dumps([{"text": LINE}]))
    (root / "evals" / "g.csv").write_text("x,y\n1,2\n")
    decided, counts = run(root)
    found = counts["evals"]
    assert decided == {"other.txt": None, "quote.txt": "reference"}
    assert (found["items"], found["matched"], found["rejected"]) == (9, 1, 1)
    assert sorted(found["by_file"]) == ["a.jsonl", "deep/a.JSONL", "deep/b.csv", "e.parquet", "f.json"]
    assert {(one["file"], one["reason"], one["units"]) for one in found["rejected_in"]} == {
        ("deep/c.ndjson", "invalid-json", 1),
    }
    page = (root / "artifacts/reports/dedup.html").read_text()
    assert "Not read of references" in page
    assert "invalid-json" in page
    listing = (root / "artifacts/scan/against/evals.parquet").read_bytes()
    (root / "evals" / "deep" / "b.csv").write_text("text\nother words alone\n")
    assert "deep/b.csv" not in run(root)[1]["evals"]["by_file"]
    assert (root / "artifacts/scan/against/evals.parquet").read_bytes() != listing


def test_another_project_must_have_been_run(project, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "words.txt").write_text(LINE)
    root = project({"other": "other"})
    sources = {"pages": {"kind": "folder", "origin": "real", "path": "."}}
    (other / "params.yaml").write_text(json.dumps({"gendata": {"version": 1}, "sources": sources}))
    with pytest.raises(ProjectError, match=f"source pages of the project {other} was not read yet: run `gendata run`"):
        scan.run(root / "artifacts/scan")
    (other / "params.yaml").write_text(json.dumps({"gendata": {"version": 1}}))
    with pytest.raises(ProjectError, match=f"the project {other} has no sources"):
        scan.run(root / "artifacts/scan")
    (other / "params.yaml").write_text(json.dumps({"lr": 1}))  # somebody else's: a folder like any other
    assert run(root)[0]["quote.txt"] == "reference"


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ({"tests": "gone.jsonl"}, "reference tests: gone.jsonl not found"),
        ({"A b": "tests.jsonl"}, "against: the name 'A b' must match"),
        ({"tests": {"path": "tests.jsonl", "ngram": 0}}, "ngram must be from 1 to 100"),
        ({"tests": {"file": "tests.jsonl"}}, "against.tests: unknown key 'file'"),
        ({"tests": 3}, "against.tests: must be"),
    ],
)
def test_what_cannot_be_a_reference(project, against, message):
    root = project(against)
    with pytest.raises(ParamsError) as error:
        scan.run(root / "artifacts/scan")
    assert message in str(error.value)


def test_a_path_alone_is_a_reference(project):
    root = project({"tests": "tests.jsonl"})
    assert params.load(root / "params.yaml", "dedup", DedupParams).against == {"tests": "tests.jsonl"}
    assert run(root)[0] == {"other.txt": None, "quote.txt": "reference"}  # 12 of 15 shingles: near
