"""Tables in all formats give the same records; rows of neither text nor image nor chat are items, too."""

import base64
import io
import json

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.ingest import IngestParams, SourceParams
from gendata.ingest.reader import UnitError
from gendata.ingest.records import SUFFIXES, records
from gendata.ingest.records import jsons as reading

ROWS = [
    {"text": 'a "quoted" word', "n": "1"},
    {"text": "ünï, with commas", "n": "2"},
    {"text": "plain", "n": ""},
]


def delimited(rows, mark):
    def cell(value):
        return value if mark == "\t" else '"' + value.replace('"', '""') + '"'

    lines = [list(rows[0]), *([cell(v) for v in row.values()] for row in rows)]
    return "\n".join(mark.join(line) for line in lines).encode()


def ipc(rows, opener):
    buffer, table = io.BytesIO(), pa.Table.from_pylist(rows)
    with opener(buffer, table.schema) as writer:
        writer.write_table(table, 2)
    return buffer.getvalue()


def parquet(rows):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def feather(rows):
    buffer = io.BytesIO()
    pyarrow.feather.write_feather(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


WRITERS = {
    "a.jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "a.json": lambda rows: json.dumps(rows, indent=1).encode(),
    "lines.json": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "bom.json": lambda rows: b"\xef\xbb\xbf \n" + json.dumps(rows, ensure_ascii=False).encode() + b"\n",
    "a.csv": lambda rows: delimited(rows, ","),
    "a.tsv": lambda rows: delimited(rows, "\t"),
    "a.parquet": parquet,
    "file.arrow": lambda rows: ipc(rows, pa.ipc.new_file),
    "stream.arrow": lambda rows: ipc(rows, pa.ipc.new_stream),
    "a.feather": feather,
}


def read(data, suffix, params=None):
    return list(records(io.BytesIO(data), suffix, params or IngestParams()))


def outcomes(data, suffix=".json", **limits):
    """Values, and reasons of what is broken."""
    return [r.reason if isinstance(r, UnitError) else r for _, r in read(data, suffix, IngestParams(**limits))]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(project, run, name):
    (project / name).write_bytes(WRITERS[name](ROWS))
    result = run(SourceParams("table", "real", name))
    assert [(i["uri"], i["text"], json.loads(i["meta"])["n"]) for i in result.items] == [
        (f"{name}#{k}", row["text"], row["n"]) for k, row in enumerate(ROWS, 1)
    ]
    assert not result.rejects
    assert {name.rpartition(".")[2] for name in WRITERS} | {"ndjson"} == {suffix[1:] for suffix in SUFFIXES}


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.parquet", "file.arrow"])
def test_rows_of_other_columns_are_records(project, run, name):
    rows = [{"price": "3", "name": "nail"}, {"price": "4", "name": "bolt"}, {"price": "", "name": ""}]
    (project / name).write_bytes(WRITERS[name](rows))
    result = run(SourceParams("table", "real", name, map={"label": "name"}))
    assert [(i["modality"], i["media_type"], i["text"], i["label"]) for i in result.items] == [
        ("record", "application/json", '{"price":"3"}', "nail"),
        ("record", "application/json", '{"price":"4"}', "bolt"),
    ]
    assert json.loads(result.items[0]["meta"]) == {"price": "3"}
    assert result.reasons() == {f"{name}#3": "empty"}


def test_equal_records_are_one_item_in_whatever_order_and_format(project, run):
    (project / "d").mkdir()
    (project / "d/a.jsonl").write_text('{"a": 1, "b": [1, {"y": 2, "x": 1}]}\n')
    (project / "d/b.json").write_text('[{"b": [1, {"x": 1, "y": 2}], "a": 1}]')
    result = run(SourceParams("table", "real", "d"))
    assert len(result.items) == 2
    assert len({i["id"] for i in result.items}) == 1


def test_images_in_base64(project, run, image):
    data = image(color=3)
    plain = base64.b64encode(data + b" " * 4000).decode()
    rows = [
        {"image": "data:image/png;base64," + base64.b64encode(data).decode()},
        {"image": plain[:76] + "\n" + plain[76:]},
        {"image": "data:image/png;base64,###"},
        {"image": "data:image/png,abc"},
        {"image": "x" * 5000},
    ]
    (project / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = run(SourceParams("table", "real", "t.jsonl"))
    assert [i["data"] for i in result.items] == [data, data + b" " * 4000]
    assert result.reasons() == {
        "t.jsonl#3": "invalid-row",
        "t.jsonl#4": "invalid-row",
        "t.jsonl#5": "not-an-image",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", []),
        (' [ 1 , null,\n true, "x", [2]] \n', [{"value": v} for v in (1, None, True, "x", [2])]),
        ('{"a": 1}', [{"a": 1}]),
        ('{"a":\n 1}\n{"a": 2}\n\n{"a": 3}\n', [{"a": 1}, {"a": 2}, {"a": 3}]),
        ('{"a": 1} {"a": 2}', [{"a": 1}, "invalid-json"]),
        ('{"a": 1}\n[2]', [{"a": 1}, "invalid-json"]),
        ("3\n4", [{"value": 3}, "invalid-json"]),
        ('[{"a": 1},]', [{"a": 1}, "invalid-json"]),
        ('[{"a": 1} {"a": 2}]', [{"a": 1}, "invalid-json"]),
        ('[{"a": 1}', [{"a": 1}, "invalid-json"]),
        ('[{"a": 1}]]', [{"a": 1}, "invalid-json"]),
        ('[{"a": 1}, {"a": NaN}]', [{"a": 1}, "invalid-json"]),
        ('[{"a": "\\ud800"}, {"a": 2}]', ["invalid-unicode", {"a": 2}]),
        ('[{"a": 1}, tru', [{"a": 1}, "invalid-json"]),
        ("[" * 100_000, ["invalid-json"]),
        ('{"a":' * 100_000, ["invalid-json"]),
        ("  \n", ["invalid-json"]),
    ],
)
def test_values_of_a_json_file(text, expected):
    assert outcomes(text.encode()) == expected


def test_bytes_that_are_not_utf8_and_values_over_the_limit_end_a_json_file():
    assert outcomes(b'[{"a": 1}, {"a": "\xff"}, {"a": 2}]') == ["invalid-utf8"]
    assert outcomes(b'[{"a": 1}, {"a": "%s"}, {"a": 2}]' % (b"x" * 200_000), max_record_bytes=100_000) == [
        {"a": 1},
        "too-large",
    ]
    broken = outcomes(b'[{"a": 1}, {"a": oh}, ' + b'{"a": 2},' * 100_000, max_record_bytes=1000)
    assert broken == [{"a": 1}, "invalid-json"]  # and not too large: it is known at once


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(values, max_size=8), st.sampled_from([None, 1]), st.integers(1, 40), st.booleans())
def test_a_list_is_read_as_the_library_reads_it_wherever_it_is_cut(rows, indent, chunk, ascii_only):
    data = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    expected = [row if isinstance(row, dict) else {"value": row} for row in json.loads(data)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK", chunk)
        assert outcomes(data) == expected


@given(st.lists(values, min_size=1, max_size=4), st.data())
def test_a_cut_list_gives_the_values_before_the_cut_and_one_reject(rows, data):
    whole = json.dumps(rows).encode()
    cut = data.draw(st.integers(1, len(whole) - 1))
    *before, last = outcomes(whole[:cut])
    assert last == "invalid-json"
    assert before == [row if isinstance(row, dict) else {"value": row} for row in rows[: len(before)]]


def test_the_minefield_of_json(eval_data):
    """Files that must be read are, those that must not have a reject; what is left to the reader does not matter."""
    for path in (eval_data / "bad_jsontestsuite/test_parsing").glob("*.json"):
        found = outcomes(path.read_bytes() or b" ")
        if path.name.startswith("y_"):
            assert not [r for r in found if isinstance(r, str) and r != "invalid-unicode"], path.name
        if path.name.startswith("n_") and path.read_bytes():
            assert isinstance(found[-1], str), path.name


@pytest.mark.parametrize("name", ["file.arrow", "stream.arrow", "a.feather"])
def test_broken_arrow_files_are_rejects(name):
    data = WRITERS[name](ROWS * 50)
    for cut in range(0, len(data) - 1, 97):
        result, reasons = [], []
        try:
            result = read(data[: cut + 1], ".arrow")
        except UnitError as error:
            reasons.append(error.reason)
        assert reasons in ([], ["corrupt-file"])
        assert len(result) <= 150


@pytest.mark.parametrize("unit", ["ns", "us"])
def test_times_of_a_zone_that_nobody_knows_are_rejects(unit):
    buffer, zone = io.BytesIO(), pa.timestamp(unit, tz="Nowhere/X")
    pq.write_table(pa.table({"text": ["a", "b"], "at": pa.array([1, None], zone)}), buffer)
    assert outcomes(buffer.getvalue(), ".parquet")[0] == "invalid-row"
