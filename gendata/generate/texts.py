"""Texts from a checkpoint: the prompt and what the model goes on with."""

from collections.abc import Iterator
from typing import Any

import torch

from gendata.generate import BATCH, output_item
from gendata.items import Item
from gendata.models import tokens
from gendata.models.checkpoint import Checkpoint
from gendata.models.family import item_seed
from gendata.models.request import TextRequest


def sample_texts(checkpoint: Checkpoint, n: int, seed: int, request: TextRequest) -> Iterator[Item]:
    """``n`` texts, each with the prompt in front."""
    model: Any = checkpoint.model()
    prompt = tokens.encode(request.prompt).tolist()
    for start in range(0, n, BATCH):
        indices = range(start, start + BATCH)  # the last batch is full too: the shape never changes
        with torch.inference_mode():
            found = model.sample([item_seed(seed, i) for i in indices], prompt, request)
        for sampled in found[: n - start]:
            yield output_item("text", ".txt", "text/plain", text=tokens.decode([*prompt, *sampled]))
