"""Muon: orthogonal steps for matrices, and AdamW's own for all else."""

import math

import pytest
import torch
from torch import nn

from gendata.models.muon import MOMENTUM, Muon, groups, orthogonal


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 16), (2, 16, 4)])
def test_directions_are_nearly_those_of_the_singular_value_decomposition(shape):
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonal(matrices)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.5
    assert values.max() < 1.3
    nearest = u @ v
    cosines = (found * nearest).sum((1, 2)) / (found.norm(dim=(1, 2)) * nearest.norm(dim=(1, 2)))
    assert cosines.min() > 0.95


@pytest.mark.parametrize("shape", [(2, 24, 24), (2, 24, 96), (2, 72, 24)])
@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-6])
def test_directions_are_those_of_newton_schulz_steps_on_the_matrix_itself(shape, smallest):
    """In float64, a step at a time; singular values spread as far as gradients of low rank have them."""
    noise = torch.Generator().manual_seed(1)
    u, _, v = torch.linalg.svd(torch.randn(*shape, generator=noise, dtype=torch.float64), full_matrices=False)
    spread = torch.logspace(0, math.log10(smallest), u.size(-1), dtype=torch.float64)
    matrices = u @ torch.diag(spread) @ v
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True)
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x @ x.mT @ x + 2.0315 * x @ x.mT @ x @ x.mT @ x
    torch.testing.assert_close(orthogonal(matrices.float()).double(), x, rtol=0, atol=1e-3)


def test_a_gradient_of_zero_moves_nothing():
    assert torch.equal(orthogonal(torch.zeros(1, 3, 3)), torch.zeros(1, 3, 3))


def step(optimizer, parameters, seed):
    noise = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=noise)
    optimizer.step()


def test_other_parameters_are_those_of_adamw():
    ours, theirs = ([nn.Parameter(torch.ones(4, 3)), nn.Parameter(torch.ones(5))] for _ in range(2))
    matrix = nn.Parameter(torch.ones(3, 3))
    muon = Muon(groups([*ours, matrix], [matrix], 0.1), lr=0.01)
    adam = torch.optim.AdamW(groups(theirs, [], 0.1), lr=0.01)
    for seed in range(3):
        step(muon, [*ours, matrix], seed)
        step(adam, theirs, seed)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_step_of_a_matrix_by_hand():
    matrix = nn.Parameter(torch.ones(2, 6))
    optimizer = Muon(groups([matrix], [matrix], 0.5), lr=0.1)
    gradients = [torch.randn(2, 6, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    expected, momentum = matrix.detach().clone(), torch.zeros(2, 6)
    for gradient in gradients:
        matrix.grad = gradient.clone()
        optimizer.step()
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
        update = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 6**0.5 * orthogonal(update[None])[0]
    torch.testing.assert_close(matrix.detach(), expected)


def test_a_state_that_is_read_back_goes_on_alike():
    ones, twos = ([nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(4))] for _ in range(2))
    first, second = (Muon(groups(p, p[:1], 0.1), lr=0.01) for p in (ones, twos))
    step(first, ones, 0)
    step(second, twos, 0)
    fresh = Muon(groups(twos, twos[:1], 0.1), lr=0.01)
    fresh.load_state_dict(second.state_dict())
    step(first, ones, 1)
    step(fresh, twos, 1)
    assert all(torch.equal(a, b) for a, b in zip(ones, twos, strict=True))
