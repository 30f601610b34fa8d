"""What the source says about all its items, filled in; what a reader gives is an item only then."""

from gendata.ingest.reader import UnitError, one_line
from gendata.ingest.settings import SourceParams
from gendata.items import ORIGINS, Item, Reject


def finished(outcome: Item | Reject, source: SourceParams) -> Item | Reject:
    """The same item, with origin, label and license; a Reject where its origin contradicts what its file says."""
    if isinstance(outcome, Reject):
        return outcome
    try:
        outcome.origin = _origin(outcome, source)
    except UnitError as error:
        return error.at(outcome.uri)
    if outcome.label is None:
        outcome.label = source.label
    outcome.license = outcome.license or source.license
    return outcome


def _origin(item: Item, source: SourceParams) -> str:
    """The item's own origin, but never more trusted than the source's; ``generated`` where its file says so.

    Raises UnitError, ``origin-conflict``, where that is stated to be real.
    """
    own, given = item.origin, source.origin
    stated = min(own, given, key=ORIGINS.index) if own and given else own or given or ""
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
