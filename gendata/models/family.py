"""What the training loop, generation and evaluation know of a model family: a protocol and plain data.

The loop knows no family: a family says which parameters are optimised for what (``Objective``), gives the
loss of each objective for a batch, and samples. Everything random in sampling follows from one seed per
item, so that item i is the same whatever is sampled beside it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gendata.models.request import ImageRequest as ImageRequest
from gendata.models.request import TextRequest as TextRequest
from gendata.models.tokens import BYTES, Tokenizer

Batch = Mapping[str, Tensor]
"""Images: ``pixels`` (B, C, H, W) float32 in [-1, 1] and ``labels`` (B,) int64, an index into the classes.
Texts: ``tokens`` (B, T + 1) int64, inputs and targets shifted by one; those past the vocabulary are labels."""

Figures = dict[str, Tensor]
"""Scalars worth logging, by name, detached."""


_LARGEST = 1e6

_AHEAD = 256
"""Numbers drawn at once; how many does not change them."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How any family is trained; the Config of a family adds what it is. Section ``train.<family>``."""

    # optimisation steps
    steps: int = 1000
    # items (images, windows of text) per step
    batch: int = 64
    # learning rate after the warm-up (AdamW), from which it falls as a cosine to `final` of it
    lr: float = 1e-3
    # steps over which the learning rate rises
    warmup: int = 50
    # share of the learning rate that is left at the last step
    final: float = 0.1
    # decoupled weight decay, on matrices alone
    weight_decay: float = 0.0
    # largest norm of the gradient of each objective
    clip: float = 1.0
    # of initial weights, order of items, and all noise
    seed: int = 0
    # steps between checkpoints, validations and samples
    every: int = 200
    # auto | cpu | cuda | cuda:1 | mps
    device: str = "auto"
    # on the CPU; more change the last bits of the weights, and help large models alone
    threads: int = 1
    # auto | float32 | bfloat16: of products of matrices (autocast); auto: bfloat16 on a GPU that has it, else float32
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    # parts that a batch is computed in, one after the other: less memory, the same step
    accumulate: int = 1
    # true: by torch.compile, which takes minutes first; not for families with second derivatives (gan)
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "every", "threads", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        if self.batch % self.accumulate:
            raise ValueError(f"batch: must be a multiple of accumulate, {self.accumulate}, not {self.batch}")
        for name in ("lr", "clip"):
            if not 0 < getattr(self, name) <= _LARGEST:
                raise ValueError(f"{name}: must be above 0 and at most {_LARGEST:g}, not {getattr(self, name)}")
        if not 0 <= self.weight_decay <= _LARGEST:
            raise ValueError(f"weight_decay: must be between 0 and {_LARGEST:g}, not {self.weight_decay}")
        if self.warmup < 0:
            raise ValueError(f"warmup: must be 0 or more, not {self.warmup}")
        if not 0 <= self.seed < 1 << 62:
            raise ValueError(f"seed: must be between 0 and 2**62, not {self.seed}")
        if not 0 <= self.final <= 1:
            raise ValueError(f"final: must be between 0 and 1, not {self.final}")


@dataclass(frozen=True)
class DataSpec:
    """What a module has to know of its training data."""

    classes: tuple[str, ...] = ()
    """The labels of the training split, sorted; empty for texts that are not trained with their labels."""
    tokenizer: Tokenizer = BYTES
    """Of texts."""


class Objective(NamedTuple):
    """Parameters that are optimised together, with which momenta of Adam, and which of them by Muon."""

    parameters: Iterable[nn.Parameter]
    betas: tuple[float, float] = (0.9, 0.99)
    matrices: Sequence[nn.Parameter] = ()


class Model(Protocol):
    """An ``nn.Module`` of a family, made by ``Model(config, data)``."""

    def objectives(self) -> Mapping[str, Objective]:
        """What is optimised, in the order of a step; the parameter sets do not overlap."""

    def loss(self, objective: str, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        """The scalar to be minimised, and figures to log. ``progress`` runs from 0 to 1 over the training."""

    def after_step(self) -> None:
        """Called after every step, for moving averages."""

    def validate(self, batch: Batch) -> Figures:
        """Means over a held-out batch; ``loss`` among them where the family has one that compares."""


class ImageModel(Model, Protocol):
    """A family of images."""

    def sample(self, seeds: Sequence[int], labels: Tensor, request: ImageRequest) -> Tensor:
        """Images (n, C, H, W) in [-1, 1], float32 on the CPU; ``labels`` (n,) int64."""


@runtime_checkable
class LatentModel(ImageModel, Protocol):
    """A family of images that finds the latent of an image: what the pictures of stage evaluate ask for, and scores."""

    score_name: str
    """What ``score`` is called in the table ``scores``."""

    def score(self, batch: Batch, seeds: Sequence[int]) -> Tensor:
        """How strange each image of a batch is to the model (B,), on the CPU; noise of image i from seed i."""

    def reconstruct(self, batch: Batch) -> Tensor:
        """Each image as the model remembers it: (B, C, H, W) in [-1, 1]."""

    def interpolate(self, batch: Batch, other: Batch, steps: int) -> Tensor:
        """On the way from each image to its ``other``, with the first's label: (B, steps, C, H, W)."""

    def traverse(self, batch: Batch, rows: int, values: Sequence[float]) -> Tensor:
        """The first image with one latent at a time set to each value: (rows, values, C, H, W).

        The latents are those that the batch uses most, the most used first; fewer rows where there are fewer.
        """

    def attribute(self, batch: Batch, has: Tensor) -> Tensor:
        """The direction (latent,) from images that have not to those that have an attribute; ``has`` (B,) bool."""

    def move(self, batch: Batch, direction: Tensor, factors: Sequence[float]) -> Tensor:
        """Each image moved along a direction by each factor: (B, factors, C, H, W)."""


class TextModel(Model, Protocol):
    """A family of texts."""

    def sample(
        self, seeds: Sequence[int], prompt: Sequence[int], request: TextRequest, labels: Tensor | None = None
    ) -> list[list[int]]:
        """The tokens that follow the prompt, per seed, without the separator that ends a text.

        ``labels`` (n,) int64 index the classes of a model that has any. Raises QueryError for a prompt that is longer
        than the model sees.
        """


class Family(Protocol):
    """The module of a family."""

    Config: type[Recipe]
    Model: Any
    """Called with (config, DataSpec); gives an ImageModel or a TextModel that is an ``nn.Module``."""


def item_seed(seed: int, index: int) -> int:
    """The seed of item ``index`` of a request: independent of how many are asked for."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:7], "big")


def normals(seeds: Sequence[int], *shape: int) -> Tensor:
    """Standard normal noise (n, *shape), row i from seed i alone."""
    return torch.stack([torch.randn(*shape, generator=torch.Generator().manual_seed(s)) for s in seeds])


def uniforms(seeds: Sequence[int], n: int) -> Iterator[Tensor]:
    """Uniform noise in [0, 1), ``n`` times (len(seeds),), row i from seed i alone; drawn as it is asked for."""
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    for start in range(0, n, _AHEAD):
        block = torch.stack([torch.rand(_AHEAD, generator=g) for g in generators], 1)
        yield from block[: n - start]
