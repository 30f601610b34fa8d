"""Ids, uris and the schemas of items."""

import hashlib
import json
import math
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata.items import ITEM_SCHEMA, Item, canonical_json, content_id, decode_uri, encode_uri, to_table


@given(st.binary().filter(lambda b: b"\0" not in b))
def test_any_path_survives_the_uri(path):
    assert decode_uri(encode_uri(path)) == path


@given(st.binary())
def test_a_uri_is_printable_and_has_no_separators_of_its_own(path):
    uri = encode_uri(path)
    uri.encode("utf-8")
    assert not set(uri) & set("#!\n\r\0\u2028")


def test_uris_of_ordinary_names_read_as_they_are():
    assert encode_uri("a b/it's \N{SNAKE}.txt") == "a b/it's \N{SNAKE}.txt"
    assert encode_uri(b"50%#!\xff\n") == "50%25%23%21%FF%0A"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_id_of_a_text_is_the_hash_of_its_utf8_bytes(text):
    assert content_id(text) == hashlib.sha256(text.encode()).hexdigest()


def test_an_image_is_identified_by_its_bytes_whatever_its_caption():
    one = Item(modality="image", uri="a", media_type="image/png", data=b"x", text="one")
    two = Item(modality="image", uri="b", media_type="image/png", data=b"x", text="two")
    assert one.id == two.id == content_id(b"x")


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.floats(allow_nan=False) | st.text()))
def test_canonical_json_does_not_depend_on_order(value):
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.floats(1e-5, 1e17) | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
)


@settings(max_examples=500)
@given(VALUES)
def test_canonical_json_is_that_of_the_standard_library(value):
    try:
        expected = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    except TypeError:  # keys of several types cannot be sorted
        with pytest.raises(TypeError):
            canonical_json(value)
    else:
        assert canonical_json(value) == expected


@pytest.mark.parametrize("exponent", range(-330, 320, 3))
def test_floats_in_canonical_json_are_those_of_the_standard_library(exponent):
    rng = random.Random(exponent)
    values = [float(f"{sign}{rng.random() * 10}e{exponent + n}") for sign in ("", "-") for n in (0, 1, 2) * 50]
    values += [float(f"1e{exponent}"), float(f"9007199254740993e{exponent}"), -0.0, 0.0]
    values += [math.nextafter(value, to) for value in values for to in (-math.inf, math.inf)]
    assert [canonical_json(value) for value in values] == [json.dumps(value) for value in values]


@pytest.mark.parametrize(
    "value",
    [{"é\x7f\x1f\u2028\"\\/": "\b\f\n\r\t\0<>&"}, {"a": 2**64, "b": -(2**63) - 1}, {1: 2}, {"a": (1, 2)},
     {"\ud800": "\udfff"}, {"\U0001f600": 1, "\uffff": 2, "z": 3}, [[[]] * 3, {}, {"": {}}]],
)  # fmt: skip
def test_odd_values_in_canonical_json_are_those_of_the_standard_library(value):
    assert canonical_json(value) == json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def test_canonical_json_of_what_is_nested_deeply_is_that_of_the_standard_library():
    for depth in (99, 100, 101, 300):
        value = 1
        for _ in range(depth):
            value = [value]
        assert canonical_json(value) == json.dumps(value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(TEXT, st.none() | TEXT, st.none() | st.binary())))
def test_items_survive_parquet(rows):
    items = [
        Item(modality="text", uri=str(i), media_type="text/plain", text=t, label=label, data=data)
        for i, (t, label, data) in enumerate(rows)
    ]
    table = to_table((i.row("s", "real", None) for i in items), ITEM_SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    assert pq.read_table(pa.BufferReader(sink.getvalue())).equals(table)


def test_a_value_of_the_wrong_type_is_not_cast():
    row = Item(modality="text", uri="a", media_type="text/plain", text="t").row("s", "real", None)
    with pytest.raises((pa.ArrowTypeError, pa.ArrowInvalid)):
        to_table([{**row, "label": 3}], ITEM_SCHEMA)
