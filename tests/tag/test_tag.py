import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from sounds import sound

from gendata import files
from gendata.errors import StoreError
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, TAG_SCHEMA, content_id
from gendata.params import build as build_params
from gendata.tag import TAGGERS, TagParams, shard, tag

ONE = TagParams(workers=1)
ENGLISH = "The ferry to the island leaves at noon, and it comes back with the mail before dark. "


def read(path: Path) -> list[dict]:
    return files.read_table(path).to_pylist()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet")}


def sources(png) -> dict:
    texts = [{"text": f"{ENGLISH}{i}"} for i in range(30)]
    images = [
        {"data": png(20 + i, 10, seed=i), "text": "Ein Hund läuft über die grüne Wiese im Park"} for i in range(8)
    ]
    images.append({"data": sound(), "modality": "audio"})
    return {"notes": [texts[:20], texts[20:]], "photos": [images], "empty": []}


def test_one_row_per_kept_item_in_order(corpus):
    rows = [{"text": f"{ENGLISH}{i}", "kept": i % 3 != 0} for i in range(20)]
    ingested, decisions = corpus({"a": [rows, [{"text": "x", "kept": False}]]})
    summary = tag(ingested, decisions, ["a"], Path("out"), ONE)
    assert [r["id"] for r in read(Path("out/a/00000.parquet"))] == [content_id(r["text"]) for r in rows if r["kept"]]
    assert read(Path("out/a/00001.parquet")) == []  # shard numbers stay those of ingest
    assert files.read_table(Path("out/a/00000.parquet")).schema.equals(TAG_SCHEMA)
    assert summary["items"] == {"text": 13}


def test_columns_of_a_text_and_an_image(corpus, png):
    ingested, decisions = corpus(sources(png))
    tag(ingested, decisions, ["notes", "photos"], Path("out"), ONE)
    text, image = read(Path("out/notes/00000.parquet"))[0], read(Path("out/photos/00000.parquet"))[0]
    assert (text["lang"], text["n_chars"], text["n_words"]) == ("en", len(ENGLISH) + 1, 18)
    assert (text["width"], text["height"], text["pii"], text["tags"]) == (None, None, None, None)
    assert text["quality"] == 1
    assert (image["lang"], image["width"], image["height"], image["n_words"]) == ("de", 20, 10, 9)
    assert 0 < image["quality"] < 1


def test_summary_counts_what_was_written(corpus, png):
    ingested, decisions = corpus(sources(png))
    summary = tag(ingested, decisions, ["photos", "notes", "empty"], Path("out"), ONE)
    rows = [r for p in sorted(Path("out").rglob("*.parquet")) for r in read(p)]
    assert summary["items"] == {"audio": 1, "image": 8, "text": 30}
    assert summary["languages"] == {"de": 8, "en": 30}
    assert summary["splits"] == {s: sum(r["split"] == s for r in rows) for s in ("test", "train", "valid")}
    images = [r["quality"] for r in rows if r["width"]]
    assert summary["quality"] == {"image": pytest.approx(sum(images) / 8, abs=1e-6), "text": 1.0}


def test_a_source_without_shards_gives_an_empty_folder(corpus):
    ingested, decisions = corpus({"a": [[{"text": "x"}]], "b": []})
    tag(ingested, decisions, ["b"], Path("out"), ONE)
    assert [p.name for p in Path("out").rglob("*")] == ["b"]  # and `a`, which was not asked for, is left alone


def test_workers_and_order_of_names_change_no_byte(corpus, png):
    ingested, decisions = corpus(sources(png))
    one = tag(ingested, decisions, ["notes", "photos", "empty"], Path("one"), ONE)
    shuffled = TagParams(("quality", "size", "language"), {"test": 0.05, "valid": 0.05, "train": 0.9}, workers=2)
    two = tag(ingested, decisions, ["empty", "photos", "notes"], Path("two"), shuffled)
    assert one == two
    assert tree(Path("one")) == tree(Path("two"))
    assert len(tree(Path("one"))) == 3


@pytest.mark.parametrize("name", TAGGERS)
def test_a_tagger_that_is_off_leaves_its_columns_null(corpus, png, name):
    ingested, decisions = corpus(sources(png))
    everything = {"lang", "lang_score", "quality", "n_chars", "n_words", "width", "height"}
    everything |= {"sample_rate", "channels", "duration"}
    tag(ingested, decisions, ["notes", "photos"], Path("out"), TagParams(taggers=(name,), workers=1))
    rows = [r for p in Path("out").rglob("*.parquet") for r in read(p)]
    filled = {column for column in everything if any(r[column] is not None for r in rows)}
    assert filled == set(import_module(TAGGERS[name]).ADDS)


@pytest.mark.parametrize(("names", "read_too"), [((), False), (("language",), False), (("language", "size"), True)])
def test_bytes_are_read_where_a_tagger_needs_them(corpus, png, names, read_too, monkeypatch):
    """And so are originals that stay where they are."""
    ingested, decisions = corpus(sources(png))
    real, asked = shard.aligned_batches, set()
    monkeypatch.setattr(shard, "aligned_batches", lambda *args: (asked.update(args[2]), real(*args))[1])
    tag(ingested, decisions, ["photos"], Path("out"), TagParams(taggers=names, workers=1))
    assert ("data" in asked, "size" in asked) == (read_too, read_too)


def test_every_tagger_reads_and_adds_known_columns():
    modules = [import_module(path) for path in TAGGERS.values()]
    added = [column for module in modules for column in module.ADDS]
    assert len(added) == len(set(added))
    assert set(added) <= set(TAG_SCHEMA.names)
    assert all(set(module.READS) <= set(ITEM_SCHEMA.names) for module in modules)


def test_tags_that_the_source_states(corpus):
    metas = [{"tags": ["a", "b"]}, {"tags": []}, {"tags": "a"}, {"tags": [1]}, {"other": '"tags"'}, {}]
    ingested, decisions = corpus({"a": [[{"text": str(i), "meta": meta} for i, meta in enumerate(metas)]]})
    tag(ingested, decisions, ["a"], Path("out"), ONE)
    assert [r["tags"] for r in read(Path("out/a/00000.parquet"))] == [["a", "b"], [], None, None, None, None]


def break_swap(rows):
    return [rows[1], rows[0], *rows[2:]]


def break_short(rows):
    return rows[:-1]


def break_long(rows):
    return [*rows, rows[0]]


@pytest.mark.parametrize("damage", [break_swap, break_short, break_long, lambda rows: []])
def test_decisions_about_other_rows_are_refused(corpus, damage):
    ingested, decisions = corpus({"a": [[{"text": str(i)} for i in range(5)]]})
    path = decisions / "a" / "00000.parquet"
    files.write_table(path, damage(read(path)), DECISION_SCHEMA)
    with pytest.raises(StoreError, match=r"00000\.parquet: .*run `gendata run` again"):
        tag(ingested, decisions, ["a"], Path("out"), ONE)
    assert not Path("out").exists()


def test_a_missing_shard_or_source_is_refused(corpus):
    ingested, decisions = corpus({"a": [[{"text": "1"}], [{"text": "2"}]]})
    with pytest.raises(StoreError, match="ingest/b: not there"):
        tag(ingested, decisions, ["a", "b"], Path("out"), ONE)
    (decisions / "a" / "00001.parquet").unlink()
    with pytest.raises(StoreError, match="1 shards for 2"):
        tag(ingested, decisions, ["a"], Path("out"), ONE)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"taggers": ["langage"]}, "unknown tagger 'langage'; allowed: language, size, quality"),
        ({"taggers": ["size", "size"]}, "named twice"),
        ({"split": {"test": 1.0}}, "train is required"),
        ({"split": {"train": 0.9, "test": 0.2}}, "sum to 1, not 1.1"),
        ({"split": {"train": 1.0, "test": 0.0}}, "above 0"),
        ({"split": {"train": 1.2, "test": -0.2}}, "above 0"),
        ({"split": {"train": 0.9, "test": float("nan")}}, "above 0"),
        ({"split": {"train": 0.9, "": 0.1}}, "empty name"),
        ({"workers": -1}, "0 or more"),
    ],
)
def test_params_are_checked(section, message):
    with pytest.raises(Exception, match=message) as caught:
        build_params(TagParams, section, "params.yaml: tag")
    assert type(caught.value).__name__ == "ParamsError"


def test_importing_the_package_for_its_params_is_cheap():
    code = "import sys, gendata.tag; print({'PIL', 'py3langid', 'torch', 'ruamel'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_params_that_are_right():
    assert build_params(TagParams, {}, "tag") == TagParams()
    assert build_params(TagParams, {"split": {"train": 1}}, "tag").split == {"train": 1.0}
