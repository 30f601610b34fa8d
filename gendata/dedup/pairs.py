"""Records of prompt and reply: near-duplicates only where both parts are.

The same short reply under other prompts is no repetition, nor is one prompt with other replies. A pair is two texts to
the loops that cut words; its shingles then carry in their first bit which of the two they are of, so that one ascending
set holds first those of the prompt, then those of the reply. The similarity of two pairs is the lesser of both parts';
that of their whole sets, which the bands go by, is never below it.
"""

import numpy as np
import pyarrow as pa

from gendata.chats import parts
from gendata.compiled import MULTIPLIER
from gendata.dedup.words import Flat, Hashes, Words, words

_REPLY = np.uint64(63)
_ALL = np.uint64((1 << 63) - 1)


def paired_words(texts: pa.Array) -> Words:
    """The words of both parts of records (string or large_string): 2 texts a record, both without words if one is."""
    pairs = [parts(text or "") or ("", "") for text in texts.to_pylist()]
    found, bounds, signs = words(pa.array([part for pair in pairs for part in pair], pa.large_string()))
    sizes = np.diff(bounds)
    whole = np.repeat((sizes.reshape(-1, 2) > 0).all(axis=1), 2)
    kept = np.concatenate(([0], np.cumsum(np.where(whole, sizes, 0))))
    return Words(found[np.repeat(whole, sizes)], kept, signs)


def paired_forms(forms: Hashes) -> Hashes:
    """A hash of each record, of those of its parts in turn; 0 of zeros."""
    both: Hashes = forms[::2] * MULTIPLIER + forms[1::2]
    return both


def paired_shingles(shingles: Flat) -> Flat:
    """The shingles of each record, of those of its parts in turn."""
    sizes = np.diff(shingles.bounds)
    part = np.arange(len(sizes), dtype=np.uint64) % np.uint64(2)
    marked = shingles.hashes & _ALL | np.repeat(part, sizes) << _REPLY
    return Flat(marked, np.ascontiguousarray(shingles.bounds[::2]))
