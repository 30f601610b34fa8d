"""A family of labelled images that learns the mean image of each class: the smallest that trains.

``with toy_family.registered():`` (or the fixture of a test) makes it known as ``toy``, beside the real families.
"""

import contextlib
from dataclasses import dataclass

import torch
from torch import nn

from gendata import models
from gendata.models.family import Objective, Recipe, normals

NAME = "toy"


@contextlib.contextmanager
def registered(name=NAME, module=__name__, modality="image", labelled=True):
    """The family is known as ``name`` inside the block."""
    models.MODELS[name] = module
    models.NEEDS[name] = models.Needs(modality, labelled)
    try:
        yield
    finally:
        del models.MODELS[name], models.NEEDS[name]


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    steps: int = 20
    batch: int = 8
    every: int = 10
    lr: float = 0.3
    warmup: int = 2
    size: int = 8
    channels: int = 1


class Model(nn.Module):
    def __init__(self, config, data):
        super().__init__()
        self.means = nn.Parameter(torch.zeros(len(data.classes), config.channels, config.size, config.size))

    def objectives(self):
        return {"pixels": Objective([self.means])}

    def loss(self, objective, batch, progress):
        error = (self.means[batch["labels"]] - batch["pixels"]).square().mean()
        return error, {"loss": error.detach()}

    def after_step(self):
        pass

    def validate(self, batch):
        return self.loss("pixels", batch, 1.0)[1]

    def sample(self, seeds, labels, request):
        noise = normals(seeds, *self.means.shape[1:])
        return (self.means.detach().cpu()[labels] + 0.1 * request.truncation * noise).clamp(-1, 1)
