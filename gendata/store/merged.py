"""What dedup merged from copies, filled into the rows that stay: only where they have nothing of their own."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendata.items import canonical_json


def filled(table: pa.Table, merged: pa.ChunkedArray) -> pa.Table:
    """Rows of ITEM_SCHEMA with the label, license and keys of meta that they lack, from the column ``merged``."""
    places = np.flatnonzero(pc.is_valid(merged).to_numpy())
    if not places.size:
        return table
    taken = [json.loads(value) for value in merged.take(places).to_pylist()]
    for name in {"label", "license", "meta"} & set(table.column_names):
        values = table[name].to_pylist()
        for place, fields in zip(places.tolist(), taken, strict=True):
            if name == "meta" and name in fields:
                given = {key: given["value"] for key, given in fields[name].items()}
                values[place] = canonical_json(given | json.loads(values[place] or "{}"))
            elif name in fields and values[place] is None:
                values[place] = fields[name]["value"]
        at = table.column_names.index(name)
        table = table.set_column(at, table.field(name), pa.array(values, table.field(name).type))
    return table
