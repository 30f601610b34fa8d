"""Texts from checkpoints with merges and labels: the tokenizer is part of the model, requests are checked."""

import json

import pytest
import torch

from gendata.errors import ParamsError, QueryError, StoreError
from gendata.generate import generate, load_generate
from gendata.models import load_family, tokens
from gendata.models.checkpoint import TOKENIZER, card_of, open_checkpoint, save_checkpoint
from gendata.models.family import DataSpec

LEARNED = tokens.learn(["the cat and the dog", "the hat and the bat"] * 3, 270)
OTHER = tokens.learn(["another corpus of other words"] * 3, LEARNED.vocabulary)
SMALL = {"transformer": {"width": 16, "layers": 1, "context": 16}, "rnn": {"width": 16, "embedding": 8}}
FAMILIES = pytest.mark.parametrize("family", SMALL)


def saved(folder, family="transformer", tokenizer=LEARNED, classes=("cats", "dogs")):
    config, data = load_family(family).Config(**SMALL[family]), DataSpec(classes, tokenizer)
    torch.manual_seed(0)
    model = load_family(family).Model(config, data)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    folder.mkdir()
    facts = {"manifest_id": "0" * 64}
    return save_checkpoint(folder, model, card_of(family, config, data, facts), tokenizer)


def asked(family, **given):
    return load_generate(family, {"n": 4, "max_tokens": 8} | given, "x")


@FAMILIES
def test_texts_have_the_label_that_they_were_asked_with_or_all_in_turn(tmp_path, family):
    saved(tmp_path / "model", family)
    checkpoint = open_checkpoint(tmp_path / "model")
    rows = list(generate(checkpoint, asked(family, prompt="the cat")))
    assert [row["label"] for row in rows] == ["cats", "dogs"] * 2
    assert all(row["text"].startswith("the cat") for row in rows)
    dogs = list(generate(checkpoint, asked(family, prompt="the cat", label="dogs")))
    assert {row["label"] for row in dogs} == {"dogs"}
    assert [row["text"] for row in dogs][1::2] == [row["text"] for row in rows][1::2]  # an item has its own noise
    assert [row["text"] for row in dogs][::2] != [row["text"] for row in rows][::2]  # and the label matters


@FAMILIES
def test_a_label_that_the_model_does_not_know_is_named(tmp_path, family):
    checkpoint = saved(tmp_path / "model", family)
    with pytest.raises(QueryError, match=rf"label 'birds' is none that {family} knows: cats, dogs"):
        next(generate(checkpoint, asked(family, label="birds")))
    plain = saved(tmp_path / "plain", family, tokens.BYTES, ())
    with pytest.raises(QueryError, match=rf"none without `conditional: true` in train.{family}"):
        next(generate(plain, asked(family, label="cats")))
    assert not (tmp_path / "plain" / TOKENIZER).exists()
    assert [row["label"] for row in generate(plain, asked(family))] == [None] * 4


def test_the_tokenizer_is_part_of_what_a_checkpoint_is(tmp_path):
    one, other = saved(tmp_path / "one"), saved(tmp_path / "other", tokenizer=OTHER)
    assert LEARNED.vocabulary == OTHER.vocabulary  # so that the weights are equal
    assert one.id != other.id
    assert saved(tmp_path / "again").id == one.id


def test_a_tokenizer_cut_short_missing_or_of_another_model_is_one_line(tmp_path):
    saved(tmp_path / "one")
    path = tmp_path / "one" / TOKENIZER
    for text in (LEARNED.text[:-20], OTHER.text):
        path.write_text(text)
        with pytest.raises(StoreError, match=r"tokenizer.json: not the tokenizer of checkpoint \w{12}: cut short or c"):
            open_checkpoint(tmp_path / "one")
    path.unlink()
    with pytest.raises(StoreError, match=r"tokenizer.json: not found"):
        open_checkpoint(tmp_path / "one")
    card = json.loads((tmp_path / "one/card.json").read_text())
    del card["tokenizer"]
    (tmp_path / "one/card.json").write_text(json.dumps(card))
    with pytest.raises(StoreError, match=r"not the card that these weights were saved with"):
        open_checkpoint(tmp_path / "one")


def test_a_prompt_longer_than_the_context_or_not_utf8_is_one_line(tmp_path):
    checkpoint = saved(tmp_path / "model")
    with pytest.raises(QueryError, match=r"prompt: \d+ tokens are more than this transformer sees: at most 14"):
        next(generate(checkpoint, asked("transformer", prompt="zebra " * 20)))
    with pytest.raises(ParamsError, match=r"prompt: holds what is not UTF-8 at character 2"):
        asked("rnn", prompt="ab\udcff")


@pytest.mark.parametrize("top_p", [0.0, 1.5])
def test_top_p_out_of_range_is_named(top_p):
    with pytest.raises(ParamsError, match=rf"top_p: must be above 0 and at most 1, not {top_p}"):
        asked("rnn", top_p=top_p)
