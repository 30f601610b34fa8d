"""Texts contained in others: found against brute force, reported or removed, and never by what everything shares."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.dedup import DedupParams, TextParams

WORDS = [f"w{i}" for i in range(4000)]


def params(**text):
    return DedupParams(workers=1, text=TextParams(**{"shingle": 3, "contained_words": 4} | text))


def plain_share(a, b, n=3):
    one, other = ({tuple(w[i : i + n]) for i in range(max(1, len(w) - n + 1))} for w in (a.split(), b.split()))
    return len(one & other) / len(one)


def page(rng, words=300):
    return " ".join(rng.choices(WORDS, k=words))


@pytest.fixture
def quoted(text):
    """A page, a part of it, the part with a changed word, a page around the part, and pages that have nothing of it."""
    rng = random.Random(4)
    whole = page(rng)
    part = " ".join(whole.split()[100:200])
    around = f"{page(rng)} {part} {page(rng)}"
    changed = part.split()
    changed[50] = "x"
    return [text("whole", whole), text("part", part), text("around", around)], " ".join(changed), rng


def test_a_part_is_reported_and_shares_a_group(box, quoted, text):
    pages, _, rng = quoted
    out = box({"a": [*pages, *(text(i, page(rng)) for i in range(30))]}, params())
    assert out.summary["dropped"] == 0
    part, holders = out.row("part"), {out.row("whole")["id"], out.row("around")["id"]}
    assert part["contained_in"] in holders
    assert part["group"] == out.row("whole")["group"] == out.row("around")["group"]
    assert [row["uri"] for row in out.rows if row["contained_in"]] == ["part"]
    assert out.summary["contained"] == {"found": 1, "left_out": 0}


def test_a_part_goes_when_told_and_takes_its_copies_along(box, quoted, text):
    pages, changed, _ = quoted
    copies = [text("shout", pages[1].text.upper() + "!"), text("changed", changed)]
    out = box({"a": [*pages, *copies]}, params(remove_contained=True))
    assert {row["uri"] for row in out.kept} == {"whole", "around"}
    reasons = {row["uri"]: row["reason"] for row in out.rows if not row["kept"]}
    assert sorted(reasons.values()) == ["contained", "near-text", "normalised"]
    stays = {row["id"] for row in out.kept}
    assert all(row["kept_id"] in stays for row in out.rows)
    assert sum(row["copies"] for row in out.kept) == 5


def test_what_comes_first_or_is_of_another_origin_is_not_removed(box, quoted, text):
    pages, _, _ = quoted
    labelled = [text("part", pages[1].text, label="x"), pages[0]]
    out = box({"a": labelled}, params(remove_contained=True))
    assert (len(out.kept), out.row("part")["contained_in"]) == (2, out.row("whole")["id"])
    foreign = [pages[1], text("whole", pages[0].text, origin="generated")]
    out = box({"a": foreign}, params(remove_contained=True))
    assert (len(out.kept), out.row("part")["contained_in"]) == (2, out.row("whole")["id"])


def test_off_and_too_short(box, quoted):
    pages, _, _ = quoted
    assert not any(row["contained_in"] for row in box({"a": pages}, params(contained=0)).rows)
    assert not any(row["contained_in"] for row in box({"a": pages}, params(contained_words=101)).rows)


def test_what_every_page_shares_points_at_nothing(box, text):
    """300 short pages that differ in a word around the same footer: none is contained, and all is quick."""
    rng = random.Random(1)
    footer = page(rng, 30)
    pages = [text(i, f"{footer} {' '.join(rng.choices(WORDS, k=25))}") for i in range(300)]
    out = box({"a": [*pages, text("footer", footer)]}, params(threshold=0.9, group_threshold=0.9, recall=0.9999))
    assert not out.summary["dropped"]
    assert out.summary["contained"]["left_out"] <= 1
    assert {row["uri"] for row in out.rows if row["contained_in"]} <= {"footer"}


sentence = st.lists(st.sampled_from(WORDS[:40]), min_size=4, max_size=14)


@given(st.lists(sentence, min_size=1, max_size=4), st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=6))
def test_against_brute_force(box_for_examples, text, sentences, pages):
    texts = [" ".join(w for at in page for w in sentences[at % len(sentences)]) for page in pages]
    texts = sorted({one for one in texts if one})
    out = box_for_examples({"a": [text(one, one) for one in texts]}, params(threshold=1.0, recall=0.9999))
    by_id = {row["id"]: row["uri"] for row in out.rows}
    kept = [row["uri"] for row in out.kept]
    for row in out.kept:
        expected = {other for other in kept if other != row["uri"] and plain_share(row["uri"], other) >= 0.9}
        if row["contained_in"] is None:
            assert not expected
        else:
            assert by_id[row["contained_in"]] in expected


@given(
    st.lists(sentence, min_size=1, max_size=4),
    st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=8),
    st.sampled_from([0.5, 0.7, 0.9]),
    st.integers(0, 2**8),
)
def test_what_a_text_is_contained_in_stays(box_for_examples, text, sentences, pages, contained, labels):
    texts = [" ".join(w for at in page for w in sentences[at % len(sentences)]) for page in pages]
    texts = sorted({one for one in texts if one})
    items = [text(one, one, label="x" if labels >> n & 1 else None) for n, one in enumerate(texts)]
    out = box_for_examples(
        {"a": items}, params(threshold=1.0, recall=0.9999, contained=contained, remove_contained=True)
    )
    kept = {row["id"]: row["uri"] for row in out.kept}
    for row in out.kept:
        expected = {i for i, other in kept.items() if i != row["id"] and plain_share(row["uri"], other) >= contained}
        assert row["contained_in"] in kept.keys() - {row["id"]} if row["contained_in"] else not expected


def test_a_part_of_a_dropped_part_names_what_stays(box, text):
    """The labelled part stays; the page that holds it goes for one that holds only nine tenths of both."""
    rng = random.Random(7)
    words = page(rng, 200).split()
    whole = " ".join([*words[:190], *page(rng, 200).split()])
    items = [text("whole", whole), text("middle", " ".join(words[10:])), text("part", " ".join(words[150:]), label="x")]
    out = box({"a": items}, params(remove_contained=True))
    assert {row["uri"] for row in out.kept} == {"whole", "part"}
    assert out.row("middle")["reason"] == "contained"
    assert out.row("part")["contained_in"] == out.row("whole")["id"]
