"""Ad-hoc outputs: a new file per request, never changed; a broken one costs nothing but itself."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gendata.errors import StoreError
from gendata.generate.collect import gather
from gendata.items import OUTPUT_SCHEMA, Item
from gendata.records.outputs import OUTPUTS, read_adhoc, write_adhoc

CHECKPOINT = "c" * 64
FIRST, SECOND = "2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:06.000000Z"


def rows(*texts, created_at=FIRST, **changed):
    made = {"model": "rnn", "checkpoint_id": CHECKPOINT, "manifest_id": "d" * 64, "seed": 1, "request": "{}"}
    return [
        Item(modality="text", uri=f"c/{i}.txt", media_type="text/plain", text=text).row("rnn", "generated", None)
        | made
        | {"created_at": created_at}
        | changed
        for i, text in enumerate(texts)
    ]


def test_every_request_is_a_file_of_its_own(tmp_path):
    later = write_adhoc(tmp_path, rows("c", created_at=SECOND), SECOND, CHECKPOINT)
    earlier = write_adhoc(tmp_path, rows("a", "b"), FIRST, CHECKPOINT)
    before = {path: path.read_bytes() for path in (earlier, later)}
    assert write_adhoc(tmp_path, rows("a", "b"), FIRST, CHECKPOINT) == earlier
    assert {path: path.read_bytes() for path in (tmp_path / OUTPUTS).iterdir()} == before
    read = [(path, table["text"].to_pylist()) for path, table in read_adhoc(tmp_path / OUTPUTS)]
    assert read == [(earlier, ["a", "b"]), (later, ["c"])]
    assert next(read_adhoc(tmp_path / OUTPUTS))[1].schema == OUTPUT_SCHEMA


def test_a_request_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(pa.ArrowException):
        write_adhoc(tmp_path, rows("a", seed="one"), FIRST, CHECKPOINT)
    assert list((tmp_path / OUTPUTS).iterdir()) == []


def spoil(path, how):
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "columns":
        pq.write_table(pa.table({"id": ["a"]}), path)
    else:
        table = pq.read_table(path)
        at = table.schema.get_field_index("seed")
        pq.write_table(table.set_column(at, "seed", pa.array(["x"] * table.num_rows)), path)


@pytest.mark.parametrize("how", ["cut", "empty", "columns", "types"])
def test_a_broken_file_is_named_and_the_rest_goes_on(tmp_path, capsys, how):
    spoil(broken := write_adhoc(tmp_path, rows("a"), FIRST, CHECKPOINT), how)
    write_adhoc(tmp_path, rows("b", created_at=SECOND), SECOND, CHECKPOINT)
    (path, error), (_, good) = read_adhoc(tmp_path / OUTPUTS)
    assert path == broken
    assert isinstance(error, StoreError)
    assert broken.name in str(error)
    assert "\n" not in str(error)
    assert good["text"].to_pylist() == ["b"]
    sources = gather(tmp_path / "absent", tmp_path / OUTPUTS, [], tmp_path / "out")
    assert sources.keys() == {"rnn", "adhoc"}
    rejected = pq.read_table(tmp_path / "out" / "adhoc" / "rejected.parquet").to_pylist()
    assert [(r["uri"], r["reason"]) for r in rejected] == [(f"outputs/{broken.name}", "corrupt-parquet")]
    assert pq.read_table(tmp_path / "out" / "rnn" / "items")["text"].to_pylist() == ["b"]
    assert "corrupt-parquet" in capsys.readouterr().err


def test_the_same_output_twice_counts_once_and_the_first_stays(tmp_path):
    write_adhoc(tmp_path, rows("a"), FIRST, CHECKPOINT)
    write_adhoc(tmp_path, rows("a", "b", created_at=SECOND), SECOND, CHECKPOINT)
    gather(tmp_path / "absent", tmp_path / OUTPUTS, [], tmp_path / "out")
    kept = pq.read_table(tmp_path / "out" / "rnn" / "items").to_pylist()
    assert [(r["text"], r["created_at"]) for r in kept] == [("a", FIRST), ("b", SECOND)]
    assert [r["id"] for r in kept] == [hashlib.sha256(t.encode()).hexdigest() for t in "ab"]


def test_outputs_without_provenance_or_of_another_origin_do_not_pass(tmp_path):
    write_adhoc(tmp_path, rows("a", checkpoint_id=None), FIRST, CHECKPOINT)
    gather(tmp_path / "absent", tmp_path / OUTPUTS, [], tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "rnn" / "rejected.parquet")["reason"].to_pylist() == ["no-provenance"]
    write_adhoc(tmp_path, rows("b", origin="real", created_at=SECOND), SECOND, CHECKPOINT)
    with pytest.raises(StoreError, match="claims to be real"):
        gather(tmp_path / "absent", tmp_path / OUTPUTS, [], tmp_path / "out2")


@pytest.mark.parametrize(
    ("change", "reason"), [({"source": "../../escaped"}, "bad-source"), ({"id": "e" * 64}, "wrong-id")]
)
def test_rows_that_are_not_what_they_say_are_rejects(tmp_path, change, reason):
    write_adhoc(tmp_path, rows("a", **change), FIRST, CHECKPOINT)
    (source,) = gather(tmp_path / "none", tmp_path / OUTPUTS, [], tmp_path / "out")
    (reject,) = pq.read_table(tmp_path / "out" / source / "rejected.parquet").to_pylist()
    assert reject["reason"] == reason
    assert {p.name for p in tmp_path.iterdir()} == {"records", "out"}
