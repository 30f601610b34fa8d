import bz2
import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.evaluate import texts
from gendata.evaluate.texts import (
    Overlap,
    bits_per_byte,
    compressed,
    distinct_n,
    documents,
    longest_overlap,
    repetition,
    self_bleu,
)
from gendata.models.tokens import SEPARATOR


@pytest.mark.parametrize(
    ("given", "n", "share"),
    [
        (["a b a b"], 1, 2 / 4),
        (["a b a b"], 2, 2 / 3),
        (["a b", "b a", "a  b\n"], 2, 2 / 3),  # across texts, but no bigram spans two
        (["a b", "c"], 3, 0),
        ([], 1, 0),
    ],
)
def test_distinct_by_hand(given, n, share):
    assert distinct_n(given, n) == pytest.approx(share)


@pytest.mark.parametrize(
    ("given", "n", "share"),
    [
        (["a b c d"], 4, 0),
        (["a b a b a b"], 2, 3 / 5),
        (["a a a", "a b", "c"], 2, (1 / 2 + 0) / 2),  # a mean over texts that have a bigram
        (["a b c d", "a b c d"], 4, 0),  # inside a text, not across
        (["a"], 4, 0),
        ([], 4, 0),
    ],
)
def test_repetition_by_hand(given, n, share):
    assert repetition(given, n) == pytest.approx(share)


def test_guessing_bytes_takes_eight_bits_each():
    assert bits_per_byte(math.log(256), tokens=10, n_bytes=10) == pytest.approx(8)
    assert bits_per_byte(math.log(2), tokens=10, n_bytes=40) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="n_bytes"):
        bits_per_byte(1, 0, 0)


def bleu_by_definition(text, references):
    def grams(words, n):
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    words, others = text.split(), [r.split() for r in references]
    logs = 0.0
    for n in range(1, 5):
        own = grams(words, n)
        clipped = sum(min(own.count(g), max(grams(o, n).count(g) for o in others)) for g in set(own))
        logs += math.log((clipped or 0.1) / len(own)) / 4
    closest = min((abs(len(o) - len(words)), len(o)) for o in others)[1]
    return (1.0 if len(words) > closest else math.exp(1 - closest / len(words))) * math.exp(logs)


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=4, max_size=9).map(" ".join), min_size=2, max_size=5))
def test_self_bleu_agrees_with_its_definition(given):
    expected = [bleu_by_definition(text, given[:i] + given[i + 1 :]) for i, text in enumerate(given)]
    assert self_bleu(given) == pytest.approx(sum(expected) / len(expected))


def test_self_bleu_of_equal_and_of_too_few_texts():
    assert self_bleu(["a b c d e"] * 3) == pytest.approx(1)
    assert self_bleu(["a b c d", "a b c"]) == self_bleu([]) == 0


@given(st.lists(st.binary(max_size=50), max_size=6).filter(any))
def test_compressors_need_what_they_need_for_all_at_once(given):
    whole = b"".join(given)
    sizes = {"gzip": len(zlib.compress(whole, 9)), "bz2": len(bz2.compress(whole, 9))}
    assert compressed(given) == {name: pytest.approx(8 * size / len(whole)) for name, size in sizes.items()}


def test_nothing_is_not_compressed():
    with pytest.raises(ValueError, match="at least one byte"):
        compressed([b""])


def longest(text, training):
    """By the definition."""
    runs = (text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1))
    return max((len(run) for run in runs if any(run in document for document in training)), default=0)


def strings(alphabet):
    return st.lists(st.lists(st.sampled_from(alphabet), max_size=12).map(bytes), max_size=6)


@given(
    st.sampled_from([b"ab", b"abc", bytes([0, 195, 164, 255])]).flatmap(lambda a: st.tuples(strings(a), strings(a))),
)
def test_overlaps_agree_with_brute_force(case):
    given, training = case
    found = longest_overlap(given, training)
    assert [overlap.length for overlap in found] == [longest(text, training) for text in given]
    for text, (length, offset, document, document_offset) in zip(given, found, strict=True):
        if length:
            run = training[document][document_offset : document_offset + length]
            assert run == text[offset : offset + length]
            assert len(run) == length
            assert text.index(run) == offset or longest(text[:offset], training) < length


@given(st.lists(st.binary(max_size=40), max_size=4), st.lists(st.binary(max_size=40), max_size=4))
def test_every_byte_may_occur(given, training):
    assert [o.length for o in longest_overlap(given, training)] == [longest(text, training) for text in given]


@pytest.mark.parametrize(
    ("text", "training", "overlap"),
    [
        ("", ["abc"], Overlap(0, 0, 0, 0)),
        ("abc", [], Overlap(0, 0, 0, 0)),
        ("abc", ["xyz", ""], Overlap(0, 0, 0, 0)),
        ("abcdef", ["xabc", "defx"], Overlap(3, 0, 0, 1)),  # not across documents
        ("xxabxx", ["ba", "aab"], Overlap(2, 2, 1, 1)),
        ("Übergrößenträger", ["große Träger", "Größen"], Overlap(len("größen".encode()) - 1, 6, 1, 1)),
        ("aaaa", ["aaaaaaa"], Overlap(4, 0, 0, 0)),
    ],
)
def test_overlaps_by_hand(text, training, overlap):
    assert longest_overlap([text.encode()], [document.encode() for document in training]) == [overlap]


def test_a_match_never_spans_two_generated_texts():
    assert [o.length for o in longest_overlap([b"abc", b"def", b"cd"], [b"abcdef"])] == [3, 3, 2]


@given(st.lists(st.binary(max_size=8), max_size=5), st.integers(1, 9))
def test_documents_are_the_texts_of_the_stream(given, block):
    stream = np.array([SEPARATOR, *(token for text in given for token in (*text, SEPARATOR))], np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "_BLOCK", block)
        assert list(documents(stream)) == given


def test_an_empty_stream_has_no_document():
    assert list(documents(np.empty(0, np.uint16))) == []


def test_real_text(eval_data):
    book = (eval_data / "lm_books" / "alice29.txt").read_bytes()
    training = [book[:60_000], book[70_000:]]
    copied, own = b"zzz" + book[70_123:70_223] + b"zzz", book[62_000:62_300]
    found = longest_overlap([copied, own], training)
    assert found[0] == Overlap(100, 3, 1, 123)
    assert found[1].length == longest_by_search(own, training)


def longest_by_search(text, training):
    best = 0
    for i in range(len(text)):
        while i + best < len(text) and any(text[i : i + best + 1] in document for document in training):
            best += 1
    return best
