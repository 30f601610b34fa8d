"""The language of an item's text: that of a text, a caption or a transcript.

py3langid 0.4 (Lui & Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool",
ACL; model retrained by A. Barbaresi): naive Bayes over byte n-grams that a finite automaton finds.
The model is in the package, a NumPy archive without pickle.

- The answer is one of its languages that have an ISO 639-1 code, or ``zxx`` (ISO 639-2: no
  linguistic content), the model's class for numbers, markup and identifiers. Regional languages
  without a two-letter code go to the nearest: Wu and Cantonese to zh, Egyptian Arabic to ar.
- ``lang_score`` is the model's probability, 0 to 1, to six decimals, the same on every processor. Below MIN_SCORE the
  answer is null: such a guess is more likely wrong than right (captions of four words, source code: a random
  language).
- Below MIN_LETTERS letters the answer is null: guesses on short texts are often wrong. Measured on
  20 languages (lingua's test sentences, 200 each), cut at whole words: 10 letters 85 %, 20 letters
  95 %, 30 letters 97 %, whole sentences 99 % right. Five characters of Chinese, Japanese or Korean
  do as well as 20 letters (94 to 100 %), so that each counts for four.
- Only the first SAMPLE code points are read: more does not change the answer, and takes longer.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from gendata.tag.words import CJK

READS = ("text",)
ADDS = ("lang", "lang_score")

MIN_LETTERS = 20
MIN_SCORE = 0.5
CJK_LETTERS = 4
SAMPLE = 16_384

_HANGUL = re.compile("[\uac00-\ud7a3]")


def tag(batch: pa.RecordBatch) -> Mapping[str, Sequence[Any]]:
    """Columns ``lang`` and ``lang_score``; see ``shard.Tagger``."""
    found = [identify(text) for text in batch["text"].to_pylist()]
    return {"lang": [lang for lang, _ in found], "lang_score": [score for _, score in found]}


def identify(text: str | None) -> tuple[str, float] | tuple[None, None]:
    """ISO 639-1 code or ``zxx``, and its probability; nothing for too short a text."""
    sample = (text or "")[:SAMPLE]
    if letters(sample) < MIN_LETTERS:
        return None, None
    lang, score = _identifier().classify(sample)
    return (str(lang), round(min(float(score), 1.0), 6)) if score >= MIN_SCORE else (None, None)


def letters(text: str) -> int:
    """How many letters the text has, where a Chinese, Japanese or Korean character counts for four."""
    dense = len(CJK.findall(text)) + len(_HANGUL.findall(text))
    return sum(map(str.isalpha, text)) + (CJK_LETTERS - 1) * dense


@cache
def _identifier() -> LanguageIdentifier:
    """The model, loaded once per process (0.6 s)."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in identifier.labels if len(code) == 2 or code == "zxx"])
    # The selection of columns left rows scattered: the same answers in half the time, 94 MB. In float32, as the library
    # has them, 7 % of the scores differ between processors with AVX2 and AVX-512, by 0.000001 at most.
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc, dtype=np.float64)
    return identifier
