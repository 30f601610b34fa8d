"""Kind ``hf``: a folder that ``datasets`` saved (``path``), or a data set of the hub (``repo``, see ``hub``).

Its rows are those of a table (``rows``). Classes are written by their names. Without a map the columns of the usual
names are taken, and beside these the one column of images, of audio and of classes, whatever its name. The splits of
a DatasetDict are those of its items; ``split`` names the only one to read. What the data set states as its license is
that of its items. The uri of a row is ``train/data-00000-of-00001.arrow#17``.

Read without ``datasets``: the files are Arrow streams, which are verified like any other table.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from gendata.errors import ParamsError
from gendata.ingest import hub, saved
from gendata.ingest.cells import as_split
from gendata.ingest.paths import INFO, SPLITS, STATE, is_saved
from gendata.ingest.reader import LINKED, UNIT, Entry, UnitError
from gendata.ingest.records import columns, records
from gendata.ingest.rows import Rows, columns_of, no_file
from gendata.ingest.scan import Scanned
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import source_path
from gendata.items import Item, Reject, decode_uri, encode_uri

KEYS = frozenset({"path", "repo", "config", "revision", "split", "map"})

_ARROW = ".arrow"


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """The Arrow files that the data set names, and the files that say what is in them (role linked)."""
    base = _folder(name, source, root)
    try:
        splits = saved.splits(base)
    except UnitError as error:
        yield Entry(SPLITS, problem=error.reason)
        return
    if source.path and source.split is not None:
        if source.split not in splits:
            raise ParamsError(
                f"params.yaml: sources.{name}.split: no split {source.split!r}; there are: {', '.join(splits)}"
            )
        splits = [source.split]
    for split in splits:
        yield from _listed(base, f"{split}/" if split else "")


def _listed(base: Path, within: str) -> Iterator[Entry]:
    try:
        names = saved.data_files(base / within)
    except UnitError as error:
        yield Entry(encode_uri(within + STATE), problem=error.reason)
        return
    for name in names:
        yield Entry(encode_uri(within + name), base=os.fsencode(base))
    for name in (STATE, INFO):
        yield Entry(encode_uri(within + name), LINKED, base=os.fsencode(base))


def _folder(name: str, source: SourceParams, root: Path) -> Path:
    if source.repo is not None:
        return hub.fetched(name, source, root)
    folder = source_path(name, source, root)
    if not is_saved(folder):
        raise ParamsError(f"params.yaml: sources.{name}.path: {source.path} is not a folder that datasets saved")
    return folder


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """Every row, file by file. Raises ParamsError where the columns are not those that ``map`` names."""
    base = _folder(name, source, root)
    scanned = Scanned(name, root, os.fsencode(base))
    for entry in entries:
        if entry.role != UNIT or entry.uri < since:
            continue
        try:
            if entry.problem is not None:
                _explain(base, entry)
            with scanned.open(entry) as file:
                yield from _rows(name, source, base, entry, file, params)
        except UnitError as error:
            yield error.at(entry.uri)
        except OSError:
            yield UnitError("unreadable").at(entry.uri)


def shared(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams
) -> list[list[str | None]]:
    """What rows depend on beside their own file: what the data set says of their columns."""
    return [[entry.uri, entry.sha256] for entry in entries if entry.role == LINKED]


def _rows(
    name: str, source: SourceParams, base: Path, entry: Entry, file: BinaryIO, params: IngestParams
) -> Iterator[Item | Reject]:
    """The rows of one file."""
    split, _, _ = os.fsdecode(decode_uri(entry.uri)).rpartition("/")
    about = saved.about(base / split)
    mapping = _mapping(name, source, about, columns(file, _ARROW, params))
    file.seek(0)
    found = records(file, _ARROW, params)
    rows = Rows(mapping, source, params, no_file, entry.sha256)
    for outcome in rows.outcomes((f"{entry.uri}#{n}", _classes_named(about, record)) for n, record in found):
        yield outcome if isinstance(outcome, Reject) else _of_split(outcome, about, split or about.split)


def _mapping(name: str, source: SourceParams, about: saved.About, there: Sequence[str]) -> Mapping[str, str]:
    """As of a table; without a map also by the types of columns, where one column alone is of a type."""
    mapping = columns_of(name, source, there)
    if source.map:
        return mapping
    typed = {"image": "Image", "audio": "Audio", "label": "ClassLabel"}
    only = {field: about.of_type(kind) for field, kind in typed.items()}
    return {**{field: names[0] for field, names in only.items() if len(names) == 1 and names[0] in there}, **mapping}


def _classes_named(about: saved.About, record: dict[str, Any] | UnitError) -> dict[str, Any] | UnitError:
    try:
        return record if isinstance(record, UnitError) else about.named(record)
    except UnitError as error:
        return error


def _of_split(item: Item, about: saved.About, split: str | None) -> Item:
    known = as_split(split)
    return replace(
        item,
        source_split=item.source_split or known,
        license=item.license or about.license,
        meta={"split": split, **item.meta} if split and not known else item.meta,
    )


def _explain(base: Path, entry: Entry) -> None:
    """Say again, at length, why the metadata of a split cannot be read."""
    split, _, name = os.fsdecode(decode_uri(entry.uri)).rpartition("/")
    if name == STATE:
        saved.data_files(base / split)
    elif name == SPLITS:
        saved.splits(base)
