"""Ranking by meaning or likeness: cosine to the query's vector.

Exact, except where a table is large enough to have a vector index; under a set of ids it is
always exact, since an index searched through a narrow filter loses neighbours.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gendata.search.ranking import Ranker

CANDIDATES = 100
"""Fewest rows of an index that are compared on their original vectors; see benchmarks/vectors.py."""


def width(table: Any) -> int:
    """The number of dimensions of the table's vectors."""
    return int(table.schema.field("vector").type.list_size)


def ranker(table: Any, vector: NDArray[np.float32], *, exact: bool) -> Ranker:
    """Rank rows by cosine to ``vector`` (d,), descending; ``exact`` does without a vector index."""
    columns = ["id", "part"] if "part" in table.schema.names else ["id"]

    def rank(where: str | None, limit: int) -> pa.Table:
        nearest = {"column": "vector", "q": vector, "k": limit, "metric": "cosine", "use_index": not exact}
        if not exact:  # exact scores of what is found, and more of it than is asked for
            nearest |= {"refine_factor": max(1, CANDIDATES // limit), "ef": max(CANDIDATES, 2 * limit)}
        rows = table.to_table(columns=[*columns, "_distance"], nearest=nearest, filter=where, prefilter=True)
        part = rows.column("part") if "part" in columns else pa.array(np.zeros(rows.num_rows, np.int32))
        scores = pa.array(1.0 - rows.column("_distance").to_numpy().astype("float64"), pa.float64())
        return pa.table({"id": rows.column("id"), "part": part, "score": scores})

    return rank
