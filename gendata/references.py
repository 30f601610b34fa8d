"""Fixed references of dedup (``dedup.against``): read as sources are, or taken from another project."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gendata import params
from gendata.dedup import ReferenceParams
from gendata.errors import GendataError, ParamsError
from gendata.ingest import IngestParams, SourceParams, infer_source, ingest, scan

if TYPE_CHECKING:
    from gendata.dedup.against import Reference

_TABLES = {".jsonl", ".ndjson", ".csv", ".parquet"}

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


def _stated(value: str | ReferenceParams) -> ReferenceParams:
    return ReferenceParams(path=value) if isinstance(value, str) else value


def _read(
    name: str, value: ReferenceParams, root: Path, listing: Path, limits: IngestParams, folder: Path
) -> "Reference":
    from gendata.dedup.against import Reference  # here: it takes a second to import, and listings need none of it

    path = _path(name, value, root)
    if _is_project(path):
        return Reference(tuple(sorted(path.glob("artifacts/ingest/*/items"))), value.ngram)
    summary = ingest(name, _source(name, value, root), root, listing, folder, limits)
    if not summary["read"]:
        raise GendataError(f"reference {name}: nothing in {value.path} could be read, {summary['rejected']} rejected")
    return Reference((folder / "items",), value.ngram)


def _source(name: str, value: ReferenceParams, root: Path) -> SourceParams:
    path = _path(name, value, root)
    if _is_project(path):  # listed alone: its shards are read as they are
        return SourceParams(kind="table", origin="unknown", path=str(path / "artifacts" / "ingest"))
    if path.is_file() and path.suffix.lower() not in _TABLES:
        return SourceParams(kind="folder", origin="unknown", path=str(path.parent), include=(path.name,))
    return SourceParams(kind=infer_source(path), origin="unknown", path=str(path), map=value.map)


def _path(name: str, value: ReferenceParams, root: Path) -> Path:
    path = (root / Path(value.path).expanduser()).resolve()
    if not path.exists():
        raise ParamsError(f"reference {name}: {value.path} not found (looked at {path})")
    return path


def _is_project(path: Path) -> bool:
    file = path / "params.yaml"
    return (path / "artifacts" / "ingest").is_dir() and file.is_file() and "gendata" in params.read(file)
