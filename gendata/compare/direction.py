"""Directions in a latent, or in activations: whether going along one makes more of an attribute."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LENGTH = 2.0
"""Of a direction, in deviations of what it is added to."""

MOVED = 400
"""Images that a direction is tried on."""

_DRAWS = 1000
_FACTORS = (-1.0, -0.5, 0.0, 0.5, 1.0)


def grows(attribute: Callable[[Tensor], Tensor], direction: Tensor) -> float:
    """The share of items whose attribute grows with every step along a direction, five from one side to the other.

    Args:
        attribute: of all items (n,), when (n, d) is added to what they are made from.
        direction: (d,) of all items, or (n, d) of each.
    """
    steps = torch.stack([attribute(factor * direction) for factor in _FACTORS], 1)
    return float((steps.diff(dim=1) > 0).all(1).float().mean())


def between(rows: Tensor, has: Tensor) -> Tensor:
    """The direction (d,) from rows (n, d) that have not to those that have, two of their deviations along it long.

    Of length 0 where all have, or none.
    """
    difference = (rows[has].mean(0) - rows[~has].mean(0)).nan_to_num()
    unit = difference / difference.norm().clamp(min=1e-12)
    direction: Tensor = LENGTH * (rows @ unit).std() * unit
    return direction


def by_chance(n: int, direction: Tensor) -> Tensor:
    """Directions (n, d) as long as another, each its own: what they do needs no knowledge."""
    random = torch.randn(n, len(direction), generator=torch.Generator().manual_seed(2))
    directions: Tensor = random * (direction.norm() / random.norm(dim=1, keepdim=True))
    return directions


@torch.no_grad()
def ink_direction(decode: Any, latent: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draws of the prior (n, latent), their labels (n,), and the attribute vector of ink (latent,) between them.

    Args:
        decode: latents (B, latent) and labels (B,) to images (B, C, H, W).
        latent: their length.
        classes: how many labels there are.
    """
    z = torch.randn(_DRAWS, latent, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(_DRAWS) % classes
    found = ink(decode(z, labels))
    middle = torch.stack([found[labels == label].median() for label in range(classes)])[labels]
    return z, labels, between(z, found > middle)


@torch.no_grad()
def moved(decode: Any, latent: int, classes: int, *, chance: bool = False) -> float:
    """The share of images that an attribute vector of ink works on; of ``ink_direction``, or directions by chance."""
    z, labels, direction = ink_direction(decode, latent, classes)
    z, labels = z[:MOVED], labels[:MOVED]
    tried = by_chance(MOVED, direction) if chance else direction
    return grows(lambda by: ink(decode(z + by, labels)), tried)


def ink(images: Tensor) -> Tensor:
    """The attribute (n,) of images (n, C, H, W): their mean."""
    return images.mean((1, 2, 3))
