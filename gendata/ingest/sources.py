"""The section ``sources`` of params.yaml, checked before anything is read, and the kinds there are."""

import importlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gendata import files, params
from gendata.errors import ParamsError
from gendata.ingest import urls
from gendata.ingest.reader import Reader
from gendata.ingest.settings import SourceParams

READERS: dict[str, str] = {
    "archive": "gendata.ingest.archive",
    "database": "gendata.ingest.database",
    "files": "gendata.ingest.chosen",
    "folder": "gendata.ingest.folder",
    "hf": "gendata.ingest.hf",
    "imagefolder": "gendata.ingest.imagefolder",
    "mnist5k": "gendata.ingest.mnist5k",
    "pydocs": "gendata.ingest.pydocs",
    "table": "gendata.ingest.table",
    "webdataset": "gendata.ingest.webdataset",
}
"""Kind of source to the module that reads it, imported on use: a change to one re-runs its sources only."""

_BESIDE = {"tree": "gendata.ingest.tree"}
"""What references alone are read as: it reads by several of READERS, on which no single source should depend."""

PLACES = ("path", "uri", "repo")
"""Keys that say where a source is; one that is somewhere has one of them."""

OWN = (*PLACES, "include", "exclude", "map", "query", "key", "config", "revision", "split")
"""Keys that only some kinds use. ``content: reference`` is another."""

_FOLDERS = frozenset({"folder", "imagefolder"})
"""Kinds that read nothing but a folder."""

DERIVED = ("artifacts", str(files.WORK), "mlruns", "records")
"""Folders of the project that gendata writes: no source may lie there."""


def reader_of(kind: str) -> Reader:
    """The module that reads this kind of source, or of reference."""
    return cast(Reader, importlib.import_module((READERS | _BESIDE)[kind]))


def load_sources(sections: Mapping[str, Any], root: Path) -> dict[str, SourceParams]:
    """The section ``sources``: name to SourceParams, sorted by name.

    Raises:
        ParamsError: names the source, the key and what is allowed.
    """
    if not isinstance(sections, Mapping):
        raise ParamsError(f"params.yaml: sources: must be a mapping of names, not {sections!r}")
    return {str(name): _load(name, sections[name], root) for name in sorted(sections, key=str)}


def _load(name: object, section: object, root: Path) -> SourceParams:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ParamsError(f"params.yaml: sources: the name {name!r} must match [a-z0-9][a-z0-9_-]*")
    where = f"params.yaml: sources.{name}"
    source = params.build(SourceParams, section, where)
    if source.kind not in READERS:
        raise ParamsError(f"{where}.kind: must be one of {', '.join(READERS)}, not {source.kind!r}")
    used = reader_of(source.kind).KEYS
    for key in OWN:
        if getattr(source, key) and key not in used:
            raise ParamsError(f"{where}: {key} is not used by the kind {source.kind}; remove it")
    _check_place(source, used, where)
    _check_content(source, used, where)
    if source.origin is None and "origin" not in source.map:
        raise ParamsError(f"{where}: origin is missing; it must be one of real, generated, unknown")
    if urls.is_url(source.path):
        _check_url(where, source)
    elif source.path and in_derived(expand(name, source, root), root, above=True):
        raise ParamsError(f"{where}.path: {source.path} overlaps what gendata writes: {', '.join(DERIVED)}")
    return source


def _check_place(source: SourceParams, used: frozenset[str], where: str) -> None:
    places = [key for key in PLACES if key in used]
    given = [key for key in places if getattr(source, key)]
    if places and not given:
        raise ParamsError(f"{where}: {' or '.join(places)} is missing; the kind {source.kind} reads a file or a folder")
    if len(given) > 1:
        raise ParamsError(f"{where}: {' and '.join(given)} are given; a source is in one place")
    if "query" in used and not source.query:
        raise ParamsError(f"{where}: query is missing; it must be a SELECT, such as: select * from notes")


def _check_content(source: SourceParams, used: frozenset[str], where: str) -> None:
    if source.content == "reference" and urls.is_url(source.path):
        raise ParamsError(
            f"{where}.content: what a URL names is fetched into a cache that may be deleted: content: copy"
        )
    if source.content == "reference" and "content" not in used:
        raise ParamsError(
            f"{where}.content: the items of kind {source.kind} are no whole files on this machine: content: copy"
        )


def _check_url(where: str, source: SourceParams) -> None:
    try:
        url = urls.parse(source.path or "")
    except ValueError as error:
        raise ParamsError(f"{where}.path: {error}") from None
    if url.is_web and source.kind in _FOLDERS:
        raise ParamsError(
            f"{where}.path: {url}: HTTP has no folders; files that braces list are of kind files, table or archive"
        )


def in_derived(path: Path | bytes, root: Path, *, above: bool = False, base: bytes | None = None) -> bool:
    """Whether ``path``, links resolved, lies in a derived folder; with ``above`` also whether it holds one.

    ``base`` is the folder of the source: where that is the mirror of a URL, what is in it is not derived.
    """
    real = Path(os.path.realpath(os.fsdecode(path)))
    if base is not None and Path(os.fsdecode(base)).is_relative_to(os.path.realpath(root / urls.MIRRORS)):
        return not real.is_relative_to(os.fsdecode(base))
    derived = [Path(os.path.realpath(root / d)) for d in DERIVED]
    return any(real.is_relative_to(d) or (above and d.is_relative_to(real)) for d in derived)


def source_path(name: str, source: SourceParams, root: Path) -> Path:
    """The resolved path of a source. Raises ParamsError naming both if there is nothing."""
    path = expand(name, source, root)
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        if urls.is_url(source.path):
            raise not_fetched(name, source) from None
        raise ParamsError(f"params.yaml: sources.{name}.path: {source.path} not found (looked at {path})") from None


def not_fetched(name: str, source: SourceParams) -> ParamsError:
    """The error of a URL without a whole mirror: it was deleted, or the scan was cut short."""
    shown = urls.redacted(source.path or "")
    return ParamsError(
        f"params.yaml: sources.{name}.path: {shown} is not fetched; run `gendata run`, which scans first"
    )


def expand(name: str, source: SourceParams, root: Path) -> Path:
    """The path of a source, whether there is anything or not. Raises ParamsError where it cannot be a path."""
    given = source.path or ""
    try:
        if "\0" not in given:
            return root / Path(urls.local(name, given)).expanduser()
    except RuntimeError:  # ~ of a user that there is not
        pass
    raise ParamsError(f"params.yaml: sources.{name}.path: {given!r} is not a path")
