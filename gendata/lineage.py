"""The chain of an item, both ways: source file -> item -> training manifest -> checkpoint -> output.

What the catalogs know of files, items and outputs is joined with what the ledger keeps of manifests and checkpoints.
Where the ledger lacks a link, a row says so: lost provenance is a finding, not a failure.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.compute as pc

from gendata import files, params
from gendata.engine import Progress
from gendata.errors import QueryError, StoreError
from gendata.ingest import urls
from gendata.items import canonical_json
from gendata.records.ledger import Ledger
from gendata.records.manifest import read_summary
from gendata.records.outputs import OUTPUTS as ADHOC
from gendata.search import Hit
from gendata.search.lookup import Lookup, UnknownItemError
from gendata.search.nearest import nearest
from gendata.store import OUTPUTS
from gendata.store.head import Store

T = TypeVar("T")

Row = dict[str, str]
"""One step of a chain: ``step``, ``what`` (an id or a name) and ``detail``."""

TRAIN = "train"
"""The split that training reads."""

_SNIPPET = 80


def chain(item_id: str, root: Path, stores: Mapping[str, Store], lookup: Lookup) -> list[Row]:
    """Where an item came from, and what was made with it.

    Of an output: its checkpoint, the manifest, sources and licenses of the training rows, and the training items
    nearest to it. Of an ingested item: its source and file; the manifests that hold it, the checkpoints trained on
    them, and how many outputs these have. An item that is both (a model gave a real item verbatim) has both.

    Args:
        item_id: the full id.
        root: of the project, where the ledger is.
        stores: of the project.
        lookup: of these stores.

    Raises:
        StoreError: a catalog or a table is not readable.
    """
    ledger, rows = Ledger(root), list[Row]()
    sources = params.read(root / "params.yaml").get("sources") or {}
    for item in lookup.places(item_id):
        if item["store"] == OUTPUTS:
            rows += _output(item, ledger, stores)
        else:
            rows += _ingested(item, (sources.get(item["source"]) or {}).get("path"))
    return [*rows, *_onward(item_id, ledger, lookup)]


def resolve(key: str | Path, root: Path, lookup: Lookup) -> str:
    """The id of an item or output, as ``Lookup.resolve``; an output that waits for stage collect is named as such."""
    try:
        return lookup.resolve(key)
    except UnknownItemError:
        if _uncollected(str(key).lower(), root):
            raise QueryError(f"output {key} is not in the store yet: run `gendata run collect`") from None
        raise


def _uncollected(prefix: str, root: Path) -> bool:
    for path in sorted((root / ADHOC).glob("*.parquet")):
        with contextlib.suppress(StoreError):  # collect names it
            ids = (i for batch in files.iter_batches(path, ("id",)) for i in batch["id"].to_pylist())
            if any(i.startswith(prefix) for i in ids):
                return True
    return False


def _row(step: str, what: str, detail: str) -> Row:
    return {"step": step, "what": what, "detail": detail}


def _ingested(item: Mapping[str, Any], path: str | None) -> list[Row]:
    """Source, file, item, and the copies that were merged into it; ``path`` is where params.yaml says the source is."""
    stated = f"origin {item['origin']}, license {item['license'] or 'not stated'}"
    return [
        _row(
            "source",
            item["source"],
            stated + (f", at {urls.redacted(path) if urls.is_url(path) else path}" if path else ""),
        ),
        _row("file", item["uri"], f"sha256 {item['file_sha256'] or 'none'}"),
        *(_row("derived from", parent, "") for parent in item["parents"] or []),
        _row("item", item["id"], f"{item['modality']}, {item['media_type']}, in store {item['store']}"),
        *_copies(item),
    ]


def _copies(item: Mapping[str, Any]) -> list[Row]:
    return [_row("copy merged", f"{c['source']}: {c['uri']}", c["reason"]) for c in item["dropped_copies"]]


def _output(item: Mapping[str, Any], ledger: Ledger, stores: Mapping[str, Store]) -> list[Row]:
    """Output, checkpoint, manifest, its data, and the training items nearest to the output."""
    made = f"{item['modality']}, {item['media_type']}, by {item['model']}, seed {item['seed']}, asked {item['request']}"
    when = f", ad hoc at {item['created_at']}" if item["created_at"] else ""
    rows = [_row("output", item["id"], made + when), *_copies(item)]
    rows.append(_checkpoint(item, ledger))
    try:
        manifest = ledger.manifest(item["manifest_id"])
    except (QueryError, StoreError) as error:
        return [*rows, _row("manifest", item["manifest_id"], f"lost: {error}")]
    train = manifest.split(TRAIN)
    rows.append(_row("manifest", manifest.id, _selected(manifest.summary())))
    for step in ("source", "license"):
        counts = Counter(name or "not stated" for name in train[step].to_pylist())
        rows += [_row(step, name, f"{n:,} training rows") for name, n in counts.most_common()]
    try:
        return rows + [_row("nearest", hit.id, _seen(hit)) for hit in nearest(item, train, stores)]
    except StoreError as error:
        return [*rows, _row("nearest", "unknown", str(error))]


def _checkpoint(item: Mapping[str, Any], ledger: Ledger) -> Row:
    checkpoint_id = item["checkpoint_id"]
    try:
        card = ledger.checkpoint(checkpoint_id)
    except (QueryError, StoreError) as error:
        return _row("checkpoint", checkpoint_id, f"lost: {error}")
    runs = [
        run["run_id"]
        for _, run in _each(ledger, "runs", files.read_json, [])
        if run["checkpoint_id"] == card["checkpoint_id"]
    ]
    other = "" if card.get("manifest_id") == item["manifest_id"] else f"; its card names {card.get('manifest_id')}"
    return _row("checkpoint", checkpoint_id, ", ".join([_described(card), *(f"run {run}" for run in runs)]) + other)


def _described(card: Mapping[str, Any]) -> str:
    """A checkpoint in one line: family, steps, parameters, held-out loss."""
    if card.get("external"):
        return f"{card['name']} ({card['family']}), trained elsewhere, file {card['file']}"
    figures = {k.removeprefix("valid/"): v for k, v in card["figures"].items() if k.startswith("valid/")}
    figure = f", held-out loss {figures['loss']:.4g}" if "loss" in figures else ""  # a GAN has none
    return f"{card['family']}, {card['steps']:,} steps, {card['parameters']:,} parameters{figure}"


def _selected(summary: Mapping[str, Any]) -> str:
    """A manifest in one line: rows, selection, and origins that were allowed beside real."""
    selection = summary["selection"]
    rows = f"{summary['by']['split'].get(TRAIN, 0):,} training rows of {summary['rows']:,}"
    where = selection.get("where") or canonical_json(selection)
    beside = [f"{n:,} rows {origin}" for origin, n in summary["by"]["origin"].items() if origin != "real"]
    return f"{rows}; where {where}" + (f"; not only real: {', '.join(beside)}" if beside else "")


def _seen(hit: Hit) -> str:
    label = f", label {hit.label}" if hit.label else ""
    snippet = f": {' '.join((hit.text or '').split())[:_SNIPPET]}" if hit.modality != "image" else ""
    return f"similarity {hit.score:.3f}, {hit.source}: {hit.uri}{label}{snippet}"


def _onward(item_id: str, ledger: Ledger, lookup: Lookup) -> Iterator[Row]:
    """The manifests that hold an item, below each what was made with it, and what cannot be read of the ledger."""
    lost: list[Row] = []
    with Progress("ledger", unit="manifests") as progress:
        used = []
        for path, split in _each(ledger, "manifests", lambda path: _split_of(path, item_id), lost):
            used += [(read_summary(path), split)] if split is not None else []
            progress.add()
    cards = [card for _, card in _each(ledger, "checkpoints", files.read_json, lost)]
    exports = [export for _, export in _each(ledger, "exports", files.read_json, lost)]
    outputs = {c["checkpoint_id"]: c["items"] for c in lookup.counts(("checkpoint_id",))}
    for summary, split in used:
        manifest_id = summary["manifest_id"]
        yield _row("manifest", manifest_id, f"in split {split}; {_selected(summary)}")
        held_out = "" if split == TRAIN else "held out from it: "
        for card in (card for card in cards if card.get("manifest_id") == manifest_id):
            made = f"{outputs.get(card['checkpoint_id'], 0):,} outputs in the store"
            yield _row("checkpoint", card["checkpoint_id"], f"{held_out}{_described(card)}; {made}")
        for export in (export for export in exports if export.get("manifest_id") == manifest_id):
            yield _row("export", export["export_id"], f"as {export['format']}, {export['rows']:,} rows")
    yield from lost


def _each(ledger: Ledger, kind: str, read: Callable[[Path], T], lost: list[Row]) -> Iterator[tuple[Path, T]]:
    """Every file of a kind with what is read of it; one that cannot be read is ``lost``, and no reason to stop."""
    for path in sorted((ledger.folder / kind).glob("[0-9a-f]*")):
        try:
            yield path, read(path)
        except StoreError as error:
            lost.append(_row(kind.removesuffix("s"), path.stem, f"lost: {error}"))


def _split_of(path: Path, item_id: str) -> str | None:
    read_summary(path)  # refuses what is no manifest
    for batch in files.iter_batches(path, ("id", "split")):
        if (at := pc.index(batch["id"], item_id).as_py()) >= 0:
            return str(batch["split"][at])
    return None
