"""gan: a small convolutional generator against a discriminator, both told the label.

The losses are those of R3GAN: the discriminator scores each real image against a generated one of the
same label, which counters the loss of modes, and zero-centred penalties on its gradient at both keep the
game stable. A penalty needs second derivatives, so only a share of the batch pays it. Unlike theirs, the
networks have no residual blocks and the generator is group-normalised: better digits in the same time on
a CPU. Samples come from a moving average of the generator's weights.

- Huang et al. 2024, The GAN is dead; long live the GAN! A modern baseline GAN (arXiv 2501.05441).
- Jolicoeur-Martineau 2019, The relativistic discriminator (arXiv 1807.00734): the paired loss.
- Mescheder et al. 2018, Which training methods for GANs do actually converge? (arXiv 1801.04406): R1, R2.
- Miyato & Koyama 2018, cGANs with projection discriminator (arXiv 1802.05637).
- Yazici et al. 2019, The unusual effectiveness of averaging in GAN training (arXiv 1806.04498).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import leaky_relu, softplus

from gendata.models.family import Batch, DataSpec, Figures, ImageRequest, Objective, Recipe, normals

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)

BETAS = (0.0, 0.99)
"""Of Adam, for both sides: no momentum, as in Huang et al. 2024."""

SLOPE = 0.2
"""Of leaky ReLU below 0."""

GROUP = 8
"""Channels that are normalised together (Wu & He 2018), per image: what stands beside it in a batch has no effect."""

SMALLEST = 7
"""Pixels of a side at which halving stops."""


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """A GAN of images and how it is trained. Section ``train.gan``."""

    # side of the images in pixels: 8 to 64, a multiple of 4
    size: int = 28
    # 1 grey, 3 colour
    channels: int = 1
    # length of the noise that an image is made from
    latent: int = 32
    # channels at half the resolution, a multiple of 8; doubled at each halving below, at most twice
    width: int = 24
    # units of the dense layers
    hidden: int = 256
    # weight of the gradient penalties R1 and R2 (gamma of the paper)
    penalty: float = 0.3
    # share of the batch that pays them
    penalty_share: float = 0.125
    # share of the averaged generator that a step keeps
    ema: float = 0.985
    steps: int = 400
    batch: int = 64
    lr: float = 6e-3
    # spikes alone: the norms lie around 1 and Adam makes up for their scale
    clip: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (8 <= self.size <= 64 and self.size % 4 == 0):
            raise ValueError(f"size: must be a multiple of 4 between 8 and 64, not {self.size}")
        if self.channels not in {1, 3}:
            raise ValueError(f"channels: must be 1 or 3, not {self.channels}")
        for name in ("latent", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        if self.width < 1 or self.width % GROUP:
            raise ValueError(f"width: must be a multiple of {GROUP}, not {self.width}")
        if self.penalty < 0:
            raise ValueError(f"penalty: must be 0 or more, not {self.penalty}")
        if not 0 < self.penalty_share <= 1:
            raise ValueError(f"penalty_share: must be above 0 and at most 1, not {self.penalty_share}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: must be 0 or more and below 1, not {self.ema}")


def _levels(config: Config) -> tuple[int, list[int]]:
    """The smallest side, and the channels from half the resolution down to it."""
    side, widths = config.size, list[int]()
    while not widths or (side > SMALLEST and side % 2 == 0):
        side //= 2
        widths.append(config.width * min(2 ** len(widths), 4))
    return side, widths


def _he(layer: Layer, inputs: int) -> Layer:
    """The layer with weights that keep the variance through a ReLU (He et al. 2015): an output sums ``inputs``."""
    nn.init.normal_(layer.weight, std=(2 / inputs) ** 0.5)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


def _halving(above: int, below: int) -> nn.Conv2d:
    return _he(nn.Conv2d(above, below, 4, stride=2, padding=1), above * 4 * 4)


def _doubling(above: int, below: int) -> nn.ConvTranspose2d:
    """Of its 4 x 4 weights, a pixel sees 2 x 2."""
    return _he(nn.ConvTranspose2d(above, below, 4, stride=2, padding=1), above * 2 * 2)


def _dense(inputs: int, outputs: int) -> nn.Linear:
    return _he(nn.Linear(inputs, outputs), inputs)


class Generator(nn.Module):
    """Noise and label to image: two dense layers, then a transposed convolution per doubling of the side."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        self.side, widths = _levels(config)
        widths.reverse()
        self.label = nn.Embedding(classes, config.latent)
        self.mapping = _dense(2 * config.latent, config.hidden)
        self.base = _dense(config.hidden, widths[0] * self.side**2)
        self.norms = nn.ModuleList(nn.GroupNorm(width // GROUP, width) for width in widths)
        self.up = nn.ModuleList(_doubling(*pair) for pair in pairwise([*widths, config.channels]))

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """(B, latent) and (B,) to pixels (B, C, H, W) in [-1, 1]."""
        x = leaky_relu(self.mapping(torch.cat([noise, self.label(labels)], 1)), SLOPE)
        x = self.base(x).view(len(x), -1, self.side, self.side).contiguous(memory_format=torch.channels_last)
        for norm, layer in zip(self.norms, self.up, strict=True):
            x = layer(leaky_relu(norm(x), SLOPE))
        return torch.tanh(x)


class Discriminator(nn.Module):
    """Image and label to a score: a strided convolution per halving of the side, a dense layer, a projection."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        side, widths = _levels(config)
        self.down = nn.ModuleList(_halving(*pair) for pair in pairwise([config.channels, *widths]))
        self.dense = _dense(widths[-1] * side**2, config.hidden)
        self.score = nn.Linear(config.hidden, 1)
        self.label = nn.Embedding(classes, config.hidden)
        nn.init.normal_(self.label.weight, std=config.hidden**-0.5)

    def forward(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """(B, C, H, W) and (B,) to (B,): above that of another image of this label if more likely real."""
        x = pixels.contiguous(memory_format=torch.channels_last)
        for layer in self.down:
            x = leaky_relu(layer(x), SLOPE)
        x = leaky_relu(self.dense(x.flatten(1)), SLOPE)
        scores: Tensor = torch.linalg.vecdot(x, self.score.weight + self.label(labels)) + self.score.bias
        return scores


class Model(nn.Module):
    """An ImageModel of two objectives; ``average`` is the generator that samples, and is not trained itself."""

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(config, len(data.classes))
        self.discriminator = Discriminator(config, len(data.classes))
        self.average = copy.deepcopy(self.generator).requires_grad_(requires_grad=False)

    def objectives(self) -> Mapping[str, Objective]:
        """See Model in ``family``: first the discriminator, then the generator."""
        return {
            "discriminator": Objective(self.discriminator.parameters(), BETAS),
            "generator": Objective(self.generator.parameters(), BETAS),
        }

    def loss(self, objective: str, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        """See Model in ``family``. Only the parameters of the objective receive a gradient."""
        real, labels = batch["pixels"], batch["labels"]
        noise = self._noise(real)
        if objective == "generator":
            fixed = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
            pair = torch.cat([real, self.generator(noise, labels)]), labels.repeat(2)
            real_score, fake_score = functional_call(self.discriminator, fixed, pair).chunk(2)
            loss = softplus(real_score - fake_score).mean()
            return loss, {"generator": loss.detach()}
        with torch.no_grad():
            fake = self.generator(noise, labels)
        real_score, fake_score = self._scores(real, fake, labels)
        loss = softplus(fake_score - real_score).mean()
        paying = max(1, round(len(real) * self.config.penalty_share))
        penalty = self._penalty(torch.cat([real[:paying], fake[:paying]]), labels[:paying].repeat(2))
        margin = (real_score - fake_score).mean()
        figures = {"discriminator": loss.detach(), "penalty": penalty.detach(), "margin": margin.detach()}
        return loss + self.config.penalty * penalty, figures

    def _noise(self, pixels: Tensor) -> Tensor:
        """As many rows (B, latent) as there are images, by torch's global generator."""
        return torch.randn(len(pixels), self.config.latent, device=pixels.device)

    def _scores(self, real: Tensor, fake: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B,) of real and generated images, which have their labels in common."""
        scores: Tensor = self.discriminator(torch.cat([real, fake]), labels.repeat(2))
        real_score, fake_score = scores.chunk(2)
        return real_score, fake_score

    def _penalty(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Mean squared norm of the score's gradient: half of R1 + R2 over equally many real and generated images."""
        pixels = pixels.requires_grad_()
        (gradient,) = torch.autograd.grad(self.discriminator(pixels, labels).sum(), pixels, create_graph=True)
        return gradient.square().sum((1, 2, 3)).mean()

    @torch.no_grad()
    def after_step(self) -> None:
        """Moves the averaged generator towards the trained one."""
        for mean, weight in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(weight, 1 - self.config.ema)

    @torch.no_grad()
    def validate(self, batch: Batch) -> Figures:
        """Mean scores of held-out images and of generated ones of their labels, and how often the first is above.

        A GAN has no loss that compares between steps.
        """
        real, labels = batch["pixels"], batch["labels"]
        fake = self.average(self._noise(real), labels)
        real_score, fake_score = self._scores(real, fake, labels)
        told = (real_score > fake_score).float().mean()
        return {"real_score": real_score.mean(), "fake_score": fake_score.mean(), "told_apart": told}

    @torch.no_grad()
    def sample(self, seeds: Sequence[int], labels: Tensor, request: ImageRequest) -> Tensor:
        """See ImageModel; drawn from the averaged generator."""
        device = self.average.base.weight.device
        noise = normals(seeds, self.config.latent) * request.truncation
        pixels: Tensor = self.average(noise.to(device), labels.to(device))
        return pixels.float().cpu().contiguous()
