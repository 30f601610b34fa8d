"""The two generators of images that pytorch/examples teaches, written anew from their papers for images of 28 x 28.

Neither is told a label. ``dcgan`` is Radford et al. 2016, "Unsupervised representation learning with deep convolutional
generative adversarial networks" (arXiv 1511.06434), with the sizes and settings of the example, one doubling less, as
28 = 7 x 4; ``vae`` is the 784-400-20 network of Kingma & Welling 2014, "Auto-encoding variational Bayes" (arXiv
1312.6114), appendix C, with the example's settings.
"""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

Sampler = Callable[[int], Tensor]
"""So many images (n, 1, 28, 28) in [-1, 1]."""

_NOISE, _WIDTH = 100, 64


def dcgan(pixels: Tensor, seconds: float, seed: int) -> tuple[Sampler, int]:
    """Train for so many seconds of processor time on images (n, 1, 28, 28) in [-1, 1]; a sampler, and the steps."""
    torch.manual_seed(seed)
    generator = nn.Sequential(
        *_up(_NOISE, 4 * _WIDTH, kernel=7, stride=1, padding=0),
        *_up(4 * _WIDTH, 2 * _WIDTH),
        nn.ConvTranspose2d(2 * _WIDTH, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    ).apply(_small_weights)
    discriminator = nn.Sequential(
        nn.Conv2d(1, _WIDTH, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(_WIDTH, 2 * _WIDTH, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * _WIDTH),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * _WIDTH, 1, 7, bias=False),
        nn.Flatten(0),
    ).apply(_small_weights)
    of_generator, of_discriminator = (
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999)) for network in (generator, discriminator)
    )
    steps = 0
    for real in _batches(pixels, 64, seconds):
        fake = generator(torch.randn(len(real), _NOISE, 1, 1))
        loss = (
            -functional.logsigmoid(discriminator(real)).mean()
            - functional.logsigmoid(-discriminator(fake.detach())).mean()
        )
        _step(of_discriminator, loss)
        _step(of_generator, -functional.logsigmoid(discriminator(fake)).mean())
        steps += 1
    generator.eval()
    return lambda n: torch.cat([generator(torch.randn(min(500, n - i), _NOISE, 1, 1)) for i in range(0, n, 500)]), steps


def vae(pixels: Tensor, seconds: float, seed: int) -> tuple[Sampler, int]:
    """As ``dcgan``."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    steps = 0
    for batch in _batches(pixels, 128, seconds):
        mean, log_variance = encoder(batch).chunk(2, 1)
        logits = decoder(mean + torch.randn_like(mean) * (log_variance / 2).exp())
        target = (batch.flatten(1) + 1) / 2
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        _step(optimizer, functional.binary_cross_entropy_with_logits(logits, target, reduction="sum") + divergence)
        steps += 1
    return lambda n: 2 * decoder(torch.randn(n, 20)).sigmoid().view(n, 1, 28, 28) - 1, steps


def _up(above: int, below: int, kernel: int = 4, stride: int = 2, padding: int = 1) -> tuple[nn.Module, ...]:
    return nn.ConvTranspose2d(above, below, kernel, stride, padding, bias=False), nn.BatchNorm2d(below), nn.ReLU()


def _small_weights(layer: nn.Module) -> None:
    """As the paper has it: normal, of deviation 0.02, the scales of norms around 1."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def _batches(pixels: Tensor, size: int, seconds: float) -> Iterator[Tensor]:
    """Full batches, in a new order every epoch, until the processor time is spent."""
    start = time.process_time()
    while True:
        for at in torch.split(torch.randperm(len(pixels)), size)[: len(pixels) // size]:
            if time.process_time() - start > seconds:
                return
            yield pixels[at]


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
