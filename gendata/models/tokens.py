"""Texts as tokens: the bytes of UTF-8, one separator between texts, and merges of bytes where a tokenizer has some.

Tokens 0 to 255 are bytes and 256 is the separator, whatever the tokenizer: those above are merges (byte-pair encoding,
Sennrich et al. 2016, over words as GPT-2 splits them), learned by the library ``tokenizers`` and kept in its JSON.
Every text comes back from its tokens.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gendata.errors import StoreError

SEPARATOR = 256
"""Stands before every text and after the last; a model that gives it has ended its text."""

VOCABULARY = 257
"""Tokens without merges."""

_SHOWN = [*range(33, 127), *range(161, 173), *range(174, 256)]
_CHARACTERS = [chr(b) if b in _SHOWN else "" for b in range(256)]
for _n, _b in enumerate(b for b in range(256) if b not in _SHOWN):
    _CHARACTERS[_b] = chr(256 + _n)
_BYTES = {character: byte for byte, character in enumerate(_CHARACTERS)}
"""How byte-level BPE writes bytes as characters (Radford et al. 2019): those that show as themselves."""

_NAME = "<|separator|>"
"""Of the separator in the JSON; no text is encoded to it, as BPE starts from bytes."""


def encode(text: str) -> NDArray[np.uint16]:
    """The bytes of a text, without separator. Lone surrogates, which UTF-8 cannot hold, become ``?``."""
    return np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.uint16)


def decode(tokens: Sequence[int]) -> str:
    """The text of some bytes; those that are not UTF-8 become U+FFFD."""
    return bytes(t for t in tokens if t < SEPARATOR).decode("utf-8", "replace")


class Tokenizer:
    """Bytes, or bytes and merges."""

    def __init__(self, text: str = "") -> None:
        """Of a tokenizer's JSON; empty for bytes alone. Raises ValueError if it is none of ours."""
        self.text = text
        self.pieces = [bytes([b]) for b in range(SEPARATOR)] + [b""]
        """The bytes of every token; none of the separator."""
        if text:
            vocabulary: dict[str, int] = json.loads(text)["model"]["vocab"]
            names = sorted(vocabulary, key=vocabulary.__getitem__)
            known = [*_CHARACTERS, _NAME]
            if names[:VOCABULARY] != known or [vocabulary[n] for n in names] != list(range(len(names))):
                raise ValueError("its first tokens are not the bytes and the separator")
            self.pieces += [bytes(_BYTES[c] for c in name) for name in names[VOCABULARY:]]

    @property
    def vocabulary(self) -> int:
        """How many tokens there are, the separator counted in."""
        return len(self.pieces)

    def encode(self, text: str) -> NDArray[np.uint16]:
        """The tokens of a text, without separator. Lone surrogates, which UTF-8 cannot hold, become ``?``."""
        if not self.text:
            return encode(text)
        whole = text.encode("utf-8", "replace").decode()
        return np.array(self._library.encode(whole).ids, np.uint16)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self.pieces[t] for t in tokens if t < len(self.pieces)).decode("utf-8", "replace")

    @cached_property
    def _library(self) -> Any:
        from tokenizers import Tokenizer as Library

        return Library.from_str(self.text)


BYTES = Tokenizer()


def learn(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of at most so many tokens; fewer where the texts have no more pairs. The same texts give the same."""
    from tokenizers import Tokenizer as Library
    from tokenizers import models, pre_tokenizers, trainers

    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library = Library(models.BPE())
    library.pre_tokenizer = split
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1, initial_alphabet=sorted(_CHARACTERS), special_tokens=[], show_progress=False
    )
    library.train_from_iterator(texts, trainer)
    merges = [(a, b) for a, b in json.loads(library.to_str())["model"]["merges"]]
    ids = {name: i for i, name in enumerate([*_CHARACTERS, _NAME])}
    for a, b in merges:
        ids.setdefault(a + b, len(ids))  # two pairs may spell one token
    ours = Library(models.BPE(vocab=ids, merges=merges))
    ours.pre_tokenizer = split
    return Tokenizer(ours.to_str(pretty=True))


def load(text: str, where: str) -> Tokenizer:
    """A tokenizer from its JSON. Raises StoreError, which names ``where``, if it is cut short or not one of ours."""
    try:
        return Tokenizer(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{where}: not a tokenizer of gendata ({type(error).__name__}: {error})") from None
