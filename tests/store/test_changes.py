"""Changes against brute force: the rows of each item as a multiset."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.store.changes import Changes, prints

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("text", pa.large_string()),
        pa.field("vector", pa.list_(pa.float32(), 2), nullable=False),
    ]
)
rows = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.integers(0, 2),
        st.sampled_from([None, "", "x", "y"]),
        st.sampled_from([(0.0, 1.0), (-0.0, 1.0), (1.0, 0.0)]),
    ),
    max_size=12,
)


def batches(rows, cut):
    """As a stream of two batches, one of them a slice of a longer one."""
    columns = list(zip(*rows, strict=True)) or [()] * 4
    arrays = [pa.array(list(values), field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    whole = pa.record_batch(arrays, schema=SCHEMA)
    return iter([whole.slice(0, cut), whole.slice(cut)])


def by_item(rows):
    found = {}
    for id_, part, text, vector in rows:
        found.setdefault(id_, Counter())[part, text, np.float32(vector).tobytes()] += 1
    return found


@given(rows, rows, st.integers(0, 12), st.booleans())
def test_changes_equal_brute_force(old, new, cut, small):
    if small:  # little changed
        new = [*reversed(old[1:]), *new[:1]]
    there, wanted = prints(batches(old, cut)), prints(batches(new, cut))
    changes = Changes.between(there, wanted)
    before, after = by_item(old), by_item(new)
    differ = {id_ for id_ in before.keys() | after.keys() if before.get(id_) != after.get(id_)}
    assert changes.out.to_pylist() == sorted(differ & before.keys())
    assert changes.into.to_pylist() == sorted(differ & after.keys())
    assert len(changes) == len(differ)
    rows_of = dict(zip(wanted["id"].to_pylist(), wanted["rows"].to_pylist(), strict=True))
    assert rows_of == {id_: found.total() for id_, found in after.items()}


def test_what_reading_raises_passes_as_it_is():
    def lost():
        yield from batches([("a", 0, "x", (0.0, 1.0))], 1)
        raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        prints(lost())
