"""Work shared out in ingest gives what one thread gives: parts of tables, batches of files, quick JSON."""

import io
import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.ingest import IngestParams, SourceParams, parted
from gendata.ingest.pool import ordered
from gendata.ingest.reader import UnitError
from gendata.ingest.records import lines, parse_json, parts, records

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def told(found):
    return [(n, (r.reason, r.detail) if isinstance(r, UnitError) else r) for n, r in found]


@given(
    st.lists(
        st.sampled_from([b'{"a": 1}', b'{"b": "\xc3\xa9"}', b"", b" ", b"[1]", b"{", b"x" * 50, b"\xef\xbb\xbf{}"])
    ),
    st.integers(1, 60),
    st.booleans(),
)
def test_parts_of_a_file_are_the_whole(some, size, ends):
    data = b"\n".join(some) + b"\n" * ends
    params = IngestParams(max_record_bytes=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_PART_BYTES", size)
        cut = list(parts(io.BytesIO(data)))
    if data:
        found = [outcome for part in cut for outcome in told(records(io.BytesIO(data), ".jsonl", params, part))]
        assert found == told(records(io.BytesIO(data), ".jsonl", params))
    assert len(cut) >= 1


def same(a, b):
    """Equal, and of the same types, with 0.0 apart from -0.0 and keys in the same order."""
    return repr(a) == repr(b)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_json_is_read_as_by_the_standard_library(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert same(parse_json(text.encode()), json.loads(text))


ODD = """-0 1E5 1e999 -1e999 0.30000000000000004441 2.2250738585072011e-308 18446744073709551615 18446744073709551616
-9223372036854775808 -9223372036854775809 111111111111111111111111111111 {"a":1,"b":2,"a":3} "\\ud83d\\ude00" """


@pytest.mark.parametrize("text", ODD.split())
def test_odd_json_is_read_as_by_the_standard_library(text):
    assert same(parse_json(text.encode()), json.loads(text))
    nested = f'{{"x": [{text}]}}'
    assert same(parse_json(nested.encode()), json.loads(nested))
    assert math.isinf(parse_json(b"1e999"))


@pytest.mark.parametrize("depth", [150, 250, 350, 980, 1000, 1020, 2000, 100_000])
def test_depth_is_judged_the_same_wherever_the_call_comes_from(depth):
    data = b"[" * depth + b"]" * depth

    def judged(frames):
        if frames:
            return judged(frames - 1)
        try:
            return repr(parse_json(data))
        except UnitError as error:
            return error.reason

    assert judged(0) == judged(100) == ("invalid-json" if depth > 300 else "[" * depth + "]" * depth)


def write_tables(folder):
    folder.mkdir()
    for name, count in (("a", 30_000), ("c", 10), ("d", 20_000)):
        with (folder / f"{name}.jsonl").open("w") as file:
            for i in range(count):
                file.write(f"{i} broken\n" if i % 97 == 0 else json.dumps({"text": f"{name} {i} " * 5, "n": i}) + "\n")
    (folder / "b.jsonl").touch()
    (folder / "e.jsonl").symlink_to("/etc/hostname")


def test_the_result_does_not_depend_on_processes(project, run, monkeypatch):
    write_tables(project / "rows")
    source = SourceParams("table", "real", "rows")
    alone = run(source, IngestParams(workers=1))
    monkeypatch.setattr(parted, "LARGE", 0)
    shared = run(source, IngestParams(workers=2))
    assert (shared.items, shared.rejects, shared.summary) == (alone.items, alone.rejects, alone.summary)
    assert shared.reasons()["b.jsonl"] == "empty"
    assert shared.reasons()["e.jsonl"] == "symlink-outside"


@given(st.lists(st.integers(0, 1 << 21)), st.integers(1, 3))
def test_batches_keep_the_order(sizes, workers):
    units = list(enumerate(sizes))
    assert list(ordered(lambda unit: unit[0], units, workers, lambda unit: unit[1])) == list(range(len(sizes)))


def test_few_units_are_taken_ahead():
    taken = []
    found = ordered(str, (taken.append(i) or i for i in range(10_000)), 2, lambda _: 300_000)
    assert next(found) == "0"
    assert len(taken) <= 6 * 4


MEASURE = """
import re, sys
from pathlib import Path
from gendata.ingest import IngestParams, SourceParams, ingest, scan

if __name__ == "__main__":
    source, root = SourceParams("table", "real", sys.argv[1]), Path(".")
    scan({"s": source}, root, Path("listings"), IngestParams())
    found = ingest("s", source, root, Path("listings/s.parquet"), Path("out"), IngestParams(workers=2))
    print(found["read"], re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_memory_does_not_grow_with_the_rows(project):
    (project / "measure.py").write_text(MEASURE)
    peaks = []
    for count in (10_000, 100_000):
        with (project / "a.jsonl").open("w") as file:
            file.writelines(json.dumps({"text": f"{i:08d}" * 80}) + "\n" for i in range(count))
        command = [sys.executable, "measure.py", "a.jsonl"]
        read, peak = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
        assert read == count
        peaks.append(peak)
    assert peaks[1] <= 1.3 * peaks[0]
