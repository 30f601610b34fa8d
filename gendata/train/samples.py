"""Samples of a model while it trains: the same seeds at every step, so that progress can be seen."""

from typing import Any

import torch

from gendata.models.family import DataSpec, ImageRequest, TextRequest, item_seed
from gendata.models.picture import grid, to_bytes

COLUMNS, ROWS = 10, 6
TEXTS = 4


@torch.no_grad()
def sample_grid(model: Any, classes: tuple[str, ...], seed: int) -> bytes:
    """A PNG with a column per class, or as many of them as COLUMNS shows."""
    columns = min(len(classes), COLUMNS)
    labels = torch.arange(columns).repeat(ROWS)
    seeds = [item_seed(seed, i) for i in range(len(labels))]
    return grid(to_bytes(model.eval().sample(seeds, labels, ImageRequest())), columns)


@torch.no_grad()
def sample_texts(model: Any, data: DataSpec, seed: int) -> str:
    """A few texts, with a line between them; of a model with classes, of these in turn."""
    seeds = [item_seed(seed, i) for i in range(TEXTS)]
    labels = torch.arange(TEXTS) % len(data.classes) if data.classes else None
    found = model.eval().sample(seeds, [], TextRequest(max_tokens=200), labels)
    texts = [data.tokenizer.decode(t) for t in found]
    return "\n----\n".join(texts) + "\n"
