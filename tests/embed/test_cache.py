import sqlite3

import numpy as np
import pytest

from gendata.embed.cache import Parts, VectorCache
from gendata.errors import StoreError
from gendata.items import content_id

A, B, C = (content_id(x) for x in "abc")


def parts(seed, n, total=None):
    rng = np.random.default_rng(seed)
    return Parts(rng.integers(-1, 99, (n, 2)), rng.random((n, 4), np.float32), total or n)


def same(a, b):
    return np.array_equal(a.spans, b.spans) and np.array_equal(a.vectors, b.vectors) and a.total == b.total


@pytest.fixture
def open_cache(tmp_path):
    return lambda kind="text", key="k": VectorCache(kind, key, 4, tmp_path / "cache" / "embed")


def database(tmp_path):
    return tmp_path / "cache" / "embed" / "text-k" / "vectors.sqlite"


def test_gives_back_what_was_put_to_the_bit(open_cache):
    with open_cache() as cache:
        cache.put([(A, 0, parts(1, 3)), (B, 0, parts(2, 1))])
    with open_cache() as cache:
        found = cache.get([B, C, A])
    assert set(found) == {A, B}
    assert same(found[A], parts(1, 3))
    assert same(found[B], parts(2, 1))


def test_an_item_written_in_runs_comes_back_as_far_as_it_goes(open_cache):
    whole = parts(3, 5)
    with open_cache() as cache:
        cache.put([(A, 0, Parts(whole.spans[:2], whole.vectors[:2], 5))])
        assert same(cache.get([A])[A], Parts(whole.spans[:2], whole.vectors[:2], 5))
        cache.put([(A, 4, Parts(whole.spans[4:], whole.vectors[4:], 5))])
        assert len(cache.get([A])[A].spans) == 2
        cache.put([(A, 2, Parts(whole.spans[2:4], whole.vectors[2:4], 5))])
        assert same(cache.get([A])[A], whole)


@pytest.mark.parametrize("column", ["data", "crc", "total"])
def test_a_changed_row_is_not_used(open_cache, tmp_path, column):
    with open_cache() as cache:
        cache.put([(A, 0, parts(1, 3)), (B, 0, parts(2, 3))])
    db = sqlite3.connect(database(tmp_path))
    (value,) = db.execute(f"SELECT {column} FROM parts WHERE id = ?", (bytes.fromhex(A),)).fetchone()
    value = value + 1 if isinstance(value, int) else value[:-1] + bytes([value[-1] ^ 1])
    db.execute(f"UPDATE parts SET {column} = ? WHERE id = ?", (value, bytes.fromhex(A)))
    db.commit()
    db.close()
    with open_cache() as cache:
        assert set(cache.get([A, B])) == {B}


@pytest.mark.parametrize("offset", [0, 4096 + 8])
def test_a_broken_file_is_started_afresh(open_cache, tmp_path, offset):
    with open_cache() as cache:
        cache.put([(content_id(str(i)), 0, parts(i, 3)) for i in range(500)])
    data = bytearray(database(tmp_path).read_bytes())
    data[offset:] = b"\xee" * (len(data) - offset)
    database(tmp_path).write_bytes(data)
    with open_cache() as cache:
        cache.get([content_id(str(i)) for i in range(500)])
        cache.put([(A, 0, parts(1, 3))])
        assert same(cache.get([A])[A], parts(1, 3))


def test_a_cache_that_cannot_be_written_is_an_error(open_cache, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(StoreError, match="cache"):
        open_cache()


def test_unused_rows_go_once_they_outnumber_the_used(open_cache):
    ids = [content_id(str(i)) for i in range(10)]
    with open_cache() as cache:
        cache.put([(i, 0, parts(1, 1)) for i in ids])
        cache.get(ids)
    with open_cache() as cache:
        cache.get(ids[:5])
    with open_cache() as cache:
        assert len(cache.get(ids)) == 10
    interrupted = open_cache()
    interrupted.get(ids[:4])
    interrupted.__exit__(KeyboardInterrupt)
    with open_cache() as cache:
        assert len(cache.get(ids)) == 10
    with open_cache() as cache:
        cache.get(ids[:4])
    with open_cache() as cache:
        assert set(cache.get(ids)) == set(ids[:4])


def test_the_last_two_encoders_of_a_kind_are_kept(open_cache, tmp_path):
    for kind, key in [("image", "i"), ("text", "1"), ("text", "2"), ("text", "1"), ("text", "3")]:
        with open_cache(kind, key) as cache:
            cache.put([(A, 0, parts(1, 1))])
            cache.get([A])
    assert {p.name for p in (tmp_path / "cache" / "embed").iterdir()} == {"image-i", "text-1", "text-3"}
