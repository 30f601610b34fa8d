"""A family that is as small as the protocol allows: a mean image per class and a scale, two objectives, dropout."""

from dataclasses import dataclass

import torch
from torch import nn

from gendata.models.family import Objective, Recipe, normals


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """``burst``: from this step on the loss is not a number."""

    size: int = 8
    channels: int = 1
    steps: int = 12
    batch: int = 4
    every: int = 4
    warmup: int = 2
    weight_decay: float = 0.1
    burst: int = 1 << 30


class Model(nn.Module):
    def __init__(self, config, data):
        super().__init__()
        self.config = config
        self.means = nn.Parameter(torch.randn(len(data.classes), config.channels, config.size, config.size))
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("average", torch.zeros(1))
        self.register_buffer("count", torch.zeros(1))

    def objectives(self):
        return {"means": Objective([self.means]), "scale": Objective([self.scale], (0.5, 0.9))}

    def loss(self, objective, batch, progress):
        means = self.means if objective == "means" else self.means.detach()
        noisy = nn.functional.dropout(means[batch["labels"]], 0.2) * self.scale + 0.01 * torch.randn(1)
        loss = (noisy - batch["pixels"]).square().mean()
        if self.training and objective == "means" and self.count.item() >= self.config.burst:
            loss = loss * float("nan")
        return loss, {objective: loss.detach()}

    def after_step(self):
        self.count += 1
        self.average.lerp_(self.scale.detach(), 0.1)

    def validate(self, batch):
        return {"loss": (self.means[batch["labels"]] * self.scale - batch["pixels"]).square().mean()}

    def sample(self, seeds, labels, request):
        noise = normals(seeds, *self.means.shape[1:])
        return (self.means[labels] * self.scale + 0.1 * request.truncation * noise).clamp(-1, 1)
