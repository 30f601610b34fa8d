"""Expected errors are one line on stderr and exit 1; nothing else is on stdout."""

import json
import os

import pytest
from click.testing import CliRunner

from gendata.cli import cli


def run(*args, cwd=None):
    return CliRunner().invoke(cli, [*(["--project", str(cwd)] if cwd else []), *map(str, args)], prog_name="gendata")


def error(*args, cwd):
    result = run(*args, cwd=cwd)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


COMMANDS = [
    ["run"],
    ["status"],
    ["search", "x"],
    ["sql", "SELECT 1"],
    ["show", "abcd"],
    ["stats"],
    ["duplicates"],
    ["doctor"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_no_project(tmp_path, command):
    assert "gendata init" in error(*command, cwd=tmp_path)


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c[0] not in {"run", "status", "doctor"}], ids=lambda c: c[0]
)
def test_store_not_built(sandbox, command):
    assert "gendata run" in error(*command, cwd=sandbox.root)


def test_no_such_folder(tmp_path):
    assert "nowhere" in error("stats", cwd=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sources: {x: {kind: folder, path: d}}", ["sources.x", "origin", "real, generated, unknown"]),
        ("sources: {x: {kind: folder, path: d, origin: real, pth: e}}", ["sources.x", "'pth'", "allowed", "path"]),
        ("sources: {x: {kind: floder, path: d, origin: real}}", ["sources.x.kind", "folder", "table", "'floder'"]),
        ("sources: {x: {kind: folder, path: d, origin: true}}", ["sources.x.origin", "real, generated, unknown"]),
        ("sources: {}\ndedup: {text: {threshold: high}}", ["dedup.text.threshold", "a number", "'high'"]),
        ("sources: {}\ndedup: {txt: {}}", ["dedup", "'txt'", "text, image"]),
        ("sources: {}\ndedupp: {}", ["'dedupp'", "dedup"]),
        ("sources: {x: {kind: folder, path: artifacts/mine, origin: real}}", ["x", "artifacts"]),
        ("sources: [", ["not valid YAML"]),
    ],
)
def test_wrong_params_name_section_key_and_what_is_allowed(sandbox, text, parts):
    (sandbox.root / "d").mkdir()
    (sandbox.root / "artifacts" / "mine").mkdir(parents=True)
    (sandbox.root / "params.yaml").write_text(f"gendata: {{version: 1}}\n{text}\n")
    line = error("run", cwd=sandbox.root)
    assert all(p in line for p in parts), line


def test_sections_of_others_are_tolerated(sandbox):
    with (sandbox.root / "params.yaml").open("a") as file:
        file.write("prepare: {seed: 1}\nmodel: {depth: 3}\n")
    (sandbox.root / "a").mkdir()
    (sandbox.root / "a" / "x.txt").write_text("some words")
    assert run("add", sandbox.root / "a", "--origin", "real", cwd=sandbox.root).exit_code == 0


def test_add_refuses_what_it_cannot_read_and_changes_nothing(sandbox):
    before = (sandbox.root / "params.yaml").read_text()
    (sandbox.root / "x.bin").write_bytes(b"\0")
    (sandbox.root / "notes").mkdir()
    (sandbox.root / "notes" / "a.txt").write_text("some words")
    error("add", sandbox.root / "absent", "--origin", "real", cwd=sandbox.root)
    error("add", sandbox.root / "x.bin", "--origin", "real", cwd=sandbox.root)
    error("add", "s3://bucket/x", "--origin", "real", cwd=sandbox.root)
    assert "origin" in error("add", sandbox.root / "notes", cwd=sandbox.root)
    assert run("add", sandbox.root / "notes", "--origin", "real", "--dry-run", cwd=sandbox.root).exit_code == 0
    assert (sandbox.root / "params.yaml").read_text() == before


def test_add_keeps_comments_and_refuses_a_name_twice(sandbox):
    (sandbox.root / "notes").mkdir()
    (sandbox.root / "notes" / "a.txt").write_text("some words")
    result = run("add", sandbox.root / "notes", "--origin", "real", "--license", "MIT", cwd=sandbox.root)
    assert json.loads(result.stdout)["text"] == "some words"
    text = (sandbox.root / "params.yaml").read_text()
    assert "# gendata's settings" in text
    assert "path: notes" in text
    assert "--name" in error("add", sandbox.root / "notes", "--origin", "real", cwd=sandbox.root)


def test_a_missing_source_is_named(sandbox):
    sandbox.sources(gone={"kind": "folder", "path": "gone", "origin": "real"})
    result = sandbox.gendata("run", code=1)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "gone" in last


def test_init_does_not_overwrite(tmp_path):
    assert run("init", tmp_path / "p").exit_code == 0
    result = run("init", tmp_path / "p")
    assert result.exit_code == 1
    assert "already" in result.stderr


def test_init_joins_an_existing_repository(tmp_path):
    (tmp_path / "params.yaml").write_text("# mine\nprepare: {seed: 1}\n")
    (tmp_path / "dvc.yaml").write_text("stages:\n  prepare: {cmd: echo hello}\n")
    (tmp_path / ".gitignore").write_text("*.tmp")
    assert run("init", tmp_path).exit_code == 0
    assert "# mine" in (tmp_path / "params.yaml").read_text()
    assert "prepare" in (tmp_path / "dvc.yaml").read_text()
    assert "ingest" in (tmp_path / "dvc.yaml").read_text()
    assert (tmp_path / ".gitignore").read_text().startswith("*.tmp\n")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["sql", "SELEC 1"], 'syntax error at or near "SELEC"'),
        (["sql", "SELECT nope FROM items"], 'Referenced column "nope" not found'),
        (["sql", "DROP TABLE items"], "only SELECT is allowed, not DROP"),
        (["sql", "SELECT 1; SELECT 2"], "give one statement, not 2"),
        (["sql", "SELECT * FROM read_csv('/etc/passwd')"], "table function read_csv is not allowed"),
        (["sql", "-f", "/nowhere.sql"], "/nowhere.sql: [Errno 2] No such file"),
        (["show", "ffffffffffff"], "no item with id ffffffffffff"),
        (["show", "zz"], "'zz' is neither a file nor an id"),
        (["show", "/etc/hostname"], "no item with this content"),
        (["stats", "--by", "nope"], "no column 'nope' in items"),
        (["search", "--image", "/nowhere.png"], "neither a file nor an id"),
        (["search", "x", "--where", "nope = 1"], 'Referenced column "nope" not found'),
        (["search", "x", "--where", "1=1) UNION SELECT (1"], 'syntax error at or near ")"'),
        (["sql", "SELECT 1", "--format", "ids"], "--format ids needs a column id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_answered_is_one_line_that_says_why(built, command, why):
    assert why in error(*command, cwd=built.root)


def test_an_image_that_is_none_is_one_line(built, tmp_path):
    (tmp_path / "fake.png").write_text("no picture")
    line = error("search", "--image", tmp_path / "fake.png", cwd=built.root)
    assert "the query image cannot be decoded" in line


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv", "ids"])
def test_every_format(built, format_):
    result = run(
        "sql", "SELECT id, source, n_chars FROM items ORDER BY id LIMIT 2", "--format", format_, cwd=built.root
    )
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    if format_ == "json":
        assert len(json.loads(result.stdout)) == 2
    elif format_ == "jsonl":
        assert [set(json.loads(line)) for line in lines] == [{"id", "source", "n_chars"}] * 2
    elif format_ == "csv":
        assert lines[0] == "id,source,n_chars"
    elif format_ == "ids":
        assert [len(line) for line in lines] == [64, 64]
    else:
        assert lines[0].split() == ["id", "source", "n_chars"]


def test_sql_joins_an_attached_file_and_writes_results(built, tmp_path):
    ids = run("sql", "SELECT id FROM items ORDER BY id LIMIT 3", "--format", "ids", cwd=built.root).stdout.split()
    (tmp_path / "scores.csv").write_text("id,score\n" + "".join(f"{i},{n}\n" for n, i in enumerate(ids)))
    query = "SELECT sum(score) AS total FROM items JOIN mine USING (id)"
    result = run("sql", query, "--attach", f"mine={tmp_path / 'scores.csv'}", cwd=built.root)
    assert json.loads(result.stdout) == {"total": 3}
    assert run("sql", "SELECT id FROM items", "--out", tmp_path / "ids.parquet", cwd=built.root).exit_code == 0
    assert os.path.getsize(tmp_path / "ids.parquet") > 100


def test_data_does_not_steer_the_terminal(built):
    result = run("sql", "SELECT chr(27) || '[31mred' AS x", "--format", "table", cwd=built.root)
    assert "\x1b" not in result.stdout
