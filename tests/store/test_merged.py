"""What copies gave is filled in where a row has nothing of its own."""

import json

import pyarrow as pa

from gendata.items import ITEM_SCHEMA
from gendata.store.merged import filled

GIVEN = {"label": {"value": "fox"}, "license": {"value": "MIT"}, "meta": {"topic": {"value": ["a", 1]}}}


def rows(*facts):
    names = ("label", "license", "meta")
    columns = {n: pa.array([fact[n] for fact in facts], ITEM_SCHEMA.field(n).type) for n in names}
    return pa.table({"id": pa.array([str(i) for i in range(len(facts))]), **columns})


def test_only_what_a_row_lacks_is_filled_in():
    nothing = {"label": None, "license": None, "meta": None}
    own = {"label": "dog", "license": None, "meta": '{"topic":"own","page":1}'}
    merged = pa.chunked_array([[json.dumps(GIVEN), json.dumps(GIVEN)], [None]], pa.string())
    table = filled(rows(nothing, own, nothing), merged)
    assert table.select(["label", "license", "meta"]).to_pylist() == [
        {"label": "fox", "license": "MIT", "meta": '{"topic":["a",1]}'},
        {"label": "dog", "license": "MIT", "meta": '{"page":1,"topic":"own"}'},
        nothing,
    ]
    assert filled(rows(own).select(["id"]), merged.slice(0, 1)).column_names == ["id"]
