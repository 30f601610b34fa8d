"""Project: finds the root, validates params.yaml, opens stores; the facade of the Python API."""

import difflib
import os
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gendata import params
from gendata.errors import ParamsError, ProjectError
from gendata.store import STORES
from gendata.store.head import Store, read_head

if TYPE_CHECKING:
    import pyarrow as pa

    from gendata.ingest import SourceParams
    from gendata.search import SearchResult
    from gendata.search.lookup import Lookup
    from gendata.search.sql import Limits, Rows

SECTIONS = {
    "ingest": "gendata.ingest:IngestParams",
    "dedup": "gendata.dedup:DedupParams",
    "tag": "gendata.tag:TagParams",
    "embed": "gendata.embed:EmbedParams",
    "store": "gendata.store:StoreParams",
    "search": "gendata.search:SearchParams",
}
"""Sections of params.yaml and the dataclass of each. Sections of others are left alone."""


@dataclass(frozen=True)
class ProjectParams:
    """Section ``gendata`` of params.yaml: it marks the root of a project, and no stage reads it."""

    version: Literal[1] = 1
    """Of the layout of params.yaml."""


def check_root(root: Path) -> None:
    """Raises ProjectError where the path holds a character that DuckDB or DVC does not take literally."""
    for c in os.fspath(root):
        if c in "?\\{}" or unicodedata.category(c) == "Cc":
            raise ProjectError(f"{os.fspath(root)!r}: the path of a project cannot hold {c!r}; rename the folder")


def open(path: str | os.PathLike[str] = ".") -> "Project":  # noqa: A001 - the public name
    """The project at or above ``path``. Raises ProjectError if there is none."""
    return Project.find(Path(path))


class Project:
    """A folder with a params.yaml that has a ``gendata:`` section, and what was built in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def find(cls, start: Path) -> "Project":
        """The nearest project at or above ``start``. Raises ProjectError if there is none that can be used."""
        for folder in (start.resolve(), *start.resolve().parents):
            file = folder / "params.yaml"
            if file.is_file() and "gendata" in params.read(file):
                check_root(folder)
                return cls(folder)
        raise ProjectError(f"no project at or above {start}: `gendata init DIR` makes one (or give --project DIR)")

    @property
    def params_file(self) -> Path:
        """The params.yaml of the project."""
        return self.root / "params.yaml"

    @property
    def artifacts(self) -> Path:
        """What the pipeline makes; never originals."""
        return self.root / "artifacts"

    def section(self, name: str) -> Any:
        """One section of params.yaml as its dataclass."""
        module, cls = SECTIONS[name].split(":")
        return params.load(self.params_file, name, getattr(import_module(module), cls))

    def sources(self) -> dict[str, "SourceParams"]:
        """The sources of params.yaml, validated."""
        from gendata.ingest import load_sources

        return load_sources(params.read(self.params_file).get("sources") or {}, self.root)

    def validate(self) -> None:
        """Check every section of params.yaml. Raises ParamsError with section, key and what is allowed."""
        sections = params.read(self.params_file)
        for name in sections:
            close = difflib.get_close_matches(str(name), [*SECTIONS, "sources"], cutoff=0.75)
            if close and name not in {*SECTIONS, "sources"}:
                raise ParamsError(f"params.yaml: unknown section {name!r}; did you mean {close[0]}?")
        params.build(ProjectParams, sections.get("gendata") or {}, "params.yaml: gendata")
        if "sources" in sections and sections["sources"] is None:  # DVC cannot go through null
            raise ParamsError("params.yaml: sources is empty; write `sources: {}`")
        self.sources()
        for name in SECTIONS:
            self.section(name)
        for name in ("sources", *SECTIONS):  # DVC wants every section that a stage names
            if name not in sections:
                raise ParamsError(f"params.yaml: section {name} is missing; `{name}: {{}}` gives the defaults")

    @cached_property
    def stores(self) -> dict[str, Store]:
        """The stores that are there, by name. Raises ProjectError if none is built."""
        base = self.artifacts / "store"
        found = {name: Store.open(base / name) for name in STORES if read_head(base / name)}
        if not found:
            raise ProjectError(f"store not built in {self.root}: run `gendata run`")
        return found

    def search(self, query: str | None = None, *, image: bytes | None = None, **options: Any) -> "SearchResult":
        """Items by meaning and keyword together; options as of ``gendata.search.search``."""
        from gendata import search
        from gendata.embed import query as encoders

        embed = self.section("embed")
        return search.search(
            self.stores,
            query,
            image=image,
            encode_text=partial(encoders.encode_query, params=embed),
            encode_image=partial(encoders.encode_image_query, params=embed),
            params=self.section("search"),
            **options,
        )

    def sql(self, query: str, *, tables: "Mapping[str, Rows] | None" = None) -> "pa.Table":
        """The result of one SELECT over items, passages, rejected and sources, run in a sandbox."""
        from gendata.search import sql

        return sql.run_sql(query, self.stores, tables=tables, limits=self._sql_limits())

    def open_sql(
        self, query: str, *, tables: "Mapping[str, Rows] | None" = None
    ) -> "AbstractContextManager[pa.RecordBatchReader]":
        """Like ``sql``, as a stream of record batches for results larger than memory."""
        from gendata.search import sql

        return sql.open_sql(query, self.stores, tables=tables, limits=self._sql_limits())

    def _sql_limits(self) -> "Limits":
        from gendata.search.sql import Limits

        chosen = self.section("search")
        return Limits(chosen.sql_timeout, chosen.sql_memory_mb << 20)

    @cached_property
    def lookup(self) -> "Lookup":
        """Questions about single items: show, duplicates, counts."""
        from gendata.search.lookup import Lookup

        return Lookup(self.stores)

    def show(self, key: str | Path) -> dict[str, Any]:
        """One item with everything known about it, by id, unique id prefix or file."""
        return self.lookup.item(self.lookup.resolve(key))

    def stats(self, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Counts of items by these columns; by modality, origin, source, split and language if none."""
        return self.lookup.counts(by)

    def duplicates(self, key: str | Path | None = None) -> list[dict[str, Any]]:
        """Dropped copies with what they match, of every item or of one."""
        return self.lookup.duplicates(None if key is None else self.lookup.resolve(key))

    def doctor(self, *, repair: Callable[[str], None] | None = None) -> list[Any]:
        """Everything found wrong with shards and stores; ``repair`` is told what was mended."""
        from gendata import doctor

        return doctor.examine(self.root, list(self.sources()), repair)
