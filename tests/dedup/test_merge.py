"""What a kept row takes from its copies, and which contradictions are listed."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata.dedup import DedupParams, TextParams
from gendata.items import ORIGINS, Item

LINE = "the quick brown fox jumps over the lazy dog and runs away from it"
NEAR = LINE + " again"
PARAMS = DedupParams(workers=1, prefer=("first",), text=TextParams(shingle=2, threshold=0.7))


def merged(row):
    return json.loads(row["merged"]) if row["merged"] else None


def test_a_kept_row_takes_what_it_lacks_and_says_from_whom(box, text):
    first = [text("plain", LINE, license="CC0", meta={"page": 1})]
    other = [text("rich", LINE, label="fox", license="MIT", meta={"page": 2, "topic": "animals"})]
    out = box({"first": first, "other": other}, PARAMS)
    kept = out.row("plain")
    source = {"id": kept["id"], "source": "other", "uri": "rich"}
    assert merged(kept) == {"label": {"value": "fox", **source}, "meta": {"topic": {"value": "animals", **source}}}
    assert out.row("rich")["merged"] is None
    assert out.summary["merged"] == {"label": 1, "license": 0, "split": 0, "meta": 1}
    assert out.summary["label_conflicts"]["items"] == 0
    assert out.summary["license_conflicts"]["examples"][0]["licenses"] == ["CC0", "MIT"]
    assert out.summary["meta_conflicts"] == {
        "items": 1,
        "keys": {"page": 1},
        "examples": [{"id": kept["id"], "key": "page", "values": ["1", "2"]}],
    }


def test_a_near_copy_gives_its_label_alone(box, text):
    out = box(
        {"first": [text("short", LINE)], "other": [text("long", NEAR, label="fox", license="MIT", meta={"a": 1})]},
        PARAMS,
    )
    assert out.row("long")["reason"] == "near-text"
    assert merged(out.row("short")) == {
        "label": {"value": "fox", "id": out.row("long")["id"], "source": "other", "uri": "long"}
    }


def test_rows_of_another_origin_give_nothing_but_contradict(box, text):
    rows = [
        text("g", LINE, origin="generated"),
        text("g2", LINE, origin="generated", label="cat"),
        text("r", LINE, label="dog", license="MIT", meta={"a": 1}),
    ]
    out = box({"first": rows[:1], "other": rows[1:]}, PARAMS)
    assert merged(out.row("g")) is None  # "dog" contests "cat", and the real row gives nothing
    assert [row["value"] for row in out.summary["label_conflicts"]["examples"][0]["rows"]] == ["cat", "dog"]
    alone = box({"first": rows[:1], "other": rows[2:]}, PARAMS)
    assert merged(alone.row("g")) is None


def test_contested_values_are_taken_from_none(box, text):
    copies = [text(i, LINE, label=label, meta={"k": label}) for i, label in enumerate("abb")]
    out = box({"first": [text("kept", LINE)], "other": copies}, PARAMS)
    assert merged(out.row("kept")) is None
    (example,) = out.summary["label_conflicts"]["examples"]
    assert example["labels"] == ["a", "b"]
    assert [(row["uri"], row["reason"]) for row in example["rows"]] == [("0", "exact"), ("1", "exact")]


def test_equal_content_in_two_splits_is_listed(box, text):
    rows = [text("a", LINE, source_split="train"), text("b", LINE), text("c", "other words")]
    copies = [text("leak", NEAR, source_split="test"), text("d", "other words", source_split="test")]
    out = box({"first": rows, "other": copies}, PARAMS)
    (example,) = out.summary["split_conflicts"]["examples"]
    assert (example["id"], example["splits"]) == (out.row("a")["id"], ["test", "train"])
    assert [(row["uri"], row["value"]) for row in example["rows"]] == [("leak", "test"), ("a", "train")]
    assert merged(out.row("c"))["split"]["value"] == "test"


def test_different_labels_of_near_images_are_a_conflict(box, image, scene):
    first = [image("big", scene(1, (320, 240)), known={"label": "lake"})]
    other = [image("small", scene(1, (320, 240)).resize((160, 120)), "JPEG", {"label": "hill"}, quality=90)]
    out = box({"first": first, "other": other}, PARAMS)
    assert out.row("small")["reason"] == "near-image"
    (example,) = out.summary["label_conflicts"]["examples"]
    assert (example["id"], example["labels"]) == (out.row("big")["id"], ["hill", "lake"])


def test_only_what_is_asked_for_is_merged(box, text):
    sources = {
        "first": [text("a", LINE)],
        "other": [text("b", LINE, label="x", license="MIT", source_split="s", meta={"k": 1})],
    }
    for fields in ((), ("label",), ("license",), ("split",), ("meta",), ("label", "meta")):
        out = box(sources, DedupParams(workers=1, prefer=("first",), merge=fields))
        assert set(merged(out.row("a")) or {}) == set(fields)


def test_which_knowledge_counts_first_is_a_setting(box, text, image, scene):
    rows = [text("labelled", LINE, label="x"), text("licensed", LINE, license="MIT"), text("longer", NEAR)]
    photo = [image("captioned", scene(1).resize((80, 60)), known={"text": "a lake"}), image("large", scene(1))]

    def kept(*known):
        out = box({"a": rows, "b": photo}, DedupParams(workers=1, text=PARAMS.text, keep=known))
        return sorted(row["uri"] for row in out.kept)

    assert kept("label", "text", "license") == ["captioned", "labelled"]
    assert kept("license", "label") == ["large", "licensed"]
    assert kept() == ["large", "longer"]


def test_a_field_that_is_unknown_is_refused():
    with pytest.raises(ValueError, match="keep may name label, text and license"):
        DedupParams(keep=("size",))
    with pytest.raises(ValueError, match="merge may name label, license, split and meta"):
        DedupParams(merge=("text",))


facts = st.fixed_dictionaries(
    {"origin": st.sampled_from(ORIGINS)},
    optional={
        "label": st.sampled_from("xy"),
        "license": st.sampled_from(["MIT", "CC0"]),
        "source_split": st.sampled_from(["train", "test"]),
        "meta": st.dictionaries(st.sampled_from("abc"), st.integers(0, 1), max_size=3),
    },
)
drawn_rows = st.lists(
    st.tuples(st.sampled_from(["first", "other"]), st.sampled_from([LINE, NEAR, LINE.upper(), "other"]), facts),
    max_size=9,
)


@settings(max_examples=settings().max_examples // 2)
@given(drawn=drawn_rows, seed=st.integers(0, 99))
def test_merged_values_are_those_of_a_plain_reading_of_the_rule(box_for_examples, text, drawn, seed):
    sources: dict[str, list[Item]] = {"first": [], "other": []}
    for i, (source, content, known) in enumerate(drawn):
        sources[source].append(text(i, content, **known))
    out = box_for_examples(sources, PARAMS)
    items = {item.uri: item for some in sources.values() for item in some}
    shuffled = {name: random.Random(seed).sample(some, len(some)) for name, some in reversed(sources.items())}
    again = box_for_examples(shuffled, PARAMS, shard_rows=3)
    assert {r["uri"]: r["merged"] for r in again.rows} == {r["uri"]: r["merged"] for r in out.rows}
    assert again.summary == out.summary
    contested = leaks = 0
    for kept in out.kept:
        mine = items[kept["uri"]]
        cluster = [r for r in out.rows if r["kept_id"] == kept["id"]]
        equal = [r for r in cluster if r["id"] == kept["id"]]
        alike = [r for r in cluster if r["reason"] != "contained"]
        expected = {"label": _one(mine, alike, items, lambda item: item.label)}
        expected["license"] = _one(mine, equal, items, lambda item: item.license)
        expected["split"] = _one(mine, alike, items, lambda item: item.source_split)
        for key in "abc":
            expected[key] = _one(mine, equal, items, lambda item, key=key: item.meta.get(key))
        found = merged(kept) or {}
        flat = {name: (found.get(name) or {}).get("value") for name in ("label", "license", "split")}
        flat |= {key: found.get("meta", {}).get(key, {}).get("value") for key in "abc"}
        assert flat == expected
        contested += len({items[r["uri"]].label for r in alike} - {None}) > 1
        leaks += len({items[r["uri"]].source_split for r in alike} - {None}) > 1
        for given_by in [found[n] for n in ("label", "license", "split") if n in found] + list(
            found.get("meta", {}).values()
        ):
            assert items[given_by["uri"]].origin == mine.origin
    assert out.summary["label_conflicts"]["items"] == contested
    assert out.summary["split_conflicts"]["items"] == leaks


def _one(mine, rows, items, get):
    """The value that a row takes: it has none, all that state one agree, and one of its own origin does."""
    values = {get(items[r["uri"]]) for r in rows} - {None}
    givers = [r for r in rows if items[r["uri"]].origin == mine.origin and get(items[r["uri"]]) is not None]
    return values.pop() if get(mine) is None and len(values) == 1 and givers else None
