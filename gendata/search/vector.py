"""Ranking by meaning or likeness: cosine to the query's vector.

Exact, except where a table is large enough to have a vector index; under a set of ids it is
always exact, since an index searched through a narrow filter loses neighbours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gendata.search.directory import Directory, Places
from gendata.search.ranking import Rows

CANDIDATES = 100
"""Fewest rows of an index that are compared on their original vectors; see benchmarks/vectors.py."""

_BLOCK = 4096
"""Vectors that are in memory at a time."""


def width(table: Any) -> int:
    """The number of dimensions of the table's vectors."""
    return int(table.schema.field("vector").type.list_size)


@dataclass(frozen=True)
class Nearness:
    """Rows of a table by their cosine to ``vector`` (d,), computed from the original vectors."""

    table: Any
    directory: Directory
    vector: NDArray[np.float32]
    exact: bool
    """Without a vector index."""
    reach: int = 0

    def best(self, where: str | None, limit: int) -> Rows:
        """See ``Ranking``."""
        k = limit if self.exact else max(limit, CANDIDATES)
        nearest = {"column": "vector", "q": self.vector, "k": k, "metric": "cosine", "use_index": not self.exact}
        rows = self.table.to_table(
            columns=["_distance"], with_row_id=True, nearest=nearest, filter=where, prefilter=True
        )
        return self.scores(self.directory.places(rows["_rowid"].to_numpy()))

    def scores(self, places: Places) -> Rows:
        """See ``Ranking``: every row is ranked."""
        places = np.sort(places)
        blocks = [places[at : at + _BLOCK] for at in range(0, len(places), _BLOCK)]
        return Rows(places, np.concatenate([np.empty(0), *map(self._cosines, blocks)]))

    def _cosines(self, places: Places) -> NDArray[np.float64]:
        taken = self.table.take(places.tolist(), columns=["vector"])["vector"].combine_chunks()
        vectors = taken.flatten().to_numpy().reshape(len(places), -1).astype(np.float64)
        # rounded, so that equal vectors are equally near whatever block they were in
        cosines: NDArray[np.float64] = np.round(vectors @ self.vector.astype(np.float64), 9)
        return cosines
