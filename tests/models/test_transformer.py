"""The transformer: what it computes, and that sampling gives what it computes."""

import dataclasses
import math

import pytest
import torch

from gendata.errors import QueryError
from gendata.models import steps, tokens, transformer
from gendata.models.family import DataSpec, TextRequest

TINY = transformer.Config(context=12, layers=2, heads=2, width=16, span=3)


@pytest.fixture(autouse=True)
def one_thread():
    """Threads cost more than they save at this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fresh(config=TINY, seed=0):
    torch.manual_seed(seed)
    return transformer.Model(config, DataSpec()).eval()


def awake(config=TINY, seed=0):
    """A model whose output is far from even: as after training, but random."""
    model = fresh(config, seed)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    return model


def train(model, batch, steps, lr=2e-2):
    optimizer = torch.optim.AdamW(model.objectives()["loss"].parameters, lr=lr)
    for step in range(steps):
        optimizer.zero_grad()
        loss, _ = model.train().loss("loss", batch, step / steps)
        loss.backward()
        optimizer.step()
    return model.eval()


def random_tokens(*shape):
    return torch.randint(0, 257, shape, generator=torch.Generator().manual_seed(1))


def test_the_first_loss_is_that_of_an_even_guess():
    loss, figures = fresh().loss("loss", {"tokens": random_tokens(4, 13)}, 0.0)
    assert loss.item() == pytest.approx(math.log(257), abs=1e-5)
    assert figures == {"loss": loss.detach()}


def test_a_batch_is_learned_by_heart():
    batch = {"tokens": random_tokens(4, 13)}
    model = train(fresh(), batch, 80)
    assert model.validate(batch)["loss"] < 0.1


def test_a_learned_text_is_sampled_and_ends():
    stream = [tokens.SEPARATOR, *b"hello", tokens.SEPARATOR]
    model = train(fresh(), {"tokens": torch.tensor([stream])}, 50)
    assert model.sample([1, 2, 3], [], TextRequest(temperature=0.5)) == [list(b"hello")] * 3
    assert model.sample([1], list(b"hel"), TextRequest(max_tokens=1)) == [list(b"l")]
    assert model.sample([1], list(b"hello"), TextRequest()) == [[]]


def test_validation_is_the_mean_over_targets():
    model, batch = awake(), {"tokens": random_tokens(5, 9)}
    likelihood = model.logits(batch["tokens"][:, :-1]).log_softmax(-1)
    expected = -likelihood.gather(2, batch["tokens"][:, 1:, None]).mean()
    torch.testing.assert_close(model.validate(batch)["loss"], expected)


def test_every_parameter_is_optimised_once():
    model = fresh()
    assert {id(p) for p in model.objectives()["loss"].parameters} == {id(p) for p in model.parameters()}


def test_a_later_token_changes_nothing_before_it():
    model, ones = awake(), random_tokens(3, 12)
    before = model.logits(ones)
    for at in range(12):
        others = ones.clone()
        others[:, at] = (others[:, at] + 1) % 257
        after = model.logits(others)
        torch.testing.assert_close(after[:, :at], before[:, :at])
        assert (after[:, at:] != before[:, at:]).any(-1).all()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (steps.norm, lambda x: torch.nn.functional.rms_norm(x, (x.size(-1),), eps=1e-30)),
        (lambda x: steps.squared_relu(x.clone()), lambda x: x.relu().square()),
    ],
)
def test_values_and_gradients_are_those_of_the_definition(ours, theirs):
    x = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    torch.testing.assert_close(ours(x), theirs(x))
    weights = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found, expected = (torch.autograd.grad((f(x) * weights).sum(), x)[0] for f in (ours, theirs))
    torch.testing.assert_close(found, expected)
    assert torch.equal(ours(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_queries_and_keys_turned_in_one_step_are_those_turned_one_by_one(monkeypatch):
    """Logits and gradients, of the path for a CPU and of the plain one."""
    found = []
    for plain in (False, True):
        monkeypatch.setattr(steps, "_fuses", lambda x, plain=plain: plain)
        model, tokens = awake().double(), random_tokens(3, 12)
        loss = model.loss("loss", {"tokens": tokens}, 0.0)[0]
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_rotation_of_a_pair_by_hand():
    turned = steps.rotate(torch.tensor([3.0, 5.0]), torch.tensor([0.6, 0.6]), torch.tensor([-0.8, 0.8]))
    torch.testing.assert_close(turned, torch.tensor([3 * 0.6 - 5 * 0.8, 3 * 0.8 + 5 * 0.6]))


def test_rotated_products_depend_on_the_distance_alone():
    model = fresh()
    q, k = torch.randn(2, 12, 8).unbind()  # the same vector at every position
    q, k = q[:1].expand(12, 8), k[:1].expand(12, 8)
    products = steps.rotate(q, model.cos, model.sin) @ steps.rotate(k, model.cos, model.sin).T
    for distance in range(12):
        diagonal = products.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert products[0, 0] != pytest.approx(products[5, 0].item())


def uncached(model, prompt, n):
    """The rule of the window, with nothing kept: the likeliest tokens."""
    context = model.config.context
    window, out = [tokens.SEPARATOR, *prompt][-context:], []
    while len(out) < n:
        out.append(model.logits(torch.tensor([window]))[0, -1].argmax().item())
        if out[-1] == tokens.SEPARATOR:
            return out[:-1]
        window.append(out[-1])
        if len(window) > context:
            window = window[-(context // 2) :]
    return out


@pytest.mark.parametrize("context", [2, 3, 12])
@pytest.mark.parametrize("span", [1, 4])
@pytest.mark.parametrize("prompt", [b"", b"a", b"ab", b"just eleven"])
def test_what_is_kept_between_tokens_changes_nothing(context, span, prompt):
    prompt = prompt[: context - 1]
    model = awake(dataclasses.replace(TINY, context=context, span=span), seed=2)
    expected = uncached(model, list(prompt), 40)
    assert len(expected) > 2 * context  # past the first window
    assert model.sample([0], list(prompt), TextRequest(temperature=0, max_tokens=40)) == [expected]


def test_a_prompt_that_the_model_cannot_see_is_refused():
    with pytest.raises(QueryError, match="prompt: 12 tokens are more than this transformer sees: at most 11"):
        awake().sample([0], list(b"twelve bytes"), TextRequest())
    labelled = transformer.Model(TINY, DataSpec(("a", "b")))
    with pytest.raises(QueryError, match=r"prompt: 11 tokens .* at most 10"):
        labelled.sample([0], list(b"just eleven"), TextRequest(), torch.tensor([1]))


@pytest.mark.parametrize("changes", [{"mlp": "swiglu"}, {"tied": True}, {"optimizer": "adamw"}])
def test_every_variant_learns_a_batch_by_heart_and_samples_as_it_computes(changes):
    config = dataclasses.replace(TINY, **changes)
    batch = {"tokens": random_tokens(4, 13)}
    model = train(fresh(config), batch, 300)
    assert model.validate(batch)["loss"] < 0.1
    model = awake(config, seed=2)
    assert model.sample([0], [], TextRequest(temperature=0, max_tokens=30)) == [uncached(model, [], 30)]


def test_tokens_of_labels_are_read_and_never_predicted():
    model = transformer.Model(TINY, DataSpec(("a", "b")))
    batch = {"tokens": torch.tensor([[256, 258, 97, 98, 256, 259, 97]])}
    assert model.logits(batch["tokens"]).shape == (1, 7, 257)
    assert model.validate(batch)["loss"].item() == pytest.approx(math.log(257), abs=1e-5)


def test_a_label_stays_in_front_of_every_window():
    model = transformer.Model(TINY, DataSpec(("a", "b"))).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    seen = []
    forward = model.forward

    def watched(tokens, cache=None, start=0):
        if start == 0:
            seen.append(tokens[:, :2].tolist())
        return forward(tokens, cache, start)

    model.forward = watched
    model.sample([0, 1], [5], TextRequest(max_tokens=40), torch.tensor([1, 0]))
    assert seen[0] == [[256, 259], [256, 258]]
    assert len(seen) > 3
    assert all([row[0] for row in rows] == [259, 258] for rows in seen[1:])


def test_an_item_does_not_depend_on_its_neighbours():
    model, request = awake(), TextRequest(temperature=3.0, max_tokens=30)
    ones, others = model.sample([1, 2, 3, 4], [], request), model.sample([9, 2, 8, 4], [], request)
    assert ones[1] == others[1]
    assert ones[3] == others[3]
    assert ones[0] != others[0]


def test_a_row_ends_where_it_meets_the_separator_and_the_others_go_on():
    request = TextRequest(temperature=2.0, max_tokens=40)
    rows = awake().sample(list(range(40)), [], request)
    lengths = {len(row) for row in rows}
    assert len(lengths) > 1
    assert max(lengths) == 40
    assert all(tokens.SEPARATOR not in row for row in rows)


def test_one_likeliest_token_is_temperature_zero():
    model = awake()
    rows = model.sample([1, 2], list(b"x"), TextRequest(top_k=1, max_tokens=20))
    assert rows == model.sample([3, 4], list(b"x"), TextRequest(temperature=0, max_tokens=20))


def test_weights_are_all_there_is():
    model, other, request = awake(seed=1), fresh(seed=2), TextRequest(temperature=2.0, max_tokens=20)
    other.load_state_dict(model.state_dict())
    assert other.sample([5, 6], [], request) == model.sample([5, 6], [], request)


def test_the_same_seed_gives_the_same_weights():
    ones, same, others = fresh(seed=1).state_dict(), fresh(seed=1).state_dict(), fresh(seed=2).state_dict()
    assert all(torch.equal(ones[key], same[key]) for key in ones)
    assert not torch.equal(ones["embedding.weight"], others["embedding.weight"])


def test_dropout_is_noise_in_training_alone():
    model, batch = awake(dataclasses.replace(TINY, dropout=0.5)), {"tokens": random_tokens(4, 13)}
    assert model.validate(batch) == model.validate(batch)
    torch.manual_seed(0)
    first = model.train().loss("loss", batch, 0.0)[0]
    assert first != model.loss("loss", batch, 0.0)[0]
    torch.manual_seed(0)
    assert first == model.loss("loss", batch, 0.0)[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("context", 1),
        ("layers", 0),
        ("heads", 0),
        ("width", 0),
        ("width", 18),
        ("span", 0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("steps", 0),
        ("lr", 0.0),
    ],
)
def test_values_out_of_range_are_named(key, value):
    with pytest.raises(ValueError, match=f"^{key}: must be .*{value}"):
        dataclasses.replace(TINY, **{key: value})
