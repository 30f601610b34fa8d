"""A family of texts that learns which byte follows which: the smallest that trains. See ``toy_family``."""

from dataclasses import dataclass

import torch
import toy_family
from torch import nn

from gendata.models.family import Objective, uniforms
from gendata.models.text import TextRecipe
from gendata.models.tokens import SEPARATOR, VOCABULARY

NAME = "toytext"


def registered():
    """The family is known as ``toytext`` inside the block."""
    return toy_family.registered(NAME, __name__, "text", labelled=False)


@dataclass(frozen=True, kw_only=True)
class Config(TextRecipe):
    steps: int = 30
    batch: int = 8
    every: int = 15
    lr: float = 0.5
    warmup: int = 2
    context: int = 32


class Model(nn.Module):
    def __init__(self, config, data):
        super().__init__()
        self.follows = nn.Embedding(VOCABULARY, VOCABULARY)
        nn.init.zeros_(self.follows.weight)

    def objectives(self):
        return {"next": Objective(self.parameters())}

    def loss(self, objective, batch, progress):
        tokens = batch["tokens"]
        logits = self.follows(tokens[:, :-1]).flatten(0, 1)
        error = nn.functional.cross_entropy(logits, tokens[:, 1:].flatten())
        return error, {"loss": error.detach()}

    def after_step(self):
        pass

    def validate(self, batch):
        return self.loss("next", batch, 1.0)[1]

    def sample(self, seeds, prompt, request, labels=None):
        last = torch.full((len(seeds),), prompt[-1] if prompt else SEPARATOR)
        texts = [[] for _ in seeds]
        done = [False] * len(seeds)
        for noise in uniforms(seeds, request.max_tokens):
            p = (self.follows(last) / max(request.temperature, 1e-6)).softmax(-1)
            last = (p.cumsum(-1) < noise[:, None]).sum(-1).clamp(max=VOCABULARY - 1)
            for i, token in enumerate(last.tolist()):
                done[i] = done[i] or token == SEPARATOR
                if not done[i]:
                    texts[i].append(token)
        return texts
