"""Files that a result becomes."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest

from gendata.errors import QueryError
from gendata.search.attach import read_attachment, write_result


def reader(table):
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2))


def test_nested_columns_are_json_text_in_csv(tmp_path):
    lists, structs = [["a"], None, []], [{"x": 1}, {"x": None}, None]
    table = pa.table(
        {
            "i": [1, 2, 3],
            "l": lists,
            "s": structs,
            "m": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
            "v": pa.array(["x", None, 'say "y"'], pa.string_view()),
        }
    )
    assert write_result(reader(table), tmp_path / "x.csv") == 3
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert [r["i"] for r in rows] == ["1", "2", "3"]
    assert [json.loads(r["l"]) if r["l"] else None for r in rows] == lists
    assert [json.loads(r["s"]) if r["s"] else None for r in rows] == structs
    assert [r["m"] for r in rows] == ['[["k", 1]]', "[]", ""]
    assert [r["v"] for r in rows] == ["x", "", 'say "y"']


def test_a_folder_that_takes_no_file_is_named(tmp_path, monkeypatch):
    def refuse(self, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(QueryError, match=r"x\.csv: cannot be written"):
        write_result(reader(pa.table({"a": [1]})), tmp_path / "absent" / "x.csv")


@pytest.mark.parametrize("name", ["x.txt", "x"])
def test_other_kinds_are_refused(tmp_path, name):
    with pytest.raises(QueryError, match=r"\.parquet or \.csv"):
        write_result(reader(pa.table({"a": [1]})), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_is_not_utf8_is_one_line(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"a\xff,b\n1,2\n")
    with pytest.raises(QueryError, match="its header is not UTF-8"):
        read_attachment(tmp_path / "mine.csv")
