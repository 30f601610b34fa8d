"""The VAE: its bound against a plain computation, the warm-up, and that it learns what it is shown."""

import math

import pytest
import torch

from gendata.models import vae
from gendata.models.family import DataSpec, ImageRequest, normals

TINY = {"size": 8, "width": 4, "hidden": 16, "latent": 3}


LIKELIHOODS = pytest.mark.parametrize("likelihood", vae.LIKELIHOODS)


def fresh(**changes):
    torch.manual_seed(0)
    return vae.Model(vae.Config(**TINY | changes), DataSpec(("a", "b", "c")))


@pytest.fixture
def batch():
    noise = torch.Generator().manual_seed(1)
    return {"pixels": torch.rand(4, 1, 8, 8, generator=noise) * 2 - 1, "labels": torch.tensor([0, 1, 2, 0])}


def expected_terms(model, batch):
    """Number by number: cross-entropy and divergence, means over the images, from the public encode and decode."""
    torch.manual_seed(7)
    mu, logvar = model.encode(batch["pixels"], batch["labels"])
    noise = torch.randn(mu.shape)
    images = model.decode(mu + noise * logvar.exp().sqrt(), batch["labels"])
    entropy = kl = 0.0
    for x, y in zip(batch["pixels"].flatten().tolist(), images.flatten().tolist(), strict=True):
        p, q = (x + 1) / 2, (y + 1) / 2
        entropy -= p * math.log(q) + (1 - p) * math.log(1 - q)
    for m, v in zip(mu.flatten().tolist(), logvar.flatten().tolist(), strict=True):
        kl += (m * m + math.exp(v) - 1 - v) / 2
    return entropy / len(mu), kl / len(mu)


def test_the_bound_is_that_of_the_paper(batch):
    model = fresh()
    torch.nn.init.normal_(model.encoder.posterior.weight)  # far from the prior
    reconstruction, kl = expected_terms(model, batch)
    torch.manual_seed(7)
    found = model.validate(batch)
    assert found["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-4)
    assert found["kl"].item() == pytest.approx(kl, rel=1e-4)
    assert kl > 0.1
    assert found["loss"].item() == pytest.approx(reconstruction + kl, rel=1e-4)


@pytest.mark.parametrize(
    ("warmup", "progress", "weight"),
    [(0.2, 0.0, 0.0), (0.2, 0.05, 0.25), (0.2, 0.2, 1.0), (0.2, 0.9, 1.0), (0.0, 0.0, 1.0)],
)
def test_the_divergence_gains_weight_during_the_warm_up(batch, warmup, progress, weight):
    model = fresh(kl_warmup=warmup)
    torch.manual_seed(7)
    loss, figures = model.loss("elbo", batch, progress)
    expected = figures["reconstruction"] + weight * figures["kl"]
    assert loss.item() == figures["loss"].item() == pytest.approx(expected.item())


def test_a_batch_is_learned_by_heart(batch):
    model = fresh(hidden=64, width=8)
    black_and_white = batch | {"pixels": batch["pixels"].sign()}
    objective = model.objectives()["elbo"]
    optimizer = torch.optim.Adam(objective.parameters, lr=1e-2)
    first = model.validate(black_and_white)["loss"].item()
    for _ in range(150):
        optimizer.zero_grad()
        model.loss("elbo", black_and_white, 0.0)[0].backward()
        optimizer.step()
    found = model.validate(black_and_white)
    assert found["reconstruction"].item() < 0.2 * first
    mu, _ = model.encode(black_and_white["pixels"], batch["labels"])
    assert torch.equal(model.decode(mu, batch["labels"]).sign(), black_and_white["pixels"])


def test_a_sample_is_the_mean_image_of_its_noise():
    model = fresh(channels=3)
    labels = torch.tensor([2, 0])
    expected = model.decode(0.5 * normals([8, 9], 3), labels).detach()
    assert torch.equal(model.sample([8, 9], labels, ImageRequest(truncation=0.5)), expected)


@pytest.mark.parametrize("bad", [{"kl_warmup": -0.1}, {"kl_warmup": 1.1}], ids=str)
def test_a_config_out_of_range_names_the_key(bad):
    with pytest.raises(ValueError, match=rf"^{next(iter(bad))}: must be"):
        vae.Config(**bad)


def test_the_discretised_likelihood_is_a_distribution_over_the_256_values():
    pixels = torch.arange(256).view(-1, 1, 1, 1).double() / 127.5 - 1
    for mean in (-1.0, -0.3, 0.99):
        for log_scale in (-6.0, -2.0, 1.0):
            logs = vae._log_discretised(
                pixels, torch.tensor(mean, dtype=pixels.dtype), torch.tensor(log_scale, dtype=pixels.dtype)
            )
            assert logs.exp().sum().item() == pytest.approx(1)
            scale = math.exp(log_scale)
            inside = [1 / (1 + math.exp(-(pixels[90].item() + h - mean) / scale)) for h in (1 / 255, -1 / 255)]
            assert logs[90].exp().item() == pytest.approx(inside[0] - inside[1], abs=1e-12)


def test_the_cost_of_a_discretised_image_is_the_sum_over_its_pixels(batch):
    model = fresh(likelihood="discretised", channels=3)
    torch.nn.init.normal_(model.log_scale)
    pixels = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2)).mul(255).round() / 127.5 - 1
    z = torch.zeros(4, 3)
    mean = model.decode(z, batch["labels"])
    logs = [vae._log_discretised(pixels[:, c], mean[:, c], model.log_scale[c]) for c in range(3)]
    expected = -torch.stack(logs, 1).sum((1, 2, 3))
    assert torch.allclose(model._cost({"pixels": pixels, "labels": batch["labels"]}, z), expected, rtol=1e-5)


def test_a_discretised_batch_is_learned_and_its_scale_with_it(batch):
    model = fresh(likelihood="discretised", hidden=64, width=8)
    objective = model.objectives()["elbo"]
    assert any(p is model.log_scale for p in objective.parameters)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first, scale = model.validate(batch)["reconstruction"].item(), model.log_scale.item()
    for _ in range(150):
        optimizer.zero_grad()
        model.loss("elbo", batch, 0.0)[0].backward()
        optimizer.step()
    assert model.validate(batch)["reconstruction"].item() < 0.8 * first
    assert model.log_scale.item() < scale


@LIKELIHOODS
def test_a_score_is_the_bound_of_the_image_alone(batch, likelihood):
    """The mean over the draws of what the paper says, and nothing of what stands beside the image."""
    model = fresh(likelihood=likelihood)
    torch.nn.init.normal_(model.encoder.posterior.weight)
    scores = model.score(batch, [5, 6, 7, 8])
    mu, logvar = model.encode(batch["pixels"], batch["labels"])
    noise = normals([5, 6, 7, 8], vae.DRAWS, 3)
    costs = [model._cost(batch, mu + noise[:, i] * logvar.exp().sqrt()) for i in range(vae.DRAWS)]
    kl = (mu.square() + logvar.exp() - 1 - logvar).sum(1) / 2
    assert torch.allclose(scores, torch.stack(costs).mean(0) + kl, rtol=1e-5)
    assert not scores.requires_grad
    alone = model.score({k: v[2:3] for k, v in batch.items()}, [7])
    assert alone.item() == pytest.approx(scores[2].item(), rel=1e-5)


def test_ways_begin_and_end_at_the_images(batch):
    model = fresh()
    other = {k: v.flip(0) for k, v in batch.items()}
    way = model.interpolate(batch, other, 5)
    assert way.shape == (4, 5, 1, 8, 8)
    assert torch.allclose(way[:, 0], model.reconstruct(batch), atol=1e-5)
    last = model.decode(model.encode(other["pixels"], other["labels"])[0], batch["labels"])
    assert torch.allclose(way[:, -1], last, atol=1e-5)
    assert torch.allclose(model.interpolate(batch, batch, 3)[:, 1], model.reconstruct(batch), atol=1e-3)


def test_half_way_is_on_the_great_circle(batch):
    model = fresh()
    ends = torch.tensor([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 1.0], [1.0, 1.0, 0]])
    model.encode = lambda pixels, labels: (ends[labels], torch.zeros(len(labels), 3))
    labels = {"pixels": batch["pixels"][:1], "labels": torch.tensor([0])}
    half = model.interpolate(labels, {**labels, "labels": torch.tensor([1])}, 3)[0, 1]
    share = math.sin(math.pi / 4)
    expected = model.decode(torch.tensor([[share, 2 * share, 0]]), torch.tensor([0]))[0]
    assert torch.allclose(half, expected, atol=1e-6)


def test_a_traversal_changes_one_latent_at_a_time_the_most_used_first(batch):
    model = fresh()
    means = torch.tensor([[0.1, 3.0, -1.0]]).repeat(4, 1)
    model.encode = lambda pixels, labels: (means[: len(labels)], torch.zeros(len(labels), 3))
    rows = model.traverse(batch, 2, [-2.0, 0.0, 2.0])
    assert rows.shape == (2, 3, 1, 8, 8)
    for row, latent in enumerate((1, 2)):
        for column, value in enumerate((-2.0, 0.0, 2.0)):
            z = means[:1].clone()
            z[0, latent] = value
            assert torch.allclose(rows[row, column], model.decode(z, batch["labels"][:1])[0], atol=1e-6)
    assert len(model.traverse(batch, 8, [0.0])) == 3


def test_an_attribute_is_the_way_between_two_means(batch):
    model = fresh()
    has = torch.tensor([True, False, False, True])
    mu, _ = model.encode(batch["pixels"], batch["labels"])
    direction = model.attribute(batch, has)
    assert torch.allclose(direction, (mu[0] + mu[3] - mu[1] - mu[2]) / 2, atol=1e-6)
    moved = model.move(batch, direction, [0.0, 1.5])
    assert torch.allclose(moved[:, 0], model.reconstruct(batch), atol=1e-6)
    assert torch.allclose(moved[:, 1], model.decode(mu + 1.5 * direction, batch["labels"]), atol=1e-6)
    with pytest.raises(ValueError, match="true of some images and false of others"):
        model.attribute(batch, torch.ones(4, dtype=bool))


def test_a_likelihood_is_one_of_two():
    with pytest.raises(ValueError, match="likelihood: must be bernoulli or discretised, not 'gaussian'"):
        vae.Config(likelihood="gaussian")
