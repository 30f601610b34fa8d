import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search.shelves import WORDS, Row, build_store, encode, encode_image

from gendata.errors import ProjectError, QueryError
from gendata.search import SearchParams, keyword, ranking, retrieve, search, vector
from gendata.search.channels import clean
from gendata.search.directory import directory
from gendata.search.fusion import fuse
from gendata.search.terms import parse
from gendata.store.head import Head, Store, write_head


def find(stores, text=None, **options):
    return search(stores, text, encode_text=encode, encode_image=encode_image, **options)


def passages(shelf, names=("real", "other"), keep=lambda row: True):
    return [
        (name, row.id, part, text)
        for name in names
        for row in shelf.rows[name]
        if keep(row)
        for part, text in enumerate(row.passages, row.first_part)
    ]


def best_items(scored, n):
    """Brute force: passages to items by the best, best items first, equal ones by id."""
    best = {}
    for (store, id_, part), score in sorted(scored.items()):
        if (store, id_) not in best or score > best[store, id_][0] + 1e-12:
            best[store, id_] = (score, part)
    ordered = sorted(best.items(), key=lambda pair: (-pair[1][0], pair[0][1]))
    return [(store, id_, score) for (store, id_), (score, _) in ordered[:n]]


def cosines(rows, query):
    vector = encode(query).astype(np.float64)
    return {row[:3]: float(encode(row[3]).astype(np.float64) @ vector) for row in rows}


def bm25(rows, query):
    """Textbook BM25 (k1 1.2, b 0.75) over passages of words without stop words or stems."""
    words = set(query.split())
    lengths = [len(row[3].split()) for row in rows]
    mean = sum(lengths) / len(lengths)
    idf = {}
    for word in words:
        n = sum(word in row[3].split() for row in rows)
        idf[word] = math.log1p((len(rows) - n + 0.5) / (n + 0.5))
    scores = {}
    for row, length in zip(rows, lengths, strict=True):
        tokens = row[3].split()
        total = sum(
            idf[w] * tokens.count(w) * 2.2 / (tokens.count(w) + 1.2 * (0.25 + 0.75 * length / mean)) for w in words
        )
        if total:
            scores[row[:3]] = total
    return scores


@pytest.mark.parametrize("query", ["open file", "tree graph node", "bread"])
def test_semantic_equals_brute_force(shelf, query):
    hits = find(shelf.stores, query, mode="semantic", n=30).hits
    expected = best_items(cosines(passages(shelf), query), 30)
    assert [h.score for h in hits] == pytest.approx([score for _, _, score in expected], abs=1e-5)
    assert {h.id for h in hits[:25]} <= {id_ for _, id_, _ in best_items(cosines(passages(shelf), query), 31)}
    assert all(h.semantic_score == h.score and h.keyword_score is None for h in hits)


@pytest.mark.parametrize("query", ["stone bread river", "seven", "digit colour pixel"])
def test_keyword_ranks_as_textbook_bm25(shelf, query):
    stores = {"other": shelf.stores["other"]}
    hits = find(stores, query, mode="keyword", n=200).hits
    rows = passages(shelf, ["other"])
    expected = bm25(rows, query)
    assert {h.id for h in hits} == {id_ for _, id_, _ in expected}
    best = {id_: score for _, id_, score in best_items(expected, 200)}
    parts = {}
    for row in rows:
        parts.setdefault(row[1], []).append(row[3])
    whole = bm25([("other", id_, 0, "\n".join(texts)) for id_, texts in parts.items()], query)
    textbook = {id_: whole["other", id_, 0] + 0.5 * score for id_, score in best.items()}
    order = [textbook[h.id] for h in hits]
    assert np.corrcoef(order, [h.score for h in hits])[0, 1] > 0.99  # Lance rounds the lengths of texts
    assert order[0] == pytest.approx(max(order), rel=0.05)


def test_keyword_finds_stems_in_any_case(shelf):
    assert {h.id for h in find(shelf.stores, "STONES", mode="keyword", n=99).hits} == {
        h.id for h in find(shelf.stores, "stone", mode="keyword", n=99).hits
    }


def test_hybrid_is_the_documented_blend(shelf):
    query, stores = "river stone garden", {"other": shelf.stores["other"]}
    rows = passages(shelf, ["other"])
    hits = find(stores, query, n=15, params=SearchParams(keyword_weight=0.3)).hits
    words = {h.id: h.keyword_score for h in find(stores, query, n=200, mode="keyword").hits}
    meaning = {id_: score for _, id_, score in best_items(cosines(rows, query), 200)}
    ids = list(words | meaning)
    scores = fuse(*(np.array([ranking.get(i, 0.0) for i in ids]) for ranking in (words, meaning)), 0.3)
    expected = dict(zip(ids, scores.tolist(), strict=True))
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.id], abs=1e-4)
        assert hit.keyword_score == pytest.approx(words.get(hit.id, 0.0))
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


def test_shallow_rankings_are_filled_with_exact_scores(shelf):
    stores = {"other": shelf.stores["other"]}
    deep = {h.id: h for h in find(stores, "river stone garden", n=100).hits}
    for hit in find(stores, "river stone garden", n=10, params=SearchParams(depth=10)).hits:
        same = deep[hit.id]
        if same.text == hit.text:
            assert hit.keyword_score == pytest.approx(same.keyword_score)
            assert hit.semantic_score == pytest.approx(same.semantic_score, abs=1e-5)


def test_deeper_rankings_until_n_items_are_found(tmp_path):
    rows = [Row([f"river {i} {word}" for i in range(60)]) for word in WORDS[:6]]
    store = {"real": build_store(tmp_path / "s", rows)}
    for mode in ("keyword", "semantic", "hybrid"):
        hits = find(store, "river", mode=mode, n=6, params=SearchParams(depth=10)).hits
        assert len({h.id for h in hits}) == 6


def test_ties_are_cut_by_id(tmp_path):
    rows = [Row(["digit seven"], "image", data=bytes([i, 1])) for i in range(200)]
    store = {"real": build_store(tmp_path / "s", rows)}
    for mode in ("keyword", "semantic", "hybrid"):
        hits = find(store, "seven", mode=mode, n=10, params=SearchParams(depth=10)).hits
        assert [h.id for h in hits] == sorted(r.id for r in rows)[:10]


def test_hits_tell_what_they_are(shelf):
    hit = find(shelf.stores, "bread", mode="keyword", modality="image").hits[0]
    row = next(r for r in shelf.rows["real"] if r.label == "bread")
    assert (hit.id, hit.modality, hit.origin, hit.source, hit.label) == (row.id, "image", "real", "pictures", "bread")
    assert (hit.text, hit.start, hit.end, hit.store) == ("bread", 0, 5, "real")
    assert list(hit.row()) == ["id", "modality", "origin", "source", "uri", "score", "text", "start", "end"]


def test_the_snippet_is_the_best_passage(tmp_path):
    store = {"real": build_store(tmp_path / "s", [Row(["open file", "river stone", "sort key"]), Row(["lock queue"])])}
    for mode in ("keyword", "semantic", "hybrid"):
        hit = find(store, "stone", mode=mode).hits[0]
        assert hit.text == "river stone"


FILTERS = [
    ({"source": "it's"}, lambda r: r.source == "it's"),
    ({"origin": "generated"}, lambda r: r.origin == "generated"),
    ({"origin": "real", "modality": "image"}, lambda r: r.modality == "image"),
    ({"where": "quality > 0.8"}, lambda r: r.quality > 0.8),
    ({"where": "source = 'made' AND origin <> 'real'", "modality": "text"}, lambda r: r.source == "made"),
    ({"source": "' OR 1=1 --"}, lambda r: False),
]


@pytest.mark.parametrize("pushed", [0, 10_000])
@pytest.mark.parametrize(("options", "keep"), FILTERS)
def test_filters_come_before_the_ranking(shelf, monkeypatch, pushed, options, keep):
    """A shallow ranking finds every item that passes; the best five are those of brute force."""
    monkeypatch.setattr(ranking, "PUSHED_IDS", pushed)
    query, deep, shallow = "river stone file seven", SearchParams(), SearchParams(depth=10)
    kept = passages(shelf, keep=keep)
    ids = {name: [r.id for r in rows if keep(r)] for name, rows in shelf.rows.items()}
    if "where" in options:  # the sandbox is tested in test_sql; here it would only take time
        monkeypatch.setattr(retrieve, "select_ids", lambda *_, **__: {n: pa.array(i) for n, i in ids.items()})
    for mode in ("keyword", "semantic", "hybrid"):
        hits = find(shelf.stores, query, mode=mode, n=300, params=shallow, **options).hits
        wanted = {r[1] for r in kept if mode != "keyword" or set(r[3].split()) & set(query.split())}
        assert {h.id for h in hits} == wanted
        few = find(shelf.stores, query, mode=mode, n=5, params=deep, **options).hits
        assert len(few) == min(5, len(wanted))
        if mode == "semantic":
            expected = [score for _, _, score in best_items(cosines(kept, query), 5)]
            assert [h.score for h in few] == pytest.approx(expected, abs=1e-5)
        if mode != "hybrid":
            assert [h.id for h in few] == [h.id for h in hits][:5]


def test_conditions_filter_the_ranking(shelf):
    hits = find(shelf.stores, "river stone", n=300, where="quality > 0.8 -- good ones").hits
    assert {h.id for h in hits} == {r.id for rows in shelf.rows.values() for r in rows if r.quality > 0.8}


def test_a_condition_that_holds_for_many(tmp_path):
    store = build_store(tmp_path / "s", [Row([f"stone {i}"], quality=i % 2) for i in range(50_001)], fts=False)
    hits = find({"real": store}, "stone 7", mode="semantic", n=3, where="quality > 0").hits
    everything = find({"real": store}, "stone 7", mode="semantic", n=3, where="true").hits
    assert hits[0].text == everything[0].text == "stone 7"
    assert len(find({"real": store}, "stone 7", mode="semantic", n=3, where="quality > 9").hits) == 0


def test_scores_of_two_stores_compare(tmp_path):
    """The same passages in a large store of other topics and in a small one get about the same score."""
    shared = [Row(["zebra river"]), Row(["zebra"]), Row(["river stone bread"])]
    filler = [Row([f"{a} {b} {i}"]) for i in range(15) for a in WORDS[:8] for b in WORDS[8:16]]
    stores = {
        "real": build_store(tmp_path / "a", shared + filler),
        "other": build_store(tmp_path / "b", [replace(r, origin="generated") for r in shared]),
    }
    hits = find(stores, "zebra river", mode="keyword").hits
    raw = {name: find({name: store}, "zebra river", mode="keyword").hits[0].score for name, store in stores.items()}
    score = {h.store: h.score for h in hits if h.text == "zebra river"}
    assert raw["real"] / raw["other"] > 5
    assert score["real"] / score["other"] == pytest.approx(1, abs=0.3)
    assert {h.text for h in hits[:2]} == {"zebra river"}


@pytest.fixture(scope="module")
def abstracts(eval_data, tmp_path_factory):
    """Real texts as rows, a store that holds them all, and queries about them."""
    folder = eval_data / "ir_cranfield"
    docs, queries = (
        [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("corpus", "queries")
    )
    rows = [Row([doc["text"]]) for doc in docs if doc["text"].strip()]
    store = build_store(tmp_path_factory.mktemp("abstracts") / "one", rows)
    return rows, {"real": store}, [query["text"] for query in queries[:15]]


@pytest.mark.parametrize(
    ("goes_apart", "share"),
    [(lambda row: int(row.id[:2], 16) < 128, 0.97), (lambda row: "boundary layer" in row.passages[0], 0.9)],
    ids=["by chance", "by topic"],
)
def test_a_corpus_in_two_stores_is_ranked_as_in_one(abstracts, tmp_path, goes_apart, share):
    rows, one, queries = abstracts
    two = {
        "real": build_store(tmp_path / "a", [row for row in rows if not goes_apart(row)]),
        "other": build_store(tmp_path / "b", [replace(row, origin="generated") for row in rows if goes_apart(row)]),
    }
    same = []
    for query in queries:
        whole, split = (find(stores, query, n=10).hits for stores in (one, two))
        same.append(len({hit.id for hit in whole} & {hit.id for hit in split}) / 10)
        scores = {hit.id: hit.score for hit in whole}
        assert all(hit.score == pytest.approx(scores[hit.id], abs=0.05) for hit in split if hit.id in scores)
        assert all(hit.origin == ("real" if hit.store == "real" else "generated") for hit in split)
    assert sum(same) / len(same) >= share


ANY_TEXT = st.one_of(
    st.text(max_size=200),
    st.text(st.characters(categories=["Cs", "Cc", "P", "So"]), max_size=30),
    st.sampled_from(
        [
            '"',
            "a AND (b",
            "text:x^2~",
            "*",
            "?",
            "' OR 1=1 --",
            "\\",
            "!!!",
            "👩‍👩‍👧",
            "x" * 10_000,
            "word " * 2_000,
            "\0",
        ]
    ),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_TEXT, st.sampled_from(["keyword", "semantic", "hybrid"]), st.none() | st.text(max_size=20))
def test_any_text_is_a_query(shelf, text, mode, source):
    if not text.strip():
        with pytest.raises(QueryError, match="empty"):
            find(shelf.stores, text, mode=mode, source=source)
        return
    if not parse(clean(text)).text.strip():
        with pytest.raises(QueryError, match="only excludes"):
            find(shelf.stores, text, mode=mode, source=source)
        return
    result = find(shelf.stores, text, mode=mode, source=source, n=3)
    assert len(result.hits) <= 3
    if mode != "semantic" and not any(h.keyword_score for h in result.hits):
        assert "has a word of the query" in " ".join(result.messages)


def test_images_by_likeness(shelf):
    rows = [r for r in shelf.rows["real"] if r.modality == "image"]
    result = find(shelf.stores, image=rows[2].data, n=3)
    target = encode_image(rows[2].data)
    expected = sorted(((float(encode_image(r.data) @ target), r.id) for r in rows), reverse=True)[:3]
    assert [h.id for h in result.hits] == [id_ for _, id_ in expected]
    assert [h.score for h in result.hits] == pytest.approx([score for score, _ in expected], abs=1e-5)
    assert (result.hits[0].text, result.hits[0].modality) == ("river stone", "image")
    assert result.messages == ()
    where = find(shelf.stores, image=rows[2].data, where="label = 'seven'").hits
    assert {h.label for h in where} == {"seven"}
    assert find(shelf.stores, image=rows[2].data, origin="generated").hits == ()


def test_image_and_text_together(shelf):
    rows = [r for r in shelf.rows["real"] if r.modality == "image"]
    hits = find(shelf.stores, "bread", image=rows[0].data, n=5).hits
    assert {h.modality for h in hits} == {"image"}
    assert {h.id for h in hits[:2]} == {rows[0].id, rows[4].id}
    assert all(h.visual_score is not None for h in hits)


def test_images_by_words_are_captions_and_say_so(shelf):
    result = find(shelf.stores, "seven", modality="image")
    assert {h.label for h in result.hits[:2]} == {"seven"}
    assert any("captions" in m for m in result.messages)


def test_hybrid_degrades_with_a_message(shelf, tmp_path):
    words = search(shelf.stores, "river", params=SearchParams())
    assert any("by words alone" in m for m in words.messages)
    assert words.hits[0].semantic_score is None
    store = {"real": build_store(tmp_path / "s", [Row(["river stone"]), Row(["bread"])], fts=False)}
    meaning = find(store, "river")
    assert any("by meaning alone" in m for m in meaning.messages)
    assert meaning.hits[0].text == "river stone"
    with pytest.raises(QueryError, match="full-text index"):
        find(store, "river", mode="keyword")
    with pytest.raises(QueryError, match="text encoder"):
        search(shelf.stores, "river", mode="semantic")
    other = search(shelf.stores, "river", encode_text=lambda text: np.ones(3, np.float32))
    assert any("another encoder" in m for m in other.messages)
    assert other.hits


def test_a_store_without_texts(tmp_path):
    store = {"real": build_store(tmp_path / "s", [Row(["x"], "image", data=b"a")], fts_rows=False)}
    result = find(store, "river")
    assert result.hits == ()
    assert "no store holds text that can be searched" in result.messages
    assert len(find(store, image=b"a").hits) == 1


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "semantic"])
def test_images_alone_hold_no_text(tmp_path, mode):
    """Though their items have a full-text index, as stores make it."""
    store = {"real": build_store(tmp_path / "s", [Row([], "image", data=b"a")])}
    assert find(store, "river", mode=mode).messages == ("no store holds text that can be searched",)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "empty"),
        (None, {}, "empty"),
        (" \n", {}, "empty"),
        ("a", {"n": 0}, "at least 1"),
        ("a", {"mode": "magic"}, "hybrid"),
        ("a", {"modality": "smell"}, "image"),
        ("a", {"origin": "fake"}, "generated"),
        ("a", {"image": b"x", "modality": "text"}, "images"),
        ("a", {"where": "nope = 1"}, "nope"),
        ("a", {"where": ""}, "empty"),
    ],
)
def test_bad_questions(shelf, text, options, message):
    with pytest.raises(QueryError, match=message):
        find(shelf.stores, text, **options)


def test_no_store():
    with pytest.raises(ProjectError, match="gendata run"):
        find({}, "river")


def test_nothing_is_logged(shelf, capfd):
    find(shelf.stores, "river", where="quality > 0")
    find(shelf.stores, image=b"a")
    assert capfd.readouterr() == ("", "")


def test_a_vector_index_is_used_and_its_scores_are_exact(tmp_path, monkeypatch):
    import lancedb
    from lancedb.index import IvfSq

    rows = [Row([f"{a} {b} {c}"]) for a in WORDS[:8] for b in WORDS[8:16] for c in WORDS[16:22]]
    folder = tmp_path / "s"
    plain = build_store(folder, rows)
    expected = find({"real": plain}, "river stone file", mode="semantic", n=20).hits
    table = lancedb.connect(folder / "lance").open_table("passages")
    table.create_index("vector", config=IvfSq(distance_type="cosine"))
    write_head(folder, Head("catalog-1.duckdb", {"passages": table.version}))
    exact, real = [], vector.Nearness.best
    monkeypatch.setattr(vector.Nearness, "best", lambda self, *a: exact.append(self.exact) or real(self, *a))
    store = {"real": Store.open(folder)}
    hits = find(store, "river stone file", mode="semantic", n=20).hits
    assert exact == [False]
    scores = {h.id: h.score for h in find({"real": plain}, "river stone file", mode="semantic", n=400).hits}
    assert [h.score for h in hits] == pytest.approx([scores[h.id] for h in hits], abs=1e-5)
    assert len({h.id for h in hits} & {h.id for h in expected}) >= 16
    exact.clear()
    filtered = find(store, "river stone file", mode="semantic", n=20, where="true").hits
    assert exact == [True]
    assert [h.score for h in filtered] == pytest.approx([h.score for h in expected], abs=1e-5)


def test_scores_of_given_rows_come_in_blocks(shelf, monkeypatch):
    store = shelf.stores["real"]
    table, known = store.table("passages"), directory(store, "passages")
    asked = (
        keyword.Words(table, known, keyword.any_word("river stone")),
        vector.Nearness(table, known, encode("river stone"), exact=True),
    )
    every = np.arange(table.count_rows())
    monkeypatch.setattr(keyword, "PUSHED_IDS", 2)
    monkeypatch.setattr(vector, "_BLOCK", 2)
    for one in asked:
        expected = dict(zip(*map(np.ndarray.tolist, one.best(None, len(every))), strict=True))
        found = one.scores(every)
        assert dict(zip(*map(np.ndarray.tolist, found), strict=True)) == expected
        assert len(found.places) == len(expected) > 4
        assert len(one.scores(every[:0]).places) == 0


def test_a_source_that_is_not_there_is_named(shelf):
    result = find(shelf.stores, "river", source="nope")
    assert "no source is called 'nope': there are docs, found, it's, made" in " ".join(result.messages)
