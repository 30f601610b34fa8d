"""The baselines, against counting by hand."""

import math
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.models import ngram
from gendata.models.tokens import SEPARATOR, VOCABULARY

STREAMS = st.lists(st.sampled_from([0, 1, 2, 97, 255, SEPARATOR]), max_size=40).map(lambda t: np.array(t, np.uint16))


def by_hand(train, held_out, order):
    """Witten-Bell in dicts of counters and exact fractions."""
    after = [defaultdict(Counter) for _ in range(order)]
    padded = [SEPARATOR] * (order - 1) + train.tolist()
    for i in range(order - 1, len(padded)):
        for n in range(order):
            after[n][tuple(padded[i - n : i])][padded[i]] += 1
    padded, total = [SEPARATOR] * (order - 1) + held_out.tolist(), 0.0
    for i in range(order - 1, len(padded)):
        p = Fraction(1, VOCABULARY)
        for n in range(order):
            if follows := after[n].get(tuple(padded[i - n : i])):
                p = (follows[padded[i]] + len(follows) * p) / (follows.total() + len(follows))
        total -= math.log(p)
    return total / len(held_out)


@given(STREAMS, STREAMS.filter(len), st.integers(1, 7), st.integers(1, 9))
def test_the_loss_is_that_counted_by_hand_whatever_the_chunks(train, held_out, order, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngram, "CHUNK", chunk)
        assert ngram.loss(train, held_out, order) == pytest.approx(by_hand(train, held_out, order), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_probabilities_sum_to_one(order):
    train = np.random.default_rng(0).choice([3, 4, 5, SEPARATOR], 300).astype(np.uint16)
    for before in ([], [3, 4], [5, 5, 5, 5], [200, 3]):
        texts = [np.array([*before, token], np.uint16) for token in range(VOCABULARY)]
        known = len(before) * ngram.loss(train, texts[0][:-1], order) if before else 0.0
        assert sum(math.exp(known - len(t) * ngram.loss(train, t, order)) for t in texts) == pytest.approx(1)


def test_a_memory_mapped_row_is_counted_like_one_in_memory(tmp_path):
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 5000).astype(np.uint16)
    tokens.tofile(tmp_path / "tokens.u16")
    mapped = np.memmap(tmp_path / "tokens.u16", np.uint16, mode="r")
    assert ngram.loss(mapped, mapped, 3) == ngram.loss(tokens, tokens, 3)


def test_order_helps_where_there_is_some():
    tokens = np.tile(np.array([1, 2, 3], np.uint16), 500)
    assert ngram.loss(tokens, tokens, 2) < 0.1 < 1 < ngram.loss(tokens, tokens, 1)


def test_real_text_has_the_loss_that_others_found(eval_data):
    raw = np.frombuffer((eval_data / "lm_tinyshakespeare/input.txt").read_bytes(), np.uint8).astype(np.uint16)
    cut = int(0.9 * len(raw))
    assert ngram.loss(raw[:cut], raw[cut:], 5) == pytest.approx(1.669, abs=0.002)


def test_without_tokens_there_is_no_mean():
    with pytest.raises(ValueError, match="tokens: must be at least one, not none"):
        ngram.loss(np.array([1], np.uint16), np.array([], np.uint16), 1)


@pytest.mark.parametrize("order", [0, 8])
def test_orders_out_of_range_are_named(order):
    with pytest.raises(ValueError, match=f"order: must be between 1 and 7, not {order}"):
        ngram.loss(np.array([1], np.uint16), np.array([1], np.uint16), order)
