"""Edit the sources of params.yaml: ``gendata add``. Comments and order of the file are kept."""

import os
from pathlib import Path
from typing import Any

from gendata import files, params
from gendata.errors import GendataError, ParamsError
from gendata.items import Item
from gendata.project import Project

PREVIEW = ("uri", "modality", "media_type", "label", "text")
"""Columns of a preview that are shown in a table."""


def entry(
    root: Path, path: str, *, origin: str | None, mapping: dict[str, str], license_: str | None, dedup: bool
) -> dict[str, Any]:
    """A source as params.yaml holds it. Raises ParamsError where PATH is nothing that can be read."""
    from gendata.ingest import infer_source

    if "://" in path:
        raise ParamsError(f"{path}: only local paths can be added so far")
    kind = infer_source(path)
    value: dict[str, Any] = {"kind": kind}
    if kind in {"folder", "table"}:
        target = Path(path).expanduser().resolve()
        inside = target.is_relative_to(root.resolve())
        value["path"] = os.fspath(target.relative_to(root.resolve()) if inside else target)
    if origin is not None:
        value["origin"] = origin
    if mapping:
        value["map"] = mapping
    if license_ is not None:
        value["license"] = license_
    if not dedup:
        value["dedup"] = False
    return value


def preview(project: Project, name: str, value: dict[str, Any]) -> list[dict[str, Any]]:
    """The first five rows of a source as they would be read; rejects show their reason."""
    from gendata import ingest

    source = _checked(project, name, value)
    rows = []
    for unit in ingest.preview(name, source, project.root):
        if isinstance(unit, Item):
            row = unit.row(name, value.get("origin", "unknown"), value.get("license"))
            rows.append({k: v for k, v in row.items() if k != "data"})
        else:
            rows.append({"uri": unit.uri, "modality": "rejected", "media_type": unit.reason, "text": unit.detail})
    return rows


def _checked(project: Project, name: str, value: dict[str, Any]) -> Any:
    from gendata.ingest import load_sources

    sections = params.read(project.params_file)
    old = sections.get("sources") or {}
    if name in old:
        raise GendataError(f"params.yaml has a source {name!r} already; choose another with --name")
    return load_sources({name: value}, project.root)[name]


def write(project: Project, name: str, value: dict[str, Any]) -> None:
    """Add the source to params.yaml, atomically; everything else in the file stays as it is."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    document = yaml.load(project.params_file.read_text(encoding="utf-8"))
    if not document.get("sources"):
        document["sources"] = {}
    document["sources"][name] = value
    part = project.params_file.with_name(".params.yaml.part")
    with part.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
    files.fsync(part)
    part.replace(project.params_file)
