"""vae: a convolutional variational autoencoder, encoder and decoder both told the label.

As the decoder knows the label, the latent is left to say all else (hand, slant, width of stroke), and its
prior is standard normal whatever the label. The KL term grows to its full weight over the first steps, so that
the latent is put to use before it is made to be cheap. Pixels have one of two likelihoods:

- ``bernoulli``: each, scaled to [0, 1], is the share of a coin's heads, although it is grey and not black or white.
  That is no likelihood of grey images (it lacks the constant of Loaiza-Ganem & Cunningham), so its nats compare
  between models of the same images and with nothing else; but its gradients suit pictures of ink on paper, and no
  scale has to be learned. The default.
- ``discretised``: each of the 256 values has the probability that a logistic distribution, of one learned scale per
  channel, puts on its interval. That is a likelihood, its nats (divided by pixels and ln 2: bits per dimension)
  compare with any other; for photographs.

What is drawn is the mean image of either.

- Kingma & Welling 2014, Auto-encoding variational Bayes (arXiv 1312.6114).
- Sohn et al. 2015, Learning structured output representation using deep conditional generative models.
- Sønderby et al. 2016, Ladder variational autoencoders (arXiv 1602.02282): the warm-up.
- Loaiza-Ganem & Cunningham 2019, The continuous Bernoulli (arXiv 1907.06845).
- Salimans et al. 2017, PixelCNN++ (arXiv 1701.05517): the discretised logistic; Rybkin et al. 2021, Simple and
  effective VAE training with calibrated decoders (arXiv 2006.13202): the one learned scale.
- White 2016, Sampling generative networks (arXiv 1609.04468): spherical interpolation, attribute vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, silu

from gendata.models.family import Batch, DataSpec, Figures, ImageRequest, Objective, Recipe, normals

SMALLEST = 7
"""Pixels of a side at which halving stops."""

LIKELIHOODS = ("bernoulli", "discretised")

HALF = 1 / 255
"""Half the distance of two neighbouring values of a pixel in [-1, 1]."""

DRAWS = 4
"""Of the latent, over which the score of an image is the mean."""


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
    # bernoulli | discretised: what a pixel is scored by; the second is a likelihood of its 256 values
    likelihood: str = "bernoulli"
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
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood: must be {' or '.join(LIKELIHOODS)}, not {self.likelihood!r}")
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
    """A LatentModel of one objective, the negative evidence lower bound (ELBO)."""

    score_name = "negative_elbo"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, len(data.classes))
        self.decoder = Decoder(config, len(data.classes))
        if config.likelihood == "discretised":
            self.log_scale = nn.Parameter(torch.full((config.channels,), -2.0))  # a seventh of half the range

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
        """Cost of the pixels at one draw of the latent, and divergence from the prior: nats per image."""
        mu, logvar = self.encode(batch["pixels"], batch["labels"])
        cost = self._cost(batch, mu + torch.randn_like(mu) * (0.5 * logvar).exp())
        return cost.mean(), _divergence(mu, logvar).sum(1).mean()

    def _cost(self, batch: Batch, z: Tensor) -> Tensor:
        """The negative logarithm of the likelihood of each image (B,), in nats, given its latent."""
        pixels, logits = batch["pixels"], self.decoder(z, batch["labels"])
        if self.config.likelihood == "bernoulli":
            cost = binary_cross_entropy_with_logits(logits, (pixels + 1) / 2, reduction="none")
        else:
            cost = -_log_discretised(pixels, 2 * logits.sigmoid() - 1, self.log_scale.view(-1, 1, 1))
        return cost.sum((1, 2, 3))

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

    @torch.no_grad()
    def score(self, batch: Batch, seeds: Sequence[int]) -> Tensor:
        """See LatentModel: the negative ELBO of each image in nats, a mean over draws of the latent."""
        mu, logvar = self.encode(batch["pixels"], batch["labels"])
        noise = normals(seeds, DRAWS, self.config.latent).to(mu.device)
        costs = [self._cost(batch, mu + noise[:, i] * (0.5 * logvar).exp()) for i in range(DRAWS)]
        return (torch.stack(costs).mean(0) + _divergence(mu, logvar).sum(1)).float().cpu()

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Tensor:
        """See LatentModel: the mean image of the posterior's mean."""
        return self.decode(self.encode(batch["pixels"], batch["labels"])[0], batch["labels"])

    @torch.no_grad()
    def interpolate(self, batch: Batch, other: Batch, steps: int) -> Tensor:
        """See LatentModel: along the great circle between the posteriors' means, where the prior has its mass."""
        first, last = (self.encode(b["pixels"], b["labels"])[0] for b in (batch, other))
        cosine = torch.cosine_similarity(first, last)
        angle = cosine.clamp(-0.9999, 0.9999).arccos().view(-1, 1, 1)  # parallel ones have no circle of their own
        share = torch.linspace(0, 1, steps, device=first.device).view(1, -1, 1)
        z = (((1 - share) * angle).sin() * first[:, None] + (share * angle).sin() * last[:, None]) / angle.sin()
        return self._decode_rows(z, batch["labels"])

    @torch.no_grad()
    def traverse(self, batch: Batch, rows: int, values: Sequence[float]) -> Tensor:
        """See LatentModel; used most is the latent whose posterior is furthest from the prior in the mean."""
        mu, logvar = self.encode(batch["pixels"], batch["labels"])
        used = _divergence(mu, logvar).mean(0).argsort(descending=True, stable=True)[:rows]
        z = mu[0].repeat(len(used), len(values), 1)
        z[torch.arange(len(used)), :, used] = torch.tensor(values, device=z.device)
        return self._decode_rows(z, batch["labels"][:1].repeat(len(used)))

    @torch.no_grad()
    def attribute(self, batch: Batch, has: Tensor) -> Tensor:
        """See LatentModel: the difference of the two groups' mean latents. Raises ValueError if a group is empty."""
        mu, _ = self.encode(batch["pixels"], batch["labels"])
        if not 0 < int(has.sum()) < len(has):
            raise ValueError("has: must be true of some images and false of others")
        return mu[has].mean(0) - mu[~has].mean(0)

    @torch.no_grad()
    def move(self, batch: Batch, direction: Tensor, factors: Sequence[float]) -> Tensor:
        """See LatentModel."""
        mu, _ = self.encode(batch["pixels"], batch["labels"])
        steps = torch.tensor(factors, device=mu.device).view(1, -1, 1) * direction
        return self._decode_rows(mu[:, None] + steps, batch["labels"])

    def _decode_rows(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latents (B, S, latent) of labels (B,) to images (B, S, C, H, W)."""
        images = self.decode(z.flatten(0, 1), labels.repeat_interleave(z.shape[1]))
        return images.view(*z.shape[:2], *images.shape[1:])


def _divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """Of each latent's posterior from the prior, in nats (B, latent)."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def _log_discretised(pixels: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """The logarithm of what a logistic distribution puts on each pixel's interval; the outermost go on for ever.

    With s the logistic function, s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)): no difference of nearly equal numbers.
    """
    inverse = (-log_scale).exp()
    upper, lower = (pixels - mean + HALF) * inverse, (pixels - mean - HALF) * inverse
    below, above = logsigmoid(upper), logsigmoid(-lower)
    inside = below + above + (-torch.expm1(-2 * HALF * inverse)).log()
    return torch.where(pixels < -1 + HALF, below, torch.where(pixels > 1 - HALF, above, inside))
