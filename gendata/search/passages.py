"""The Lance table ``passages`` as DuckDB scans it. Imports Lance, which takes half a second."""

from typing import Any

import lance
import pyarrow.dataset as pds


class Passages(lance.LanceDataset):
    """A Lance table whose scans take every filter that DuckDB pushes down.

    Lance 14 cannot take filters on ``large_string`` columns in the form that DuckDB gives them (Substrait):
    ``WHERE text = 'x'`` raised. Those are applied to the batches as they come; the others stay Lance's.
    """

    def scanner(self, *args: Any, **options: Any) -> Any:
        """A scan of the columns under the filter; see ``pyarrow.dataset.Dataset.scanner``."""
        scan = super().scanner(*args, **options)
        try:
            scan.explain_plan()  # plans it: what cannot be scanned raises here, not in the midst of the query
        except ValueError:
            columns, condition = options.pop("columns", None), options.pop("filter", None)
            if condition is None:
                raise
            names = [name for name in self.schema.names if name != "vector"]
            rows = super().scanner(columns=names, **options).to_reader()
            return pds.Scanner.from_batches(rows, columns=columns, filter=condition)
        return scan
