"""Equal content: one item, whatever its metadata says; origins merge downward, nothing silently."""

import pytest

from gendata.dedup import DedupParams
from gendata.errors import ParamsError, StoreError
from gendata.items import Item, content_id
from gendata.keep import REASONS


def record(uri, text, **known):
    return Item(modality="record", uri=uri, media_type="application/json", text=text, **known)


def test_equal_content_is_one_item_across_sources(box, text):
    out = box({"a": [text("1", "x"), text("2", "y")], "b": [text("3", "x"), text("4", "x")]})
    first = out.row("1")
    assert (first["kept"], first["copies"], first["reason"], first["score"]) == (True, 3, None, None)
    for uri in "34":
        dropped = out.row(uri)
        assert (dropped["kept"], dropped["copies"], dropped["reason"], dropped["score"]) == (False, 0, "exact", 1.0)
        assert dropped["kept_id"] == dropped["group"] == content_id("x") == first["id"]
    assert out.row("2")["copies"] == 1
    assert out.summary["dropped_by_reason"] == dict.fromkeys(REASONS, 0) | {"exact": 2}
    assert out.summary["by_source"] == {"a": {"read": 2, "kept": 2}, "b": {"read": 2, "kept": 0}}


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        ({"label": "7"}, {"license": "MIT"}),  # a known label comes before a known license
        ({"license": "MIT"}, {}),
        ({"origin": "generated"}, {"label": "7", "license": "MIT"}),
    ],
)
def test_who_stays_among_equal_content(box, text, winner, loser):
    out = box({"a": [text("1", "x", **loser)], "b": [text("2", "x", **winner)]})
    assert [row["uri"] for row in out.kept] == ["2"]


def test_the_copy_with_a_caption_stays(box):
    plain, captioned = (
        Item(modality="image", uri=uri, media_type="image/png", data=b"the same", text=text)
        for uri, text in (("1", None), ("2", "three zebras"))
    )
    out = box({"a": [plain], "b": [captioned]})
    assert [row["uri"] for row in out.kept] == ["2"]


def test_source_priority_comes_before_labels(box, text):
    sources = {"a": [text("1", "x", label="7")], "b": [text("2", "x")], "c": [text("3", "x")]}
    for prefer, stays in [((), "1"), (("c", "b"), "3"), (("b",), "2")]:
        assert [row["uri"] for row in box(sources, DedupParams(workers=1, prefer=prefer)).kept] == [stays]


def test_priority_for_a_source_that_is_not_there_is_an_error(box, text):
    with pytest.raises(ParamsError, match=r"dedup.prefer: unknown source 'books'; there is a"):
        box({"a": [text("1", "x")]}, DedupParams(prefer=("books",)))


def test_an_origin_that_does_not_exist_is_an_error(box, text):
    with pytest.raises(StoreError, match="an origin is none of generated, unknown, real"):
        box({"a": [text("1", "x", origin="made up")]})


def test_origins_merge_downward_and_are_reported(box, text):
    real = [text("r1", "x"), text("r2", "x", label="7"), text("r3", "y")]
    other = [text("g1", "x", origin="generated"), text("g2", "x", origin="generated")]
    unknown = [text("u1", "x", origin="unknown", label="8"), text("u2", "y", origin="unknown")]
    out = box({"real": real, "other": other, "unknown": unknown})
    assert [row["uri"] for row in out.kept] == ["g1", "u2"]
    x, y = content_id("x"), content_id("y")
    assert {r["uri"]: (r["reason"], r["conflict_id"], r["copies"]) for r in out.rows} == {
        "r1": ("origin-conflict", x, 0),
        "r2": ("origin-conflict", x, 0),
        "r3": ("origin-conflict", y, 0),
        "g1": (None, x, 5),
        "g2": ("exact", None, 0),
        "u1": ("origin-conflict", x, 0),
        "u2": (None, y, 2),
    }
    conflicts = out.summary["conflicts"]
    assert (conflicts["exact"], conflicts["near"]) == (4, 0)
    assert conflicts["by_sources"] == {"other / real": 2, "other / unknown": 1, "unknown / real": 1}
    pairs = {(e["lower"]["uri"], e["lower"]["origin"], e["higher"]["uri"]) for e in conflicts["examples"]}
    assert pairs == {
        ("g1", "generated", "r1"),
        ("g1", "generated", "r2"),
        ("g1", "generated", "u1"),
        ("u2", "unknown", "r3"),
    }
    assert out.summary["label_conflicts"]["items"] == 1
    (example,) = out.summary["label_conflicts"]["examples"]
    assert (example["id"], example["labels"]) == (x, ["7", "8"])


def test_at_most_twenty_examples_in_order(box, text):
    real = [text(f"r{i}", str(i), label="a") for i in range(30)]
    other = [text(f"g{i}", str(i), label="b", origin="generated") for i in range(30)]
    summary = box({"real": real, "other": other}).summary
    first = sorted(content_id(str(i)) for i in range(30))[:20]
    assert [e["higher"]["id"] for e in summary["conflicts"]["examples"]] == first
    assert [e["id"] for e in summary["label_conflicts"]["examples"]] == first
    assert summary["conflicts"]["exact"] == summary["label_conflicts"]["items"] == 30


def test_other_modalities_take_part_in_exact_deduplication_alone(box):
    long = "one two three four five six seven eight nine ten"
    out = box({"a": [record("1", long), record("2", long), record("3", long + " ."), record("4", long.upper())]})
    assert [row["uri"] for row in out.kept] == ["1", "3", "4"]


def test_empty_source_and_no_source(box, tmp_path, text):
    out = box({"none": [], "a": [text("1", "x")]})
    assert (tmp_path / "out" / "none").is_dir()
    assert out.summary["by_source"]["none"] == {"read": 0, "kept": 0}
    assert box({"none": []}).summary["read"] == 0
    assert box({}).summary["read"] == 0


def test_a_missing_shard_is_an_error(box, tmp_path, text):
    box({"a": [text(i, str(i)) for i in range(3)]}, shard_rows=1)
    (tmp_path / "in" / "a" / "items" / "00001.parquet").unlink()
    from gendata.dedup import dedup

    with pytest.raises(StoreError, match="shards are not numbered"):
        dedup(tmp_path / "in", {"a": True}, tmp_path / "out", DedupParams())


def test_many_copies_are_compared_with_nothing(box, text):
    copies = [text(i, "the same few words again and again and again") for i in range(20_000)]
    out = box({"a": copies, "b": copies}, shard_rows=8192)
    assert (out.summary["kept"], out.summary["dropped_by_reason"]["exact"]) == (1, 39_999)
    assert out.summary["compared_pairs"] == {"text": 0, "record": 0, "image": 0}
