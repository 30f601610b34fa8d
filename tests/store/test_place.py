"""Stores in a folder, in another folder, in an object store: what readers do with them is the same."""

import os
import time

import pytest
import shards
from shards import make, write_source

from gendata import doctor
from gendata.errors import StoreError
from gendata.search import search
from gendata.search.lookup import Lookup
from gendata.search.sql import run_sql
from gendata.store.head import Store, open_stores, place_of

TEXTS = ["a river by the stone", "x", "amber and copper", "y", "thunder over the harbour", "z"]


@pytest.fixture
def project(tmp_path, where):
    root = tmp_path / "artifacts"
    write_source(root, "a", "real", TEXTS, images=2)
    write_source(root, "b", "generated", ["a river in a picture", "w"])
    (tmp_path / "params.yaml").write_text(
        "gendata: {version: 1}\nsources:\n  a: {kind: folder, origin: real, path: a}\n"
        f"  b: {{kind: folder, origin: generated, path: b}}\nstore: {{uri: {shards.URI and shards.URI + '/store'!r}}}\n"
    )
    make(root)
    return tmp_path


def test_search_sql_and_contents(project):
    stores = open_stores(project / "artifacts" / "store", ("real", "other"))
    (hit,) = search(stores, "thunder", mode="keyword").hits
    assert hit.text == TEXTS[4]
    assert len(search(stores, "river", mode="keyword", where="label IS NULL").hits) == 2
    rows = run_sql("SELECT p.text, i.uri FROM passages p JOIN items i USING (id) WHERE p.text LIKE '%copper%'", stores)
    assert rows.to_pylist() == [{"text": TEXTS[2], "uri": "t2.txt"}]
    assert Lookup(stores).content(hit.id) == (TEXTS[4].encode(), "text/plain")


def test_doctor_and_storage(project):
    assert doctor.examine(project, ["a", "b"]) == []
    stores = open_stores(project / "artifacts" / "store", ("real", "other"))
    assert all(row["bytes"] > 0 for row in doctor.storage(stores))
    real = stores["real"]
    real.place.remove(real.head.catalog)
    with pytest.raises(StoreError, match="is missing"):
        Store.open(project / "artifacts" / "store" / "real")
    assert doctor.examine(project, ["a", "b"])
    assert all(finding.repaired for finding in doctor.examine(project, ["a", "b"], repair=lambda line: None))
    assert doctor.examine(project, ["a", "b"]) == []


@pytest.mark.parametrize("where", ["s3"], indirect=True)
@pytest.mark.parametrize("part", ["HEAD.json", "_versions/", "data/", "_indices/"])
def test_doctor_mends_what_was_cut_short(project, part):
    path = project / "artifacts" / "store" / "real"
    at = place_of(path)
    at.write(min(name for name in at.sizes("") if part in name), b"")
    assert doctor.examine(project, ["a", "b"])
    assert all(finding.repaired for finding in doctor.examine(project, ["a", "b"], repair=lambda line: None))
    assert doctor.examine(project, ["a", "b"]) == []


@pytest.mark.parametrize("where", ["s3"], indirect=True)
def test_an_object_store_that_does_not_answer_is_one_line(project, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"^s3://"):
        make(project / "artifacts")


def test_the_databases_are_where_they_should_be(project, where):
    local = project / "artifacts" / "store" / "real"
    assert (local / "lance").is_dir() == (where == "folder")
    assert (local / "store.json").is_file()
    if where == "other folder":
        assert (project / "elsewhere" / "store" / "real" / "lance").is_dir()


@pytest.mark.parametrize("where", ["other folder", "s3"], indirect=True)
def test_another_machine_reads_through_the_pointer_alone(project, tmp_path):
    """Whoever has HEAD.json of the project's folder has the store: the catalog is fetched."""
    other = tmp_path / "clone" / "artifacts" / "store" / "real"
    other.mkdir(parents=True)
    (other / "HEAD.json").write_bytes((project / "artifacts" / "store" / "real" / "HEAD.json").read_bytes())
    stores = open_stores(other.parent, ("real",))
    assert len(search(stores, "thunder", mode="keyword").hits) == 1


@pytest.mark.parametrize("where", ["other folder"], indirect=True)
def test_leftovers_are_found_where_the_databases_are(project):
    hidden = project / "elsewhere" / "store" / "real" / "lance" / "items.lance" / "data" / ".tmpXYZ"
    hidden.write_bytes(b"x" * 100)
    assert [finding.where for finding in doctor.examine(project, ["a", "b"])] == [str(hidden.relative_to(project))]
    assert all(finding.repaired for finding in doctor.examine(project, ["a", "b"], repair=lambda line: None))
    assert not hidden.exists()


@pytest.mark.parametrize("where", ["s3"], indirect=True)
def test_copies_of_old_catalogs_do_not_pile_up(project):
    real = Store.open(project / "artifacts" / "store" / "real")
    old, young = (real.path / f"catalog-{name}-0.duckdb" for name in ("old", "young"))
    for path, hours in ((old, 2), (young, 0)):
        path.write_bytes(b"an older catalog")
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    real.catalog.unlink()
    assert Store.open(real.path).catalog.stat().st_size > 100
    assert young.exists()
    assert not old.exists()


@pytest.mark.parametrize("where", ["s3"], indirect=True)
def test_a_store_that_does_not_answer_is_one_line(project, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError) as caught:
        Store.open(project / "artifacts" / "store" / "real")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("s3://")
