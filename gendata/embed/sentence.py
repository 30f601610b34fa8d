"""Any sentence-transformers model (Reimers & Gurevych 2019), run by sentence-transformers itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gendata.embed.encoder import Vectors, key_of, unit
from gendata.embed.hub import digest, first_line, quiet_transformers, weights_in
from gendata.embed.text import KEY
from gendata.errors import GendataError

VERSION = 1
TICK = 64


class SentenceEncoder:
    """A model folder with safetensors weights; no pickle is opened and no code of the model is run.

    Texts are encoded one at a time: nothing is padded, so a vector never depends on its neighbours,
    for any architecture. On a CPU that costs little for models of MiniLM's size and less for larger.
    """

    def __init__(self, name: str, folder: Path, device: str, dtype: str) -> None:
        self.name, self.device, self.dtype = name, device.partition(":")[0], dtype
        weights = weights_in(KEY, name, folder)
        self._model = _load(name, folder, device, dtype)
        self._tokenizer = self._model.tokenizer
        self.dim = int(self._model.get_embedding_dimension())
        self.max_tokens = self._room()
        self.key = key_of(
            weights=digest(folder, weights), dtype=dtype, device=self.device, version=VERSION, **_versions()
        )

    def _room(self) -> int:
        limit = self._model.get_max_seq_length() or 512
        prompts = [p for p in (self._model.prompts or {}).values() if p]
        used = self._tokenizer.num_special_tokens_to_add() + max(self.count(prompts), default=0)
        if limit - used < 1:
            raise GendataError(f"{KEY} {self.name}: its limit of {limit} tokens leaves no room for text")
        return int(limit - used)

    def count(self, texts: Sequence[str]) -> list[int]:
        """See TextEncoder."""
        if not texts:
            return []
        found = self._tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in found["input_ids"]]

    def encode(self, contents: Sequence[str], tick: Callable[[int], None] | None = None) -> Vectors:
        """See Encoder: with the model's prompt for documents, if it has one."""
        return self._run(self._model.encode_document, contents, tick)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See TextEncoder: with the model's prompt for queries, if it has one."""
        return self._run(self._model.encode_query, texts, None)

    def _run(self, encode: Callable[..., Any], texts: Sequence[str], tick: Callable[[int], None] | None) -> Vectors:
        vectors = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), TICK):
            some = list(texts[start : start + TICK])
            vectors[start : start + TICK] = encode(some, batch_size=1, show_progress_bar=False)
            if tick:
                tick(len(some))
        return unit(vectors)


def _load(name: str, folder: Path, device: str, dtype: str) -> Any:
    quiet_transformers()  # before the import below, which reads the environment
    import sentence_transformers
    import torch

    try:
        return sentence_transformers.SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": getattr(torch, dtype)},
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise GendataError(f"{KEY} {name}: cannot be loaded: {first_line(error)}") from error


def _versions() -> dict[str, str]:
    import sentence_transformers
    import torch
    import transformers

    isa = torch.backends.cpu.get_cpu_capability()
    modules = {m.__name__: str(m.__version__) for m in (sentence_transformers, torch, transformers)}
    return {"isa": isa, **modules}
