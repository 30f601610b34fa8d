"""Stage ingest: the units of a source, as its listing names them, to items and rejects.

A kind of source is one module (READERS, and the Protocol in ``reader``). ``scan`` writes the
listings, ``ingest`` reads exactly what they name: read + rejected = enumerated.
"""

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from gendata import files
from gendata.engine import Progress
from gendata.errors import ParamsError
from gendata.ingest import remote
from gendata.ingest.blocks import Block, Place
from gendata.ingest.finish import finished
from gendata.ingest.infer import infer_source
from gendata.ingest.journal import Journal, Part
from gendata.ingest.listing import LISTING_SCHEMA, Listing
from gendata.ingest.reader import Entry, one_line
from gendata.ingest.referenced import elsewhere
from gendata.ingest.scan import scan
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import READERS, load_sources, reader_of
from gendata.ingest.urls import is_url
from gendata.items import ITEM_SCHEMA, REFERENCE_SCHEMA, REJECT_SCHEMA, Item, Reject

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

    The shards of a source of ``content: reference`` are of REFERENCE_SCHEMA.

    Returns:
        enumerated, read, rejected, rejected_by_reason, modalities (counts) and bytes (of content read).

    Raises:
        ParamsError: the source is gone as a whole, its columns are not those that ``map`` names, or more of it than
            ``max_reject_rate`` is rejects.
        StoreError: the listing is not there.
    """
    entries, totals = Listing(listing), Part()
    with files.output(out) as work, Progress(f"ingest {name}") as progress, _quiet_pillow():
        kept = [] if getattr(reader_of(source.kind), "AT_ONCE", False) else entries
        journal = Journal(name, _settings(name, source, root, entries, params), kept, out)
        writer = _Writer(name, source, work, progress)

        def outcomes(start: Place) -> _Placed:
            since = entries[start.entry].uri if start.entry else ""
            blocks = getattr(reader_of(source.kind), "blocks", _outcomes)
            return journal.placed(blocks(name, source, root, entries, params, since), start)

        for part in _parts(journal, writer, outcomes):
            totals.add(part)
        writer.close()
        _check_rate(name, totals, params)
        journal.close()
    read, rejected = totals.modalities.total(), totals.reasons.total()
    return {
        "enumerated": read + rejected,
        "read": read,
        "rejected": rejected,
        "rejected_by_reason": dict(sorted(totals.reasons.items())),
        "modalities": dict(sorted(totals.modalities.items())),
        "bytes": totals.bytes,
    }


def _settings(name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams) -> object:
    """All beside the entries that the outcomes depend on, as JSON has it."""
    shared = getattr(reader_of(source.kind), "shared", None)
    limits = {
        key: value for key, value in asdict(params).items() if key not in {"workers", "max_reject_rate", "remote"}
    }
    return [asdict(replace(source, dedup=True)), limits, shared and shared(name, source, root, entries, params)]


_Placed = Generator[tuple[Place, Block | Item | Reject], None, None]


def _parts(journal: Journal, writer: "_Writer", outcomes: Callable[[Place], _Placed]) -> Iterator[Part]:
    """The source from its beginning: what the journal has is taken, and what is between is read."""
    place: Place | None = Place()
    reading: _Placed | None = None
    while place is not None:
        part = journal.find(place)
        if part is not None:
            writer.take(part)
            if reading is not None:
                reading.close()
            reading = None
        else:
            reading = reading or outcomes(place)
            part = writer.write(reading, journal.rejects(place))
            journal.keep(place, part)
        yield part
        place = part.end


class _Writer:
    """Shards of items and the table of rejects, in a folder."""

    def __init__(self, name: str, source: SourceParams, folder: Path, progress: Progress) -> None:
        self._name, self._source, self._progress = name, source, progress
        schema = REFERENCE_SCHEMA if source.content == "reference" else ITEM_SCHEMA
        self._items = files.ShardWriter(folder / "items", schema)
        self._rejects = files.RowGroupWriter(folder / "rejected.parquet", REJECT_SCHEMA)
        self._rest: list[tuple[Place, Block]] = []  # of a block that a shard ended in

    def write(self, outcomes: _Placed, rejected: Path) -> Part:
        """Outcomes until one ends a shard, or there are no more; their rejects to a file of their own, too."""
        part, rejects = Part(), None
        rest, self._rest = self._rest, []
        for place, outcome in chain(rest, outcomes):
            if isinstance(outcome, Block):
                if self._block(part, outcome):
                    break
                continue
            self._progress.add()
            if isinstance(outcome, Reject):
                rejects = rejects or files.RowGroupWriter(rejected, REJECT_SCHEMA)
                for writer in (rejects, self._rejects):
                    writer.write(_reject_row(self._name, outcome))
                part.reject(outcome)
                continue
            part.item(outcome)
            part.shard = self._items.write(_item_row(self._name, outcome, self._source), elsewhere(outcome))
            if part.shard is not None:
                part.end = place
                break
        else:
            part.shard = self._items.close()
        if rejects is not None:
            rejects.close()
            part.rejected = rejected
        return part

    def _block(self, part: Part, block: Block) -> bool:
        """As much of a block as the shard takes; whether that ended it."""
        taken, rest = block.cut(self._items.room(block.rows, block.sizes))
        self._progress.add(len(taken))
        part.block(taken)
        part.shard = self._items.extend(taken.rows, taken.sizes)
        if part.shard is None:
            return False
        part.end = taken.end
        self._rest = [(rest.end, rest)] if len(rest) else []
        return True

    def take(self, part: Part) -> None:
        """A part that was written before."""
        self._rest = []
        if part.shard is not None:
            self._items.take(part.shard)
        for batch in files.iter_batches(part.rejected) if part.rejected is not None else ():
            for row in batch.to_pylist():
                self._rejects.write(row)
        self._progress.add(part.modalities.total() + part.reasons.total())

    def close(self) -> None:
        """All parts are there."""
        self._rejects.close()


def _check_rate(name: str, totals: Part, params: IngestParams) -> None:
    """Raises ParamsError where more of a source could not be read than is allowed."""
    read, rejected = totals.modalities.total(), totals.reasons.total()
    if rejected > params.max_reject_rate * (read + rejected):
        reasons = ", ".join(f"{count} {reason}" for reason, count in totals.reasons.most_common())
        raise ParamsError(
            f"source {name}: {rejected} of {read + rejected} units are rejects ({reasons}), more than "
            f"ingest.max_reject_rate {params.max_reject_rate:g} allows; see them with a higher rate and `gendata stats`"
        )


def preview(
    name: str, source: SourceParams, root: Path, n: int = 5, params: IngestParams | None = None
) -> list[Item | Reject]:
    """The first ``n`` units of a source as ingest would read them, without a scan or any writing.

    Of a URL some files are fetched into its mirror.
    """
    params = params or IngestParams()
    found: Iterable[Entry]
    if is_url(source.path):
        source, found = remote.sample(name, source, root, params.remote, n)
    else:
        found = reader_of(source.kind).listing(name, source, root)
    entries = sorted(found, key=lambda e: e.uri)
    with _quiet_pillow(), closing(_outcomes(name, source, root, entries, params)) as outcomes:
        return list(islice(outcomes, n))


def _outcomes(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Generator[Item | Reject, None, None]:
    """What the reader gives, with what the source says about all its items filled in."""
    for outcome in reader_of(source.kind).read(name, source, root, entries, params, since):
        yield finished(outcome, source)


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
