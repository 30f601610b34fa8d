"""Arrow tables to Parquet, in the very bytes that ``files.write_table`` gives of their rows.

What a stage has as columns needs no Python object per value on its way to disk.
"""

from pathlib import Path

import pyarrow as pa

from gendata.rowgroups import RowGroupWriter, row_sizes


def write_columns(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """The columns of ``schema`` to one Parquet file with fixed row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = table.select(schema.names).cast(schema)
    writer = RowGroupWriter(path, schema)
    writer.extend(whole, row_sizes(whole))
    writer.close()
