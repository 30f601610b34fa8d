"""Muon beside AdamW: the matrices inside a network take orthogonal steps, all other parameters those of AdamW.

The momentum of a matrix is replaced by the nearest orthogonal one, found to a few per cent by five Newton-Schulz
steps, so that no direction of the matrix is left behind by the few that the gradient is large in. The step is scaled
to the size that one of AdamW has, so that both share a learning rate. Newton-Schulz steps multiply the matrix X by
polynomials of its Gram matrix X Xᵀ, which commute: they are gathered on that side, which is the shorter one, and X is
multiplied once. That takes half the products of layers that are three or four times as wide as high.

- Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks (the coefficients, Nesterov momentum).
- Liu et al. 2025, Muon is scalable for LLM training (arXiv 2502.16982): the scale 0.2 sqrt(max(rows, columns)), decay.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

MOMENTUM = 0.95

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5


class Muon(AdamW):
    """AdamW, and Muon for the groups with ``orthogonal`` set, whose parameters must be matrices."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; the gradients of the matrices are used up by it."""
        for group in self.param_groups:
            if group.get("orthogonal"):
                self._orthogonal_step(group)
        super().step(closure)  # passes over parameters without a gradient

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        shapes: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is not None:
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                    state["step"] = torch.zeros(())  # by which AdamW knows its own states when they are read back
                state["step"] += 1
                state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
                shapes[parameter.shape].append((parameter, parameter.grad.lerp(state["momentum"], MOMENTUM)))
                parameter.grad = None
        for shape, members in shapes.items():  # matrices of one shape in one product: small ones are slow alone
            steps = orthogonal(torch.stack([update for _, update in members]))
            for (parameter, _), direction in zip(members, steps, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(direction, alpha=group["lr"] * 0.2 * max(shape) ** 0.5)


def orthogonal(matrices: Tensor) -> Tensor:
    """About the nearest orthogonal matrices of ``matrices`` (N, rows, columns): singular values of 0.7 to 1.2."""
    tall = matrices.size(-2) > matrices.size(-1)
    x: Tensor = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    gram = x @ x.mT
    product = factor = _factor(gram)
    for _ in range(_STEPS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        product = factor @ product
    x = product @ x
    return x.mT if tall else x


def _factor(gram: Tensor) -> Tensor:
    """What a step multiplies matrices by that have these Gram matrices (N, rows, rows)."""
    a, b, c = _COEFFICIENTS
    factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    factor.diagonal(dim1=-2, dim2=-1).add_(a)
    return factor


def groups(parameters: Iterable[nn.Parameter], matrices: Iterable[nn.Parameter], decay: float) -> list[dict[str, Any]]:
    """Parameters by how they are optimised: ``matrices`` by Muon; of the rest those of one dimension do not decay."""
    inside = list(matrices)
    known = {id(p) for p in inside}
    rest = [p for p in parameters if id(p) not in known]
    found = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        {"params": inside, "weight_decay": decay, "orthogonal": True},
    ]
    return [group for group in found if group["params"]]
