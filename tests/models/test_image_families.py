"""What both families of images promise: shapes, one seed per item, a state that is all there is."""

import pytest
import torch
from safetensors.torch import load, save

from gendata.models import gan, vae
from gendata.models.family import DataSpec, ImageRequest

FAMILIES = pytest.mark.parametrize("family", [gan, vae], ids=["gan", "vae"])
DIGITS = DataSpec(tuple("0123456789"))


def fresh(family, seed=0, data=DIGITS, **changes):
    torch.manual_seed(seed)
    return family.Model(family.Config(**{"size": 8, "width": 8, "hidden": 16, "latent": 4} | changes), data)


def sample(model, seeds, labels=None, **request):
    labels = torch.arange(len(seeds)) % 10 if labels is None else torch.tensor(labels)
    return model.sample(seeds, labels, ImageRequest(**request))


def a_batch(n=4, size=8, channels=1, classes=10):
    noise = torch.Generator().manual_seed(1)
    return {
        "pixels": torch.rand(n, channels, size, size, generator=noise) * 2 - 1,
        "labels": torch.arange(n) % classes,
    }


def train(model, batch, steps, lr):
    """As the training loop does: the objectives in turn."""
    objectives = {key: (list(o.parameters), o.betas) for key, o in model.objectives().items()}
    optimizers = {key: torch.optim.AdamW(p, lr=lr, betas=betas) for key, (p, betas) in objectives.items()}
    for step in range(steps):
        for key, optimizer in optimizers.items():
            optimizer.zero_grad()
            model.loss(key, batch, step / steps)[0].backward()
            optimizer.step()
        model.after_step()
    return model


@FAMILIES
@pytest.mark.parametrize("size", range(8, 65, 4))
def test_every_size_and_number_of_channels_trains_and_samples(family, size):
    channels = 3 if size % 8 else 1
    model = train(fresh(family, size=size, channels=channels), a_batch(3, size, channels), 1, 1e-3)
    images = sample(model, [5, 6])
    assert images.shape == (2, channels, size, size)
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    assert images.abs().max() <= 1


@FAMILIES
def test_one_class_and_one_image_are_enough(family):
    model = train(fresh(family, data=DataSpec(("only",))), a_batch(1, classes=1), 2, 1e-3)
    assert sample(model, [3], [0]).isfinite().all()


@FAMILIES
@pytest.mark.parametrize("size", [8, 28])
def test_an_image_follows_from_its_seed_and_label_alone(family, size):
    model = fresh(family, size=size)
    first = sample(model, [1, 2, 3, 4])
    assert torch.equal(first[2], sample(model, [9, 8, 3, 7])[2])
    assert torch.equal(first[2], sample(model, [1, 2, 3, 4], [7, 7, 2, 7])[2])
    assert not torch.equal(first[2], sample(model, [1, 2, 4, 4])[2])
    assert not torch.equal(first[2], sample(model, [1, 2, 3, 4], [0, 1, 3, 3])[2])


@FAMILIES
def test_sampling_leaves_mode_gradients_and_random_state_alone(family):
    model = fresh(family).train()
    before = torch.get_rng_state()
    images = sample(model, [1, 2])
    assert torch.equal(before, torch.get_rng_state())
    assert model.training
    assert not images.requires_grad
    assert torch.equal(images, sample(model.eval(), [1, 2]))


@FAMILIES
def test_truncation_scales_the_noise(family):
    model = fresh(family)
    spread = [sample(model, range(64), [1] * 64, truncation=t).std(0).mean().item() for t in (1.0, 0.5, 0.01)]
    assert spread[0] > spread[1] > 10 * spread[2]


@FAMILIES
def test_the_state_is_all_there_is(family):
    model = train(fresh(family), a_batch(), 2, 1e-2)
    other = fresh(family, seed=1)
    assert not torch.equal(sample(model, [1, 2]), sample(other, [1, 2]))
    other.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(sample(model, [1, 2]), sample(other, [1, 2]))


@FAMILIES
def test_the_seed_decides_on_the_initial_weights(family):
    first, again, other = (fresh(family, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@FAMILIES
def test_every_trained_parameter_has_one_objective(family):
    model = fresh(family)
    optimised = [id(p) for o in model.objectives().values() for p in o.parameters]
    assert len(optimised) == len(set(optimised))
    assert set(optimised) == {id(p) for p in model.parameters() if p.requires_grad}


@FAMILIES
@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_a_batch_of_one_colour_gives_finite_losses_and_gradients(family, level):
    batch = a_batch() | {"pixels": torch.full((4, 1, 8, 8), level)}
    model = train(fresh(family), batch, 10, 1e-2)
    for key, objective in model.objectives().items():
        model.zero_grad()
        loss, figures = model.loss(key, batch, 1.0)
        loss.backward()
        assert all(value.isfinite() and not value.requires_grad for value in figures.values())
        assert all(p.grad.isfinite().all() for p in objective.parameters)


@FAMILIES
def test_a_validation_repeats_with_the_seed_and_changes_nothing(family):
    model = fresh(family)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(model.validate(a_batch()))
    assert found[0] == found[1]
    assert all(value.ndim == 0 and not value.requires_grad for value in found[0].values())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@FAMILIES
def test_the_label_is_learned(family):
    """Dark images are of one class and light ones of the other."""
    labels = torch.arange(16) % 2
    shade = (labels * 1.6 - 0.8).view(-1, 1, 1, 1)
    batch = {"pixels": shade + a_batch(16)["pixels"] * 0.1, "labels": labels}
    images = sample(train(fresh(family, data=DataSpec(("dark", "light"))), batch, 150, 1e-2), range(20), [0, 1] * 10)
    assert (images[::2].mean((1, 2, 3)) < -0.5).all()
    assert (images[1::2].mean((1, 2, 3)) > 0.5).all()


@FAMILIES
@pytest.mark.parametrize(
    "bad",
    [{"size": 4}, {"size": 68}, {"size": 30}, {"channels": 2}, {"latent": 0}, {"width": 0}, {"hidden": 0}, {"lr": 0.0}],
    ids=str,
)
def test_a_config_out_of_range_names_the_key(family, bad):
    with pytest.raises(ValueError, match=rf"^{next(iter(bad))}: must be"):
        family.Config(**bad)
