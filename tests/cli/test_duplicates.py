"""gendata duplicates over stores built from what dedup decided: summary, filters, contradictions, the page."""

import json

import pytest
from click.testing import CliRunner

from gendata import files
from gendata.cli import cli
from gendata.dedup import DedupParams, dedup
from gendata.items import ITEM_SCHEMA, REJECT_SCHEMA, TAG_SCHEMA, VECTOR_SCHEMA, Item, content_id
from gendata.store import StoreParams
from gendata.store.build import build
from gendata.store.rows import Artifacts

LINE = "the quick brown fox jumps over the lazy dog and runs away from the angry farmer with his stick"


def text(uri, content, **known):
    return Item(modality="text", uri=uri, media_type="text/plain", text=content, **known)


SOURCES = {
    "books": [
        text("whole", LINE + " <b>today", license="CC0"),
        text("equal", "equal text", license="CC0", meta={"page": 1}),
        text("mixed", "of two origins"),
        text("near", "a generated line that was copied almost word for word by someone who did not say so"),
    ],
    "web": [
        text("part", LINE, label="fox"),
        text("twin", "equal text", label="a", license="MIT", meta={"topic": "q", "a b": "x"}),
        text(
            "twin2",
            "equal text",
            label="b",
            license="MIT",
            source_split="test",
            meta={"page": 2, "topic": "q", "a b": [1]},
        ),
        text("mixed", "of two origins", origin="generated"),
        text(
            "like",
            "a generated line that was copied almost word for word by someone who did not say so today",
            origin="generated",
        ),
    ],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("copies")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        base = root / "artifacts"
        for name, items in SOURCES.items():
            rows = [item.row(name, "real", None) for item in items]
            files.write_table(base / f"ingest/{name}/items/00000.parquet", rows, ITEM_SCHEMA)
            for stage in ("ingest", "embed"):
                files.write_table(base / stage / name / "rejected.parquet", [], REJECT_SCHEMA)
        dedup(base / "ingest", dict.fromkeys(SOURCES, True), base / "dedup", DedupParams(workers=1, prefer=("books",)))
        for name in SOURCES:
            decided = files.read_table(base / f"dedup/{name}/00000.parquet").to_pylist()
            tags = [
                {f.name: None for f in TAG_SCHEMA} | {"id": r["id"], "split": "train"} for r in decided if r["kept"]
            ]
            files.write_table(base / f"tag/{name}/00000.parquet", tags, TAG_SCHEMA)
            files.write_table(base / f"embed/{name}/00000.parquet", [], VECTOR_SCHEMA)
        sources = {name: {"kind": "folder", "origin": "real", "path": name} for name in SOURCES}
        (root / "params.yaml").write_text(json.dumps({"gendata": {"version": 1}, "sources": sources}))
        parts = Artifacts(*(base / part for part in ("ingest", "dedup", "tag", "embed")), tuple(SOURCES))
        build(parts, sources, base / "store", StoreParams())
    return root


def run(project, *args, code=0):
    result = CliRunner().invoke(cli, ["--project", str(project), *map(str, args)], prog_name="gendata")
    assert result.exit_code == code, result.output
    return result


def listed(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_without_arguments_a_summary_and_the_copies(project):
    result = run(project, "duplicates")
    assert result.stderr.splitlines()[:4] == [
        "4 dropped: 2 exact, 1 origin-conflict, 1 near-text",
        "  web: 3 (60.00% of it) for a copy in books",
        "  books: 1 (25.00% of it) for a copy in web",
        "items with copies that contradict: 1 by label, 1 by license, 1 by meta, 2 by origin, 1 by split; "
        "list them with `gendata duplicates --conflicts`",
    ]
    assert {(r["source"], r["uri"]) for r in listed(result)} == {
        ("web", "part"),
        ("web", "twin"),
        ("web", "twin2"),
        ("books", "mixed"),
    }


def test_filters(project):
    assert [r["uri"] for r in listed(run(project, "duplicates", "--reason", "near-text"))] == ["part"]
    assert [r["uri"] for r in listed(run(project, "duplicates", "--source", "books"))] == ["mixed"]
    both = run(project, "duplicates", "--source", "books", "--reason", "exact")
    assert (both.stdout, both.stderr) == ("", "no such copies\n")
    assert "no source 'film'; there are books, web" in run(project, "duplicates", "--source", "film", code=1).stderr
    assert "is none of exact" in run(project, "duplicates", "--reason", "same", code=2).stderr
    assert "no other option" in run(project, "duplicates", "--conflicts", "--source", "web", code=2).stderr


def test_contradictions_as_rows(project):
    result = run(project, "duplicates", "--conflicts")
    assert result.stderr == ""
    found = [(r["conflict"], r["kept_uri"], r["kept_value"], r["uri"], r["value"]) for r in listed(result)]
    assert sorted(found, key=str) == sorted(
        [
            ("label", "equal", None, "twin", "a"),
            ("label", "equal", None, "twin2", "b"),
            ("license", "equal", "CC0", "twin", "MIT"),
            ("meta", "equal", "1", "twin2", "2"),
            ("meta", "equal", None, "twin", '"x"'),
            ("meta", "equal", None, "twin2", "[1]"),
            ("split", "equal", "train", "twin2", "test"),
            ("origin", "mixed", "generated", "mixed", "real"),
            ("origin", "like", "generated", "near", "real"),
        ],
        key=str,
    )
    assert [r["key"] for r in listed(result) if r["conflict"] == "meta"] == ["a b", "a b", "page"]


def test_a_label_that_copies_agree_on_is_the_items(project):
    whole = json.loads(run(project, "sql", "SELECT label, license FROM items WHERE uri = 'whole'").stdout)
    assert whole == {"label": "fox", "license": "CC0"}
    equal = json.loads(run(project, "sql", "SELECT label, meta->>'$.topic' AS t FROM items WHERE uri = 'equal'").stdout)
    assert equal == {"label": None, "t": "q"}
    assert "meta 'topic' is of the copy web: twin" in run(project, "show", content_id("equal text")).stderr


def test_the_page_marks_what_differs(project, tmp_path):
    run(project, "duplicates", "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<del> &lt;b&gt;today</del>" in page
    assert page.count("equal text") == 2  # once for each of two pairs


def trees(root):
    """All files of a project but its caches."""
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and ".gendata" not in path.parts)
    return {path: path.read_bytes() for path in paths}


def test_new_files_are_looked_for_in_the_project(project, tmp_path):
    before, new = trees(project), tmp_path / "new"
    new.mkdir()
    (new / "shout.txt").write_text(LINE.upper())
    (new / "twice.txt").write_text("something that the project has no word of, twice")
    (new / "again.txt").write_text("Something that the project has no word of: twice!")
    (new / "odd.txt").write_bytes(b"\xff\xfe\x00")
    result = run(project, "duplicates", new)
    found = {row["uri"]: row for row in listed(result)}
    assert (found["shout.txt"]["match"], found["shout.txt"]["score"]) == ("normalised", 1.0)
    assert (found["shout.txt"]["reference"], found["shout.txt"]["kept_uri"]) == ("web", "part")
    assert len(found) == 2
    (copy,) = (row for row in found.values() if row["uri"] != "shout.txt")
    assert copy["reference"] is None
    assert {copy["uri"], copy["kept_uri"]} == {"twice.txt", "again.txt"}
    assert f"  1 in {new} itself" in result.stderr.splitlines()
    assert "could not be read" in result.stderr
    assert listed(run(project, "duplicates", new / "twice.txt")) == []
    assert trees(project) == before


def test_the_project_is_looked_for_in_files(project, tmp_path, monkeypatch):
    before, tests = trees(project), tmp_path / "tests.jsonl"
    monkeypatch.chdir(tmp_path)
    tests.write_text(json.dumps({"text": "who jumps? jumps over the lazy dog and runs away from the"}) + "\n")
    result = run(project, "duplicates", "--against", "tests.jsonl", "--ngram", "8")
    assert {row["uri"] for row in listed(result)} == {"whole", "part"}
    assert {(row["match"], row["kept_uri"]) for row in listed(result)} == {("ngram", "tests.jsonl#1")}
    assert result.stderr.splitlines()[-1] == "  2 in tests: tests.jsonl"
    assert listed(run(project, "duplicates", "--against", "tests.jsonl", "--ngram", "13")) == []
    assert listed(run(project, "duplicates", "--against", "tests.jsonl")) == []
    assert {row["uri"] for row in listed(run(project, "duplicates", "--against", project))} >= {"whole", "twin"}
    assert (trees(project), sorted(tmp_path.iterdir())) == (before, [tests])


def test_a_check_names_what_is_wrong(project, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "does not exist" in run(project, "duplicates", "--against", tmp_path / "gone", code=2).stderr
    assert "nothing in" in run(project, "duplicates", "--against", tmp_path / "empty", code=1).stderr
    assert "goes with" in run(project, "duplicates", "--against", tmp_path, "--conflicts", code=2).stderr
    assert "no such file" in run(project, "duplicates", "3f2a9c12", "--ngram", "13", code=2).stderr
    for option in (("--ngram", 13), ("--map", "text=t")):  # the project would match itself
        assert "go with --against or a FILE" in run(project, "duplicates", *option, code=2).stderr
    (tmp_path / "blob.bin").write_bytes(b"\x00")
    (tmp_path / "blank.txt").write_text(" ")
    for name, why in (("empty", "no file"), ("blob.bin", "unsupported-type"), ("blank.txt", "1 empty")):
        assert run(project, "duplicates", tmp_path / name, code=1).stderr.endswith(f"could be read: {why}\n")


def test_a_check_of_files_needs_no_source_of_the_project(project, tmp_path):
    """Which ``prefer`` names: they are not among the files."""
    new, at = tmp_path / "new.txt", project / "params.yaml"
    new.write_text(LINE.upper())
    before = at.read_text()
    try:
        at.write_text(json.dumps({**json.loads(before), "dedup": {"prefer": ["web"]}}))
        (row,) = listed(run(project, "duplicates", new))
    finally:
        at.write_text(before)
    assert (row["match"], row["kept_uri"]) == ("normalised", "part")


@pytest.mark.parametrize("name", ["new[1].txt", "{a,b}.txt", ".new.txt"])
def test_a_file_is_read_and_no_other_of_its_name(project, tmp_path, name):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_text("equal text")
    (tmp_path / name).write_text(LINE.upper())
    (row,) = listed(run(project, "duplicates", tmp_path / name))
    assert (row["match"], row["kept_uri"]) == ("normalised", "part")
    assert {row["uri"] for row in listed(run(project, "duplicates", "--against", tmp_path / name))} == {"part", "whole"}


def test_a_table_is_looked_for_whatever_of_it_are_items(project, tmp_path):
    for name in ("rows.json", "rows.tsv"):
        (tmp_path / name).write_text(json.dumps([{"text": LINE}]) if name == "rows.json" else f"text\n{LINE}\n")
        (row,) = listed(run(project, "duplicates", tmp_path / name))
        assert (row["match"], row["uri"], row["kept_uri"]) == ("exact", f"{name}#1", "part")


def test_rows_without_a_text_are_no_all_clear(project, tmp_path):
    table = tmp_path / "evals.jsonl"
    table.write_text(json.dumps({"body": LINE, "key": 1}) + "\n")
    for args in ((table,), ("--against", table)):
        result = run(project, "duplicates", *args)
        assert listed(result) == []
        assert "1 records of" in result.stderr
        assert "compared by equal content alone" in result.stderr
        mapped = run(project, "duplicates", *args, "--map", "text=body")
        assert {row["match"] for row in listed(mapped)} >= {"exact"}
        assert "equal content alone" not in mapped.stderr
    assert listed(run(project, "duplicates", "--against", table, "--ngram", 13))
    assert "--map takes" in run(project, "duplicates", table, "--map", "text", code=1).stderr


def test_what_could_not_be_read_is_named(project, tmp_path):
    evals = tmp_path / "evals"
    evals.mkdir()
    rows = [{"question": "how many?", "answer": [number]} for number in range(10)] + [{"question": "a", "answer": 1}]
    (evals / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (evals / "old.json").write_text("[{")
    said = run(project, "duplicates", "--against", evals).stderr
    assert said.startswith("0 of 9 items of the project match")
    assert "11 units of evals could not be read and were not compared:" in said
    assert "  10 in sums.jsonl: invalid-row\n  1 in old.json: invalid-json" in said
    said = run(project, "duplicates", evals, "--ngram", 8).stderr
    assert "0 of 1 items of" in said
    assert "  10 in sums.jsonl: invalid-row" in said
    (evals / "sums.jsonl").unlink()
    for args in (("duplicates", evals), ("duplicates", "--against", evals)):
        assert "nothing in" in run(project, *args, code=1).stderr


def test_a_table_in_a_folder_is_looked_for(project, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "rows.csv").write_text(f"text\n{LINE}\nnew words\n")
    (row,) = listed(run(project, "duplicates", tmp_path / "new"))
    assert (row["match"], row["uri"], row["kept_uri"]) == ("exact", "rows.csv#1", "part")


def test_an_item_that_is_in_two_files_counts_for_both(project, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"{name} {LINE}"}) + "\n")
    said = run(project, "duplicates", "--against", tmp_path, "--ngram", 8).stderr.splitlines()
    assert [line.rpartition(": ")[2] for line in said if line.startswith("  2 in")] == ["a.jsonl", "b.jsonl"]


def test_a_project_that_was_not_run_is_no_all_clear(project, tmp_path):
    (tmp_path / "new.txt").write_text(LINE)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    sources = {"pages": {"kind": "folder", "origin": "real", "path": "pages"}}
    (fresh / "params.yaml").write_text(json.dumps({"gendata": {"version": 1}, "sources": sources}))
    new = tmp_path / "new.txt"
    for args in (("--against", new), (new, "--ngram", 13), ("--against", fresh), ("--against", fresh, "--ngram", 8)):
        said = run(fresh, "duplicates", *args, code=1).stderr
        assert said == f"error: source pages of the project {fresh} was not read yet: run `gendata run` there\n"
    assert "pages" in run(project, "duplicates", "--against", fresh, code=1).stderr
    (same,) = listed(run(fresh, "duplicates", new, "--against", new))  # files with files: no project takes part
    assert same["match"] == "exact"


def test_a_file_that_is_an_item_is_named(project, tmp_path):
    whole = tmp_path / "whole.txt"
    whole.write_text(SOURCES["books"][0].text)
    result = run(project, "duplicates", whole, "--format", "json")
    item_id = content_id(SOURCES["books"][0].text)
    assert result.stderr == f"{whole} is item {item_id[:12]} of source books, whole\n"
    itself, copy = json.loads(result.stdout)
    assert (itself["reason"], itself["uri"], itself["kept_id"]) == ("is the item", str(whole), item_id)
    assert (itself["kept_source"], itself["kept_uri"]) == ("books", "whole")
    assert (copy["reason"], copy["uri"]) == ("near-text", "part")
    like = tmp_path / "like.txt"
    like.write_text(SOURCES["web"][4].text)
    result = run(project, "duplicates", like, "--format", "table")
    assert result.stderr.splitlines()[0].endswith("of source web, like")
    assert "is the item" not in result.stdout
    whole.write_text(SOURCES["web"][0].text)
    assert "was dropped as a copy (near-text)" in run(project, "duplicates", whole).stderr


def test_the_summary_names_what_references_lack(project):
    left = {"rejected": 2, "rejected_in": [{"file": "e.jsonl", "reason": "invalid-row", "units": 2}]}
    figures = project / "artifacts" / "metrics" / "dedup.json"
    files.write_json(figures, {"against": {"eval": left | {"captions_left_out": {"reference": 0, "items": 4}}}})
    said = run(project, "duplicates").stderr
    figures.unlink()
    assert "2 units of eval could not be read and were not compared:\n  2 in e.jsonl: invalid-row\n" in said
    assert "captions take no part in a comparison by words in sequence: 0 of eval, 4 of items" in said
