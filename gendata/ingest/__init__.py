"""Stage ingest: the units of a source, as its listing names them, to items and rejects.

A kind of source is one module (READERS, and the Protocol in ``reader``). ``scan`` writes the
listings, ``ingest`` reads exactly what they name: read + rejected = enumerated.
"""

import os
import warnings
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from gendata import files
from gendata.engine import Progress
from gendata.errors import ParamsError
from gendata.ingest import formats, remote
from gendata.ingest.globs import is_glob
from gendata.ingest.paths import is_archive
from gendata.ingest.reader import Entry, UnitError, one_line
from gendata.ingest.records import SUFFIXES
from gendata.ingest.scan import LISTING_SCHEMA, read_listing, scan
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import READERS, load_sources, reader_of
from gendata.ingest.urls import is_url, parse
from gendata.items import ITEM_SCHEMA, ORIGINS, REJECT_SCHEMA, Item, Reject

__all__ = [
    "LISTING_SCHEMA",
    "READERS",
    "IngestParams",
    "SourceParams",
    "infer_source",
    "ingest",
    "load_sources",
    "preview",
    "scan",
]


def ingest(
    name: str, source: SourceParams, root: Path, listing: Path, out: Path, params: IngestParams
) -> dict[str, Any]:
    """Write ``out/items/`` (ITEM_SCHEMA shards, ordered by uri and position) and ``out/rejected.parquet``.

    Returns:
        enumerated, read, rejected, rejected_by_reason, modalities (counts) and bytes (of content read).

    Raises:
        ParamsError: the source is gone as a whole, or its columns are not those that ``map`` names.
        StoreError: the listing is not there.
    """
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    modalities: Counter[str] = Counter()
    with files.output(out) as work, Progress(f"ingest {name}") as progress, _quiet_pillow():
        items = files.ShardWriter(work / "items", ITEM_SCHEMA)
        rejects = files.RowGroupWriter(work / "rejected.parquet", REJECT_SCHEMA)
        for outcome in _outcomes(name, source, root, read_listing(listing), params):
            progress.add()
            if isinstance(outcome, Reject):
                rejects.write(_reject_row(name, outcome))
                reasons[outcome.reason] += 1
            else:
                items.write(_item_row(name, outcome, source))
                modalities[outcome.modality] += 1
                counts["bytes"] += len(outcome.data or b"") + len((outcome.text or "").encode())
        items.close()
        rejects.close()
    read, rejected = modalities.total(), reasons.total()
    return {
        "enumerated": read + rejected,
        "read": read,
        "rejected": rejected,
        "rejected_by_reason": dict(sorted(reasons.items())),
        "modalities": dict(sorted(modalities.items())),
        "bytes": counts["bytes"],
    }


def preview(
    name: str, source: SourceParams, root: Path, n: int = 5, params: IngestParams | None = None
) -> list[Item | Reject]:
    """The first ``n`` units of a source as ingest would read them, without a scan or any writing.

    Of a URL some files are fetched into its mirror.
    """
    params = params or IngestParams()
    if is_url(source.path):
        source, entries = remote.sample(name, source, root, params.remote, n)
    else:
        entries = sorted(reader_of(source.kind).listing(name, source, root), key=lambda e: e.uri)
    with _quiet_pillow(), closing(_outcomes(name, source, root, entries, params)) as outcomes:
        return list(islice(outcomes, n))


def infer_source(path: Path | str) -> str:
    """The kind that a path (or the name of a built-in source) suggests.

    Raises:
        ParamsError: nothing suits; the message says what there is.
    """
    if is_url(str(path)):
        return _infer_url(str(path))
    path = Path(path)
    if path.is_dir():
        return "folder"
    if path.suffix.lower() in SUFFIXES:
        return "table"
    if is_archive(os.fsencode(path.name)):
        return "archive"
    if path.is_file() or is_glob(str(path)):
        return "files"
    if str(path) in READERS and "path" not in reader_of(str(path)).KEYS:
        return str(path)
    builtins = [kind for kind in READERS if "path" not in reader_of(kind).KEYS]
    raise ParamsError(
        f"{one_line(str(path))}: not a folder, nor a file, archive (.zip, .tar) or table ({', '.join(SUFFIXES)}), "
        f"nor a glob, nor one of {', '.join(builtins)}"
    )


def _infer_url(text: str) -> str:
    """The kind that the ending of a URL suggests. Raises ParamsError."""
    try:
        url = parse(text)
    except ValueError as error:
        raise ParamsError(str(error)) from None
    name = Path(url.rest.rpartition("/")[2])
    if name.suffix.lower() in SUFFIXES:
        return "table"
    if is_archive(os.fsencode(name)):
        return "archive"
    if name.suffix.lower() in formats.SUFFIXES or is_glob(url.rest):
        return "files"
    if url.is_web:
        raise ParamsError(f"{url}: its ending says no kind; say --kind, e.g. table, archive, files or webdataset")
    return "folder"


def _outcomes(
    name: str, source: SourceParams, root: Path, entries: list[Entry], params: IngestParams
) -> Generator[Item | Reject, None, None]:
    """What the reader gives, with what the source says about all its items filled in."""
    for outcome in reader_of(source.kind).read(name, source, root, entries, params):
        if isinstance(outcome, Reject):
            yield outcome
            continue
        try:
            origin = _origin(outcome, source)
        except UnitError as error:
            yield error.at(outcome.uri)
            continue
        yield replace(
            outcome,
            origin=origin,
            label=source.label if outcome.label is None else outcome.label,
            license=outcome.license or source.license,
        )


def _origin(item: Item, source: SourceParams) -> str:
    """The item's own origin, but never more trusted than the source's; ``generated`` where its file says so.

    Raises UnitError, ``origin-conflict``, where that is stated to be real.
    """
    stated = min((origin for origin in (item.origin, source.origin) if origin is not None), key=ORIGINS.index)
    if not item.marks or source.marks == "ignore":
        return stated
    if stated == "real":
        mark = item.marks[0]
        by = mark.get("generator") or mark.get("value")
        raise UnitError(
            "origin-conflict",
            f"declared real, but the file has an AI mark, {mark['mark']}{f' ({one_line(by, 60)})' if by else ''}: "
            "declare it generated or unknown, or take it out; `marks: ignore` at the source where the mark is wrong",
        )
    return "generated"


def _item_row(name: str, item: Item, source: SourceParams) -> dict[str, Any]:
    return item.row(name, item.origin or "", source.license)


def _reject_row(name: str, reject: Reject) -> dict[str, str]:
    return {
        "source": name,
        "uri": reject.uri,
        "stage": "ingest",
        "reason": reject.reason,
        "detail": one_line(reject.detail),
    }


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Pillow warns about odd files; they are judged by the readers, so nothing reaches the user's terminal.

    Here, once for all threads: filters belong to the process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield
