"""The GAN: its two losses against a plain computation, who learns from which, and the average that samples."""

import copy

import pytest
import torch
from torch.nn.functional import logsigmoid

from gendata.models import gan
from gendata.models.family import DataSpec, ImageRequest

TINY = {"size": 8, "width": 8, "hidden": 16, "latent": 4}


def fresh(**changes):
    torch.manual_seed(0)
    return gan.Model(gan.Config(**TINY | changes), DataSpec(("a", "b", "c")))


@pytest.fixture
def batch():
    noise = torch.Generator().manual_seed(1)
    return {"pixels": torch.rand(6, 1, 8, 8, generator=noise) * 2 - 1, "labels": torch.arange(6) % 3}


def gradients(model):
    return {name for name, p in model.named_parameters() if p.grad is not None}


def expected_losses(model, batch):
    """Pair by pair: the loss of the discriminator, that of the generator, the penalty (squared norms of gradients)."""
    torch.manual_seed(7)
    fake = model.generator(torch.randn(6, 4), batch["labels"]).detach()
    rows = []
    for x, y, label in zip(batch["pixels"], fake, batch["labels"], strict=True):
        images = [x.clone().requires_grad_(), y.clone().requires_grad_()]
        real, generated = (model.discriminator(image[None], label[None]).sum() for image in images)
        slopes = [torch.autograd.grad(score, image)[0] for score, image in zip((real, generated), images, strict=True)]
        penalty = (slopes[0].square().sum() + slopes[1].square().sum()) / 2
        rows.append(torch.stack([-logsigmoid(real - generated), -logsigmoid(generated - real), penalty]).detach())
    return torch.stack(rows)


@pytest.mark.parametrize(("share", "paying"), [(1.0, 6), (0.5, 3), (0.01, 1)])
def test_the_losses_are_those_of_the_paper(batch, share, paying):
    model = fresh(penalty=2.0, penalty_share=share)
    pairs = expected_losses(model, batch)
    discriminator, generator, _ = pairs.mean(0).tolist()
    penalty = pairs[:paying, 2].mean().item()
    torch.manual_seed(7)
    loss, figures = model.loss("discriminator", batch, 0.0)
    assert loss.item() == pytest.approx(discriminator + 2.0 * penalty, rel=1e-4)
    assert figures["discriminator"].item() == pytest.approx(discriminator, rel=1e-4)
    assert figures["penalty"].item() == pytest.approx(penalty, rel=1e-4)
    torch.manual_seed(7)
    loss, figures = model.loss("generator", batch, 0.0)
    assert loss.item() == figures["generator"].item() == pytest.approx(generator, rel=1e-4)


def test_each_objective_gives_gradients_to_its_own_parameters_alone(batch):
    model = fresh()
    assert list(model.objectives()) == ["discriminator", "generator"]
    for key, part in (("discriminator", model.discriminator), ("generator", model.generator)):
        model.zero_grad()
        model.loss(key, batch, 0.5)[0].backward()
        assert gradients(model) == {f"{key}.{name}" for name, _ in part.named_parameters()}


def test_the_discriminator_learns_to_tell_real_images_from_generated_ones(batch):
    model = fresh(penalty=0.01)
    optimizer = torch.optim.Adam(model.objectives()["discriminator"].parameters, lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss("discriminator", batch, 0.0)[0].backward()
        optimizer.step()
    found = model.validate(batch)
    assert found["told_apart"] == 1
    assert found["real_score"] > found["fake_score"] + 1
    assert "loss" not in found


def test_the_average_follows_the_generator_and_is_what_samples(batch):
    model = fresh(ema=0.75)
    start = copy.deepcopy(model.average.state_dict())
    before = model.sample([1], torch.tensor([0]), ImageRequest())
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.add_(1.0)
    assert torch.equal(before, model.sample([1], torch.tensor([0]), ImageRequest()))
    model.after_step()
    for key, weight in model.average.state_dict().items():
        assert torch.allclose(weight, start[key] + 0.25)
    assert not torch.equal(before, model.sample([1], torch.tensor([0]), ImageRequest()))


@pytest.mark.parametrize(
    "bad",
    [
        {"width": 12}, {"penalty": -1.0}, {"penalty_share": 0.0}, {"penalty_share": 1.1}, {"ema": 1.0}, {"ema": -0.1},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_out_of_range_names_the_key(bad):
    with pytest.raises(ValueError, match=rf"^{next(iter(bad))}: must be"):
        gan.Config(**bad)
