"""Fixed references of dedup (``dedup.against``): read as sources are, or taken from another project."""

import contextlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendata import files, params
from gendata.dedup import DedupParams, ReferenceParams
from gendata.errors import GendataError, ParamsError, ProjectError
from gendata.ingest import IngestParams, SourceParams, infer_source, ingest, scan, tree
from gendata.ingest.beside import refused

if TYPE_CHECKING:
    from gendata.dedup.barred import Reference, Rejected

Against = Mapping[str, str | ReferenceParams]


def scan_references(against: Against, root: Path, out: Path, limits: IngestParams) -> None:
    """Write a listing per reference into ``out``: what is read of it, and whether it changed. Raises ParamsError."""
    scan({name: _source(name, _stated(value), root) for name, value in against.items()}, root, out, limits)


def readers(
    against: Against, root: Path, listings: Path, limits: IngestParams
) -> dict[str, Callable[[Path], "Reference"]]:
    """What reads each reference into a folder that it is given, as the listings say."""
    return {
        name: partial(_read, name, _stated(value), root, listings / f"{name}.parquet", limits)
        for name, value in against.items()
    }


@dataclass(frozen=True)
class Checked:
    """What a check found: rows that match, and how many there were; figures of the files and of what they met.

    ``files`` and each of ``against`` have ``rejected``, ``rejected_in`` and ``unpaired``, see ``gendata.dedup.barred``.
    """

    rows: list[dict[str, Any]]
    items: int
    files: dict[str, Any]
    against: dict[str, dict[str, Any]]


def check(
    root: Path,
    path: Path | None,
    against: Path | None,
    ngram: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> Checked:
    """Compare files with a project, a project with files, or files with files; nothing of either is changed.

    Args:
        root: of the project, whose params hold.
        path: a file or folder of items to look for, absolute; None takes the items of the project.
        against: a file, folder or project in which to look for them, absolute; None takes the project.
        ngram: compare by sequences of this many words.
        columns: of the tables among the files, as ``map`` of a source.

    Returns:
        Rows of match, score, reference (its name), kept_id and kept_uri (what it matches there), id, source and uri.
        Of files also those that are copies among themselves, with the reason as match and without a reference.

    Raises:
        ProjectError: a project that takes part has not been run.
        GendataError: nothing in the files could be read.
    """
    from gendata.dedup import dedup
    from gendata.dedup.barred import rejects
    from gendata.dedup.cache import SketchCache

    cache = SketchCache(root / files.WORK / "cache" / "dedup") if os.access(root, os.W_OK) else None
    limits = params.load(root / "params.yaml", "ingest", IngestParams)
    chosen = replace(params.load(root / "params.yaml", "dedup", DedupParams), against={})
    sections = params.read(root / "params.yaml").get("sources") or {}
    sources = {name: section.get("dedup", True) for name, section in sections.items()}
    ingested, unread = root / "artifacts" / "ingest", Counter[tuple[str, str]]()
    read = _ingested(root) if path is None or against is None else {}
    references: dict[str, Callable[[Path], Reference]]
    mapped = dict(columns or {})
    with tempfile.TemporaryDirectory(prefix="gendata-") as work, contextlib.chdir(work):
        if against is None:
            references = {name: partial(_there, folder / "items", ngram) for name, folder in read.items()}
        else:
            fixed = {_name(against): ReferenceParams(path=str(against), ngram=ngram, map=mapped)}
            if not _is_project(against):  # whose shards are read as they are
                scan_references(fixed, root, Path("against"), limits)
            references = readers(fixed, root, Path("against"), limits)
        if path is not None and _is_project(path):
            ingested, folders = path / "artifacts" / "ingest", _ingested(path)
            sources, unread = dict.fromkeys(folders, True), _rejected(folders.values())
        elif path is not None:
            ingested, sources = Path("in"), {_name(path): True}
            unread = _ingest(_name(path), ReferenceParams(path=str(path), map=mapped), root, limits)
        if path is not None:
            chosen = replace(chosen, prefer=())  # which names sources of this project
        else:  # what its texts have to do with each other is not asked
            chosen = replace(chosen, text=replace(chosen.text, contained=0.0))
        summary = dedup(ingested, sources, Path("out"), chosen, references, cache)
        rows = [*_matches([Path("out", name) for name in sources], alone=path is None)]
    unpaired = summary["exact_only"]["record-unpaired"] if ngram is None and path is not None else 0
    return Checked(rows, summary["read"], rejects(unread) | {"unpaired": unpaired}, summary["against"])


def is_one_item(path: Path) -> bool:
    """Whether a file is read as an item of its own; a table, an archive and a database have items in them."""
    return infer_source(path) == "files"


def _there(folder: Path, ngram: int | None, _: Path) -> "Reference":
    from gendata.dedup.barred import Reference

    return Reference((folder,), ngram)


def _ingest(name: str, value: ReferenceParams, root: Path, limits: IngestParams) -> "Rejected":
    """Read files into the folder ``in``; what was rejected."""
    scan({name: _files(name, value, root)}, root, Path("listing"), limits)
    return _read_files(name, value, root, Path("listing", f"{name}.parquet"), limits, Path("in", name))


def _ingested(root: Path) -> dict[str, Path]:
    """What ingest made of each source of a project. Raises ProjectError where it has not run."""
    sources = params.read(root / "params.yaml").get("sources") or {}
    folders = {name: root / "artifacts" / "ingest" / name for name in sources}
    missing = [name for name, folder in folders.items() if not folder.is_dir()]
    if missing:
        raise ProjectError(f"source {missing[0]} of the project {root} was not read yet: run `gendata run` there")
    if not folders:
        raise ProjectError(f"the project {root} has no sources: `gendata add` one, then `gendata run` there")
    return folders


def _rejected(folders: Iterable[Path]) -> "Rejected":
    """What ingest could not read, by file and reason."""
    tables = (files.read_table(folder / "rejected.parquet", ["uri", "reason"]) for folder in folders)
    return Counter((row["uri"].split("#", 1)[0], row["reason"]) for table in tables for row in table.to_pylist())


def _name(path: Path) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", path.resolve().stem.lower()).strip("-_") or "files"


def _matches(decided: Iterable[Path], *, alone: bool) -> Iterator[dict[str, Any]]:
    """The rows that match a reference; and unless these ``alone``, those that match another row."""
    rows = [row for path in decided for shard in files.shards(path) for row in files.read_table(shard).to_pylist()]
    stays = {row["id"]: row["uri"] for row in rows if row["kept"]}
    for row in rows:
        own = {name: row[name] for name in ("score", "kept_id", "id", "source", "uri")}
        if row["reference"] is not None:
            told = json.loads(row["reference"])
            yield {"match": told["match"], "reference": told["name"], "kept_uri": told["uri"]} | own
        elif not row["kept"] and not alone:
            yield {"match": row["reason"], "reference": None, "kept_uri": stays[row["kept_id"]]} | own


def _stated(value: str | ReferenceParams) -> ReferenceParams:
    return ReferenceParams(path=value) if isinstance(value, str) else value


def _read(
    name: str, value: ReferenceParams, root: Path, listing: Path, limits: IngestParams, folder: Path
) -> "Reference":
    from gendata.dedup.barred import Reference  # here: it takes a second to import, and listings need none of it

    path = _path(name, value, root)
    if _is_project(path):
        read = [folder for _, folder in sorted(_ingested(path).items())]
        return Reference(tuple(folder / "items" for folder in read), value.ngram, _rejected(read))
    rejected = _read_files(name, value, root, listing, limits, folder)
    return Reference((folder / "items",), value.ngram, rejected)


def _read_files(
    name: str, value: ReferenceParams, root: Path, listing: Path, limits: IngestParams, folder: Path
) -> "Rejected":
    """Read files into a folder; what was rejected. Raises GendataError if that is all."""
    summary = ingest(name, _files(name, value, root), root, listing, folder, limits)
    if not summary["read"]:
        why = ", ".join(f"{n} {reason}" for reason, n in summary["rejected_by_reason"].items()) or "no file"
        raise GendataError(f"{name}: nothing in {value.path} could be read: {why}")
    return _rejected([folder])


def _source(name: str, value: ReferenceParams, root: Path) -> SourceParams:
    path = _path(name, value, root)
    if not _is_project(path):
        return _files(name, value, root)
    _ingested(path)  # which is listed alone: its shards are read as they are
    return SourceParams(kind="table", origin="unknown", path=str(path / "artifacts" / "ingest"))


def _files(name: str, value: ReferenceParams, root: Path) -> SourceParams:
    path = _path(name, value, root)
    kind = tree.KIND if path.is_dir() else infer_source(path)
    if kind == "files" and (why := refused(os.fsencode(path.name))):
        raise GendataError(f"{name}: nothing in {value.path} could be read: {why}")
    return SourceParams(kind=kind, origin="unknown", path=str(path), map=value.map)


def _path(name: str, value: ReferenceParams, root: Path) -> Path:
    path = (root / Path(value.path).expanduser()).resolve()
    if not path.exists():
        raise ParamsError(f"reference {name}: {value.path} not found (looked at {path})")
    return path


def _is_project(path: Path) -> bool:
    """Whether a folder is a project, as ``Project.find`` has it; one that was never run is one too."""
    file = path / "params.yaml"
    return file.is_file() and "gendata" in params.read(file)
