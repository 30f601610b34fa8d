"""What a word is, for ``size`` and ``quality``.

A run of characters without white space is one word, as for ``wc`` and in the Gopher rules, so that
"don't", "well-known" and "end." are one each. Chinese and Japanese are written without spaces:
there each ideograph and each kana is a word. Thai, Lao, Khmer and Burmese have no spaces either,
and are undercounted: to cut them takes a dictionary.
"""

import re

_CJK = (
    "\u3005-\u3007"  # iteration mark, closing mark, zero
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # ideographs
)
CJK = re.compile(f"[{_CJK}]")
"""One ideograph or kana."""

_TOKEN = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_ALNUM = re.compile(r"[^\W_]")


def tokens(text: str) -> list[str]:
    """The words of a text in order, with those that are only symbols ("-", "***")."""
    return _TOKEN.findall(text)


def n_words(text: str) -> int:
    """How many words have at least one letter or digit."""
    return sum(1 for token in _TOKEN.finditer(text) if _ALNUM.search(token[0]))
