"""The content of a manifest: verified against ids and origins, whoever planted what."""

import duckdb
import lance
import numpy as np
import pyarrow as pa
import pytest
from warehouse import image, stock, text

from gendata.errors import StoreError
from gendata.models import needs
from gendata.records.manifest import Manifest
from gendata.select import SelectParams
from gendata.select.contents import Contents
from gendata.select.guard import OriginError
from gendata.select.selection import select, select_rows
from gendata.store import INPUTS
from gendata.store.head import open_stores

REAL = SelectParams(where="origin = 'real' AND label IS NOT NULL")


@pytest.fixture
def artifacts(tmp_path):
    return tmp_path / "artifacts"


@pytest.fixture
def stores(artifacts):
    rows = [image(i, "ab"[i % 2], ("train", "valid")[i > 5]) for i in range(8)] + [text("with a label", label="c")]
    return stock(artifacts, photos=("real", rows), made=("generated", [image(50, "a"), text("made up", label="c")]))


def manifest_of(stores, params=REAL):
    return select("s", needs("rnn") if "text" in params.where else needs("gan"), params, stores)[0]


def planted(manifest, **change):
    """The manifest with its first row changed, and an id that fits."""
    rows = manifest.rows.to_pylist()
    rows[0].update(change)
    return Manifest.of(manifest.selection, pa.Table.from_pylist(rows, manifest.rows.schema))


def test_rows_come_in_any_order_asked_for(stores):
    contents = Contents(manifest_of(stores), stores)
    positions = np.array([5, 0, 7, 0])
    rows = contents.fetch(positions).to_pylist()
    assert [r["id"] for r in rows] == [contents.manifest.rows["id"][i].as_py() for i in positions]
    assert all(r["data"].startswith(b"\x89PNG") for r in rows)
    assert pa.concat_tables(contents.batches())["id"].to_pylist() == contents.manifest.rows["id"].to_pylist()


def test_allowed_rows_come_from_the_other_store(stores):
    manifest = manifest_of(stores, SelectParams(where="modality = 'image'", allow_origins=("generated",)))
    rows = pa.concat_tables(Contents(manifest, stores).batches()).to_pylist()
    assert [r["source"] for r in rows].count("made") == 1
    assert all(r["data"] for r in rows)


def test_a_generated_row_planted_in_a_manifest_is_refused(stores):
    row = select_rows("origin = 'generated' AND modality = 'image'", stores).to_pylist()[0]
    with pytest.raises(OriginError, match="1 of 8 rows are not real"):
        Contents(planted(manifest_of(stores), **row), stores)
    with pytest.raises(StoreError, match="1 rows have another origin in the store"):
        Contents(planted(manifest_of(stores), **{**row, "origin": "real"}), stores)


def test_a_generated_row_planted_in_lance_is_refused(stores, artifacts):
    manifest = manifest_of(stores)
    table = lance.dataset(stores["real"].table("items").uri)
    first = manifest.rows["id"][0].as_py()
    table.update({"origin": "'generated'"}, where=f"id = '{first}'")
    stores["real"].head.lance["items"] = table.version
    with pytest.raises(StoreError, match=r"the store real holds rows of another origin in Lance \(generated\)"):
        Contents(manifest, open_stores(artifacts / "store", INPUTS) | {"real": stores["real"]})


def test_a_generated_row_planted_in_the_catalog_is_refused(stores):
    with duckdb.connect(str(stores["real"].catalog)) as connection:
        connection.execute("UPDATE items SET origin = 'generated' WHERE label = 'a'")
    with pytest.raises(StoreError, match="the store real holds rows of origin generated"):
        manifest_of(stores, SelectParams(where="label = 'a' AND modality = 'image'", allow_origins=("generated",)))


def test_rows_removed_since_are_counted_and_named(stores, artifacts):
    manifest = manifest_of(stores)
    fewer = stock(artifacts, photos=("real", [image(i, "ab"[i % 2]) for i in range(5)]))
    with pytest.raises(
        StoreError, match=r"3 of its 8 rows are no longer in the store, first [0-9a-f]{12}: select again"
    ):
        Contents(manifest, fewer)


def test_changed_content_is_refused(stores):
    manifest = manifest_of(stores)
    first = manifest.rows["id"][0].as_py()
    table = lance.dataset(stores["real"].table("items").uri)
    table.update({"data": "X'00'"}, where=f"id = '{first}'")
    stores["real"].head.lance["items"] = table.version
    with pytest.raises(StoreError, match=f"item {first[:12]}: its content in the store is not what its id says"):
        list(Contents(manifest, stores).batches())


def test_a_changed_caption_is_refused(artifacts):
    def build(caption):
        split, item = image(1, "a")
        item = type(item)(
            **{**{f: getattr(item, f) for f in ("modality", "uri", "media_type", "data", "label")}, "text": caption}
        )
        return stock(artifacts, photos=("real", [(split, item), image(2, "a"), image(3, "a", "valid")]))

    manifest = manifest_of(build("a cat"), SelectParams(where="modality = 'image'"))
    with pytest.raises(StoreError, match="its text changed since the manifest"):
        list(Contents(manifest, build("a dog")).batches())
