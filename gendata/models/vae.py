"""vae: a convolutional variational autoencoder, encoder and decoder both told the label.

As the decoder knows the label, the latent is left to say all else (hand, slant, width of stroke), and its
prior is standard normal whatever the label. Pixels, scaled to [0, 1], are scored by the Bernoulli likelihood
although they are grey and not black or white. That is not a likelihood of grey images (it lacks the constant
of Loaiza-Ganem & Cunningham), so its nats compare between models of the same images and with nothing else;
its mean is what is drawn. The KL term grows to its full weight over the first steps, so that the latent is
put to use before it is made to be cheap.

- Kingma & Welling 2014, Auto-encoding variational Bayes (arXiv 1312.6114).
- Sohn et al. 2015, Learning structured output representation using deep conditional generative models.
- Sønderby et al. 2016, Ladder variational autoencoders (arXiv 1602.02282): the warm-up.
- Loaiza-Ganem & Cunningham 2019, The continuous Bernoulli (arXiv 1907.06845).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, silu

from gendata.models.family import Batch, DataSpec, Figures, ImageRequest, Objective, Recipe, normals

SMALLEST = 7
"""Pixels of a side at which halving stops."""


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """A VAE of images and how it is trained. Section ``train.vae``."""

    # side of the images in pixels: 8 to 64, a multiple of 4
    size: int = 28
    # 1 grey, 3 colour
    channels: int = 1
    # length of the latent
    latent: int = 24
    # channels at half the resolution; doubled at each halving below, at most twice
    width: int = 24
    # units of the dense layers
    hidden: int = 256
    # share of the training over which the weight of the KL term grows from 0 to 1
    kl_warmup: float = 0.1
    steps: int = 400
    lr: float = 5e-3
    # spikes alone: of a loss in nats per image, the norms start at some hundreds and end around 40
    clip: float = 200.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (8 <= self.size <= 64 and self.size % 4 == 0):
            raise ValueError(f"size: must be a multiple of 4 between 8 and 64, not {self.size}")
        if self.channels not in {1, 3}:
            raise ValueError(f"channels: must be 1 or 3, not {self.channels}")
        for name in ("latent", "width", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.kl_warmup <= 1:
            raise ValueError(f"kl_warmup: must be between 0 and 1, not {self.kl_warmup}")


def _levels(config: Config) -> tuple[int, list[int]]:
    """The smallest side, and the channels from half the resolution down to it."""
    side, widths = config.size, list[int]()
    while not widths or (side > SMALLEST and side % 2 == 0):
        side //= 2
        widths.append(config.width * min(2 ** len(widths), 4))
    return side, widths


class Encoder(nn.Module):
    """Image and label to the posterior: a strided convolution per halving of the side, two dense layers."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        side, widths = _levels(config)
        self.down = nn.ModuleList(
            nn.Conv2d(above, below, 4, stride=2, padding=1) for above, below in pairwise([config.channels, *widths])
        )
        self.dense = nn.Linear(widths[-1] * side**2, config.hidden)
        self.label = nn.Embedding(classes, config.hidden)
        self.posterior = nn.Linear(config.hidden, 2 * config.latent)

    def forward(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """(B, C, H, W) and (B,) to (B, 2 latent): means, then logarithms of variances."""
        x = pixels.contiguous(memory_format=torch.channels_last)
        for layer in self.down:
            x = silu(layer(x))
        posterior: Tensor = self.posterior(silu(self.dense(x.flatten(1)) + self.label(labels)))
        return posterior


class Decoder(nn.Module):
    """Latent and label to image: the encoder's mirror image."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        self.side, widths = _levels(config)
        widths.reverse()
        self.dense = nn.Linear(config.latent, config.hidden)
        self.label = nn.Embedding(classes, config.hidden)
        self.base = nn.Linear(config.hidden, widths[0] * self.side**2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(above, below, 4, stride=2, padding=1)
            for above, below in pairwise([*widths, config.channels])
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """(B, latent) and (B,) to the logits (B, C, H, W) of pixels in [0, 1]."""
        x: Tensor = self.base(silu(self.dense(z) + self.label(labels)))
        x = x.view(len(x), -1, self.side, self.side).contiguous(memory_format=torch.channels_last)
        for layer in self.up:
            x = layer(silu(x))
        return x


class Model(nn.Module):
    """An ImageModel of one objective, the negative evidence lower bound (ELBO)."""

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, len(data.classes))
        self.decoder = Decoder(config, len(data.classes))

    def objectives(self) -> Mapping[str, Objective]:
        """See Model in ``family``."""
        return {"elbo": Objective(self.parameters())}

    def encode(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior of images (B, C, H, W) in [-1, 1]: means and logarithms of variances, each (B, latent)."""
        mu, logvar = self.encoder(pixels, labels).chunk(2, 1)
        return mu, logvar

    def decode(self, z: Tensor, labels: Tensor) -> Tensor:
        """The mean images (B, C, H, W) in [-1, 1] of latents (B, latent)."""
        logits: Tensor = self.decoder(z, labels)
        return 2 * logits.sigmoid() - 1

    def loss(self, objective: str, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        """See Model in ``family``: nats per image, the KL term weighted by the warm-up."""
        reconstruction, kl = self._terms(batch)
        warmup = self.config.kl_warmup
        loss = reconstruction + (min(1.0, progress / warmup) if warmup else 1.0) * kl
        return loss, {"loss": loss.detach(), "reconstruction": reconstruction.detach(), "kl": kl.detach()}

    def _terms(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the pixels at one draw of the latent, and divergence from the prior: nats per image."""
        pixels, labels = batch["pixels"], batch["labels"]
        mu, logvar = self.encode(pixels, labels)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        logits = self.decoder(z, labels)
        entropy = binary_cross_entropy_with_logits(logits, (pixels + 1) / 2, reduction="none")
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)
        return entropy.sum((1, 2, 3)).mean(), kl.sum(1).mean()

    def after_step(self) -> None:
        """Nothing is averaged."""

    @torch.no_grad()
    def validate(self, batch: Batch) -> Figures:
        """The negative ELBO of held-out images in nats per image, and its two terms."""
        reconstruction, kl = self._terms(batch)
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    @torch.no_grad()
    def sample(self, seeds: Sequence[int], labels: Tensor, request: ImageRequest) -> Tensor:
        """See ImageModel; the mean image of a draw from the prior."""
        device = self.decoder.base.weight.device
        noise = normals(seeds, self.config.latent) * request.truncation
        return self.decode(noise.to(device), labels.to(device)).float().cpu().contiguous()
