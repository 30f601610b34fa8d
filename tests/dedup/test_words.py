"""The words of texts as hashes, against Python's own normalisation and regular expressions; shingles and their sets."""

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gendata.dedup import minhash, tokens, words

UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
SEPARATING = (
    chr(c) for c in range(0x80, 0x30000) if unicodedata.category(chr(c)) in "Pc Pd Ps Pe Pi Pf Po Sm Sc".split()
)
PUNCTUATION = r"\x00-/:-@\[-`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\u200b" + re.escape("".join(SEPARATING))
UNSEEN = re.compile("[\xad\u061c\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
WORD = re.compile(rf"(?![{PUNCTUATION}])[{UNSPACED}]|[^\s{PUNCTUATION}{UNSPACED}]+")
MASK = 2**64 - 1


def plain_words(text):
    """The definition, in Python."""
    folded = UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
    found = WORD.findall(folded) or list("".join(folded.split()))
    return [part for word in found for part in (word if len(word) > 40 else (word,))]


def plain_hash(word):
    value = 0
    for letter in word:
        value = (value << 5 & MASK | value >> 59) ^ mixed((ord(letter) + 1) * 0x9E3779B97F4A7C15 & MASK)
    return mixed(value)


def mixed(value):
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def hashes(text):
    """The words of a text as the kernels find them."""
    return words.words(pa.array([text])).hashes.tolist()


def plain_signs(text):
    """The signs of a text of few words, each with the number of words before it."""
    if not 0 < len(plain_words(text)) < 20:
        return None
    folded = UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
    starts = [found.start() for found in WORD.finditer(folded)]
    inside = rf"[^\s{PUNCTUATION}{UNSPACED}]"
    found = list(re.finditer(rf"(?<!{inside})-(?=[0-9])|(?<=[0-9])[.,](?=[0-9])", folded))
    found += [m for m in re.finditer(".", folded) if m[0] in "#%&*/@\\^" or unicodedata.category(m[0]) in {"Sm", "Sc"}]
    places = sorted((m.start(), m[0].replace(",", ".")) for m in found)
    return [(sign, sum(start < place for start in starts)) for place, sign in places]


def signs(text):
    return words.words(pa.array([text])).signs[0]


def shingle_set(text, n):
    return minhash.shingle_sets(pa.array([text]), n).hashes


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
        ("مرحبا، عالم؟", ["مرحبا", "عالم"]),
        ("नमस्ते। दुनिया॥", ["नमस्ते", "दुनिया"]),
        ("שלום־עולם", ["שלום", "עולם"]),
        ("スター・ウォーズ", list("スターウォーズ")),
        ("བོད་སྐད།", list("བོདསྐད")),
        ("co\xadop \u200fx\u200dy 3−2 🙂", ["coop", "xy", "3", "2", "🙂"]),
        (" \n\t", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert plain_words(text) == [unicodedata.normalize("NFKC", word) for word in expected]
    assert hashes(text) == [plain_hash(word) for word in plain_words(text)]


letters = st.characters(exclude_categories=["Cs", "Cn"])
marked = st.text(
    st.sampled_from("aeiouAbd .,-ß\u0300\u0301\u0316\u0327éﬁ½\u0344\u1100\u1161\u11a8가が\u3099\u0f73ﷺ\u1e9b"),
    max_size=30,
)
unseen = st.text(st.sampled_from("aé .\xad\u200d\u200b\u0301\u202e\ufeff・"), max_size=20)


@given(st.one_of(st.text(letters, max_size=80), marked, unseen, st.text("ab", min_size=35, max_size=90)))
@example("x" * 40 + " " + "y" * 41 + "½" + "z" * 41)
@example("ﷺ" * 500)
@example("a" * 50 + "ﷺ" * 500)
def test_words_of_any_text(text):
    assert hashes(text) == [plain_hash(word) for word in plain_words(text)]


@given(st.lists(st.text(letters, max_size=20), max_size=8), st.integers(1, 3))
def test_a_text_among_others_is_as_alone(texts, n):
    """Sets and sketches, through slices and nulls too."""
    column = pa.array(["before", *texts, None])[1:]
    together, sketches = minhash.shingle_sets(column, n), minhash.sketch(column, n, 4, 2)
    for at, text in enumerate([*texts, ""]):
        own = together.hashes[together.bounds[at] : together.bounds[at + 1]]
        assert own.tolist() == shingle_set(text, n).tolist()
        alone = minhash.sketch(pa.array([text], pa.large_string()), n, 4, 2)
        assert (sketches.forms[at], sketches.words[at]) == (alone.forms[0], alone.words[0])
        if alone.words[0]:
            assert (sketches.keys[:, at] == alone.keys[:, 0]).all()
        assert alone.words[0] == len(plain_words(text))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=30), st.integers(1, 6))
def test_shingles_are_the_distinct_word_sequences(words, n):
    n = min(n, len(words))
    found = shingle_set(" ".join(words), n)
    assert len(found) == len({tuple(words[i : i + n]) for i in range(len(words) - n + 1)})
    assert (np.diff(found.astype(object)) > 0).all()


@pytest.mark.parametrize("vocabulary", [2, 30, 10**6])
def test_sets_of_long_texts(vocabulary):
    """Sorted by parts of the range, and otherwise where repeats crowd one."""
    drawn = np.random.default_rng(1).integers(0, vocabulary, 20_000)
    texts = pa.array([" ".join(f"w{i}" for i in drawn), "one two three", ""])
    some, sets = minhash.shingles(texts, 2), minhash.shingle_sets(texts, 2)
    for at in range(3):
        every = some.hashes[some.bounds[at] : some.bounds[at + 1]]
        assert (sets.hashes[sets.bounds[at] : sets.bounds[at + 1]] == np.unique(every)).all()
    assert len(some.hashes) == 19_999 + 2


def test_no_character_is_folded_to_more_than_there_is_room_for():
    assert np.diff(words.tables().starts).max() <= tokens.MOST_FOLDED


def test_a_text_shorter_than_a_shingle_is_one_shingle():
    assert len(shingle_set("one two", 5)) == 1
    assert shingle_set("One, two!", 5).tolist() == shingle_set("one two", 5).tolist()
    assert shingle_set("one two", 5).tolist() != shingle_set("two one", 5).tolist()
    assert len(shingle_set(" ", 5)) == 0


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("x > 0", "x < 0", False),
        ("2 + 3", "2 * 3", False),
        ("2*3", "2/3", False),
        ("$5", "€5", False),
        ("-5", "5", False),
        ("1.5", "1 5", False),
        ("C++", "C#", False),
        ("a=b+c", "A = b + c;", True),
        ("Hello, World!", "hello world", True),
        ("3-4", "3–4", True),
        ("－５ ＋ x", "-5+x", True),
        ("1,5", "1.5", True),
        ("w " * 20 + "+", "w " * 20 + "-", True),
        ("w " * 19 + "+", "w " * 19 + "-", False),
    ],
)
def test_signs_of_texts_of_few_words(one, other, equal):
    assert (plain_signs(one) == plain_signs(other)) == equal
    assert (signs(one) == signs(other)) == equal


few = st.text("aé我1２.,-−+＋<= \u0338€#!", max_size=7)


@given(few, few)
@example("1-+", "1 -+")
@example("a-1", "a -1")
def test_signs_against_the_definition(one, other):
    assert (signs(one) == signs(other)) == (plain_signs(one) == plain_signs(other))
    assert bool(signs(one)) == (plain_signs(one) is not None)
