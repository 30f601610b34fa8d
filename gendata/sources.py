"""Edit the sources of params.yaml: ``gendata add``. Comments and order of the file are kept."""

import io
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
    root: Path,
    path: str,
    *,
    kind: str | None = None,
    origin: str | None,
    mapping: dict[str, str],
    license_: str | None,
    dedup: bool,
) -> dict[str, Any]:
    """A source as params.yaml holds it. Raises ParamsError where PATH is nothing that can be read."""
    from gendata.ingest import infer_source
    from gendata.ingest.addresses import SCHEMES
    from gendata.ingest.sources import READERS, reader_of
    from gendata.ingest.urls import is_url

    kind = kind or infer_source(path)
    if kind not in READERS:
        raise ParamsError(f"--kind: must be one of {', '.join(READERS)}, not {kind!r}")
    value: dict[str, Any] = {"kind": kind}
    if path.startswith(SCHEMES):
        value["uri"] = path
    elif is_url(path):
        value["path"] = path
    elif "path" in reader_of(kind).KEYS:
        target = Path(path).expanduser().resolve()
        near = target.is_relative_to(root.resolve().parent)  # what lies beside the project moves with it
        value["path"] = os.path.relpath(target, root.resolve()) if near else os.fspath(target)
    if origin is not None:
        value["origin"] = origin
    if mapping:
        value["map"] = mapping
    if license_ is not None:
        value["license"] = license_
    if not dedup:
        value["dedup"] = False
    return value


def settings(root: Path, value: dict[str, Any], *, query: str | None, key: str | None) -> dict[str, Any]:
    """What a database needs beside its place. Raises ParamsError where the query is not given, and not the only one."""
    given = {name: text for name, text in (("query", query), ("key", key)) if text is not None}
    if value["kind"] == "database" and query is None:
        from gendata.ingest.databases import quoted

        given["query"] = f"select * from {quoted(_only_table(root, value))}"
    return given


def _only_table(root: Path, value: dict[str, Any]) -> str:
    from gendata.ingest.databases import sqlite
    from gendata.ingest.reader import UnitError

    if "path" not in value:
        raise ParamsError("--query is missing: the SELECT whose rows are to be read")
    try:
        found = sqlite.tables(root / value["path"])
    except (OSError, UnitError) as error:
        raise ParamsError(f"{value['path']}: {getattr(error, 'detail', None) or error}") from None
    if len(found) != 1:
        raise ParamsError(f"--query is missing: {value['path']} has {len(found)} tables and views: {', '.join(found)}")
    return found[0]


def preview(project: Project, name: str, value: dict[str, Any]) -> list[dict[str, Any]]:
    """The first five rows of a source as they would be read; rejects show their reason."""
    from gendata import ingest

    source = _checked(project, name, value)
    rows = []
    for unit in ingest.preview(name, source, project.root):
        if isinstance(unit, Item):
            row = unit.row(name, value.get("origin", "unknown"), value.get("license"))
            rows.append({k: v for k, v in row.items() if k not in {"data", "thumbnail"}})
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
    """Add the source to params.yaml, atomically; everything else in the file stays as it is. Raises ParamsError."""
    text = project.params_file.read_text(encoding="utf-8")
    expected = params.parse(text)
    expected["sources"] = {**(expected.get("sources") or {}), name: value}
    new = _inserted(text, name, value)
    if new is None or not _holds(new, expected):
        new = _dumped(text, name, value)
        if not _holds(new, expected):
            raise ParamsError(f"params.yaml: source {name!r} would not be read back as given; add it by hand")
    part = project.params_file.with_name(".params.yaml.part")
    part.write_text(new, encoding="utf-8")
    files.fsync(part)
    part.replace(project.params_file)


def _inserted(text: str, name: str, value: dict[str, Any]) -> str | None:
    """The text with the source as new lines after the last one; None where ``sources`` is no block.

    Lines, since ruamel holds a comment above a section as the end of the section before: a source that is
    added to its tree comes after that comment.
    """
    found = [(k, v) for k, v in _round_trip().compose(text).value if k.value == "sources"]
    if not found:
        return None
    key, block = found[0]
    indent, line = 2, key.end_mark.line
    if not block.value or _is_null(block):
        text = text[: key.end_mark.index] + ":" + text[block.end_mark.index :]
    elif not block.flow_style:
        indent, line = block.value[0][0].start_mark.column, _last_line(block)
    else:
        return None
    lines = text.removesuffix("\n").split("\n")
    at = line + 1
    while at < len(lines) and lines[at].startswith(" ") and lines[at].lstrip().startswith("#"):
        at += 1  # an indented comment belongs to the sources
    new = io.StringIO()
    _round_trip().dump({name: value}, new)
    lines[at:at] = [" " * indent + line for line in new.getvalue().splitlines()]
    return "\n".join(lines) + "\n"


def _is_null(node: Any) -> bool:
    return isinstance(node.value, str) and node.value in {"", "~", "null", "Null", "NULL"}


def _last_line(node: Any) -> int:
    """Where a node of ruamel ends; a block's own mark is behind the comments that follow it."""
    while node.value and not isinstance(node.value, str) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.line)


def _holds(text: str, expected: dict[str, Any]) -> bool:
    from ruamel.yaml.error import YAMLError

    try:
        found = params.parse(text)
    except YAMLError:
        return False
    return found == expected and list(found["sources"]) == list(expected["sources"])


def _dumped(text: str, name: str, value: dict[str, Any]) -> str:
    """As ruamel writes the whole file: right in content, though comments may move."""
    document = _round_trip().load(text)
    if not document.get("sources"):
        document["sources"] = {}
    document["sources"][name] = value
    stream = io.StringIO()
    _round_trip().dump(document, stream)
    return stream.getvalue()


def _round_trip() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    return yaml
