"""Ids, uris and the schemas of items."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
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
