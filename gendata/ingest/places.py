"""What a path of params.yaml stands for: a file, a folder, or all files that a glob names.

Globs are as in ``globs``, with braces as shells have them: ``{a,b}`` and ``{000..127}``. What gendata writes is never
among the files.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest import urls
from gendata.ingest.globs import is_glob, matcher
from gendata.ingest.paths import folders
from gendata.ingest.settings import SourceParams
from gendata.ingest.sources import expand, in_derived, not_fetched, source_path

_MOST = 100_000
"""Of globs that braces may stand for."""


@dataclass(frozen=True, slots=True)
class Place:
    """``base``, an absolute folder, to which paths are relative; ``only`` is set where the source is that one file."""

    base: bytes
    root: Path
    only: bytes | None = None
    matches: Callable[[bytes], bool] | None = None

    def walk(self, skip: Callable[[bytes], bool]) -> Iterator[tuple[bytes, str | None]]:
        """Path and problem of every file, as ``paths.walk`` has them, but for those that ``skip`` accepts."""
        for found in self.folders(skip):
            yield from found.items()

    def folders(self, skip: Callable[[bytes], bool]) -> Iterator[dict[bytes, str | None]]:
        """The same, the files of one folder at a time."""
        if self.only is not None:
            yield {self.only: None}
            return
        for found in folders(self.base, skip, self._derived):
            yield found if self.matches is None else {p: found[p] for p in filter(self.matches, found)}

    def _derived(self, path: bytes) -> bool:
        return in_derived(self.base + b"/" + path, self.root, base=self.base)


def place(name: str, source: SourceParams, root: Path) -> Place:
    """Where a source is. Raises ParamsError if there is nothing."""
    given = urls.local(name, source.path or "")
    parts = Path(given).parts
    fixed = [*takewhile(lambda part: not is_glob(part), parts)]
    if len(fixed) == len(parts) or os.path.lexists(expand(name, source, root)):
        path = source_path(name, source, root)
        if path.is_dir():
            return Place(os.fsencode(path), root)
        return Place(os.fsencode(path.parent), root, os.fsencode(path.name))
    try:
        rest = "/".join(parts[len(fixed) :])
        globs = matcher([f"/{glob}" for glob in braces(rest)])
    except ValueError as error:
        raise ParamsError(f"params.yaml: sources.{name}.path: {error}") from None
    base = expand(name, replace(source, path=str(Path(*fixed))), root).resolve()
    if not base.is_dir() and urls.is_url(source.path):
        raise not_fetched(name, source)
    if not base.is_dir():
        raise ParamsError(f"params.yaml: sources.{name}.path: {given}: there is no folder {base}")
    return Place(os.fsencode(base), root, matches=lambda path: globs(b"/" + path))


def braces(text: str) -> list[str]:
    """What the braces stand for, in their order. Raises ValueError if that is too much."""
    done, todo = [], [text]
    while todo:
        text = todo.pop()
        found = re.search(r"\{([^{}]*,[^{}]*|(\d+)\.\.(\d+))\}", text)
        if found is None:
            done.append(text)
            continue
        first, last = found[2], found[3]
        if first is not None and abs(int(last) - int(first)) >= _MOST:
            raise ValueError(f"{found[0]} stands for more than {_MOST} names")
        between = found[1].split(",") if first is None else _numbers(first, last)
        todo += reversed([text[: found.start()] + each + text[found.end() :] for each in between])
        if len(done) + len(todo) > _MOST:
            raise ValueError(f"the braces stand for more than {_MOST} names")
    return done


def _numbers(first: str, last: str) -> list[str]:
    """From the first to the last, as wide as the wider if one begins with 0."""
    width = max(len(first), len(last)) if "0" in {first[0], last[0]} else 0
    low, high = sorted((int(first), int(last)))
    return [f"{n:0{width}}" for n in range(low, high + 1)]
