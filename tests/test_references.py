"""dedup.against through the stages: scan lists references, dedup bars what matches, a change is seen."""

import json
import shutil

import pytest

from gendata import files, params
from gendata.dedup import DedupParams
from gendata.errors import ParamsError
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
    assert counts == {"tests": {"items": 1, "matched": 1, "by_file": {"tests.jsonl": 1}}}
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
