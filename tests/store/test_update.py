"""Stores that are updated where little changed: what they hold is what a build from nothing holds."""

import random

import lancedb
import pytest
from lancedb.index import IvfFlat
from shards import make, write_source

from gendata import doctor, files
from gendata.search import search
from gendata.store.head import Store, read_head
from gendata.store.lance import VECTOR_INDEX
from gendata.store.place import storage_options

pytestmark = pytest.mark.parametrize("where", ["folder", "s3"], indirect=True)

WORDS = ["river", "stone", "amber", "lantern", "copper", "violet", "meadow", "harbour", "thunder", "velvet"]


def texts(rng, n):
    """Distinct texts of a few words."""
    return [f"{i} " + " ".join(rng.choices(WORDS, k=6)) for i in range(n)]


@pytest.fixture
def root(tmp_path, where):
    folder = tmp_path / "artifacts"
    write_source(folder, "a", "real", texts(random.Random(0), 60), images=20)
    write_source(folder, "b", "generated", texts(random.Random(1), 8))
    return folder


def content(root, store="store"):
    """All rows of all tables of the real store, by id."""
    opened = Store.open(root / store / "real")
    tables = {name: opened.table(name).to_table().to_pylist() for name in opened.head.lance}
    return {name: sorted(map(repr, rows)) for name, rows in tables.items()}


def unindexed(root):
    opened = Store.open(root / "store" / "real")
    tables = [opened.table(name) for name in opened.head.lance]
    return sum(t.stats.index_stats(i.name)["num_unindexed_rows"] for t in tables for i in t.describe_indices())


def fragments(root, name="passages"):
    return len(Store.open(root / "store" / "real").table(name).get_fragments())


def test_an_update_holds_what_a_new_build_holds(root, where):
    make(root)
    rng, grew = random.Random(5), 0
    lines = texts(random.Random(0), 60)
    rounds = 4 if where == "folder" else 2
    for number in range(rounds):
        lines[2 * rng.randrange(30)] = f"changed {number} " + " ".join(rng.choices(WORDS, k=5))
        label = "relabelled" if number == 1 else None  # of every item: in the catalog alone, Lance holds no labels
        images = 20 + number - (3 if number == 2 else 0)
        write_source(root, "a", "real", lines, images=images, label=label)
        record = make(root)
        grew += fragments(root) > 1
        assert make(root, store=f"anew-{number}") == record
        assert content(root) == content(root, f"anew-{number}")
        assert unindexed(root) == 0
    assert grew == rounds  # they were updates, each


def test_nothing_changed_is_nothing_written(root):
    make(root)
    before = read_head(root / "store" / "real").lance
    make(root)
    assert read_head(root / "store" / "real").lance == before


def test_words_of_new_rows_are_found_and_those_of_old_rows_are_not(root):
    lines = texts(random.Random(0), 60)
    lines[0] = "a zeppelin over the harbour"
    write_source(root, "a", "real", lines, images=20)
    make(root)
    lines[0] = "a submarine under the harbour"
    write_source(root, "a", "real", lines, images=20)
    make(root)
    assert fragments(root) == 2
    stores = {"real": Store.open(root / "store" / "real")}
    assert [hit.text for hit in search(stores, "submarine", mode="keyword").hits] == [lines[0]]
    assert not search(stores, "zeppelin", mode="keyword").hits


def test_a_large_change_or_another_language_writes_anew(root):
    make(root)
    write_source(root, "a", "real", texts(random.Random(9), 60), images=20)
    make(root)
    assert fragments(root) == 1
    make(root, language="German")
    table = Store.open(root / "store" / "real").table("passages")
    (index,) = [i.name for i in table.describe_indices() if i.field_names == ["text"]]
    assert table.stats.index_stats(index)["indices"][0]["params"]["language"] == "German"


def test_a_store_that_crosses_the_threshold_gets_its_vector_index_and_loses_it(root):
    def indexed():
        table = Store.open(root / "store" / "real").table("passages")
        return any(i.field_names == ["vector"] for i in table.describe_indices())

    lines = texts(random.Random(0), 600)
    write_source(root, "a", "real", lines)
    make(root, vector_index_rows=301)
    assert not indexed()
    write_source(root, "a", "real", [*lines, "one more", "and its copy"])
    make(root, vector_index_rows=301)
    assert indexed()
    write_source(root, "a", "real", lines)
    make(root, vector_index_rows=301)
    assert not indexed()


def test_a_vector_index_of_another_kind_is_replaced(root, monkeypatch):
    def kind():
        table = Store.open(root / "store" / "real").table("passages")
        return [i.index_type for i in table.describe_indices() if i.field_names == ["vector"]]

    write_source(root, "a", "real", texts(random.Random(0), 700))
    with monkeypatch.context() as patch:
        patch.setattr("gendata.store.lance.IvfSq", IvfFlat)
        make(root, vector_index_rows=301)
    assert kind() == ["IVF_FLAT"]
    make(root, vector_index_rows=301)
    assert kind() == [VECTOR_INDEX]


def test_versions_that_a_killed_run_left_behind_are_forgotten(root):
    record = make(root)
    before = content(root)
    opened = Store.open(root / "store" / "real")
    database = lancedb.connect(f"{opened.place.uri}/lance", storage_options=storage_options(opened.place.uri))
    for lost in (False, True):
        database.open_table("passages").delete("modality = 'text'")  # killed between its steps
        if lost:  # and its last write never reached the disk; names count down
            newest = min(n for n in opened.place.sizes("lance/passages.lance/_versions") if n.endswith(".manifest"))
            opened.place.write(newest, b"")
        assert make(root) == record
        assert content(root) == before


def test_a_reader_keeps_its_view_during_updates(root):
    make(root)
    reader = Store.open(root / "store" / "real")
    before = sorted(reader.table("items").to_table().column("id").to_pylist())
    lines = texts(random.Random(0), 60)
    for number in range(3):
        lines[number] = f"new {number}"
        write_source(root, "a", "real", lines, images=20)
        make(root)
        assert sorted(reader.table("items").to_table().column("id").to_pylist()) == before
        assert reader.table("passages").to_table(full_text_query="river", limit=5).num_rows


def test_doctor_is_content_with_an_updated_store(root, tmp_path):
    (tmp_path / "params.yaml").write_text(
        "gendata: {version: 1}\nsources:\n  a: {kind: folder, origin: real, path: a}\n"
        "  b: {kind: folder, origin: generated, path: b}\n"
    )
    make(root)
    lines = texts(random.Random(0), 60)
    lines[2] = "another"
    write_source(root, "a", "real", lines, images=20)
    make(root)
    assert fragments(root) == 2
    assert doctor.examine(tmp_path, ["a", "b"]) == []
    assert files.read_json(root / "store/real/store.json")["items"] == 50
