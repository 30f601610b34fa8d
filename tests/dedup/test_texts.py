"""Near-duplicate texts: precision and recall against brute force, what stays, planted copies."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.compiled import root
from gendata.dedup import DedupParams, TextParams, texts, visit
from gendata.dedup.lsh import Buckets
from gendata.dedup.minhash import shingle_sets
from gendata.keep import NO_MATCH, Verdicts, visiting_order

SURE = DedupParams(workers=1, text=TextParams(shingle=2, threshold=0.6, group_threshold=0.3, recall=0.9999))


def plain_jaccard(a, b, n):
    """Brute force over texts of plain lower-case words: sets of word tuples."""
    sets = []
    for text in (a, b):
        words = text.split()
        size = min(n, len(words))
        sets.append({tuple(words[i : i + size]) for i in range(len(words) - size + 1)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


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


def templated(seed, count, changed=0, own=(4, 14)):
    """Texts of one template, each with ``own`` words behind it; ``changed``: their share of the template's words."""
    rng, template, new = random.Random(seed), [f"t{i}" for i in range(90)], (f"w{i}" for i in range(100_000))
    for _ in range(count):
        words = [next(new) if rng.random() < changed else word for word in template]
        yield " ".join([*words, *(next(new) for _ in range(rng.randint(*own)))])


@pytest.mark.parametrize("crowd", [2, visit.CROWD])
def test_texts_of_one_template_against_brute_force(box, text, crowd, monkeypatch):
    """Pairs just below and above the threshold, of sets so large that parity bits rule out most of the former."""
    monkeypatch.setattr(visit, "CROWD", crowd)
    documents = list(templated(0, 120))
    texts_ = TextParams(threshold=0.8, group_threshold=0.5, recall=0.9999, permutations=512)
    out = box({"a": [text(d, d) for d in documents]}, DedupParams(workers=1, text=texts_))
    kept = {row["uri"] for row in out.rows if row["kept"]}
    stays = []
    for document in sorted(documents, key=lambda d: (-len(d), next(r["id"] for r in out.rows if r["uri"] == d))):
        if all(plain_jaccard(document, other, 5) < 0.8 for other in stays):
            stays.append(document)
    assert kept == set(stays)
    assert 1 < len(kept) < len(documents)


@pytest.mark.parametrize("thresholds", [(0.3, 0.5), (0.3, 0.8), (0.5, 0.8), (0.8, 0.8)])
@pytest.mark.parametrize("own", [(4, 14), (30, 60)])
@pytest.mark.parametrize("changed", [0, 0.02, 0.05, 0.1])
def test_a_crowded_bucket_gives_what_comparing_all_gives(monkeypatch, changed, own, thresholds):
    """Of two templates and near-copies of their texts, under two origins, in one bucket: equal outcomes and groups."""
    documents = [*templated(0, 60, changed, own), *templated(1, 20, changed, own)]
    documents += [document.replace(f"t{place} ", "other ") for place, document in enumerate(documents[::3])]
    sets = shingle_sets(pa.array(documents), 5)
    count, forms = len(documents), np.arange(len(documents), dtype=np.uint64)
    each, one = np.arange(count, dtype=np.int32), np.zeros(count, np.int32)
    bucket = Buckets(each, np.arange(count + 1), one, np.array([0, count]))
    ranks = (each % 5 == 0).astype(np.int8), one.astype(np.int8)
    seen = []
    for crowd in (1, 3, count):
        monkeypatch.setattr(visit, "CROWD", crowd)
        located = visit.Located(sets.hashes, sets.bounds[:-1], sets.bounds[1:])
        outcome = visit.visit(bucket, located, (forms, 0 * forms), ranks, thresholds)
        groups = [root(outcome.parent, text) for text in range(count)]
        seen.append([groups, *(column.tolist() for column in outcome[:4])])
    assert seen[0] == seen[1] == seen[2]
    assert 0 < seen[0][1].count(-1) < count


def test_texts_of_one_template_are_looked_up(box, text):
    """Beyond the first of a bucket, a comparison or two each, where all pairs would be two million."""
    out = box(
        {"a": [text(d, d) for d in templated(0, 2000)]}, DedupParams(text=TextParams(threshold=0.95, contained=0))
    )
    assert len(out.kept) == 2000
    assert out.summary["compared_pairs"]["text"] < 2000 * visit.CROWD


def test_what_is_as_similar_as_the_threshold_matches_whatever_shares_its_group(box, text):
    """55 of 100 words: 0.55 * 100 is a little over 55 in floating point."""
    whole = [f"w{i}" for i in range(100)]
    params = TextParams(shingle=1, threshold=0.55, group_threshold=0.55, contained=0)
    out = box(
        {"a": [text(str(len(some)), " ".join(some)) for some in (whole, whole[:55])]},
        DedupParams(workers=1, text=params),
    )
    assert sorted(row["score"] for row in out.rows if not row["kept"]) == [0.55]


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
        "1": ("normalised", 1.0),
        "3": ("normalised", 1.0),
    }


def test_signs_keep_short_texts_apart_that_have_the_same_words(box, text):
    short = ["x > 0", "x < 0", "2 + 3", "2 * 3", "What is the sum of 12 + 7 today?", "What is the sum of 12 - 7 today?"]
    long = [" ".join([*(f"w{i}" for i in range(30)), sign]) for sign in "+*"]
    out = box({"a": [text(t, t) for t in [*short, "X  >  0.", *long]]})
    assert {row["uri"]: row["reason"] for row in out.rows if not row["kept"]} in (
        {"x > 0": "normalised", long[0]: "normalised"},
        {"x > 0": "normalised", long[1]: "normalised"},
    )
    groups = {row["uri"]: row["group"] for row in out.rows}
    assert groups["x > 0"] == groups["x < 0"] != groups["2 + 3"]


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


def shuffled(seed):
    """200 pages, two in three near-copies or the same words in other form."""
    rng = random.Random(1)
    pages = [" ".join(rng.choices([f"w{i}" for i in range(500)], k=80)) for _ in range(60)]
    for _ in range(140):
        words = rng.choice(pages[:60]).split()
        for at in rng.sample(range(80), rng.randrange(4)):
            words[at] = f"x{rng.randrange(99)}"
        pages.append(" ".join(words) if rng.random() < 0.7 else " ".join(words).upper() + "!")
    return random.Random(seed).sample([*enumerate(pages)], len(pages))


def decided(pages, workers, folder):
    """The kept ids and all verdicts, by id, with texts as Arrow has them."""
    numbers, words = zip(*pages, strict=True)
    folder.mkdir()
    params = TextParams()
    found = texts.sketch_texts(texts.ArrowTexts(pa.chunked_array([words])), np.array(numbers), folder, params, workers)
    verdicts = Verdicts(np.zeros(len(pages), np.int8))
    texts.search(found, visiting_order(found.items, found.sizes), verdicts, params, workers)
    return verdicts.stays_as.tolist(), verdicts.reason.tolist(), verdicts.groups().tolist()


def test_twenty_orders_and_any_number_of_threads_decide_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "BATCH", 16)
    expected = decided(shuffled(0), 1, tmp_path / "first")
    assert 0 < sum(reason != NO_MATCH for reason in expected[1]) < 200
    for seed in range(20):
        assert decided(shuffled(seed), (1, 2, 4)[seed % 3], tmp_path / str(seed)) == expected


def test_similarities_of_pairs():
    one, other = pa.array(["a b c d", "a b", "", "x"]), pa.array(["a b c", "a b c d", "a", "X!"])
    jaccard, contained = texts.compare(one, other, 2)
    assert jaccard.tolist() == [2 / 3, 1 / 3, 0, 1]
    assert contained.tolist() == [1, 1, 0, 1]
