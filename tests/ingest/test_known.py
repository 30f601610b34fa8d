"""Hashes are remembered by place and stamp; a cache that is not exactly what was written counts as absent."""

import hashlib
import json
import random

import pytest

from gendata.ingest.known import Known
from gendata.ingest.reader import Entry

STAMP = (6, 1_700_000_000_000_000_000, 1_700_000_000_000_000_001, 77)


def sha256(i):
    return hashlib.sha256(b"%d" % i).hexdigest()


def entry(i, base=b"/data"):
    return Entry(f"d/{i}.txt", base=base)


@pytest.fixture
def cache(tmp_path):
    """Of a thousand files: among so many some keys and hashes end with zeros."""
    known = Known()
    for i in range(1000):
        known.add(entry(i), STAMP, sha256(i))
    known.save(tmp_path / "cache/s.hashes")
    return tmp_path / "cache/s.hashes"


def test_what_is_saved_is_known(cache):
    known = Known.load(cache)
    assert [known.get(entry(i), STAMP) for i in range(1000)] == [sha256(i) for i in range(1000)]
    assert len(cache.read_bytes()) == 65 + 48 * 1000


def test_another_place_or_stamp_is_not(cache):
    known = Known.load(cache)
    assert known.get(entry(1000), STAMP) is None
    assert known.get(entry(1, b"/other"), STAMP) is None
    assert known.get(entry(1, None), STAMP) is None
    for i in range(len(STAMP)):
        assert known.get(entry(1), tuple(value + (at == i) for at, value in enumerate(STAMP))) is None


def test_what_is_neither_got_nor_added_is_forgotten(cache):
    known = Known.load(cache)
    assert known.get(entry(1), STAMP) == sha256(1)
    known.add(entry(2000), STAMP, sha256(2000))
    known.save(cache)
    known = Known.load(cache)
    assert [known.get(entry(i), STAMP) for i in (1, 2, 2000)] == [sha256(1), None, sha256(2000)]


def test_where_nothing_changed_nothing_is_written(cache):
    before = cache.stat().st_mtime_ns, cache.stat().st_ino
    known = Known.load(cache)
    for i in range(1000):
        known.get(entry(i), STAMP)
    known.save(cache)
    assert (cache.stat().st_mtime_ns, cache.stat().st_ino) == before
    Known().save(cache.with_name("none"))
    assert not cache.with_name("none").exists()


def test_zeros_at_the_end_of_a_key_count(tmp_path, monkeypatch):
    """Numpy drops them."""
    keys = {"a": b"k".ljust(16, b"\0"), "b": b"\0" * 16, "c": b"k" * 16}
    monkeypatch.setattr("gendata.ingest.known._key", lambda entry, stamp: keys[entry.uri])
    known = Known()
    for uri in keys:
        known.add(Entry(uri), STAMP, "00" * 32 if uri == "a" else sha256(ord(uri)))
    known.save(tmp_path / "s")
    known = Known.load(tmp_path / "s")
    assert [known.get(Entry(u), STAMP) for u in keys] == ["00" * 32, sha256(ord("b")), sha256(ord("c"))]
    keys["d"] = b"k\0k".ljust(16, b"\0")
    assert known.get(Entry("d"), STAMP) is None


def test_a_damaged_cache_is_absent(cache):
    content = cache.read_bytes()
    rng = random.Random(1)
    damaged = [content[:n] for n in (0, 10, 64, 65, 65 + 48, len(content) - 1)] + [content + b"\0", b"\n", b"\n\n"]
    for _ in range(20):
        flipped = bytearray(content)
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(flipped))
    for each in damaged:
        cache.write_bytes(each)
        assert Known.load(cache).get(entry(1), STAMP) is None, each[:80]


def test_a_cache_of_the_format_before_is_absent(cache):
    body = json.dumps({"/data": {"d/1.txt": "6 1 1 77 " + sha256(1)}}).encode()
    cache.write_bytes(hashlib.sha256(b"scan cache, format 2\n" + body).hexdigest().encode() + b"\n" + body)
    assert Known.load(cache).get(entry(1), STAMP) is None
