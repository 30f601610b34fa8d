"""What changed between versions: git revisions through DVC's cache, stores, and what is there now."""

import json
import shutil
import subprocess

import duckdb
import pyarrow.parquet as pq
import pytest
from sandbox import CORPUS, Sandbox, write_corpus


def git(box, *args):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *args], cwd=box.root, check=True, capture_output=True)


@pytest.fixture(scope="module")
def versions(built, tmp_path_factory):
    """A project with two commits: notes added, removed and moved, a caption changed, then labels and licence."""
    shutil.copytree(built.root, root := tmp_path_factory.mktemp("history") / "project", symlinks=True)
    box, folder = Sandbox(root), root / "corpus"
    rows = [{"t": f"row {i} of a table", "l": "x"} for i in range(5)]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = {"kind": "table", "path": "rows.jsonl", "origin": "real", "map": {"text": "t", "label": "l"}}
    box.sources(corpus=CORPUS, rows=table)
    box.gendata("run")
    git(box, "init", "-q")
    git(box, "add", "params.yaml", "dvc.lock", "dvc.yaml")
    git(box, "commit", "-q", "-m", "first")
    (folder / "note-000.txt").unlink()
    (folder / "note-001.txt").rename(folder / "moved.txt")
    write_corpus(folder, texts=2, images=0, start=50)
    (folder / "picture-000.caption").write_text("quite another and longer caption of this picture")
    rows[3]["l"] = "y"
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    box.sources(corpus=CORPUS, rows=table | {"license": "MIT"})
    box.gendata("run")
    git(box, "commit", "-q", "-a", "-m", "second")
    return box


def by_kind(rows):
    return {(row["change"], row["source"]): row["items"] for row in rows}


EXPECTED = {
    ("added", "corpus"): 2,
    ("removed", "corpus"): 1,
    ("moved", "corpus"): 1,
    ("relabelled", "rows"): 1,
    ("relicensed", "rows"): 5,
    ("retagged", "corpus"): 1,
}


def test_changes_between_commits_are_counted_by_kind_and_source(versions):
    rows = versions.json("diff", "HEAD~1", "HEAD")
    counts = by_kind(rows)
    assert {key: n for key, n in counts.items() if key[0] != "retagged"} == {
        key: n for key, n in EXPECTED.items() if key[0] != "retagged"
    }
    examples = {row["change"]: row["examples"] for row in rows if row["source"] == "corpus"}
    assert examples["added"] == ["note-050.txt", "note-051.txt"]
    assert examples["removed"] == ["note-000.txt"]
    assert examples["moved"] == ["moved.txt"]


def test_now_is_the_last_commit_here_and_the_other_way_round_is_the_inverse(versions):
    there = by_kind(versions.json("diff", "HEAD~1"))
    assert there == by_kind(versions.json("diff", "HEAD~1", "HEAD"))
    back = by_kind(versions.json("diff", "HEAD", "HEAD~1"))
    assert (back["added", "corpus"], back["removed", "corpus"]) == (1, 2)
    same = versions.gendata("diff", "HEAD")
    assert same.stdout == ""
    assert "nothing changed" in same.stderr


def test_every_changed_item_is_listed_with_both_sides(versions):
    rows = {row["uri"]: row for row in versions.json("diff", "HEAD~1", "--items")}
    assert rows["note-050.txt"]["change"] == "added"
    assert rows["rows.jsonl#4"]["change"] == "relabelled, relicensed"
    assert rows["rows.jsonl#4"]["before"] == {"label": "x", "license": None}
    assert rows["rows.jsonl#4"]["after"] == {"label": "y", "license": "MIT"}
    assert versions.json("sql", "SELECT uri FROM items WHERE label = 'y'") == [{"uri": "rows.jsonl#4"}]
    assert rows["moved.txt"]["before"]["uri"] == "note-001.txt"
    assert "note-010.txt" not in rows


def test_stores_of_two_projects_are_compared(versions, built):
    there = built.root / "artifacts/store/real/store.json"
    rows = versions.json("diff", there, versions.root / "artifacts/store/real/store.json")
    assert by_kind(rows)["added", "rows"] == 5
    assert by_kind(rows)["removed", "corpus"] == 1


def test_a_store_json_alone_and_that_of_an_empty_store(versions, tmp_path):
    store = versions.root / "artifacts/store/real"
    for content in (store / "store.json").read_text(), "{}":
        (tmp_path / "store.json").write_text(content)
        result = versions.gendata("diff", tmp_path / "store.json", code=1)
        assert "its databases are not beside it" in result.stderr
    (tmp_path / "store.json").write_text('{"items": 0}')
    rows = versions.json("diff", tmp_path / "store.json", store / "store.json")
    assert {row["change"] for row in rows} == {"added"}


def test_the_history_of_an_item(versions):
    (gone,) = (r for r in versions.json("diff", "HEAD~1", "--items") if r["change"] == "removed")
    assert [(r["subject"], r["change"]) for r in versions.json("show", gone["id"], "--history")] == [
        ("first", "added"),
        ("second", "removed"),
    ]
    (moved,) = (r for r in versions.json("diff", "HEAD~1", "--items") if r["uri"] == "moved.txt")
    steps = versions.json("show", moved["id"][:12], "--history")
    assert [r["change"] for r in steps] == ["added", "changed"]
    assert steps[1]["after"]["uri"] == "moved.txt"


@pytest.mark.parametrize("version", ["no-such-branch", "--all", "HEAD~9", ""])
def test_what_is_no_version_is_one_line(versions, version):
    result = versions.gendata("diff", "--", version, code=1)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")


def test_a_commit_from_before_the_first_run_is_said(sandbox):
    git(sandbox, "init", "-q")
    git(sandbox, "add", "params.yaml")
    git(sandbox, "commit", "-q", "-m", "nothing has run")
    said = sandbox.gendata("diff", "HEAD", code=1).stderr
    assert said == "error: HEAD holds no dvc.lock: a version is a commit of it after a run\n"


def test_data_that_the_cache_lost_is_said(versions, tmp_path):
    shutil.copytree(versions.root, tmp_path / "project", symlinks=True)
    box = Sandbox(tmp_path / "project")
    shutil.rmtree(box.root / ".dvc" / "cache")
    assert "cache here does not hold its data" in box.gendata("diff", "HEAD~1", code=1).stderr


def test_a_version_without_a_column_that_came_later(project):
    """Tags, and a store elsewhere, of before there was audio."""
    for path in project.root.glob("artifacts/tag/**/*.parquet"):
        before = pq.read_table(path).drop_columns(["sample_rate", "channels", "duration"])
        path.unlink()
        pq.write_table(before, path)
    shutil.copytree(project.root / "artifacts/store/real", store := project.root / "of-before")
    (catalog,) = store.glob("catalog-*.duckdb")
    with duckdb.connect(catalog) as connection:
        connection.execute("DROP INDEX item_ids")
        for name in ("sample_rate", "channels", "duration"):
            connection.execute(f"ALTER TABLE items DROP COLUMN {name}")
    assert project.json("diff", "of-before/store.json", "now") == []
    assert project.json("diff", "now", "of-before/store.json") == []
