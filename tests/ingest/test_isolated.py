"""Tables in columns are read by processes that may die, or need too much memory, at the cost of that table alone."""

import contextlib
import io
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gendata.ingest.reader import UnitError
from gendata.ingest.records import batches, columns, isolated, records
from gendata.ingest.settings import IngestParams, SourceParams

PARAMS = IngestParams(table_memory=512 << 20)


@pytest.fixture(autouse=True)
def fresh():
    """No process that other tests used."""
    isolated._close()
    yield
    isolated._close()


def processes():
    """The processes that read tables, by their ids."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(os.getpid()) == (folder / "stat").read_text().rpartition(")")[2].split()[1]:
                found += [int(folder.name)] if b"isolated" in (folder / "cmdline").read_bytes() else []
        except OSError:
            continue
    return found


def parquet(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return io.BytesIO(buffer.getvalue())


def numbers(rows=100_000):
    return parquet(pa.table({"text": [f"{i} {'a' * 100}" for i in range(rows)]}), row_group_size=1000)


def bomb():
    """64 rows that share a text of 16 megabytes, in a few kilobytes."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 64, pa.int8()), ["a" * (16 << 20)])
    return parquet(pa.table({"text": texts}), compression="zstd", store_schema=False)


def test_a_table_that_unpacks_to_gigabytes_is_a_reject_and_the_rest_is_read(run, project):
    packed = bomb().getvalue()
    assert len(packed) < 1 << 20
    (project / "data").mkdir()
    (project / "data/b.parquet").write_bytes(packed)
    for name in ("a", "c"):
        pq.write_table(pa.table({"text": [f"text of {name}"]}), project / f"data/{name}.parquet")
    found = run(SourceParams("table", "real", "data", map={"text": "text"}), PARAMS)
    assert found.reasons() == {"b.parquet": "table-too-large"}
    assert [item["text"] for item in found.items] == ["text of a", "text of c"]


def test_what_was_read_before_a_crash_is_kept():
    found = batches(numbers(), ".parquet", PARAMS)
    rows = next(found).num_rows
    (process,) = processes()
    os.kill(process, signal.SIGSEGV)
    with pytest.raises(UnitError) as error:
        rows += sum(batch.num_rows for batch in found)
    assert error.value.reason == "table-crashed"
    assert 0 < rows < 100_000
    assert processes() == []


def test_a_crash_of_a_process_that_read_other_tables_costs_nothing():
    table = numbers()
    assert columns(table, ".parquet", PARAMS) == ["text"]
    table.seek(0)
    found = batches(table, ".parquet", PARAMS)
    texts = next(found)["text"].to_pylist()
    (process,) = processes()
    os.kill(process, signal.SIGSEGV)
    for batch in found:
        texts += batch["text"].to_pylist()
    assert [int(text.split()[0]) for text in texts] == list(range(100_000))
    assert process not in processes()


def test_a_process_reads_many_tables_and_ends_where_one_is_left_midway():
    for rows in (3, 0, 5):
        assert sum(batch.num_rows for batch in batches(numbers(rows), ".parquet", PARAMS)) == rows
        with pytest.raises(UnitError, match="corrupt-file"):
            list(batches(io.BytesIO(b"PAR1" * 10), ".parquet", PARAMS))
    (process,) = processes()
    left = batches(numbers(), ".parquet", PARAMS)
    next(left)
    assert processes() == [process]
    left.close()
    assert processes() == []


def test_large_rows_are_read_a_few_at_a_time():
    rows = pa.table({"text": ["a" * (6 << 20)] * 64})  # 64 at once need more than the memory
    table = parquet(rows, compression="zstd", use_dictionary=False, write_batch_size=1)
    assert sum(1 for _ in records(table, ".parquet", PARAMS)) == 64


def of_months():
    """A stream with two intervals of months, which pyarrow itself cannot make: the unit of others is changed."""
    buffer = io.BytesIO()
    rows = pa.table({"m": pa.array([(0, 0, 0)] * 2, pa.month_day_nano_interval())})
    with pa.ipc.new_stream(buffer, rows.schema) as stream:
        stream.write_table(rows)
    data = buffer.getvalue()
    for at in range(len(data)):
        changed = data[:at] + b"\0" + data[at + 1 :]
        with contextlib.suppress(pa.ArrowException, OSError):
            if "m: month_interval" in str(pa.ipc.open_stream(changed).schema):
                return io.BytesIO(changed)
    raise AssertionError


def test_values_that_python_cannot_have_are_refused():
    with pytest.raises(UnitError, match="corrupt-file"):
        list(records(of_months(), ".arrow", PARAMS))


def ipc(column):
    buffer = io.BytesIO()
    rows = pa.record_batch([column], ["c"])
    with pa.ipc.new_stream(buffer, rows.schema) as stream:
        stream.write_batch(rows)
    return io.BytesIO(buffer.getvalue())


BIG = pa.array(["a" * (4 << 20)])
ZEROS = pa.array([0] * 300, pa.int32())
SHARED = {
    "dictionary": pa.DictionaryArray.from_arrays(ZEROS, BIG),
    "nested": pa.StructArray.from_arrays([pa.DictionaryArray.from_arrays(ZEROS, BIG)], ["x"]),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([300], pa.int32()), BIG),
    "views": pa.ListViewArray.from_arrays(ZEROS, pa.array([300_000] * 300, pa.int32()), pa.array([1] * 300_000)),
}


@pytest.mark.parametrize("column", SHARED.values(), ids=SHARED)
def test_rows_that_share_a_large_value_come_a_few_at_a_time(column):
    found = list(batches(ipc(column), ".arrow", PARAMS))
    assert sum(batch.num_rows for batch in found) == 300
    assert max(batch.num_rows for batch in found) <= 16
    assert next(record for _, record in records(ipc(column), ".arrow", PARAMS))["c"] == column[0].as_py()


def test_a_row_of_nothing_but_nulls_without_end_is_refused():
    endless = pa.ListArray.from_arrays(pa.array([0, 1 << 28], pa.int32()), pa.nulls(1 << 28))
    for column, reason in ((endless, "table-too-large"), (pa.nulls(1 << 20), "corrupt-file")):
        with pytest.raises(UnitError, match=reason):
            list(batches(ipc(column), ".arrow", PARAMS))


def nested(depth):
    column = pa.array([1, 2])
    for _ in range(depth):
        column = pa.StructArray.from_arrays([column], ["x"])
    return parquet(pa.table({"text": ["a", "b"], "n": column}), store_schema=False)


@pytest.mark.parametrize("depth", [30, 100, 200])
def test_nesting_without_end_is_a_reject_and_other_tables_go_on(depth):
    if depth == 30:
        assert len(list(records(nested(depth), ".parquet", PARAMS))) == 2
    else:
        with pytest.raises(UnitError, match="corrupt-file"):
            list(batches(nested(depth), ".parquet", PARAMS))
    assert sum(batch.num_rows for batch in batches(numbers(3), ".parquet", PARAMS)) == 3


def test_a_batch_of_arrow_may_be_larger_than_the_memory(tmp_path):
    path = tmp_path / "a.arrow"
    rows = pa.record_batch({"text": ["a" * (1 << 20)] * 600})
    with pa.ipc.new_file(path, rows.schema) as file:
        file.write_batch(rows)
    with path.open("rb") as file:
        assert sum(1 for _ in records(file, ".arrow", PARAMS)) == 600


def test_the_limit_is_checked():
    with pytest.raises(ValueError, match="table_memory must be at least"):
        IngestParams(table_memory=1 << 20)
