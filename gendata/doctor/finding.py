"""What doctor finds."""

from dataclasses import asdict, dataclass
from typing import Any

REMOVE, REBUILD, KEEP = "remove", "rebuild", "keep"
"""Remedies that `--repair` knows: a leftover goes, a store is built anew, a record is put into the ledger again.
Every other remedy is for a person."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what, and what mends it."""

    where: str
    problem: str
    remedy: str
    repaired: bool = False

    def row(self) -> dict[str, Any]:
        """As a row of output."""
        return asdict(self)
