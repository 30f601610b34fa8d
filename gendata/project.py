"""Project: finds the root, validates params.yaml, opens stores; the facade of the Python API."""

import os
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendata import files, params
from gendata.errors import ProjectError
from gendata.sections import MODEL_STAGES, check_sections, load_section
from gendata.store import STORES
from gendata.store.head import Store, open_stores

if TYPE_CHECKING:
    import pyarrow as pa

    from gendata.ingest import SourceParams
    from gendata.search import SearchResult
    from gendata.search.frames import Frame
    from gendata.search.lookup import Lookup
    from gendata.search.sql import Limits, Rows
    from gendata.tracking import TrackingParams
    from gendata.train.dataset import StoreDataset


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
        folder = params.project_above(start.resolve())
        if folder is None:
            raise ProjectError(f"no project at or above {start}: `gendata init DIR` makes one (or give --project DIR)")
        check_root(folder)
        return cls(folder)

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
        return load_section(name, params.read(self.params_file))

    def sources(self) -> dict[str, "SourceParams"]:
        """The sources of params.yaml, validated."""
        from gendata.ingest import load_sources

        return load_sources(params.read(self.params_file).get("sources") or {}, self.root)

    def stages(self) -> set[str]:
        """The stages of dvc.yaml that are gendata's; others may stand beside them, also under these names."""
        file = self.root / "dvc.yaml"
        stages = (params.read(file).get("stages") or {}) if file.is_file() else {}
        return {name for name, stage in stages.items() if f"-m pipelines.{name} " in str(stage)}

    def has_models(self) -> bool:
        """Whether the model stages are in dvc.yaml."""
        return bool(self.stages() & MODEL_STAGES)

    def validate(self) -> None:
        """Check every section of params.yaml. Raises ParamsError with section, key and what is allowed."""
        self.sources()
        check_sections(self.root, params.read(self.params_file), models=self.has_models())

    @cached_property
    def stores(self) -> dict[str, Store]:
        """The stores that are there, by name. Raises ProjectError if none is built."""
        found = open_stores(self.artifacts / "store", STORES)
        if not found:
            raise ProjectError(f"store not built in {self.root}: run `gendata run`")
        return found

    def search(self, query: str | None = None, *, image: bytes | None = None, **options: Any) -> "SearchResult":
        """Items by meaning and keyword together; options as of ``gendata.search.search``."""
        from gendata import search
        from gendata.embed import query as encoders

        embed = self.section("embed").below(self.root)
        encode_image: search.ImageEncoder = partial(encoders.encode_image_query, params=embed)
        if not embed.image.compute:
            from gendata.search.nearest import image_vector

            encode_image = partial(image_vector, stores=self.stores, model=embed.image.model)
        return search.search(
            self.stores,
            query,
            image=image,
            encode_text=partial(encoders.encode_query, params=embed) if embed.text.compute else None,
            encode_image=encode_image,
            encode_joint=partial(encoders.encode_joint_query, params=embed) if embed.image.joint else None,
            params=self.section("search"),
            **options,
        )

    def sql(self, query: str, *, tables: "Mapping[str, Rows] | None" = None, as_: "Frame" = "arrow") -> Any:
        """The result of one SELECT over the tables of stores and ledger, run in a sandbox.

        A pyarrow Table; with ``as_`` a pandas or polars DataFrame.
        """
        from gendata.search.frames import frame

        with self.open_sql(query, tables=tables) as reader:
            return frame(reader.read_all(), as_)

    def open_sql(
        self, query: str, *, tables: "Mapping[str, Rows] | None" = None, say: Callable[[str], None] = lambda line: None
    ) -> "AbstractContextManager[pa.RecordBatchReader]":
        """Like ``sql``, as a stream of record batches for results larger than memory.

        ``search('a text', k := 20)`` in the statement is a table of hits; ``say`` gets what its searches say.
        """
        from gendata.evaluate.scores import score_tables
        from gendata.records.catalog import ledger_tables
        from gendata.search import sql
        from gendata.search.expand import expand

        def run(text: str, **options: Any) -> "SearchResult":
            result = self.search(text, **options)
            for message in result.messages:
                say(f"search: {message}")
            return result

        limits = self._sql_limits()
        bound, hits = expand(query, self.stores, run, taken=tables or {}, limits=limits)
        attached = {**(tables or {}), **hits}
        trained = params.read(self.params_file).get("train")
        families = [str(name) for name in trained] if isinstance(trained, Mapping) else []
        ledger = ledger_tables(self.root, query) | score_tables(self.artifacts / "scores", families, query)
        return sql.open_sql(bound, self.stores, tables=attached, ledger=ledger, limits=limits)

    def tables(self) -> list[dict[str, str]]:
        """The columns of every table that SQL can name: rows of table, column and type."""
        from gendata.search.sql import LEDGER, REPORTS, TABLES

        return [
            {"table": table, "column": row["column_name"], "type": row["column_type"]}
            for table in (*TABLES, *LEDGER, *REPORTS)
            for row in self.sql(f"DESCRIBE {table}").to_pylist()
        ]

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
        from gendata import lineage

        return self.lookup.item(lineage.resolve(key, self.root, self.lookup))

    def chain(self, key: str | Path) -> list[dict[str, str]]:
        """Where an item or output came from, and what was made with it: rows of step, what and detail."""
        from gendata import lineage

        return lineage.chain(lineage.resolve(key, self.root, self.lookup), self.root, self.stores, self.lookup)

    def generate(self, family: str, *, checkpoint: str | None = None, **asked: Any) -> list[dict[str, Any]]:
        """New outputs of a model, kept in ``records/outputs``; ``asked`` as in section ``generate.<family>``."""
        from gendata.generate import adhoc

        return adhoc.request(self.root, family, asked, self._tracking(), checkpoint)

    def add_model(
        self, name: str, *, manifest: str, weights: Path, family: str | None = None, note: str = ""
    ) -> dict[str, Any]:
        """Register a model that was trained elsewhere on a manifest of this project; its card."""
        from gendata.records import external

        card = {"name": name, "family": family or name, "note": note}
        return external.register(self.root, card, manifest, weights, self._tracking())

    def export(self, dest: str | os.PathLike[str], format_: str, **choice: Any) -> dict[str, Any]:
        """Write items as a dataset for other tools; its record. ``choice`` as of ``gendata.export.choice.Choice``."""
        from gendata.export import export
        from gendata.export.choice import Choice
        from gendata.export.folder import check_place
        from gendata.records.ledger import Ledger

        check_place(Path(dest), self.root, self.sources())
        return export(Path(dest), format_, Choice(**choice), self.stores, Ledger(self.root), self._sql_limits())

    def dataset(self, where: str | None = None, **options: Any) -> "StoreDataset":
        """Items as a torch Dataset, their manifest kept; ``options`` as of ``gendata.train.dataset.open_dataset``."""
        from gendata.records.ledger import Ledger
        from gendata.train.dataset import open_dataset

        cache = self.root / files.WORK / "cache" / "dataset"
        dataset = open_dataset(self.stores, cache, where=where, limits=self._sql_limits(), **options)
        Ledger(self.root).keep_manifest(dataset.manifest)
        return dataset

    def _tracking(self) -> "TrackingParams":
        from gendata.tracking import TrackingParams

        ours = self.has_models()  # in a project of data stages alone the section is somebody else's
        return params.load(self.params_file, "tracking", TrackingParams) if ours else TrackingParams("none")

    def stats(self, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Counts of items by these columns; by store, modality, origin, source, split and language if none."""
        return self.lookup.counts(by)

    def duplicates(self, key: str | Path | None = None) -> list[dict[str, Any]]:
        """Dropped copies with what they match, of every item or of one."""
        return self.lookup.duplicates(None if key is None else self.lookup.resolve(key))

    def similar(self, key: str | Path | None = None) -> list[dict[str, Any]]:
        """Pairs of items that are alike by their vectors, of all or of one; see ``gendata.search.lookup``."""
        return self.lookup.similar(None if key is None else self.lookup.resolve(key))

    def check_place(self, path: Path) -> None:
        """Raises QueryError where a file written to ``path`` would be ingested again, or is gendata's own to write."""
        from gendata.export.folder import check_place

        check_place(path, self.root, self.sources())

    def doctor(self, *, repair: Callable[[str], None] | None = None) -> list[Any]:
        """Everything found wrong with shards and stores; ``repair`` is told what was mended."""
        from gendata import doctor

        return doctor.examine(self.root, list(self.sources()), repair)
