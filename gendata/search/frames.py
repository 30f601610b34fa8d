"""Results as the data frame that the caller works with: Arrow, pandas or polars."""

from importlib import import_module
from typing import Any, Literal

import pyarrow as pa

from gendata.errors import GendataError

Frame = Literal["arrow", "pandas", "polars"]


def frame(table: pa.Table, as_: Frame = "arrow") -> Any:
    """The table as a pyarrow Table, a pandas DataFrame or a polars DataFrame.

    Raises:
        GendataError: there is no such frame, or its package is not installed.
    """
    if as_ == "arrow":
        return table
    if as_ not in {"pandas", "polars"}:
        raise GendataError(f"as_: must be one of arrow, pandas, polars, not {as_!r}")
    try:
        package = import_module(as_)
    except ImportError:
        raise GendataError(f"{as_} is not installed: pip install 'gendata[{as_}]', or take arrow") from None
    return table.to_pandas() if as_ == "pandas" else package.from_arrow(table)
