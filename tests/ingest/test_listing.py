"""Listings are sorted as Python sorts uris, and read a page at a time; entries are found by their uris."""

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata import files
from gendata.errors import StoreError
from gendata.ingest.beside import companions
from gendata.ingest.listing import LISTING_SCHEMA, Gathered, Listing, find
from gendata.ingest.paths import folders
from gendata.ingest.reader import CAPTION, SIDECAR, UNIT, Entry
from gendata.items import encode_uri

ODD = st.binary(min_size=1, max_size=3) | st.text(st.sampled_from(".- 0/aA%é\U0001f600\uffff"), min_size=1).map(
    str.encode
)
"""Parts of names around the slash and beyond UTF-8, and of two planes: UTF-16 would sort them otherwise."""

PATHS = st.lists(ODD, min_size=1, max_size=4).map(b"/".join).filter(lambda path: b"\0" not in path)


def written(path, entries):
    gathered = Gathered()
    for entry in entries:
        gathered.add(entry)
    return gathered.write(path)


def many(count):
    """Entries whose uris are sorted."""
    uris = [f"{i // 100:04}/{i:06}.txt" for i in range(count)]
    return [
        Entry(uri, size=i, sha256=f"{i:064x}") if i % 7 else Entry(uri, problem="unreadable")
        for i, uri in enumerate(uris)
    ]


@settings(max_examples=60)
@given(st.lists(PATHS, unique=True, max_size=30))
def test_uris_of_any_paths_are_sorted_as_texts_and_found(tmp_path_factory, paths):
    path = tmp_path_factory.mktemp("listing") / "s.parquet"
    uris = [encode_uri(p) for p in paths]
    written(path, map(Entry, uris))
    listing = Listing(path)
    assert [entry.uri for entry in listing] == sorted(uris)
    for at, uri in enumerate(sorted(uris)):
        assert {find(listing, uri, near) for near in (0, at, len(uris), 99)} == {at}
        assert find(listing, uri + "\t", at) is None


def test_the_bytes_are_those_of_rows_one_by_one(tmp_path):
    entries = many(9000)
    summary = written(tmp_path / "s.parquet", entries[::-1])
    rows = ({name: getattr(entry, name) for name in LISTING_SCHEMA.names} for entry in entries)
    files.write_table(tmp_path / "rows.parquet", rows, LISTING_SCHEMA)
    assert (tmp_path / "s.parquet").read_bytes() == (tmp_path / "rows.parquet").read_bytes()
    assert summary == {
        "units": 9000,
        "problems": sum(entry.problem is not None for entry in entries),
        "bytes": sum(entry.size or 0 for entry in entries),
    }


def test_a_listing_is_a_sequence(tmp_path):
    entries = many(5000)
    written(tmp_path / "s.parquet", entries)
    listing = Listing(tmp_path / "s.parquet")
    assert len(listing) == 5000
    assert list(listing) == entries
    assert [listing[i] for i in (0, 1023, 1024, 4999, -1)] == [entries[i] for i in (0, 1023, 1024, 4999, -1)]
    assert listing[1020:1030] == entries[1020:1030]
    with pytest.raises(IndexError):
        listing[5000]
    for at in range(0, 5000, 61):
        assert {find(listing, entries[at].uri, near) for near in (at, at - 1, at + 5, 0, 4999, 5000)} == {at}
    assert find(listing, "0000", 0) is find(listing, "z", 4999) is None


def test_an_empty_listing(tmp_path):
    assert written(tmp_path / "s.parquet", []) == {"units": 0, "problems": 0, "bytes": 0}
    assert list(Listing(tmp_path / "s.parquet")) == []
    assert find(Listing(tmp_path / "s.parquet"), "a", 0) is None


def test_no_listing_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="not a readable Parquet file"):
        Listing(tmp_path / "s.parquet")
    (tmp_path / "s.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="not a readable Parquet file"):
        Listing(tmp_path / "s.parquet")


def test_memory_does_not_grow_with_the_listing(tmp_path):
    peaks = []
    for count in (30_000, 90_000):
        written(tmp_path / f"{count}.parquet", many(count))
        listing = Listing(tmp_path / f"{count}.parquet")
        tracemalloc.start()
        for at, entry in enumerate(listing):
            if at % 10_000 == 0:
                find(listing, f"{entry.uri}?", 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


NAMES = [f"{folder}{stem}{ending}" for folder in ("", "a/", "a.b/") for stem in ("a", "a.b", "a-b", "a b", "a0", "é")
         for ending in (".png", ".caption", ".txt", ".json", ".md", ".b/x.txt")]  # fmt: skip


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), unique_by=lambda pair: pair[0], max_size=40))
def test_what_is_beside_a_medium_is_found_wherever_it_stands(names):
    roles = {".caption": CAPTION, ".txt": CAPTION, ".json": SIDECAR}
    entries = [
        Entry(name, roles.get(name[name.rindex(".") :], UNIT) if is_beside else UNIT) for name, is_beside in names
    ]
    entries = sorted(entries, key=lambda entry: entry.uri)
    by_uri = {entry.uri: entry for entry in entries if entry.role != UNIT}
    for at, entry in enumerate(entries):
        stem = entry.uri.removesuffix(".png")
        caption = by_uri.get(f"{stem}.caption") or by_uri.get(f"{stem}.txt")
        expected = (caption, by_uri.get(f"{stem}.json")) if entry.uri.endswith(".png") else (None, None)
        assert companions(entries, at, entry) == expected
        assert companions(entries, at, replace(entry, role=CAPTION)) == (None, None)


def test_files_are_listed_a_folder_at_a_time(tmp_path):
    for name in ("a.txt", "b/c.txt", "b/left.out", "b/d/e.txt", "shut/f.txt", "left/g.txt", ".git/h.txt", "b/.i"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b/link").symlink_to("d")
    found = folders(bytes(tmp_path), lambda path: b"left" in path, lambda path: path == b"shut")
    assert sorted((sorted(files.items()) for files in found), key=repr) == [
        [(b"a.txt", None)],
        [(b"b/c.txt", None), (b"b/link", "symlink-directory")],
        [(b"b/d/e.txt", None)],
    ]
