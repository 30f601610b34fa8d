"""The VAE: its bound against a plain computation, the warm-up, and that it learns what it is shown."""

import math

import pytest
import torch

from gendata.models import vae
from gendata.models.family import DataSpec, ImageRequest, normals

TINY = {"size": 8, "width": 4, "hidden": 16, "latent": 3}


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
