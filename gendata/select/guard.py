"""The guard: nothing but real items is trained on or exported by accident."""

from collections import Counter
from collections.abc import Collection
from typing import Any

import pyarrow as pa

from gendata.errors import GendataError


class OriginError(GendataError):
    """Rows whose origin was not asked for."""


def check_origins(
    rows: pa.Table, allowed: Collection[str], what: str, remedy: str = "allow {} with allow_origins"
) -> dict[str, Any]:
    """Refuse rows whose origin is neither real nor in ``allowed``.

    Args:
        rows: with the columns origin and source.
        allowed: origins beside real that may be used.
        what: names the selection in the message.
        remedy: how the origins at ``{}`` are allowed, in the message.

    Returns:
        For each allowed origin that occurs: its rows, its share of all, and rows by source.

    Raises:
        OriginError: naming how many rows of which origin, and from which sources.
    """
    counts: Counter[tuple[str, str]] = Counter(zip(rows["origin"].to_pylist(), rows["source"].to_pylist(), strict=True))
    refused = {key: n for key, n in sorted(counts.items()) if key[0] != "real" and key[0] not in allowed}
    if refused:
        found = ", ".join(f"{n} {origin} from {source}" for (origin, source), n in refused.items())
        origins = ", ".join(sorted({origin for origin, _ in refused}))
        raise OriginError(
            f"{what}: refused, since {sum(refused.values())} of {rows.num_rows} rows are not real ({found}); "
            f"add `origin = 'real'` to the condition, or {remedy.format(origins)}"
        )
    return {
        origin: {
            "rows": (total := sum(n for (o, _), n in counts.items() if o == origin)),
            "share": round(total / rows.num_rows, 6),
            "sources": {source: n for (o, source), n in sorted(counts.items()) if o == origin},
        }
        for origin in sorted({o for o, _ in counts} - {"real"})
    }
