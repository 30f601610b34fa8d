import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.tag import gopher
from gendata.tag.gopher import line_score, repetition_score, text_quality, word_score

PROSE = (
    "When the bridge was closed for repairs, most of the traffic moved to the old road along the river. "
    "Shops that had been quiet for years were suddenly busy, and two of them even hired new people. "
    "By the time the work was finished, nobody wanted the lorries to leave."
)


def test_prose_passes_every_rule():
    assert text_quality(PROSE, english=True) == 1


@pytest.mark.parametrize(
    "text",
    [
        "\n".join([PROSE[:60]] * 10),
        PROSE[:100] + " click here to read more" * 20,
        " ".join(" ".join(word) for word in PROSE.split()),
        "".join(PROSE.split()),
        "\n".join(f"• {word} ..." for word in PROSE.split()),
        " ".join(f"{random.Random(i).getrandbits(256):x}" for i in range(20)),
        "| - | = | # | - | + | ".join("abcd"),
    ],
)
def test_what_is_not_prose_scores_low(text):
    assert text_quality(text, english=True) < 0.2


def test_a_text_that_is_half_numbers_is_between():
    words = PROSE.split()
    mixed = " ".join(word if i % 2 else str(1000 + i) for i, word in enumerate(words))
    assert 0.3 < text_quality(mixed, english=True) < 0.9


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_a_text_without_a_word_has_no_score(text):
    assert text_quality(text, english=True) is None


@pytest.mark.parametrize(
    ("words", "score"),
    [
        (["abc", "defg"], 1),
        (["ab", "a"], 0.5),  # 1.5 of 3
        (["a" * 15], 0.5),  # 15 of 10, half way to 20
        (["a" * 20], 0),
        (["abcd", "1234"], 0.5 / 0.8),
        (["1234"], 0),
    ],
)
def test_word_rules_by_hand(words, score):
    assert word_score(words, english=True) == pytest.approx(score)


@pytest.mark.parametrize(("stop", "score"), [([], 0), (["The"], 0.5), (["the", "THE,"], 0.5), (["the", "(and)"], 1)])
def test_stop_words_are_counted_once_each_and_only_where_asked(stop, score):
    words = ["word"] * (gopher.STOP_FROM - len(stop)) + stop
    assert word_score(words, english=True) == score
    assert word_score(words, english=False) == 1
    assert word_score(words[1:], english=True) == 1  # a caption need not have them


@pytest.mark.parametrize(
    ("lines", "score"),
    [
        (["a", "b"], 1),
        ([], 1),
        (["- a"], 1),  # one line is no list
        (["- a", "* b"], 0),
        (["- a"] + [str(i) for i in range(9)], 1),
        ([f"- {i}" for i in range(19)] + ["a"], 0.5),  # 95 %, half way from 90 to 100
        (["a...", "b", "c", "d"], 1),
        (["a…", "b...", "c", "d", "e"], 2 - 0.4 / 0.3),
        (["a", "a", "b", "c", "d"], 1),
        (["a", " a ", "", "a", "b", "c"], 2 - 0.4 / 0.3),
    ],
)
def test_line_rules_by_hand(lines, score):
    assert line_score("\n".join(lines)) == pytest.approx(score)


def test_hash_signs_and_ellipses_by_hand():
    assert text_quality("word " * 0 + "abcd # efgh ijkl mnop qrst uvwx yzab cdef ghij", english=False) == 1
    words = "abcd # efgh # ijkl mnop qrst uvwx yzab cdef ghij klmn opqr stuv wxyz"
    assert text_quality(words, english=False) == pytest.approx(2 - 2 / 15 / 0.1)


def brute_force_repetition(words: list[str]) -> float:
    """The same rules with lists and sets of n-grams."""
    low = [word.lower() for word in words]
    total, score = sum(map(len, words)), 1.0
    for n in range(2, 11):
        grams = [tuple(low[i : i + n]) for i in range(len(low) - n + 1)]
        if not grams:
            continue
        if n in gopher.TOP_NGRAM:
            # the first occurrence gives the length: case may change it
            starts = {gram: grams.index(gram) for gram in grams}
            taken = [
                sum(map(len, words[i : i + n])) * grams.count(gram)
                for gram, i in starts.items()
                if grams.count(gram) > 1
            ]
            score = min(score, 2 - max(taken, default=0) / total / gopher.TOP_NGRAM[n])
        if n in gopher.REPEATED_NGRAMS:
            covered = {j for i, gram in enumerate(grams) if gram in grams[:i] for j in range(i, i + n)}
            score = min(score, 2 - sum(len(words[j]) for j in covered) / total / gopher.REPEATED_NGRAMS[n])
    return max(0.0, score)


@given(
    st.lists(
        st.sampled_from(["a", "A", "bb", "Bb", "ccc", "dddd", "ee", "f", "g1", "hh", "iii"]), min_size=1, max_size=60
    )
)
def test_repetition_equals_brute_force(words):
    assert repetition_score(words) == pytest.approx(brute_force_repetition(words))


@given(st.integers(1, 30), st.integers(0, 8))
def test_repetition_of_a_block_equals_brute_force(length, copies):
    words = [f"w{i}" for i in range(40)] + [f"x{i}" for i in range(length)] * copies
    assert repetition_score(words) == pytest.approx(brute_force_repetition(words))


def test_scripts_without_spaces_skip_the_word_rules():
    assert (
        text_quality("この橋は修理のために閉鎖され、ほとんどの車は川沿いの古い道を通るようになった。", english=False)
        > 0.9
    )
    assert text_quality("สะพานถูกปิดเพื่อซ่อมแซมและรถส่วนใหญ่ใช้ถนนสายเก่าริมแม่น้ำ", english=False) == 1


@given(st.text(max_size=300), st.booleans())
def test_any_text_scores_between_0_and_1(text, english):
    score = text_quality(text, english=english)
    assert (score is None) == (not text.split())
    assert score is None or 0 <= score <= 1


def test_a_long_text_is_judged_by_its_start():
    long = " ".join(f"word{i}" for i in range(20_000))
    assert text_quality(long, english=False) == text_quality(long[: gopher.SAMPLE], english=False)
