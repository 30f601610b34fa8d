"""What to export: a condition or a manifest, narrowed down, guarded, as a manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gendata.errors import QueryError
from gendata.items import ORIGINS
from gendata.records.ledger import Ledger
from gendata.records.manifest import Manifest
from gendata.search.sql import Limits
from gendata.select.guard import check_origins
from gendata.select.selection import select_rows
from gendata.store.head import Store

ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was asked for. Raises QueryError if that makes no sense."""

    where: str | None = None
    """A condition in SQL over the columns of ``items``; every item if there is neither it nor a manifest."""
    manifest: str | None = None
    """Id, or unique prefix, of a manifest in the ledger, in place of a condition."""
    origin: str | None = None
    """Only items of this origin, ``any`` for all. Without it rows that are not real are refused where a condition or
    a manifest names them, and left aside where there is neither."""
    splits: tuple[str, ...] = ()
    """Only items of these splits."""
    licenses: tuple[str, ...] = ()
    """Only items under these licences, as their sources state them."""

    def __post_init__(self) -> None:
        if self.where is not None and self.manifest is not None:
            raise QueryError("give a condition or a manifest, not both")
        if self.origin not in (None, ANY, *ORIGINS):
            raise QueryError(f"origin {self.origin!r} is none of {', '.join(ORIGINS)}, {ANY}")

    @property
    def allowed(self) -> tuple[str, ...]:
        """Origins beside real that were asked for."""
        others = tuple(origin for origin in sorted(ORIGINS) if origin != "real")
        return others if self.origin == ANY else tuple(origin for origin in others if origin == self.origin)

    def narrow(self, rows: pa.Table) -> pa.Table:
        """The rows that satisfy all but the condition."""
        origins = () if self.origin in (None, ANY) else (self.origin,)
        for name, wanted in (("origin", origins), ("split", self.splits), ("license", self.licenses)):
            if wanted:
                rows = rows.filter(pc.is_in(rows[name], pa.array(wanted, pa.string())))
        return rows

    def stated(self) -> dict[str, Any]:
        """What a manifest says of it beside the condition: the options that were given."""
        options = {"manifest": self.manifest, "origin": self.origin, "splits": sorted(self.splits)}
        return {k: v for k, v in (options | {"licenses": sorted(self.licenses)}).items() if v}


def choose(
    choice: Choice, modality: str | None, stores: Mapping[str, Store], ledger: Ledger, limits: Limits | None = None
) -> Manifest:
    """The manifest of what was asked for.

    A manifest from the ledger of which every row is exported stays the one that it is. Rows of another modality than
    ``modality``, where that is given, are counted under ``left_out`` of the selection.

    Raises:
        OriginError: a row is not real, and its origin was not asked for.
        QueryError: the condition is not valid, the manifest is unknown, or nothing is left to export.
    """
    given = None if choice.manifest is None else ledger.manifest(choice.manifest)
    where = choice.where
    if given is None and where is None:
        where = "true" if choice.origin == ANY else f"origin = '{choice.origin or 'real'}'"
    found = given.rows if given is not None else select_rows(where or "", stores, limits)
    rows = choice.narrow(found)
    allowed = check_origins(rows, choice.allowed, "export", "ask for {} with --origin, or for all with --origin any")
    usable = rows if modality is None else rows.filter(pc.equal(rows["modality"], modality))
    if not usable.num_rows:
        raise QueryError(f"nothing to export: {_why_nothing(found, rows, modality)}")
    left_out = {f"not-{modality}": rows.num_rows - usable.num_rows} if usable.num_rows < rows.num_rows else {}
    if given is not None and usable.num_rows == given.rows.num_rows:
        return given
    selection = {"where": where, "allow_origins": list(choice.allowed), "allowed": allowed, "left_out": left_out}
    stated = choice.stated() | ({"manifest": given.id} if given is not None else {})
    return Manifest.of(selection | stated, usable)


def _why_nothing(found: pa.Table, rows: pa.Table, modality: str | None) -> str:
    if not found.num_rows:
        return "the selection matches no item"
    if not rows.num_rows:
        return f"none of the {found.num_rows} items found has the origin, split and licence asked for"
    return f"the format holds items of modality {modality}, and none of the {rows.num_rows} found is one"
