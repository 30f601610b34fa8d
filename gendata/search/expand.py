"""``search('a text', k := 20)`` inside SQL: evaluated before the statement, joined as a table.

DuckDB cannot be taught table functions from Python, and its sandbox reaches no index: so the caller searches,
and the statement reads the hits as an attached table that stands where the call stood.
"""

import json
from collections.abc import Callable, Collection, Mapping

import pyarrow as pa

from gendata.search import RANKINGS, SearchResult
from gendata.search.sql import Limits, find_calls
from gendata.store.head import Store

HITS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("score", pa.float64()),
        pa.field("snippet", pa.string()),
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
        *(pa.field(f"{kind}_score", pa.float64()) for kind in RANKINGS),
        pa.field("store", pa.string()),
    ]
)
"""The columns of a call: none but ``id`` is one of ``items``, so that a join needs no prefixes."""


def expand(
    sql: str,
    stores: Mapping[str, Store],
    run: Callable[..., SearchResult],
    *,
    taken: Collection[str] = (),
    limits: Limits | None = None,
) -> tuple[str, dict[str, pa.Table]]:
    """The statement with a table in place of each call of ``search``, and these tables; as it is, if it has none.

    Args:
        sql: one statement.
        stores: as of ``gendata.search.sql.open_sql``.
        run: searches: ``run(query, **options)``.
        taken: names that tables have already.
        limits: of time and memory to find the calls.

    Raises:
        QueryError: an argument of a call is not a literal or not known, or a limit is exceeded; or what ``run`` raises.
        ProjectError: no store is there.
    """
    if "search" not in sql.lower():
        return sql, {}
    bound, calls = find_calls(sql, stores, taken, limits)
    return bound, {call["table"]: _hits(run(call["query"], **json.loads(call["options"]))) for call in calls}


def _hits(result: SearchResult) -> pa.Table:
    rows = [{"rank": rank, "snippet": hit.text, **vars(hit)} for rank, hit in enumerate(result.hits, 1)]
    return pa.Table.from_pylist(rows, HITS)
