"""The recurrent network with each of its cells: what it computes, and that sampling gives what it computes."""

import dataclasses
import math

import pytest
import torch

from gendata.models import rnn, tokens
from gendata.models.family import DataSpec, TextRequest, uniforms

TINY = rnn.Config(context=12, layers=2, width=24, embedding=8)
CELLS = pytest.mark.parametrize("cell", ["lstm", "gru", "tanh"])


@pytest.fixture(autouse=True)
def one_thread():
    """Threads cost more than they save at this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fresh(cell="lstm", seed=0, **changes):
    torch.manual_seed(seed)
    return rnn.Model(dataclasses.replace(TINY, cell=cell, **changes), DataSpec()).eval()


def awake(cell="lstm", seed=0, **changes):
    """A model whose output is far from even: as after training, but random."""
    model = fresh(cell, seed, **changes)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    return model


def train(model, batch, steps, lr=3e-2):
    optimizer = torch.optim.AdamW(model.objectives()["loss"].parameters, lr=lr)
    for step in range(steps):
        optimizer.zero_grad()
        loss, _ = model.train().loss("loss", batch, step / steps)
        loss.backward()
        optimizer.step()
    return model.eval()


def random_tokens(*shape):
    return torch.randint(0, 257, shape, generator=torch.Generator().manual_seed(1))


@CELLS
def test_the_first_loss_is_that_of_an_even_guess(cell):
    loss, figures = fresh(cell).loss("loss", {"tokens": random_tokens(4, 13)}, 0.0)
    assert loss.item() == pytest.approx(math.log(257), abs=1e-5)
    assert figures == {"loss": loss.detach()}


@CELLS
def test_a_batch_is_learned_by_heart(cell):
    batch = {"tokens": random_tokens(4, 13)}
    model = train(fresh(cell, layers=1), batch, 100)
    assert model.validate(batch)["loss"] < 0.1


@CELLS
def test_a_learned_text_is_sampled_and_ends(cell):
    stream = [tokens.SEPARATOR, *b"hello", tokens.SEPARATOR]
    model = train(fresh(cell, layers=1), {"tokens": torch.tensor([stream])}, 100)
    assert model.sample([1, 2, 3], [], TextRequest(temperature=0.5)) == [list(b"hello")] * 3
    assert model.sample([1], list(b"hel"), TextRequest(max_tokens=1)) == [list(b"l")]
    assert model.sample([1], list(b"hello"), TextRequest()) == [[]]


@CELLS
def test_validation_is_the_mean_over_targets(cell):
    model, batch = awake(cell), {"tokens": random_tokens(5, 9)}
    likelihood = model.logits(batch["tokens"][:, :-1]).log_softmax(-1)
    expected = -likelihood.gather(2, batch["tokens"][:, 1:, None]).mean()
    torch.testing.assert_close(model.validate(batch)["loss"], expected)


def test_every_parameter_is_optimised_once():
    model = fresh()
    assert {id(p) for p in model.objectives()["loss"].parameters} == {id(p) for p in model.parameters()}


def test_the_forget_gate_of_the_lstm_starts_open():
    recurrent = fresh("lstm").recurrent
    bias = (recurrent.bias_ih_l0 + recurrent.bias_hh_l0).detach()
    assert bias.tolist() == [0.0] * 24 + [1.0] * 24 + [0.0] * 48


@CELLS
def test_a_later_token_changes_nothing_before_it(cell):
    model, ones = awake(cell), random_tokens(3, 12)
    before = model.logits(ones)
    for at in range(12):
        others = ones.clone()
        others[:, at] = (others[:, at] + 1) % 257
        after = model.logits(others)
        torch.testing.assert_close(after[:, :at], before[:, :at])
        assert (after[:, at] != before[:, at]).any(-1).all()


def uncarried(model, prompt, n):
    """The likeliest tokens, each from the whole text before it."""
    text, out = [tokens.SEPARATOR, *prompt], []
    while len(out) < n:
        out.append(model.logits(torch.tensor([text]))[0, -1].argmax().item())
        if out[-1] == tokens.SEPARATOR:
            return out[:-1]
        text.append(out[-1])
    return out


@CELLS
@pytest.mark.parametrize("prompt", [b"", b"ab", b"far longer than the context of the model"])
def test_the_state_that_is_carried_on_is_that_of_the_whole_text(cell, prompt):
    model = awake(cell, seed=3)
    expected = uncarried(model, list(prompt), 30)
    assert len(expected) > TINY.context  # past the window of training
    assert model.sample([0], list(prompt), TextRequest(temperature=0, max_tokens=30)) == [expected]


@CELLS
def test_an_item_does_not_depend_on_its_neighbours(cell):
    model, request = awake(cell), TextRequest(temperature=3.0, max_tokens=30)
    ones, others = model.sample([1, 2, 3, 4], [], request), model.sample([9, 2, 8, 4], [], request)
    assert ones[1] == others[1]
    assert ones[3] == others[3]
    assert ones[0] != others[0]


def test_noise_is_drawn_as_it_is_asked_for():
    """The same numbers as all at once; of a text that may get very long, only what it gets to."""
    noise = torch.stack([*uniforms([3, 4], 1000)], 1)
    assert noise.equal(torch.stack([torch.rand(1000, generator=torch.Generator().manual_seed(s)) for s in (3, 4)]))
    endless = awake().sample([1, 2], [], TextRequest(temperature=3.0, max_tokens=10**12))
    assert max(map(len, endless)) > 256
    assert awake().sample([1, 2], [], TextRequest(temperature=3.0, max_tokens=10**4)) == endless


def test_a_row_ends_where_it_meets_the_separator_and_the_others_go_on():
    request = TextRequest(temperature=2.0, max_tokens=40)
    rows = awake().sample(list(range(40)), [], request)
    lengths = {len(row) for row in rows}
    assert len(lengths) > 1
    assert max(lengths) == 40
    assert all(tokens.SEPARATOR not in row for row in rows)


@CELLS
def test_one_likeliest_token_is_temperature_zero(cell):
    model = awake(cell)
    rows = model.sample([1, 2], list(b"x"), TextRequest(top_k=1, max_tokens=20))
    assert rows == model.sample([3, 4], list(b"x"), TextRequest(temperature=0, max_tokens=20))


@CELLS
def test_weights_are_all_there_is(cell):
    model, other, request = awake(cell, 1), fresh(cell, 2), TextRequest(temperature=2.0, max_tokens=20)
    other.load_state_dict(model.state_dict())
    assert other.sample([5, 6], [], request) == model.sample([5, 6], [], request)


def test_the_same_seed_gives_the_same_weights():
    ones, same, others = fresh(seed=1).state_dict(), fresh(seed=1).state_dict(), fresh(seed=2).state_dict()
    assert all(torch.equal(ones[key], same[key]) for key in ones)
    assert not torch.equal(ones["embedding.weight"], others["embedding.weight"])


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_is_noise_in_training_alone(layers):
    model, batch = awake(layers=layers, dropout=0.5), {"tokens": random_tokens(4, 13)}
    assert model.validate(batch) == model.validate(batch)
    torch.manual_seed(0)
    first = model.train().loss("loss", batch, 0.0)[0]
    assert first != model.loss("loss", batch, 0.0)[0]
    torch.manual_seed(0)
    assert first == model.loss("loss", batch, 0.0)[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cell", "elman"),
        ("context", 0),
        ("layers", 0),
        ("width", 0),
        ("embedding", 0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("batch", 0),
        ("lr", 0.0),
    ],
)
def test_values_out_of_range_are_named(key, value):
    with pytest.raises(ValueError, match=f"^{key}: must be .*{value}"):
        dataclasses.replace(TINY, **{key: value})
