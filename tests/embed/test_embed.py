import io
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gendata import files
from gendata.embed import EmbedParams, TextEncoderParams, cached, embed
from gendata.embed.image import LayoutEncoder
from gendata.errors import StoreError
from gendata.items import REJECT_SCHEMA, VECTOR_SCHEMA, Item

CPU = EmbedParams(device="cpu")
SHORT = EmbedParams(device="cpu", text=TextEncoderParams(passage_tokens=16))
LONG = "The quick brown fox jumps over the lazy dog. " * 8


def png(array):
    out = io.BytesIO()
    Image.fromarray(np.asarray(array)).save(out, "PNG")
    return out.getvalue()


def text_item(text, uri=None):
    return Item(modality="text", uri=uri or text[:20], media_type="text/plain", text=text)


def image_item(data, caption=None, uri="a.png"):
    return Item(modality="image", uri=uri, media_type="image/png", data=data, text=caption)


def go(corpus, sources, params=CPU):
    return embed(corpus.ingested, corpus.decisions, sources, corpus.out, params)


def rows(corpus, source, shard=0):
    return files.read_table(corpus.out / source / f"{shard:05d}.parquet").to_pylist()


def picture(seed):
    return png(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8))


def test_kept_texts_and_images_become_parts(corpus, minilm):
    captioned, plain = image_item(picture(1), LONG, "1.png"), image_item(picture(2), " ", "2.png")
    corpus.write("a", [text_item(LONG), (text_item("dropped"), False), captioned], [plain, text_item(" \n")])
    corpus.write("b", [text_item("other source")])
    corpus.write("gone", [text_item("removed source")])
    summary = go(corpus, ["a", "b"], SHORT)

    found = rows(corpus, "a")
    passages = [r for r in found if r["id"] == text_item(LONG).id]
    assert [r["part"] for r in passages] == list(range(len(passages)))
    assert len(passages) == 8
    assert [LONG[r["start"] : r["end"]] for r in passages] == [LONG[:44]] * 8
    image, *caption = [r for r in found if r["id"] == captioned.id]
    assert (image["part"], image["start"], image["end"], len(image["vector"])) == (0, None, None, LayoutEncoder.dim)
    assert [r["part"] for r in caption] == list(range(1, 9))
    assert [r["vector"] for r in caption] == [r["vector"] for r in passages]
    np.testing.assert_array_equal(np.float32(passages[3]["vector"]), minilm.encode([LONG[:44]])[0])
    np.testing.assert_array_equal(np.float32(image["vector"]), LayoutEncoder().encode([captioned.data])[0])

    assert [r["id"] for r in rows(corpus, "a", 1)] == [plain.id]
    assert [r["id"] for r in rows(corpus, "b")] == [text_item("other source").id]
    assert sorted(p.name for p in corpus.out.iterdir()) == ["a", "b"]
    table = files.read_table(corpus.out / "a" / "00000.parquet")
    assert table.schema.equals(VECTOR_SCHEMA)
    lengths = [np.linalg.norm(np.float32(r["vector"])) for r in found]
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert summary == {
        "items": 5,
        "passages": 17,
        "images": 2,
        "unreadable": 0,
        "text": {"model": "all-MiniLM-L6-v2", "dim": 384, "dtype": minilm.dtype, "device": "cpu"},
        "image": {"model": "gradient-layout", "dim": LayoutEncoder.dim, "dtype": "float32", "device": "cpu"},
    }


def test_an_undecodable_image_is_a_reject_and_keeps_its_caption(corpus):
    corpus.write("a", [image_item(b"no image", "a caption", "bad.png"), image_item(picture(1), uri="good.png")])
    summary = go(corpus, ["a"])
    assert [(r["part"], r["start"]) for r in rows(corpus, "a")] == [(1, 0), (0, None)]
    table = files.read_table(corpus.out / "a" / "rejected.parquet")
    assert table.schema.equals(REJECT_SCHEMA)
    (reject,) = table.to_pylist()
    assert (reject["uri"], reject["stage"], reject["reason"]) == ("bad.png", "embed", "unreadable-image")
    assert (summary["images"], summary["unreadable"]) == (1, 1)


def test_nothing_to_embed_is_no_error_and_loads_no_model(corpus):
    (corpus.ingested / "a" / "items").mkdir(parents=True)  # a source without items
    corpus.write("b", [(text_item("dropped"), False)])
    assert go(corpus, ["a", "b"]) == {"items": 0, "passages": 0, "images": 0, "unreadable": 0}
    assert rows(corpus, "b") == []


def test_only_new_items_are_embedded_and_bytes_do_not_depend_on_the_cache(corpus, capsys):
    texts = [text_item(f"text number {i}") for i in range(100)]
    corpus.write("a", texts, [image_item(picture(1), "a caption")])
    go(corpus, ["a"])
    assert capsys.readouterr().err == "embedded 101 new items, 0 from cache\n"
    first = corpus.bytes()
    summary = go(corpus, ["a"])
    assert capsys.readouterr().err == "embedded 0 new items, 101 from cache\n"
    assert corpus.bytes() == first

    corpus.write("b", [text_item("a new one"), *texts[::-1]])
    go(corpus, ["b", "a"])
    assert capsys.readouterr().err == "embedded 1 new items, 201 from cache\n"
    after = corpus.bytes()
    shutil.rmtree(files.WORK)
    go(corpus, ["b", "a"])
    assert corpus.bytes() == after
    assert {k: v for k, v in after.items() if k.startswith("a/")} == first
    assert go(corpus, ["a"]) == summary


def test_another_passage_length_does_not_use_the_old_passages(corpus):
    corpus.write("a", [text_item(LONG)])
    go(corpus, ["a"])
    assert len(rows(corpus, "a")) == 1
    go(corpus, ["a"], SHORT)
    assert len(rows(corpus, "a")) == 8


def test_a_killed_run_is_resumed_also_within_a_long_text(corpus, monkeypatch, capsys):
    corpus.write("a", [text_item("before"), text_item(LONG), text_item("after")])
    go(corpus, ["a"], SHORT)
    expected = corpus.bytes()
    shutil.rmtree(files.WORK)
    monkeypatch.setattr(cached, "CHUNK", 4)
    real, calls = cached.VectorCache.put, []

    def put(self, runs):
        calls.append(sum(len(parts.spans) for _, _, parts in runs))
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(self, runs)

    monkeypatch.setattr(cached.VectorCache, "put", put)
    with pytest.raises(KeyboardInterrupt):
        go(corpus, ["a"], SHORT)
    go(corpus, ["a"], SHORT)
    assert calls == [4, 4, 4, 2]  # of ten passages four were there
    assert corpus.bytes() == expected
    assert "embedded 2 new items, 1 from cache" in capsys.readouterr().err


def test_a_kill_leaves_a_cache_that_the_next_run_uses(corpus):
    texts = [text_item(f"text number {i} of a longer row") for i in range(60)]
    corpus.write("a", texts)
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom gendata.embed import EmbedParams, cached, embed\n"
        "cached.CHUNK = 20\nreal = cached.VectorCache.put\n"
        "def put(self, runs):\n    real(self, runs)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "cached.VectorCache.put = put\n"
        "embed(Path(sys.argv[1]), Path(sys.argv[2]), ['a'], Path(sys.argv[3]), EmbedParams(device='cpu'))"
    )
    args = [sys.executable, "-c", code, corpus.ingested, corpus.decisions, corpus.out]
    done = subprocess.run(args, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not corpus.out.exists()
    code = code.replace("os.kill(os.getpid(), signal.SIGKILL)", "pass")
    args[2] = code
    done = subprocess.run(args, capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stderr.splitlines()[-1] == "embedded 40 new items, 20 from cache"  # before it progress, if it took long
    assert len(rows(corpus, "a")) == 60


def test_blocks_and_chunks_change_nothing(corpus, monkeypatch):
    items = [text_item(f"{LONG} {i}") for i in range(5)] + [image_item(picture(i), uri=f"{i}.png") for i in range(5)]
    corpus.write("a", items)
    go(corpus, ["a"], SHORT)
    expected = corpus.bytes()
    shutil.rmtree(files.WORK)
    monkeypatch.setattr(cached, "CHUNK", 3)
    monkeypatch.setattr("gendata.embed.stage.BLOCK_ROWS", 2)
    go(corpus, ["a"], SHORT)
    assert corpus.bytes() == expected


@pytest.mark.parametrize("case", ["other ids", "fewer rows", "no shard"])
def test_items_and_decisions_that_do_not_match_are_refused(corpus, case):
    corpus.write("a", [text_item("one"), text_item("two")])
    if case == "no shard":
        (corpus.decisions / "a" / "00000.parquet").unlink()
    else:
        keep = corpus.ingested / "a"
        keep.rename(corpus.ingested / "kept")
        corpus.write("a", [text_item("one")] if case == "fewer rows" else [text_item("one"), text_item("three")])
        shutil.rmtree(keep)
        (corpus.ingested / "kept").rename(keep)
    with pytest.raises(StoreError, match="dedup"):
        go(corpus, ["a"])
    assert not corpus.out.exists()
