"""Media as files of their own, beside a table that names them."""

from pathlib import Path

import pyarrow as pa

from gendata.export.names import file_names


def write_media(folder: Path, rows: pa.Table) -> pa.Table:
    """Write the data of rows to ``folder/data/<id>.<extension>``; the rows with the column ``file`` for ``data``."""
    names = file_names(rows)
    for name, data in zip(names, rows["data"], strict=True):
        if name is not None:
            (folder / "data" / name).write_bytes(data.as_py())
    paths = pa.array([None if name is None else f"data/{name}" for name in names], pa.string())
    return rows.drop_columns(["data"]).append_column("file", paths)
