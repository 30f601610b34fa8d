"""Records of prompt and reply: duplicates where both parts are, against brute force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.chats import render
from gendata.dedup import DedupParams, TextParams
from gendata.dedup.barred import Reference
from gendata.items import Item
from tests.dedup.test_texts import plain_jaccard

SURE = DedupParams(workers=1, text=TextParams(shingle=2, threshold=0.6, group_threshold=0.3, recall=0.9999))

word = st.sampled_from("alpha beta gamma delta epsilon zeta".split())
part = st.lists(word, min_size=1, max_size=8).map(" ".join)


def chat(uri, prompt, reply, **known):
    said = render([("user", prompt), ("assistant", reply)])
    return Item(modality="record", uri=str(uri), media_type="text/plain", text=said, **known)


@given(st.lists(st.tuples(part, part), min_size=1, max_size=8, unique=True))
def test_pairs_against_brute_force(box_for_examples, pairs):
    out = box_for_examples({"a": [chat(i, *pair) for i, pair in enumerate(pairs)]}, SURE)
    number = {row["id"]: int(row["uri"]) for row in out.rows}

    def similarity(a, b):
        return min(plain_jaccard(*both, 2) for both in zip(pairs[a], pairs[b], strict=True))

    for row in out.rows:
        if not row["kept"]:
            assert row["score"] == similarity(int(row["uri"]), number[row["kept_id"]]) >= 0.6
    kept = [int(row["uri"]) for row in out.rows if row["kept"]]
    assert all(similarity(a, b) < 0.6 for a in kept for b in kept if a < b)


@pytest.fixture
def sentences():
    return [" ".join(f"w{i}" for i in range(start, start + 40)) for start in range(0, 400, 40)]


def test_both_parts_must_match(box, sentences):
    a, b, c, *_ = sentences
    near = f"{a} indeed"
    items = [chat("first", a, b), chat("other reply", a, c), chat("other prompt", c, b), chat("near", near, f"{b} so")]
    out = box({"a": items})
    assert {row["uri"] for row in out.rows if not row["kept"]} <= {"first", "near"}
    assert (len(out.kept), out.summary["dropped_by_reason"]["near-text"]) == (3, 1)


def test_the_same_words_in_other_parts_are_no_copy(box, sentences):
    a, b, *_ = sentences
    out = box({"a": [chat("one", a, b), chat("turned", b, a), chat("moved", f"{a} {b}", "yes"), chat("x", "yes", a)]})
    assert len(out.kept) == 4


def test_pairs_of_equal_form(box):
    one, two = chat("one", "What is 2 + 2?", "Four."), chat("two", "what is 2  +  2", "four")
    out = box({"a": [one, two, chat("3", "What", "2"), chat("sign", "What is 2 * 2?", "Four.")]})
    assert len(out.kept) == 3
    assert out.summary["dropped_by_reason"]["normalised"] == 1


def test_a_pair_is_no_copy_of_a_text(box, text, sentences):
    a, b, *_ = sentences
    record = chat("pair", a, b)
    out = box({"a": [record, text("text", record.text + " so"), text("part", a)]})
    assert out.row("pair")["kept"]
    assert out.row("text")["kept"]


@pytest.mark.parametrize("said", ["no chat at all", render([("user", "alone")]), render([("assistant", "alone")])])
def test_records_that_are_no_pair_take_part_in_exact_deduplication_alone(box, said):
    items = [Item(modality="record", uri=str(i), media_type="text/plain", text=f"{said}{' ' * i}") for i in range(2)]
    out = box({"a": items})
    assert len(out.kept) == 2
    assert out.summary["exact_only"]["record-unpaired"] == 2


def test_pairs_of_a_reference(box, sentences, tmp_path):
    a, b, c, *_ = sentences
    box({"old": [chat("known", a, b)]})
    (tmp_path / "in").rename(tmp_path / "before")
    references = {"eval": lambda _: Reference((tmp_path / "before/old/items",))}
    out = box({"new": [chat("near", f"{a} so", b), chat("other", a, c)]}, references=references)
    assert [row["uri"] for row in out.kept] == ["other"]
    assert out.row("near")["reason"] == "reference"
