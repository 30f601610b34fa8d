"""Steps of a transformer that a CPU does faster at once, forth and back, than an operation at a time.

Where a compiler joins operations, or a GPU's own kernels do, they are plain operations.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu, rms_norm


class _Norm(torch.autograd.Function):
    """On a CPU, forth and back, three times as fast as ``rms_norm``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = _scale(x)
        y: Tensor = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (g,), (y, scale) = gradients, ctx.saved_tensors
        return torch.addcmul(g, y, (g * y).sum(-1, keepdim=True), value=-1 / y.size(-1)).mul_(scale)


class _SquaredRelu(torch.autograd.Function):
    """In the place of ``x``; one product on the way back, where autograd has three steps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        positive = x.relu_()
        ctx.mark_dirty(x)
        ctx.save_for_backward(positive)
        ctx.set_materialize_grads(False)
        return positive * positive, positive

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return torch.addcmul(gradients[0].new_zeros(()), gradients[0], ctx.saved_tensors[0], value=2)  # in one pass


class _Turned(torch.autograd.Function):
    """See ``turned``; gradients come together in one place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        qk, (cos, sin) = x[:, :, :2], (part[:, None, None] for part in (cos, sin))
        scale = _scale(qk)
        y = qk * scale
        ctx.save_for_backward(y, scale, cos, sin)
        q, k = _turn(y, cos, sin).unbind(2)
        return q.transpose(1, 2), k.transpose(1, 2), x[:, :, 2].transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (q, k, v), (y, scale, cos, sin) = (g.transpose(1, 2) for g in gradients), ctx.saved_tensors
        g = _turn(torch.stack((q, k), 2), cos, -sin)
        x = g.new_empty(*g.shape[:2], 3, *g.shape[3:])
        x[:, :, 2] = v
        torch.mul(g.addcmul_(y, (g * y).sum(-1, keepdim=True), value=-1 / y.size(-1)), scale, out=x[:, :, :2])
        return x, None, None


def _scale(x: Tensor) -> Tensor:
    """What gives vectors of the last dimension a mean square of one."""
    scale: Tensor = x.size(-1) ** 0.5 / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=1e-6)
    return scale


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """As ``rotate``, in two halves instead of a copy with both exchanged."""
    half, turned = x.size(-1) // 2, x * cos
    turned[..., :half].addcmul_(x[..., half:], sin[..., :half])
    turned[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return turned


def norm(x: Tensor) -> Tensor:
    """RMSNorm over the last dimension, without gain."""
    if _fuses(x):
        return rms_norm(x, (x.size(-1),))
    y: Tensor = _Norm.apply(x)  # type: ignore[no-untyped-call]
    return y


def squared_relu(x: Tensor) -> Tensor:
    """ReLU² of what nothing else needs."""
    if _fuses(x):
        return relu(x).square()
    y: Tensor = _SquaredRelu.apply(x)[0]  # type: ignore[no-untyped-call]
    return y


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys, normalised and rotated, and values, each (B, H, T, D), of what is (B, T, 3, H, D)."""
    if _fuses(x):
        q, k, v = x.permute(2, 0, 3, 1, 4)
        q, k = rotate(norm(torch.stack((q, k))), cos, sin)
        return q, k, v
    q, k, v = _Turned.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return q, k, v


def _fuses(x: Tensor) -> bool:
    """Whether single operations are joined without our help: by a compiler, or by a GPU's own kernels."""
    return torch.compiler.is_compiling() or x.device.type != "cpu"


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE of ``x`` (..., T, D): pairs (i, i + D/2) turned by angles of ``cos`` and ``sin`` (T, D), -sin first."""
    a, b = x.chunk(2, -1)
    return torch.addcmul(x * cos, torch.cat((b, a), -1), sin)
