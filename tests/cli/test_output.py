"""What commands print: each format is what it claims to be, whatever the rows, and needs no more memory than one."""

import base64
import contextlib
import csv
import errno
import importlib
import io
import json
import math
import os
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner

from gendata.cli import _shared as shared
from gendata.cli import cli
from gendata.errors import QueryError


class Here:
    """A project whose queries DuckDB answers in this process."""

    def __init__(self):
        self.read = 0

    @contextlib.contextmanager
    def open_sql(self, text, tables, say):
        with duckdb.connect() as connection:
            reader = connection.sql(text).to_arrow_reader(500)
            yield pa.RecordBatchReader.from_batches(reader.schema, self._batches(reader))

    def _batches(self, reader):
        for batch in reader:
            self.read += batch.num_rows
            yield batch


@pytest.fixture
def here(monkeypatch):
    found = Here()
    monkeypatch.setattr(importlib.import_module("gendata.cli.sql"), "project", lambda: found)
    return found


def sql(*args):
    result = CliRunner().invoke(cli, ["sql", *map(str, args)], prog_name="gendata")
    assert result.exit_code == 0, result.output
    return result


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def emitted(capsys, rows, format_, columns=None, fields=None):
    shared.emit(rows, format_, columns, fields=fields)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 1 AS a, 2 AS a", {"a": 1, "a_1": 2}),
        ("SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a", {"a": 1, "a_2": 2, "a_1": 3, "a_3": 4}),
        ("SELECT i.id, r.id FROM (SELECT 'x' AS id) i, (SELECT 'y' AS id) r", {"id": "x", "id_1": "y"}),
    ],
)
def test_columns_of_equal_name_are_all_there(here, tmp_path, query, expected):
    import pyarrow.parquet as pq

    assert json.loads(sql(query).stdout) == expected
    lines = sql(query, "--format", "csv").stdout.splitlines()
    assert lines == [",".join(expected), ",".join(map(str, expected.values()))]
    sql(query, "--out", tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == [expected]


def test_nested_columns_are_the_same_in_both_ways_to_csv(here, tmp_path):
    query = (
        "SELECT ['ä', NULL] AS l, {'x': 1.5::DOUBLE, 'n': 'nan'::DOUBLE} AS s, MAP {'k': 2} AS m, "
        "NULL::INTEGER[] AS e, DATE '2020-01-02' AS d, 'a,b' AS t, 7 AS i"
    )
    sql(query, "--out", tmp_path / "x.csv")
    printed = list(csv.reader(io.StringIO(sql(query, "--format", "csv").stdout)))
    assert list(csv.reader(io.StringIO((tmp_path / "x.csv").read_text()))) == printed
    assert printed[1] == ['["ä", null]', '{"x": 1.5, "n": null}', '[["k", 2]]', "", "2020-01-02", "a,b", "7"]


@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_json_has_no_nan(here, format_):
    query = "SELECT 'nan'::FLOAT AS a, ['inf'::DOUBLE, 1] AS b, {'x': '-inf'::DOUBLE} AS c, 2.5::DOUBLE AS d"
    row = strict(sql(query, "--format", format_).stdout)
    assert (row[0] if format_ == "json" else row) == {"a": None, "b": [None, 1], "c": {"x": None}, "d": 2.5}


def test_vectors_and_blobs_are_short_in_a_table_and_whole_elsewhere(here, tmp_path):
    query = (
        "SELECT [i / 64 FOR i IN range(64)]::FLOAT[64] AS v, repeat('x', 1234)::BLOB AS b, [1, 2] AS l, ['a', 'b'] AS t"
    )
    shown = sql(query, "--format", "table").stdout.splitlines()[-1]
    assert shown.split("  ") == ["[0, 0.0156, ... 64]", "<1,234 bytes>", "[1, 2]", '["a", "b"]']
    vector, blob = [i / 64 for i in range(64)], base64.b64encode(b"x" * 1234).decode()
    assert json.loads(sql(query, "--format", "jsonl").stdout) == {"v": vector, "b": blob, "l": [1, 2], "t": ["a", "b"]}
    sql(query, "--out", tmp_path / "x.csv")
    printed = list(csv.reader(io.StringIO(sql(query, "--format", "csv").stdout)))
    assert list(csv.reader(io.StringIO((tmp_path / "x.csv").read_text()))) == printed
    assert json.loads(printed[1][0]) == vector
    assert printed[1][1] == blob


def test_a_whole_book_is_one_cell_of_a_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    line = shared.table([{"n": 1, "text": "宽e\u0301" * 1_000_000}]).splitlines()[-1]
    assert line.endswith("…")
    assert shared.cell_width(line) in {59, 60}


def test_csv_keeps_nan(capsys):
    assert emitted(capsys, [{"a": math.nan, "b": -math.inf, "c": None}], "csv") == "a,b,c\nNaN,-Infinity,\n"


@pytest.mark.parametrize("rows", [[], [{"a": 1}], [{"a": "x\ny\u2028z"}, {"a": [{"b": 2}]}]])
def test_streamed_json_is_what_json_dumps_writes(capsys, rows):
    assert emitted(capsys, iter(rows), "json") == json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def test_an_empty_result_keeps_its_form(here):
    query = "SELECT 1 AS a, 2 AS b WHERE false"
    assert sql(query, "--format", "csv").stdout == "a,b\n"
    assert json.loads(sql(query, "--format", "json").stdout) == []
    assert sql(query, "--format", "jsonl").stdout == ""
    assert sql(query, "--format", "table").stdout == "(no rows)\n"


@pytest.mark.parametrize(
    ("stale", "format_", "out"),
    [
        ([], "json", "[]\n"),
        ([], "csv", "stage,why\n"),
        ([], "table", ""),
        ([], "jsonl", ""),
        ([("tag", "new")], "csv", "stage,why\ntag,new\n"),
    ],
)
def test_status(monkeypatch, stale, format_, out):
    from gendata import repro

    monkeypatch.setattr(importlib.import_module("gendata.cli.status"), "project", lambda: None)
    monkeypatch.setattr(repro, "status", lambda project: stale)
    result = CliRunner().invoke(cli, ["status", "--format", format_])
    assert (result.exit_code, result.stdout) == (0, out)
    assert ("up to date" in result.stderr) is not bool(stale)


def test_csv_of_rows_with_differing_keys(capsys):
    rows = [{"a": 1, "c": 2}, {"a": 3, "b": "x"}, {}]
    assert emitted(capsys, rows, "csv") == "a,c,b\n1,2,\n3,,x\n,,\n"


def test_csv_keeps_escapes_of_the_data(capsys):
    assert emitted(capsys, [{"a": "\x1b[31mred"}], "csv") == "a\n\x1b[31mred\n"


@pytest.mark.parametrize("format_", ["csv", "json", "jsonl", "ids"])
def test_rows_are_printed_as_they_come(capsys, format_):
    def rows():
        yield {"id": "first"}
        yield {"id": "second"}
        sys.stdout.flush()
        assert "first" in capsys.readouterr().out
        yield {"id": "third"}

    shared.emit(rows(), format_, fields=["id"])
    assert "third" in capsys.readouterr().out


def test_a_table_ends_after_its_first_rows(here):
    result = sql("SELECT i FROM range(5_000_000) t(i)", "--format", "table")
    assert len(result.stdout.splitlines()) == 2 + shared.TABLE_ROWS
    assert "first 1000 rows" in result.stderr
    assert "--format jsonl" in result.stderr
    assert "--out" in result.stderr
    assert here.read < 100_000
    whole = sql(f"SELECT i FROM range({shared.TABLE_ROWS}) t(i)", "--format", "table")
    assert len(whole.stdout.splitlines()) == 2 + shared.TABLE_ROWS
    assert whole.stderr == ""


@pytest.mark.parametrize("format_", ["table", "csv", "json", "jsonl", "ids"])
def test_what_fails_at_its_first_row_prints_nothing(capsys, format_):
    def rows():
        raise QueryError("late")
        yield

    with pytest.raises(QueryError):
        shared.emit(rows(), format_, fields=["id"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("fields", [None, ["a"]])
def test_ids_need_an_id(capsys, fields):
    with pytest.raises(shared.GendataError, match="column id"):
        shared.emit([{"a": 1}], "ids", fields=fields)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("format_", "terminal", "expected"),
    [(None, True, True), (None, False, False), ("table", False, True), ("json", True, False)],
)
def test_a_table_is_for_terminals(monkeypatch, format_, terminal, expected):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert shared.wants_table(format_) is expected


def closed_pipe():
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w")


def python(code, **streams):
    return subprocess.run([sys.executable, "-c", code], timeout=60, **streams).returncode


def test_work_goes_on_when_nobody_reads_its_notes(tmp_path):
    code = f"""
from gendata.cli._shared import expected_errors, note
@expected_errors
def work():
    for i in range(3): note(f"step {{i}}")
    open({str(tmp_path / "done")!r}, "w").close()
work()
"""
    with closed_pipe() as stderr:
        assert python(code, stderr=stderr) == 0
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("format_", ["csv", "json", "jsonl", "table"])
def test_work_ends_quietly_when_nobody_reads_its_result(tmp_path, format_):
    code = f"""
from gendata.cli._shared import emit, expected_errors
@expected_errors
def work():
    emit(({{"a": i}} for i in range(2000)), {format_!r}, fields=["a"])
    open({str(tmp_path / "done")!r}, "w").close()
work()
"""
    with closed_pipe() as stdout, (tmp_path / "err").open("w") as stderr:
        assert python(code, stdout=stdout, stderr=stderr) == 0
    assert (tmp_path / "err").read_text() == ""
    assert not (tmp_path / "done").exists()


def test_what_the_machine_refuses_is_one_line(capsys):
    @shared.expected_errors
    def write():
        raise OSError(errno.ENOSPC, "No space left on device", "x.parquet")

    with pytest.raises(SystemExit) as end:
        write()
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: x.parquet: No space left on device\n"
