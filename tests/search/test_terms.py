"""Phrases and excluded words: what they leave of the results, against a look at every text."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search.shelves import WORDS, Row, build_store, corpus, encode

from gendata.errors import QueryError
from gendata.search import search
from gendata.search.terms import Terms, literal, parse

ACROSS = ["open the", "file here"]


@pytest.fixture(scope="module")
def rows():
    said = ["to be or not to be", "Open  the\nfile now", "reopen the files", "the C++ file", "a tree, a graph"]
    said += ["a river stone is cold", "the garden has a river stone", "stones in a river", "an open file in a garden"]
    return [Row([text]) for text in said] + [Row(ACROSS)] + corpus(3, 120)


@pytest.fixture(scope="module")
def stores(rows, tmp_path_factory):
    folder, half = tmp_path_factory.mktemp("terms"), len(rows) // 2
    return {"real": build_store(folder / "real", rows[:half]), "other": build_store(folder / "other", rows[half:])}


def found(stores, query, mode="hybrid", **more):
    return {hit.id for hit in search(stores, query, encode_text=encode, mode=mode, n=500, **more).hits}


def holding(rows, pattern):
    pattern = pattern.replace(" ", r"\s+")
    return {row.id for row in rows if re.search(pattern, "\n".join(row.passages), re.IGNORECASE)}


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("open a file", Terms("open a file")),
        ('how to "open a  file" -socket', Terms("how to open a file", ("open a file",), ("socket",))),
        ('tree -"weight edge"', Terms("tree", (), (), ("weight edge",))),
        ("tree -os.path", Terms("tree", (), (), ("os.path",))),
        ("“weak reference” count", Terms("weak reference count", ("weak reference",))),
        ("well-known -1 --flag a - b", Terms("well-known -1 --flag a - b")),
        ("-socket", Terms("", (), ("socket",))),
        ('-"a socket" -os.path', Terms("", (), (), ("a socket", "os.path"))),
        ('an "open quote', Terms('an "open quote')),
        ('""', Terms('""')),
        ('say "!?" loud', Terms('say "!?" loud')),
        ('5"disk 3"drive', Terms('5"disk 3"drive')),
    ],
)
def test_a_query_is_taken_apart(query, terms):
    assert parse(query) == terms


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
@pytest.mark.parametrize(
    ("query", "pattern"),
    [
        ('"open the file"', r"\bopen\s+the\s+file\b"),
        ('"to be or not to be"', "to be or not to be"),
        ('"c++ file"', r"c\+\+ file"),
        ('"tree, a"', "tree, a"),
        ('"river stone"', r"\briver stone\b"),
        ('garden "open file"', r"\bopen file\b"),
    ],
)
def test_every_hit_holds_the_phrase_and_none_is_missed(stores, rows, mode, query, pattern):
    expected, hits = holding(rows, pattern), found(stores, query, mode)
    assert expected
    if mode == "keyword":  # stop words alone rank nothing
        assert hits <= expected
    else:
        assert hits == expected


def test_a_phrase_is_found_across_passages(stores, rows):
    (across,) = (row.id for row in rows if row.passages == ACROSS)
    assert across in found(stores, '"open the file"')
    assert across not in found(stores, 'file -"open the file"')


def test_a_query_that_only_excludes_is_refused(stores):
    for query in ("-stone", '-"river stone"', "  -a -b "):
        with pytest.raises(QueryError, match="only excludes"):
            search(stores, query, encode_text=encode)


def test_a_phrase_of_stop_words_is_found_though_the_index_has_none(stores, rows):
    expected = holding(rows, r"\bor not\b")
    assert expected
    assert found(stores, 'stone "OR not"', "semantic") == expected
    assert found(stores, "stone -or", "semantic") == {row.id for row in rows} - holding(rows, r"\bor\b")


@pytest.mark.parametrize("part", [" “a", '"', "“", "a"])
def test_taking_a_query_apart_takes_time_in_proportion(part):
    """A million steps or so: an expression that tries again from every place would take a billion."""
    query = part * (20_000 // len(part))
    assert parse(query) == Terms(query)


def test_many_terms_are_taken_apart_in_proportion():
    assert parse(" -a.b" * 5_000) == Terms("", (), (), ("a.b",) * 5_000)
    assert parse(' "a" ' * 5_000) == Terms(" ".join("a" * 5_000), ("a",) * 5_000)


def test_excluded_words_and_phrases_leave_no_item(stores, rows):
    everything = {row.id for row in rows}
    assert found(stores, "garden -stone", "semantic") == everything - holding(rows, r"\bstones?\b")
    assert found(stores, 'garden -"river stone"', "semantic") == everything - holding(rows, r"\briver stone\b")
    both = holding(rows, r"\bopen\s+the\b") - holding(rows, r"\bnow\b")
    assert found(stores, 'garden -now "open the"', "semantic") == both != holding(rows, r"\bopen\s+the\b")


def test_two_phrases_must_both_occur(stores, rows):
    words = rows[-1].passages[0].split()
    a, b = " ".join(words[:2]), " ".join(words[-2:])
    hits = found(stores, f'"{a}" "{b}"')
    assert rows[-1].id in hits
    assert hits == holding(rows, rf"\b{a}\b") & holding(rows, rf"\b{b}\b")


def test_a_phrase_that_nothing_holds_is_said(stores):
    result = search(stores, '"purple elephants dance"', encode_text=encode)
    assert result.hits == ()
    assert any('holds "purple elephants dance"' in message for message in result.messages)


def test_phrases_hold_beside_conditions(stores):
    assert found(stores, '"open the"', where="quality > 0.9") == set()
    assert found(stores, '"open the"', where="quality < 0.9") == found(stores, '"open the"') != set()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["a", " ", '"', "-", "“", "”", "file", "\n", "(", "*", "é", "\x00"]), max_size=30))
def test_any_text_is_a_query(stores, parts):
    text = "".join(parts)
    terms = parse(text)
    left_out = bool(terms.phrases or terms.without or terms.without_phrases)
    assert left_out or terms == Terms(text)
    if terms.text.strip():
        assert len(search(stores, text, encode_text=encode, n=3).hits) <= 3
    elif left_out:
        with pytest.raises(QueryError, match="only excludes"):
            search(stores, text, encode_text=encode)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), st.text(" \n\t", min_size=1, max_size=3))
def test_a_phrase_matches_itself_in_any_white_space(words, space):
    text, phrase = space.join(words).upper(), " ".join(words)
    assert literal(phrase).search(f"x {text} y")
    assert not literal(phrase).search(f"x{text}y")


def test_scores_and_ranks_are_explained(stores):
    hits = search(stores, "river stone garden", encode_text=encode, n=20).hits
    rows = [hit.explained() for hit in hits]
    for kind in ("keyword", "semantic"):
        ranked = sorted((row for row in rows if row[f"{kind}_rank"]), key=lambda row: row[f"{kind}_rank"])
        scores = [row[f"{kind}_score"] for row in ranked]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) > 5
    assert all(row["visual_rank"] is None for row in rows)
