"""The cache of sketches: only what is new is sketched, and decisions are those of a run without it."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from gendata.dedup import DedupParams, TextParams
from gendata.dedup.cache import SketchCache


@pytest.fixture
def corpus(text, image, scene):
    """Texts and pictures, some of them near-copies."""
    rng = np.random.default_rng(2)
    vocabulary = [f"word{i}" for i in range(500)]
    prose = [" ".join(rng.choice(vocabulary, 60)) for _ in range(12)]
    prose[5], prose[9] = f"{prose[1]} more", f"{prose[2]} again"

    def items(count):
        texts = [text(f"t{i}", one) for i, one in enumerate(prose[:count])]
        return [*texts, *(image(f"i{i}", scene(i % 4), "PNG" if i < 4 else "JPEG") for i in range(count // 2))]

    return items


def stamps():
    return {path: path.stat().st_mtime_ns for path in Path("cache").rglob("*.npz")}


def cached(box, sources):
    cache = SketchCache(Path("cache"))
    found = box(sources, cache=cache, shard_rows=6)
    cache.drop_unused()
    return found


def test_decisions_are_those_without_it(box, corpus):
    assert cached(box, {"a": corpus(12)}).rows == cached(box, {"a": corpus(12)}).rows
    assert cached(box, {"a": corpus(12)}) == box({"a": corpus(12)}, shard_rows=6)


def test_what_is_known_is_not_sketched_again(box, corpus):
    cached(box, {"a": corpus(12)})
    before = stamps()
    assert len({path.parent for path in before}) == 2  # texts and images
    cached(box, {"a": corpus(12)})
    assert stamps() == before


def test_an_increment_is_as_one_run(box, corpus, text):
    new = [text("new", "quite another text of a few words"), text("copy", f"{corpus(12)[0].text} indeed")]
    cached(box, {"a": corpus(12)})
    before = stamps()
    found = cached(box, {"a": corpus(12), "b": new})
    after = stamps()
    assert found == box({"a": corpus(12), "b": new}, shard_rows=6)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1
    assert cached(box, {"b": new}) == box({"b": new}, shard_rows=6)
    assert len(stamps()) == 1  # what is not used is dropped


@pytest.mark.parametrize("damage", [b"", b"no zip", None])
def test_a_file_that_does_not_read_is_made_anew(box, corpus, damage):
    expected = cached(box, {"a": corpus(12)})
    for path in stamps():
        whole = path.read_bytes()
        with zipfile.ZipFile(path) as file:  # a byte of the largest array, not one of what stands between arrays
            largest = max(file.infolist(), key=lambda info: info.file_size)
        at = whole.index(largest.filename.encode(), largest.header_offset) + largest.file_size // 2
        flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        path.write_bytes(flipped if damage is None else damage)
    damaged = stamps()
    assert cached(box, {"a": corpus(12)}) == expected
    assert all(stamps()[path] != at for path, at in damaged.items())


def test_other_params_are_other_sketches(box, corpus):
    cached(box, {"a": corpus(12)})
    folders = {path.parent for path in stamps()}
    cache = SketchCache(Path("cache"))
    params = DedupParams(workers=1, text=TextParams(shingle=3))
    assert box({"a": corpus(12)}, params, cache=cache, shard_rows=6) == box({"a": corpus(12)}, params, shard_rows=6)
    assert len({path.parent for path in stamps()} - folders) == 1  # the images' are the same
