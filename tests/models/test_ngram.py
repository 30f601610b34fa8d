"""The baselines, against counting by hand."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.models import ngram
from gendata.models.tokens import SEPARATOR, VOCABULARY

STREAMS = st.lists(st.sampled_from([0, 1, 2, 97, 255, SEPARATOR]), max_size=40).map(lambda t: np.array(t, np.uint16))


def brute_force(tokens, order):
    """Witten-Bell probability (token, before) in exact fractions."""

    def interpolated(follows, token, below):
        kinds = len(follows)
        return (follows[token] + kinds * below) / (follows.total() + kinds) if kinds else below

    before = [SEPARATOR, *tokens][: len(tokens)]
    every = Counter(tokens)
    after = {h: Counter(t for b, t in zip(before, tokens, strict=True) if b == h) for h in range(VOCABULARY)}

    def probability(token, context):
        unigram = interpolated(every, token, Fraction(1, VOCABULARY))
        return unigram if order == 1 else interpolated(after[context], token, unigram)

    return probability


@pytest.mark.parametrize("order", [1, 2])
@given(tokens=STREAMS)
def test_probabilities_are_those_counted_by_hand_and_sum_to_one(order, tokens):
    fitted = ngram.fit(tokens, order).probabilities
    exact = brute_force(tokens.tolist(), order)
    np.testing.assert_allclose(fitted.sum(axis=1), 1)
    assert (fitted > 0).all()
    for before in (0, 97, 200, SEPARATOR):
        for token in (0, 2, 255, 200, SEPARATOR):
            assert fitted[before, token] == pytest.approx(float(exact(token, before)), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_nats_are_the_mean_over_tokens_and_the_first_follows_a_separator(order):
    model = ngram.fit(np.array([1, 2, 1, 2, 2, SEPARATOR, 1], np.uint16), order)
    held_out = [1, 2, 7, SEPARATOR]
    before = [SEPARATOR, 1, 2, 7]
    expected = -np.mean([np.log(model.probabilities[b, t]) for b, t in zip(before, held_out, strict=True)])
    assert model.nats_per_token(np.array(held_out, np.uint16)) == pytest.approx(expected)


@given(tokens=STREAMS, chunk=st.integers(1, 7))
def test_counts_do_not_depend_on_the_chunks_they_are_made_in(tokens, chunk):
    whole = ngram.pairs(tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngram, "CHUNK", chunk)
        assert (ngram.pairs(tokens) == whole).all()
    assert whole.sum() == len(tokens)


def test_a_memory_mapped_row_is_counted_like_one_in_memory(tmp_path):
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, 5000).astype(np.uint16)
    tokens.tofile(tmp_path / "tokens.u16")
    mapped = np.memmap(tmp_path / "tokens.u16", np.uint16, mode="r")
    assert (ngram.pairs(mapped) == ngram.pairs(tokens)).all()


def test_order_helps_where_there_is_some():
    tokens = np.tile(np.array([1, 2, 3], np.uint16), 500)
    assert ngram.fit(tokens, 2).nats_per_token(tokens) < 0.1 < 1 < ngram.fit(tokens, 1).nats_per_token(tokens)


def test_without_tokens_there_is_no_mean():
    with pytest.raises(ValueError, match="tokens: must be at least one, not none"):
        ngram.fit(np.array([1], np.uint16), 1).nats_per_token(np.array([], np.uint16))
