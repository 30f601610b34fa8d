"""What changed between two versions of the data: git revisions through DVC's cache, stores, or what is there now."""

import contextlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gendata import duck, dvc, files, params
from gendata.errors import ProjectError, QueryError, StoreError
from gendata.items import ORIGINS, TAG_SCHEMA
from gendata.project import Project
from gendata.search.lookup import UnknownItemError
from gendata.store.head import Store, place_of
from gendata.store.rows import Artifacts, kept_rows

NOW = "now"
"""The version that the artifacts of the project hold."""

FACTS = ("id", "source", "uri", "origin", "modality", "label", "license")
TAGS = tuple(name for name in TAG_SCHEMA.names if name != "id")

CHANGES = {
    "added": "a.id IS NULL",
    "removed": "b.id IS NULL",
    "origin": "a.origin <> b.origin",
    "moved": "(a.source, a.uri) <> (b.source, b.uri)",
    "relabelled": "a.label IS DISTINCT FROM b.label",
    "relicensed": "a.license IS DISTINCT FROM b.license",
    "retagged": " OR ".join(f"a.{name} IS DISTINCT FROM b.{name}" for name in TAGS),
}
"""Each kind of change, as SQL over the item before (a) and after (b); all but the first two of items in both."""

_COMPARED = (*FACTS[1:], *TAGS)


def diff(project: Project, before: str, after: str = NOW, *, examples: int = 3) -> list[dict[str, Any]]:
    """Kept items that changed, counted by kind of change and source: rows of change, source, items, examples.

    Args:
        project: whose versions these are.
        before: a git revision, the store.json of a store (of any project), or ``now``.
        after: likewise.
        examples: how many uris are named.

    Raises:
        QueryError: there is no such version.
        StoreError: DVC's cache does not hold it any more, or it does not read.
    """
    sql = " UNION ALL ".join(
        f"SELECT {place} AS place, '{change}' AS change, source, count(*) AS items, "
        f"list_sort(list(uri))[:{examples:d}] AS examples FROM pairs WHERE {change} GROUP BY source"
        for place, change in enumerate(CHANGES)
    )
    rows = _compare(project, before, after, f"SELECT * EXCLUDE place FROM ({sql}) ORDER BY place, source")
    return [row | {"examples": list(row["examples"])} for row in rows]


def changes(project: Project, before: str, after: str = NOW) -> list[dict[str, Any]]:
    """Every changed item: rows of change, id, source, uri, and what it was before and is after, where these differ."""
    kinds = ", ".join(f"CASE WHEN {change} THEN '{change}' END" for change in CHANGES)
    pairs = ", ".join(f"a_{name}, b_{name}" for name in _COMPARED)
    sql = f"SELECT [{kinds}] AS kinds, id, source, uri, {pairs} FROM pairs WHERE {' OR '.join(CHANGES)} ORDER BY ALL"
    return [_changed(row) for row in _compare(project, before, after, sql)]


def _changed(row: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in row["kinds"] if kind]
    before, after = ({n: row[f"{key}_{n}"] for n in _COMPARED} for key in ("a", "b"))
    sides = _differences(None if "added" in kinds else before, None if "removed" in kinds else after)
    return {"change": ", ".join(kinds), **{n: row[n] for n in ("id", "source", "uri")}, **sides}


def _compare(project: Project, before: str, after: str, sql: str) -> list[dict[str, Any]]:
    with duck.cursor() as connection:
        connection.register("a", items_of(project, before))
        connection.register("b", items_of(project, after))
        known = "a.id IS NOT NULL AND b.id IS NOT NULL AND "
        kinds = [f"{'' if c in ('added', 'removed') else known}({how}) AS {c}" for c, how in CHANGES.items()]
        sides = [f"a.{name} AS a_{name}, b.{name} AS b_{name}" for name in _COMPARED]
        either = [f"coalesce(b.{name}, a.{name}) AS {name}" for name in ("id", "source", "uri")]
        columns = ", ".join([*either, *sides, *kinds])
        connection.execute(f"CREATE TEMP TABLE pairs AS SELECT {columns} FROM a FULL JOIN b ON a.id = b.id")
        rows: list[dict[str, Any]] = connection.sql(sql).to_arrow_table().to_pylist()
        return rows


def items_of(project: Project, version: str) -> pa.Table:
    """The kept items of a version, with FACTS and TAGS. Raises QueryError, StoreError."""
    path = Path(version)
    if path.name == "store.json" or (path / "store.json").is_file():
        return _of_store(path.parent if path.name == "store.json" else path)
    if version == NOW:
        return _rows(project.artifacts, tuple(project.sources()))
    with _checked_out(project.root, version) as (artifacts, sources):
        return _rows(artifacts, sources)


def _of_store(folder: Path) -> pa.Table:
    import duckdb

    said = files.read_json(folder / "store.json")
    if isinstance(said, dict) and said.get("items") == 0:
        return _nothing()
    if place_of(folder) is None:
        raise QueryError(f"{folder}/store.json holds counts alone, and its databases are not beside it")
    store = Store.open(folder)
    columns = ", ".join(f'"{name}"' for name in (*FACTS, *TAGS))
    try:
        with duck.database(store.catalog) as connection:
            connection.register("nothing", _nothing())  # a store of before may lack a column: it is null
            known = "SELECT * FROM items UNION ALL BY NAME FROM nothing"
            return connection.sql(f"SELECT {columns} FROM ({known})").to_arrow_table()
    except duckdb.Error as error:
        raise StoreError(f"{store.catalog}: does not read: {str(error).splitlines()[0]}") from None


def _rows(artifacts: Path, sources: tuple[str, ...]) -> pa.Table:
    ingested, decisions, tags, vectors, similar = (
        artifacts / stage for stage in ("ingest", "dedup", "tag", "embed", "similar")
    )
    # a version of before the stage has none
    parts = Artifacts(ingested, decisions, tags, vectors, sources, similar if similar.is_dir() else None)
    tables = [table.select([*FACTS, *TAGS]) for table in kept_rows(parts, ORIGINS, FACTS)]
    return pa.concat_tables(tables) if tables else _nothing()


def _nothing() -> pa.Table:
    strings = [pa.field(name, pa.string()) for name in FACTS]
    return pa.schema([*strings, *(TAG_SCHEMA.field(name) for name in TAGS)]).empty_table()


@contextlib.contextmanager
def _checked_out(root: Path, revision: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The artifacts of a git revision as links into DVC's cache, and the sources that it had."""
    with tempfile.TemporaryDirectory(prefix="gendata-history-") as name:
        folder, commit = Path(name), _commit(root, revision)
        for file in ("params.yaml", "dvc.lock"):
            if not _git(root, "ls-tree", "--name-only", commit, "--", file):
                raise QueryError(f"{revision} holds no {file}: a version is a commit of it after a run")
            (folder / file).write_bytes(_git(root, "show", f"{commit}:./{file}"))
        stages = params.read(folder / "dvc.lock").get("stages") or {}
        outs = {out["path"]: str(out.get("md5")) for stage in stages.values() for out in stage.get("outs") or ()}
        cache = dvc.cache(root) / "files" / "md5"
        for path, digest in outs.items():
            if path.split("/")[:2] in [["artifacts", stage] for stage in ("ingest", "dedup", "tag", "similar")]:
                _link(cache, digest, folder / path, revision)
        yield folder / "artifacts", tuple(params.read(folder / "params.yaml").get("sources") or {})


def _link(cache: Path, digest: str, folder: Path, revision: str) -> None:
    """A folder that DVC keeps, as links to the files in its cache."""
    listing = cache / digest[:2] / digest[2:]
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _gone(revision) from None
    folder.mkdir(parents=True)
    for entry in entries:
        kept, link = cache / entry["md5"][:2] / entry["md5"][2:], folder / entry["relpath"]
        if not kept.is_file():
            raise _gone(revision)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(kept)


def _gone(revision: str) -> StoreError:
    return StoreError(f"{revision}: DVC's cache here does not hold its data (`dvc fetch` may bring it)")


def find(project: Project, key: str | Path) -> str:
    """The id of an item, also of one that is gone: then by its whole id. Raises QueryError."""
    try:
        return project.lookup.resolve(key)
    except UnknownItemError:
        if re.fullmatch("[0-9a-f]{64}", str(key)):
            return str(key)
        raise


def history(project: Project, item_id: str) -> list[dict[str, Any]]:
    """The commits at which an item came, changed or went, oldest first: rows of revision, date, subject, change."""
    log = _git(project.root, "log", "--reverse", "--format=%h%x00%cs%x00%s", "--", "dvc.lock")
    rows: list[dict[str, Any]] = []
    before: dict[str, Any] | None = None
    for revision, date, subject in (line.split("\0") for line in log.decode("utf-8", "replace").splitlines()):
        found = items_of(project, revision).filter(pc.field("id") == item_id).to_pylist()
        item = found[0] if found else None
        if item != before:
            what = {"revision": revision, "date": date, "subject": subject}
            rows.append(what | {"change": _step(before, item), **_differences(before, item)})
        before = item
    return rows


def _step(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    return "added" if before is None else "removed" if after is None else "changed"


def _differences(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    """What an item was and is, where these differ; nothing of one that came or went."""
    names = [n for n in _COMPARED if before and after and before[n] != after[n]]
    sides = {"before": before or {}, "after": after or {}}
    return {side: {n: values[n] for n in names} for side, values in sides.items()}


def _commit(root: Path, revision: str) -> str:
    return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()


def _git(root: Path, *args: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", os.fspath(root), *args], check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise ProjectError("git is not installed: versions are git revisions or store.json files") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = said[-1].removeprefix("fatal: ") if said else "no such revision"
        raise QueryError(f"git {args[0]} {args[-1].removesuffix('^{commit}')}: {reason}") from None
