"""The code of every stage: the files that its script imports, directly or not, and a digest of them.

DVC watches the digests (``gendata.lock.yaml``): a stage runs again where code changed that it can reach, only there.
"""

import ast
import hashlib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

REGISTRIES = {
    "scan": "gendata.ingest:READERS",
    "ingest": "gendata.ingest:READERS",
    "dedup": "gendata.ingest:READERS",
    "tag": "gendata.tag:TAGGERS",
    "train": "gendata.models:MODELS",
    "generate": "gendata.models:MODELS",
    "evaluate": "gendata.models:MODELS",
    "collect": "gendata.tag:TAGGERS",
    "compare": "gendata.compare:EXPERIMENTS",
}
"""What a stage imports by name; imports as such are found in the code."""

VARIES = frozenset({"ingest", "train", "generate", "evaluate"})
"""Stages of which there is one per source or family: a change to one entry of the registry leaves the others alone."""

_STARTED = {"select": ("gendata.search.sandbox",), "compare": ("gendata.models:MODELS",)}
"""What a stage runs as a program of its own, or finds by name in another registry."""


def digests(package: Path, scripts: Path, stages: Iterable[str]) -> dict[str, str]:
    """Digests of the code of stages, by name; of one that varies by ``name-entry`` too, for each of the registry.

    Args:
        package: the folder of ``gendata``.
        scripts: the folder of the stages' scripts.
        stages: their names. One without a script is left out.
    """
    found = {}
    for stage in stages:
        if not (scripts / f"{stage}.py").is_file():
            continue
        found[stage] = _digest(package, files(package, scripts, stage))
        if stage in VARIES:
            for name in registered(stage):
                found[f"{stage}-{name}"] = _digest(package, files(package, scripts, stage, name))
    return found


def registered(stage: str) -> Mapping[str, str]:
    """Module by name of what a stage imports by name."""
    return _entries(REGISTRIES[stage]) if stage in REGISTRIES else {}


def files(package: Path, scripts: Path, stage: str, only: str | None = None) -> set[Path]:
    """The files of the package that a stage's script can reach, and those of the packages these lie in.

    ``only`` names the one entry of the registry that is imported, if it is not all.
    """
    entries = registered(stage)
    todo = {*_imported(package, scripts / f"{stage}.py"), *(entries.values() if only is None else [entries[only]])}
    for name in _STARTED.get(stage, ()):
        todo |= {*_entries(name).values()} if ":" in name else {name}
    found: set[str] = set()
    while todo:
        module = todo.pop()
        found.add(module)
        todo |= _imported(package, _path(package, module)) - found
    parents = {module.rsplit(".", n)[0] for module in found for n in range(1, module.count(".") + 1)}
    return {_path(package, module) for module in found | parents}


def _entries(registry: str) -> Mapping[str, str]:
    module, name = registry.split(":")
    entries: Mapping[str, str] = getattr(importlib.import_module(module), name)
    return entries


def _digest(package: Path, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _path(package: Path, module: str) -> Path:
    """The file of a module of the package."""
    place = package.joinpath(*module.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


@lru_cache(maxsize=1024)
def _imported(package: Path, path: Path) -> frozenset[str]:
    """The modules of the package that a file imports, wherever in it, but for type checkers alone."""
    found = set()
    for module, name in _imports(ast.parse(path.read_bytes())):
        if module.split(".")[0] == "gendata":
            inner = f"{module}.{name}"
            found.add(inner if name and _path(package, inner).is_file() else module)
    return frozenset(found)


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Pairs of module, and name imported from it, or nothing."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        elif isinstance(node, (ast.stmt, ast.excepthandler, ast.match_case)):  # no expression holds an import
            yield from _imports(node)
