"""A Lance table as DuckDB scans it. Imports Lance, which takes half a second."""

from collections.abc import Collection
from typing import Any

import lance
import pyarrow.dataset as pds

WIDE = {"data": 8, "vector": 2048}
"""Rows of a batch with a blob or a vector: Lance reads far ahead, and many would not fit into the child's memory."""


class Scan(lance.LanceDataset):
    """A Lance table whose scans take every filter that DuckDB pushes down.

    Lance 14 cannot take filters on ``large_string`` columns in the form that DuckDB gives them (Substrait):
    ``WHERE text = 'x'`` raised. Those are applied to the batches as they come; the others stay Lance's.
    """

    def scanner(self, *args: Any, **options: Any) -> Any:
        """A scan of the columns under the filter; see ``pyarrow.dataset.Dataset.scanner``."""
        options |= _gently(options.get("columns"))
        scan = super().scanner(*args, **options)
        try:
            scan.explain_plan()  # plans it: what cannot be scanned raises here, not in the midst of the query
        except ValueError:
            columns, condition = options.pop("columns", None) or (), options.pop("filter", None)
            if condition is None:
                raise
            names = [name for name in self.schema.names if name in columns or name in str(condition)]
            options |= _gently(names)
            rows = super().scanner(columns=names, **options).to_reader()
            return pds.Scanner.from_batches(rows, columns=columns, filter=condition)
        return scan


def _gently(columns: Collection[str] | None) -> dict[str, Any]:
    """How to read these columns within the memory of the process."""
    rows = [WIDE[name] for name in columns or () if name in WIDE]
    return {"batch_size": min(rows), "batch_readahead": 1, "io_buffer_size": 32 << 20} if rows else {}
