"""A condition in SQL over the catalogs to a manifest: sandboxed, guarded, in the order of the store."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gendata import duck
from gendata.engine import Progress
from gendata.errors import StoreError
from gendata.models import Needs
from gendata.records.manifest import MANIFEST_SCHEMA, Manifest
from gendata.search.sql import Limits, select_ids
from gendata.select import SelectParams
from gendata.select.guard import check_origins
from gendata.store import INPUTS, STORES
from gendata.store.head import Store

_COLUMNS = ("id", "source", "uri", "modality", "label", "text", "origin", "split", "license")

_RARE, _NAMED = "rare-label", 10


def select_rows(where: str, stores: Mapping[str, Store], limits: Limits | None = None) -> pa.Table:
    """The items that satisfy a condition (MANIFEST_SCHEMA), in the order of the store.

    Raises:
        QueryError: the condition is not valid, or does not hold for the same rows each time.
        StoreError: a catalog does not read, or a store holds rows of an origin that it does not take.
    """
    ids = select_ids(where, stores, stable=True, limits=limits)
    batches = []
    with Progress("select", sum(map(len, ids.values())), "rows") as progress:
        for name in (n for n in STORES if n in stores):
            for batch in _rows(name, stores[name], ids[name]):
                batches.append(batch)
                progress.add(batch.num_rows)
    return pa.Table.from_batches(batches, MANIFEST_SCHEMA)


def _rows(name: str, store: Store, ids: pa.Array) -> Iterator[pa.RecordBatch]:
    import duckdb

    try:
        with duck.database(store.catalog) as connection:
            connection.register("wanted", pa.table({"id": ids.cast(pa.string())}))
            columns = ", ".join(f'i."{c}"' for c in _COLUMNS)
            sql = f"SELECT {columns} FROM items i WHERE id IN (SELECT id FROM wanted) ORDER BY i.rowid"
            with connection.sql(sql).to_arrow_reader(8192) as reader:
                for batch in reader:
                    yield _manifest_rows(batch, name)
    except duckdb.Error as error:
        raise StoreError(f"{store.catalog}: does not read: {str(error).splitlines()[0]}") from None


def _manifest_rows(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    if wrong := set(pc.unique(batch["origin"]).to_pylist()) - set(STORES[name]):
        raise StoreError(f"the store {name} holds rows of origin {', '.join(sorted(wrong))}: run `gendata doctor`")
    digests = [None if t is None else hashlib.sha256(t.encode()).hexdigest() for t in batch["text"].to_pylist()]
    columns = {n: batch[n] for n in _COLUMNS if n != "text"} | {"text_sha256": pa.array(digests, pa.string())}
    return pa.record_batch([columns[f.name].cast(f.type) for f in MANIFEST_SCHEMA], MANIFEST_SCHEMA)


def select(
    what: str, needs: Needs, chosen: SelectParams, stores: Mapping[str, Store], limits: Limits | None = None
) -> tuple[Manifest, str]:
    """The training manifest of a selection, and why it cannot be trained on (empty if it can).

    Rows that the family cannot use are left out and counted in the manifest's selection under
    ``left_out``: by reason ``no-text``, ``not-an-image``, ``no-label``, ``rare-label``, ``unknown-label``.

    Args:
        what: names the selection in messages, as ``select.gan``.
        needs: of the family.
        chosen: the condition, and which origins are allowed.
        stores: of the project.
        limits: of the sandbox.

    Raises:
        OriginError: a row is not real and its origin is not allowed.
        QueryError: the condition is not valid.
    """
    inputs = {name: stores[name] for name in INPUTS if name in stores}  # never what our own models made
    rows = select_rows(chosen.where, inputs, limits)
    allowed = check_origins(rows, chosen.allow_origins, what)
    usable, left_out = _usable(rows, needs, chosen.min_per_label)
    selection = {"where": chosen.where, "allow_origins": sorted(chosen.allow_origins), "allowed": allowed}
    manifest = Manifest.of(selection | {"left_out": left_out}, usable)
    return manifest, _untrainable(manifest, rows.num_rows)


def _usable(rows: pa.Table, needs: Needs, min_per_label: int) -> tuple[pa.Table, dict[str, Any]]:
    """The rows that a family can use, and how many were left out for which reason."""
    left_out: dict[str, Any] = {}

    def keep(table: pa.Table, mask: pa.ChunkedArray, reason: str) -> pa.Table:
        if dropped := table.num_rows - (kept := table.filter(mask)).num_rows:
            left_out[reason] = dropped
        return kept

    if needs.modality == "image":
        rows = keep(rows, pc.equal(rows["modality"], "image"), "not-an-image")
    else:
        empty = hashlib.sha256(b"").hexdigest()
        rows = keep(rows, pc.fill_null(pc.not_equal(rows["text_sha256"], empty), False), "no-text")
    if needs.labelled:
        rows = keep(rows, pc.is_valid(rows["label"]), "no-label")
        train = Counter(rows.filter(pc.equal(rows["split"], "train"))["label"].to_pylist())
        rare = sorted(label for label in train if train[label] < min_per_label)
        rows = keep(rows, pc.invert(pc.is_in(rows["label"], pa.array(rare, pa.string()))), _RARE)
        known = pa.array(sorted(set(train) - set(rare)), pa.string())
        rows = keep(rows, pc.is_in(rows["label"], known), "unknown-label")
        if rare:
            left_out["rare_labels"] = rare
    return rows, left_out


def left_out(manifest: Manifest) -> list[str]:
    """What a selection has left out and why, as lines; rare labels are named, the first ten of many."""
    rare = manifest.selection["left_out"].get("rare_labels", ())
    named = f" ({', '.join(rare[:_NAMED])}{' and others' if len(rare) > _NAMED else ''})"
    return [f"left out {counted}{named if counted.endswith(_RARE) else ''}" for counted in _counts(manifest)]


def _counts(manifest: Manifest) -> list[str]:
    return [f"{n} {why}" for why, n in manifest.selection["left_out"].items() if why != "rare_labels"]


def _untrainable(manifest: Manifest, found: int) -> str:
    splits = manifest.counts()["split"]
    if not found:
        return "the selection matches no item"
    if not splits.get("train"):
        reasons = ", ".join(_counts(manifest))
        return f"no usable item in the training split ({found} found{'; left out: ' + reasons if reasons else ''})"
    if not splits.get("valid") and not splits.get("test"):
        return f"the selection has no held-out item: all {splits['train']} are in the training split"
    return ""
