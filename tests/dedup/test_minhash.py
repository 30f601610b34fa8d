"""Near-duplicate texts: words, shingles, the banding curve, precision and recall against brute force."""

import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.dedup import DedupParams, TextParams, minhash

SURE = DedupParams(workers=1, text=TextParams(shingle=2, threshold=0.6, group_threshold=0.3, recall=0.9999))


def plain_jaccard(a, b, n):
    """Brute force over texts of plain lower-case words: sets of word tuples."""
    sets = []
    for text in (a, b):
        words = text.split()
        size = min(n, len(words))
        sets.append({tuple(words[i : i + size]) for i in range(len(words) - size + 1)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't  stop, NOW!", ["don", "t", "stop", "now"]),
        ("ﬁne Ｗide", ["fine", "wide"]),
        ("我喜欢吃苹果。", list("我喜欢吃苹果")),
        ("GPU で動く", ["gpu", "で", "動", "く"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("ACGT" * 20, list("acgt" * 20)),
        ("?! ...", list("?!...")),
        (" \n\t", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert minhash.words(text) == [unicodedata.normalize("NFKC", word) for word in expected]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=30), st.integers(1, 6))
def test_shingles_are_the_distinct_word_sequences(words, n):
    n = min(n, len(words))
    found = minhash.shingles(" ".join(words), n)
    assert len(found) == len({tuple(words[i : i + n]) for i in range(len(words) - n + 1)})
    assert (np.diff(found.astype(object)) > 0).all()


def test_a_text_shorter_than_a_shingle_is_one_shingle():
    assert len(minhash.shingles("one two", 5)) == 1
    assert minhash.shingles("One, two!", 5).tolist() == minhash.shingles("one two", 5).tolist()
    assert minhash.shingles("one two", 5).tolist() != minhash.shingles("two one", 5).tolist()
    assert len(minhash.shingles(" ", 5)) == 0


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_jaccard_is_that_of_sets(a, b):
    expected = len(a & b) / len(a | b) if a | b else 0.0
    assert minhash.jaccard(*(np.array(sorted(x), np.uint64) for x in (a, b))) == expected


@given(st.floats(0.05, 1), st.integers(16, 256), st.floats(0.5, 0.999))
def test_banding_keeps_the_recall_with_the_most_rows(threshold, permutations, recall):
    try:
        bands, rows = minhash.banding(threshold, permutations, recall)
    except ValueError:
        assert minhash.chance(threshold, permutations, 1) < recall
        return
    assert bands * rows <= permutations
    assert minhash.chance(threshold, bands, rows) >= recall
    for more in range(rows + 1, permutations + 1):
        assert minhash.chance(threshold, permutations // more, more) < recall


def test_banding_of_the_defaults():
    assert minhash.banding(0.8, 128, 0.98) == (18, 7)
    assert minhash.chance(0.8, 18, 7) == pytest.approx(0.9855, abs=1e-4)
    assert minhash.chance(0.3, 18, 7) < 0.005


def test_signatures_find_pairs_as_often_as_the_curve_says():
    rng = np.random.default_rng(5)
    pairs, bands, rows = 1500, 18, 7
    for common, similarity in [(160, 0.8), (100, 100 / 260), (133, 133 / 227)]:
        keys = []
        for _ in range(pairs):
            values = rng.integers(0, 2**64, 360 - common, dtype=np.uint64)  # two sets of 180 share `common`
            both = [np.sort(values[:180]), np.sort(values[180 - common : 360 - common])]
            keys.append([minhash.signature(s, bands * rows) for s in both])
        one, other = (minhash.band_keys(np.array([k[i] for k in keys]), bands, rows) for i in (0, 1))
        expected = minhash.chance(similarity, bands, rows)
        found = (one == other).any(axis=1).mean()
        assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs)


def test_signature_of_a_long_text_is_the_least_over_its_blocks():
    values = np.random.default_rng(1).integers(0, 2**64, 5000, dtype=np.uint64)
    parts = [minhash.signature(part, 20) for part in np.array_split(values, 7)]
    assert minhash.signature(values, 20).tolist() == np.min(parts, axis=0).tolist()


word = st.sampled_from("alpha beta gamma delta epsilon zeta".split())
document = st.lists(word, min_size=1, max_size=12).map(" ".join)


@given(st.lists(document, min_size=1, max_size=8, unique=True), st.data())
def test_against_brute_force(box_for_examples, text, documents, data):
    """Precision is 1 exactly; recall is 1 up to the chance of 0.0001 per pair that SURE grants."""
    origins = data.draw(
        st.lists(st.sampled_from(["real", "generated"]), min_size=len(documents), max_size=len(documents))
    )
    items = [text(d, d, origin=o) for d, o in zip(documents, origins, strict=True)]
    out = box_for_examples({"a": items}, SURE)
    by_id, origin = {row["id"]: row["uri"] for row in out.rows}, dict(zip(documents, origins, strict=True))
    for row in out.rows:
        if not row["kept"]:
            stays = by_id[row["kept_id"]]
            assert row["score"] == plain_jaccard(row["uri"], stays, 2) >= 0.6
            assert origin[row["uri"]] == origin[stays]
        if row["conflict_id"]:
            assert plain_jaccard(row["uri"], by_id[row["conflict_id"]], 2) >= 0.6
            assert (origin[row["uri"]], origin[by_id[row["conflict_id"]]]) == ("real", "generated")
    kept = [row for row in out.rows if row["kept"]]
    for i, a in enumerate(kept):
        for b in kept[:i]:
            if plain_jaccard(a["uri"], b["uri"], 2) >= 0.6:
                assert origin[a["uri"]] != origin[b["uri"]]
                assert a["group"] == b["group"]
                assert (a if origin[a["uri"]] == "real" else b)["conflict_id"]


def test_no_chaining(box, text):
    """b is near a and c, a and c are not near each other: b goes, a and c stay and share its group."""
    words = [f"w{i}" for i in range(40)]
    a, b, c = (" ".join(w) for w in (words[:30], words[4:34], words[8:38]))
    assert plain_jaccard(a, c, 2) < 0.7 <= plain_jaccard(a, b, 2)
    params = TextParams(shingle=2, threshold=0.7, group_threshold=0.4, recall=0.9999)
    out = box({"a": [text("b", b), text("a", a, label="x"), text("c", c, label="y")]}, DedupParams(text=params))
    assert {row["uri"] for row in out.kept} == {"a", "c"}
    assert len({row["group"] for row in out.rows}) == 1
    assert out.row("b")["kept_id"] in {out.row("a")["id"], out.row("c")["id"]}


def test_a_part_of_a_text_matches_down_to_the_threshold(box, text):
    words = [f"w{i}" for i in range(101)]
    limits = TextParams(shingle=2, threshold=0.6, group_threshold=0.6, recall=0.9999)
    for length, kept in [(61, 1), (60, 2)]:  # Jaccard 60/100 and 59/100
        out = box(
            {"a": [text("all", " ".join(words)), text("part", " ".join(words[:length]))]}, DedupParams(text=limits)
        )
        assert len(out.kept) == kept


def test_near_copies_cost_one_comparison_each(box, text):
    rng, base = random.Random(0), [f"w{i}" for i in range(200)]

    def near(i):
        words = list(base)
        words[rng.randrange(200)] = f"x{i}"
        return text(i, " ".join(words))

    out = box({"a": [near(i) for i in range(1500)]})
    assert (out.summary["kept"], out.summary["dropped_by_reason"]["near-text"]) == (1, 1499)
    assert out.summary["compared_pairs"]["text"] == 1499


def test_case_and_punctuation_make_near_copies_and_longer_stays(box, text):
    words = "the quick brown fox jumps over the lazy dog"
    out = box(
        {
            "a": [
                text("1", words),
                text("2", words.title() + "!"),
                text("3", "我喜欢吃苹果和香蕉"),
                text("4", "我喜欢吃苹果和香蕉。"),
            ]
        }
    )
    assert {row["uri"]: (row["reason"], row["score"]) for row in out.rows if not row["kept"]} == {
        "1": ("near-text", 1.0),
        "3": ("near-text", 1.0),
    }


def test_texts_without_words(box, text):
    out = box({"a": [text("1", " "), text("2", "\n"), text("3", "!?"), text("4", "! ?"), text("5", "")]})
    assert {row["uri"] for row in out.kept} == {"1", "2", "4", "5"}
    assert out.summary["exact_only"]["text-empty"] == 3


def test_planted_articles(box, text, eval_data):
    """News articles with planted near-copies, and nothing else (McCormick 2015)."""
    folder = eval_data / "ndtext_minhash_articles"
    lines = (folder / "articles_1000.train").read_text(encoding="utf-8").splitlines()
    planted = {frozenset(line.split()) for line in (folder / "articles_1000.truth").read_text().splitlines() if line}
    out = box({"a": [text(*line.split(" ", 1)) for line in lines]}, shard_rows=300)
    by_id = {row["id"]: row["uri"] for row in out.rows}
    assert {frozenset((row["uri"], by_id[row["kept_id"]])) for row in out.rows if not row["kept"]} == planted
