"""Globs over relative paths, with ``**`` (``PurePath.full_match`` is newer than our oldest Python)."""

import re
from collections.abc import Callable, Sequence

from gendata.items import is_glob as is_glob


def matcher(globs: Sequence[str]) -> Callable[[bytes], bool]:
    """Whether a relative path matches one of the globs.

    ``*`` and ``?`` stop at ``/``, ``**`` does not; ``[a-z]`` and ``[!a-z]`` are sets. A glob
    without ``/`` is compared with the last name of the path, any other with the whole path.

    Raises:
        ValueError: a glob is not valid.
    """
    patterns = [("/" in glob, _compile(glob)) for glob in globs]

    def matches(path: bytes) -> bool:
        text = path.decode("utf-8", "surrogateescape")
        return any(p.fullmatch(text if whole else text.rpartition("/")[2]) for whole, p in patterns)

    return matches


_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _compile(glob: str) -> re.Pattern[str]:
    regex = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^\]/]+\])", glob):
        if part in _WILD:
            regex += _WILD[part]
        elif part.startswith("[") and part.endswith("]") and len(part) > 2:
            negated = part.startswith("[!")
            members = part[2 if negated else 1 : -1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            regex += f"[{'^' if negated else ''}{members}]"
        else:
            regex += re.escape(part)
    try:
        return re.compile(regex, re.DOTALL)
    except re.error as error:
        raise ValueError(f"the glob {glob!r} is not valid: {error}") from None
