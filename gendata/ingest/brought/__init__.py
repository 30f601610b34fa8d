"""Tables that name items and bring what is known of them: tags of any kind, and vectors of images and of texts.

A row names its item by uri (also by the path as it stands in the file system) or by id; a copy that dedup merged into
equal content stands for what stays. Every row is used or is a reject: ``invalid-key``, ``unmatched-key`` (no such
item), ``dropped-item`` (dedup dropped it, and it was not equal to what stays), ``duplicate-key`` (a row before it
brings the same), ``empty`` (no column has a value), of vectors ``invalid-vector``, ``wrong-length``, ``not-an-image``,
``not-a-text``, ``invalid-offsets``; and what is wrong with a line or a file, as in a source of kind table.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gendata import files
from gendata.brought import TableParams
from gendata.errors import ParamsError
from gendata.ingest.brought.rows import read_rows, table_path
from gendata.ingest.brought.values import Kind, Tags
from gendata.ingest.brought.vectors import Vectors
from gendata.ingest.records import SUFFIXES
from gendata.ingest.scan import scan
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import in_derived

__all__ = ["Kind", "Tags", "Vectors", "bring", "scan_tables"]

Tables = Mapping[str, TableParams]


def scan_tables(
    sections: Mapping[str, Tables], sources: Sequence[str], root: Path, out: Path, limits: IngestParams
) -> None:
    """Write a listing per table into ``out``, so that DVC sees a change; ``sections`` are those of params.yaml.

    Raises ParamsError where a table, or the source that it is about, is not there.
    """
    listed = {}
    named = [(section, name, table) for section, tables in sections.items() for name, table in tables.items()]
    for section, name, table in named:
        where = f"params.yaml: {section}.tables.{name}"
        if table.source and table.source not in sources:
            known = ", ".join(sorted(sources)) or "none"
            raise ParamsError(f"{where}.source: no source {table.source!r}; there are: {known}")
        path = table_path(table, root)
        if not path.is_file() or path.suffix.lower() not in SUFFIXES:
            raise ParamsError(f"{where}.path: {table.path} is no {', '.join(SUFFIXES)} file (looked at {path})")
        if in_derived(path, root):
            raise ParamsError(f"{where}.path: {table.path} lies in a folder that gendata writes")
        # a dot is in no name of a source, whose hashes are remembered beside; a map, for then no images are listed
        listed[f"{section}.{name}"] = SourceParams("table", "unknown", str(path), map={"label": table.columns[0]})
    scan(listed, root, out, limits)


@contextlib.contextmanager
def bring(
    tables: Tables, kind: Kind, root: Path, stages: tuple[Path, Path], sources: Sequence[str], limits: IngestParams
) -> Iterator[tuple[Path | None, dict[str, Any]]]:
    """A folder as ``gendata.brought`` has it while the block lasts, None without tables; and what came of each table.

    The latter by section and name: ``embed.image.clip``.

    Args:
        tables: by name. Of rows that bring the same for an item the first counts, in the order of names and positions.
        kind: what they bring.
        root: of the project.
        stages: folders of ingest and dedup.
        sources: names of the sources that there are.
        limits: of a record.

    Raises:
        ParamsError: a column is not there.
        StoreError: ingest and dedup do not match.
    """
    if not tables:
        yield None, {}
        return
    from gendata.ingest.brought.matching import Matching  # DuckDB: not for projects without tables

    files.WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=files.WORK, prefix="brought-") as name:
        folder, ordered = Path(name), [(key, tables[key]) for key in sorted(tables)]
        with contextlib.closing(Matching(ordered, kind, sorted(sources), folder)) as matching:
            matching.add_items(*stages)
            for number, (_, table) in enumerate(ordered):
                matching.add_rows(number, read_rows(table, kind, root, limits))
            summary = matching.write()
        yield folder, summary
