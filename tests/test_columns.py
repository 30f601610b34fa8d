"""Columns to Parquet: the bytes are those of their rows."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata import columns, files, rowgroups

SCHEMA = pa.schema(
    [pa.field("id", pa.string(), nullable=False), ("n", pa.int64()), ("text", pa.large_string()), ("data", pa.binary())]
)


def same_bytes(folder, table):
    columns.write_columns(folder / "a" / "columns.parquet", table, SCHEMA)
    files.write_table(folder / "rows.parquet", table.to_pylist(), SCHEMA)
    return (folder / "a" / "columns.parquet").read_bytes() == (folder / "rows.parquet").read_bytes()


def table(ids, texts):
    n = [None if i % 3 else i for i in range(len(ids))]
    data = [None if t is None else t.encode()[::-1] for t in texts]
    return pa.table({"n": n, "more": n, "id": ids, "text": texts, "data": pa.array(data, pa.binary())})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(), st.none() | st.text()), max_size=40), st.integers(1, 200), st.randoms())
def test_the_bytes_are_those_of_rows_however_chunked(tmp_path_factory, pairs, times, random):
    whole = table([a for a, _ in pairs] * times, [b for _, b in pairs] * times)
    cuts = sorted(random.randrange(len(whole) + 1) for _ in range(3))
    parts = [whole.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rowgroups, "GROUP_BYTES", 20_000)
        assert same_bytes(tmp_path_factory.mktemp("c"), pa.concat_tables(parts))


@pytest.mark.parametrize("large", [[], [10, 2000]])
def test_groups_end_where_they_are_full(tmp_path, large):
    whole = table([f"{i}" for i in range(5000)], ["x"] * 5000).select(SCHEMA.names).cast(SCHEMA)
    sizes = np.full(5000, 64)
    sizes[large] = rowgroups.GROUP_BYTES
    writer = rowgroups.RowGroupWriter(tmp_path / "a.parquet", SCHEMA)
    writer.extend(whole.slice(0, 0), sizes[:0])
    writer.extend(whole, sizes)
    writer.close()
    about = pq.ParquetFile(tmp_path / "a.parquet").metadata
    found = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    assert found == ([11, 1024, 966, 1024, 1024, 951] if large else [1024] * 4 + [904])


def test_a_missing_value_is_refused(tmp_path):
    with pytest.raises(ValueError, match="null"):
        columns.write_columns(tmp_path / "x.parquet", table(["a", None], ["b", "c"]), SCHEMA)
