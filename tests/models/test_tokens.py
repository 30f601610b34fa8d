"""Bytes as tokens, and how both text families draw one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gendata.errors import StoreError
from gendata.models import tokens
from gendata.models.family import TextRequest
from gendata.models.text import draw

JUST_BELOW_ONE = 1 - 2**-24


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_comes_back_from_its_tokens(text):
    assert tokens.decode(tokens.encode(text).tolist()) == text


@given(st.text(st.characters()))
def test_tokens_are_bytes_and_never_the_separator(text):
    encoded = tokens.encode(text)
    assert encoded.dtype == np.uint16
    assert (encoded < tokens.SEPARATOR).all()


@pytest.mark.parametrize(
    ("given_tokens", "text"),
    [
        ([], ""),
        ([0x68, 0x69], "hi"),
        ([0x68, 0xFF, 0x69], "h\ufffdi"),
        ([0xE2, 0x82], "\ufffd"),  # the euro sign, cut short
        ([0xE2, 0x82, 0xAC], "€"),
        ([tokens.SEPARATOR, 0x68, tokens.SEPARATOR], "h"),
    ],
)
def test_what_is_not_utf8_becomes_the_replacement_character(given_tokens, text):
    assert tokens.decode(given_tokens) == text


def test_a_lone_surrogate_becomes_a_question_mark():
    assert tokens.decode(tokens.encode("a\ud800b").tolist()) == "a?b"


def spread(logits, **request):
    """How often each token is drawn over an even grid of noise."""
    noise = (torch.arange(4000) + 0.5) / 4000
    drawn = draw(logits.expand(4000, -1), noise, TextRequest(**request))
    return torch.bincount(drawn, minlength=logits.size(-1)) / 4000


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.5, 0), (2.0, 0), (1.0, 3), (0.7, 20), (1.0, 999)])
def test_tokens_are_drawn_as_often_as_they_are_likely(temperature, top_k):
    logits = torch.randn(257, generator=torch.Generator().manual_seed(0)) * 3
    kept = logits.clone()
    if top_k:
        kept[logits.argsort(descending=True)[top_k:]] = -torch.inf
    expected = (kept / temperature).softmax(0)
    torch.testing.assert_close(spread(logits, temperature=temperature, top_k=top_k), expected, atol=3e-4, rtol=0)


@pytest.mark.parametrize("request_", [{"temperature": 0}, {"top_k": 1}, {"temperature": 1e-30}])
def test_the_likeliest_token_is_drawn_and_the_first_of_equals(request_):
    logits = torch.tensor([[0.0, 2.0, 1.0, -1.0], [3.0, 3.0, 3.0, 3.0], [0.0, -torch.inf, 5.0, 5.0]])
    noise = torch.full((3,), 0.0 if request_.get("temperature") else JUST_BELOW_ONE)
    assert draw(logits, noise, TextRequest(**request_)).tolist() == [1, 0, 2]


@pytest.mark.parametrize("noise", [0.0, 0.5, JUST_BELOW_ONE])
@pytest.mark.parametrize("possible", [[0], [256], [3, 250], list(range(0, 257, 7))])
def test_no_impossible_token_is_drawn(noise, possible):
    logits = torch.full((1, 257), -torch.inf)
    logits[0, possible] = torch.linspace(-30, 3, len(possible))
    assert draw(logits, torch.tensor([noise]), TextRequest(temperature=1.0)).item() in possible


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.999])
def test_of_the_likeliest_tokens_as_many_are_drawn_as_have_the_share(top_p):
    logits = torch.randn(257, generator=torch.Generator().manual_seed(0)) * 3
    likely, order = logits.softmax(0).sort(descending=True)
    n = int((likely.cumsum(0) < top_p).sum()) + 1
    expected = torch.zeros(257)
    expected[order[:n]] = likely[:n] / likely[:n].sum()
    torch.testing.assert_close(spread(logits, temperature=1.0, top_p=top_p), expected, atol=3e-4, rtol=0)


TEXTS = ["the cat and the dog", "the hat and the bat", "naïve the €"] * 3


def test_merges_are_learned_and_every_text_comes_back():
    learned = tokens.learn(TEXTS, 270)
    assert 257 < learned.vocabulary <= 270
    assert b"the" in learned.pieces
    assert len(learned.encode("the")) == 1
    assert tokens.load(learned.text, "x").pieces == learned.pieces
    assert learned.text == tokens.learn(iter(TEXTS), 270).text


LEARNED = tokens.learn(TEXTS, 270)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_comes_back_from_merged_tokens(text):
    found = LEARNED.encode(text)
    assert LEARNED.decode(found.tolist()) == text
    assert tokens.SEPARATOR not in found


def test_the_name_of_the_separator_is_text_like_any_other():
    assert tokens.SEPARATOR not in LEARNED.encode("<|separator|>")


@pytest.mark.parametrize("text", ["{", "[]", "{}", LEARNED.text[:-9], '{"model": {"vocab": {"a": 0}}}'])
def test_what_is_no_tokenizer_is_named(text):
    with pytest.raises(StoreError, match=r"^here: not a tokenizer of gendata"):
        tokens.load(text, "here")
