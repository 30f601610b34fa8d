"""Results as data frames."""

import sys

import pyarrow as pa
import pytest
from search.shelves import encode

from gendata.errors import GendataError
from gendata.search import Hit, SearchResult, search
from gendata.search.frames import frame

TABLE = pa.table({"id": ["a", "b"], "n": [1, None], "v": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))})


def test_arrow_stays_arrow():
    assert frame(TABLE) is TABLE


def test_pandas():
    pandas = pytest.importorskip("pandas")
    result = frame(TABLE, "pandas")
    assert isinstance(result, pandas.DataFrame)
    assert list(result["id"]) == ["a", "b"]


def test_polars():
    polars = pytest.importorskip("polars", reason="the extra polars is not installed")
    result = frame(TABLE, "polars")
    assert isinstance(result, polars.DataFrame)
    assert result["id"].to_list() == ["a", "b"]


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_what_is_not_installed_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(GendataError, match=rf"^{name} is not installed: pip install 'gendata\[{name}\]'"):
        frame(TABLE, name)


def test_there_are_no_other_frames():
    with pytest.raises(GendataError, match="one of arrow, pandas, polars, not 'excel'"):
        frame(TABLE, "excel")


def test_hits_are_a_table(shelf):
    result = search(shelf.stores, "river stone", encode_text=encode, n=4)
    table = result.table()
    assert [Hit(**row) for row in table.to_pylist()] == list(result.hits)
    assert table["keyword_rank"].type == pa.int64()
    assert SearchResult((), ()).table().schema == table.schema
    assert list(result.table(as_="pandas")["id"]) == [hit.id for hit in result.hits]
