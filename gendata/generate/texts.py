"""Texts from a checkpoint: the prompt and what the model goes on with."""

from collections.abc import Iterator
from typing import Any

import torch

from gendata.generate import BATCH, output_item
from gendata.items import Item
from gendata.models.checkpoint import Checkpoint
from gendata.models.family import item_seed
from gendata.models.request import TextRequest


def sample_texts(checkpoint: Checkpoint, n: int, seed: int, request: TextRequest) -> Iterator[Item]:
    """``n`` texts, each with the prompt in front; without a label in the request, the classes of the model in turn."""
    model: Any = checkpoint.model()
    data = checkpoint.data
    prompt = data.tokenizer.encode(request.prompt).tolist()
    wanted = [data.classes.index(request.label)] if request.label is not None else list(range(len(data.classes)))
    for start in range(0, n, BATCH):
        indices = range(start, start + BATCH)  # the last batch is full too: the shape never changes
        labels = torch.tensor([wanted[i % len(wanted)] for i in indices]) if wanted else None
        with torch.inference_mode():
            found = model.sample([item_seed(seed, i) for i in indices], prompt, request, labels)
        for i, sampled in zip(indices, found[: n - start], strict=False):
            label = data.classes[wanted[i % len(wanted)]] if wanted else None
            text = data.tokenizer.decode([*prompt, *sampled])
            yield output_item("text", ".txt", "text/plain", text=text, label=label)
