"""Tables that bring tags or vectors: every row is used or a reject, and every item gets what is said of it."""

import csv
import io
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata import brought, files
from gendata.brought import TableParams
from gendata.errors import ParamsError
from gendata.ingest import IngestParams
from gendata.ingest.brought import Tags, Vectors, bring, scan_tables
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, Item

LIMITS = IngestParams(max_record_bytes=10_000, workers=1)
AT = Path("artifacts/ingest"), Path("artifacts/dedup")


def write_items(**sources):
    """Sources of (uri, content, kept); content in bytes is an image. Gives the ids by uri."""
    ids = {}
    for source, rows in sources.items():
        written, decided = [], []
        for uri, content, kept in rows:
            kind = {"data": content, "modality": "image"} if isinstance(content, bytes) else {"text": content}
            kind |= {"modality": "record"} if uri.endswith(".json") else {}
            item = Item(**{"modality": "text", **kind}, uri=uri, media_type="x/y")
            ids[uri] = item.id
            written.append(item.row(source, "real", None))
            row = dict.fromkeys(DECISION_SCHEMA.names) | {"id": item.id, "source": source, "uri": uri}
            decided.append(row | {"kept": kept, "kept_id": item.id, "group": item.id, "copies": 1})
        files.write_table(AT[0] / source / "items" / "00000.parquet", written, ITEM_SCHEMA)
        files.write_table(AT[1] / source / "00000.parquet", decided, DECISION_SCHEMA)
    return ids


@pytest.fixture
def items(project):
    return write_items


def brings(tables, kind=None, sources=("s",)):
    """Values by id, rejects as (uri, reason) by source, and the summary; every row is accounted for."""
    tables = {name: table if isinstance(table, TableParams) else TableParams(**table) for name, table in tables.items()}
    with bring(tables, kind or Tags(), Path(), AT, sources, LIMITS) as (folder, summary):
        found, rejects = {}, {}
        for source in sources:
            found |= (brought.values if isinstance(kind, Tags | None) else vectors)(folder, source, "00000.parquet")
            rows = files.read_table(folder / source / brought.REJECTED).to_pylist()
            assert all(r["detail"].isprintable() and r["source"] == source for r in rows)
            rejects[source] = [(row["uri"], row["reason"]) for row in rows]
    counted = Counter(reason for rows in rejects.values() for _, reason in rows)
    assert counted == sum((Counter(one["rejected"]) for one in summary.values()), Counter())
    assert all(one["rows"] == one["used"] + sum(one["rejected"].values()) for one in summary.values())
    assert not list(Path(".gendata").glob("brought-*"))
    return found, rejects, summary


def vectors(folder, source, shard):
    """The vector of each image, or the passages of each text, in the order of the items."""
    path = folder / source / shard
    rows = files.read_table(path).to_pylist() if path.is_file() else []
    found = {}
    for row in rows:
        assert row["part"] == len(found.setdefault(row["id"], []))
        found[row["id"]].append((row["start"], row["end"], np.float32(row["vector"])))
    assert [row["id"] for row in rows] == [id_ for id_, parts in found.items() for _ in parts]
    return {id_: parts[0][2] if parts[0][0] is None else parts for id_, parts in found.items()}


def test_a_csv_by_uri(items):
    ids = items(s=[("a.txt", "one", True), ("b c%23.txt", "two", True), ("d.txt", "far", False)])
    Path("scores.csv").write_text(
        "file,score,verdict,empty\na.txt,5.25,good,\n./b c#.txt,-3,01,\nd.txt,1,x,\nzz.txt,1,x,\na.txt,9,bad,\n,1,x,\n"
        "a.txt,,,\n"
    )
    found, rejects, summary = brings(
        {"t": {"path": "scores.csv", "source": "s", "key": "file", "columns": ("score", "verdict", "empty")}}
    )
    assert {key: json.loads(value) for key, value in found.items()} == {
        ids["a.txt"]: {"score": 5.25, "verdict": "good"},
        ids["b c%23.txt"]: {"score": -3, "verdict": "01"},
    }
    assert rejects["s"] == [
        ("scores.csv#3", "dropped-item"),
        ("scores.csv#4", "unmatched-key"),
        ("scores.csv#5", "duplicate-key"),
        ("scores.csv#6", "invalid-key"),
        ("scores.csv#7", "empty"),
    ]
    assert summary["tag.t"]["used"] == 2


def test_an_equal_copy_stands_for_what_stays_and_tables_meet(items):
    ids = items(a=[("x.txt", "one", True)], b=[("y.txt", "one", False), ("z.txt", "two", True)])
    Path("one.jsonl").write_text(json.dumps({"uri": "y.txt", "m": {"k": [1, None]}, "n": float(2)}) + "\n")
    rows = [(ids["x.txt"].upper(), 7, 1.5), (ids["z.txt"], 8, float("nan")), ("0" * 64, 1, 1.0)]
    pq.write_table(pa.table(dict(zip(("id", "n", "o"), zip(*rows, strict=True), strict=True))), "two.parquet")
    by_id = TableParams("two.parquet", ("o",), by="id")
    tables = {"one": TableParams("one.jsonl", ("m", "n"), "b"), "two": by_id}
    found, rejects, _ = brings(tables, sources=("b", "a"))
    assert {key: json.loads(value) for key, value in found.items()} == {
        ids["x.txt"]: {"m": {"k": [1, None]}, "n": 2.0, "o": 1.5}
    }
    # what is about no source stands with the first
    assert rejects == {"a": [("two.parquet#2", "empty"), ("two.parquet#3", "unmatched-key")], "b": []}
    tables["two"] = TableParams("two.parquet", ("n", "o"), by="id")
    found, rejects, _ = brings(tables, sources=("a", "b"))
    assert ("two.parquet#1", "duplicate-key") in rejects["a"]  # n came with the first table
    assert json.loads(found[ids["z.txt"]]) == {"n": 8}
    tables["two"] = TableParams("two.parquet", ("o",), source="a", by="id")  # where z.txt is not
    _, rejects, _ = brings(tables, sources=("a", "b"))
    assert rejects == {"a": [("two.parquet#2", "empty"), ("two.parquet#3", "unmatched-key")], "b": []}


def test_vectors_are_of_one_length_finite_and_scaled(items):
    ids = items(s=[(f"{i}.png", bytes([i]), True) for i in range(6)] + [("t.txt", "text", True)])
    cells = [[3.0, 4.0], [1e200, 0.0], [1e-200, 1e-200], [1.0], [0.0, 0.0], [1.0, None], [1.0, 1.0], [0.0, 1.0]]
    keys = [*(f"{i}.png" for i in range(6)), "t.txt", "0.png"]
    pq.write_table(pa.table({"uri": keys, "v": cells}), "v.parquet")
    found, rejects, _ = brings({"clip": TableParams("v.parquet", ("v",), "s")}, Vectors("image"))
    assert found.keys() == {ids[f"{i}.png"] for i in range(3)}
    assert found[ids["0.png"]].tolist() == np.float32([0.6, 0.8]).tolist()
    assert all(np.isclose(np.linalg.norm(vector), 1) and vector.dtype == np.float32 for vector in found.values())
    assert [reason for _, reason in rejects["s"]] == [
        "wrong-length", "invalid-vector", "invalid-vector", "not-an-image", "duplicate-key",
    ]  # fmt: skip
    Path("v.csv").write_text('uri,v\n0.png,"[1, 0]"\n1.png,"[1, x]"\n2.png,\n3.png,"[[1, 2]]"\n4.png,7\n')
    found, rejects, _ = brings({"clip": TableParams("v.csv", ("v",), "s")}, Vectors("image"))
    assert found[ids["0.png"]].tolist() == [1, 0]
    assert [reason for _, reason in rejects["s"]] == ["invalid-vector", "empty", "invalid-vector", "invalid-vector"]


def test_vectors_of_texts_and_of_their_passages(items):
    ids = items(
        s=[
            ("a.txt", "one, two 😀!", True),
            ("b.json", '{"k":1}', True),
            ("c.txt", "three", True),
            ("d.png", b"1", True),
        ],
        t=[("copy.txt", "three", False), ("near.txt", "tree", False), ("empty.txt", "", True)],
    )
    said = [
        ("a.txt", 5, 10, [0, 3]), ("a.txt", 0, 8, [4, 3]), ("a.txt", None, None, [1, 0]), ("a.txt", 5, 11, [0, 1]),
        ("a.txt", 5, 12, [0, 1]), ("a.txt", 0, 11, [0, 1]), ("b.json", None, None, [5, 0]), ("d.png", 0, 1, [1, 0]),
        ("a.txt", 3, None, [1, 0]), ("a.txt", 3, 3, [1, 0]), ("a.txt", -1, 3, [1, 0]), ("c.txt", 0, 5, [1, 2, 3]),
        ("c.txt", 1 << 60, (1 << 60) + 1, [1, 0]), ("c.txt", None, None, None), ("gone.txt", 0, 1, [1, 0]),
    ]  # fmt: skip
    columns = dict(zip(("uri", "start", "end", "v"), map(list, zip(*said, strict=True)), strict=True))
    pq.write_table(pa.table(columns), "v.parquet")
    offsets = [(1.0, 3), (1.5, 3), (True, 3), ("1", 3), (0, 1e300)]
    more = [{"uri": "copy.txt", "v": [0, 2], "from": start, "to": end} for start, end in offsets]
    more += [{"uri": "near.txt", "v": [1, 0]}, {"uri": "empty.txt", "v": [1, 0]}]
    Path("w.jsonl").write_text("".join(json.dumps(row) + "\n" for row in more))
    tables = {
        "v": TableParams("v.parquet", ("v", "start", "end"), "s"),
        "w": TableParams("w.jsonl", ("v", "from", "to"), "t"),
    }
    found, rejects, summary = brings(tables, Vectors("text"), ("s", "t"))
    assert {id_: [(s, e, v.tolist()) for s, e, v in parts] for id_, parts in found.items()} == {
        ids["a.txt"]: [(0, 8, np.float32([0.8, 0.6]).tolist()), (0, 11, [1, 0]), (5, 10, [0, 1]), (5, 11, [0, 1])],
        ids["b.json"]: [(0, 7, [1, 0])],
        ids["c.txt"]: [(1, 3, [0, 1])],
    }
    assert rejects == {
        "s": [
            ("v.parquet#5", "invalid-offsets"), ("v.parquet#6", "duplicate-key"), ("v.parquet#8", "not-a-text"),
            *((f"v.parquet#{n}", "invalid-offsets") for n in (9, 10, 11)),
            ("v.parquet#12", "wrong-length"), ("v.parquet#13", "invalid-offsets"), ("v.parquet#14", "empty"),
            ("v.parquet#15", "unmatched-key"),
        ],
        "t": [
            *((f"w.jsonl#{n}", "invalid-offsets") for n in (2, 3, 4, 5)),
            ("w.jsonl#6", "dropped-item"), ("w.jsonl#7", "invalid-offsets"),
        ],
    }  # fmt: skip
    assert summary["embed.text.v"]["used"] == 5
    rows = ["uri,start,end,v", 'a.txt,0.0,3,"[1, 0]"', 'a.txt,,,"[1, 0]"', 'a.txt,0x1,3,"[1, 0]"', 'a.txt,٣,9,"[1, 0]"']
    Path("v.csv").write_text("\n".join(rows))
    found, rejects, _ = brings({"v": TableParams("v.csv", ("v", "start", "end"), "s")}, Vectors("text"))
    assert [part[:2] for part in found[ids["a.txt"]]] == [(0, 3), (0, 11)]
    assert rejects["s"] == [("v.csv#3", "invalid-offsets"), ("v.csv#4", "invalid-offsets")]


SPANS = st.one_of(st.none(), st.integers(-1, 8))


@given(st.lists(st.tuples(st.sampled_from(["a.txt", "b.txt", "c.png"]), SPANS, SPANS), min_size=1, max_size=12))
def test_passages_go_to_the_first_row_that_brings_them(tmp_path_factory, rows):
    """Against a dict."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("rows"))
        texts = {"a.txt": "1234567", "b.txt": "ü😀ö"}
        ids = write_items(s=[*((uri, text, True) for uri, text in texts.items()), ("c.png", b"1", True)])
        lines = [{"uri": uri, "v": [1, n], "start": a, "end": b} for n, (uri, a, b) in enumerate(rows)]
        Path("t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        table = TableParams("t.jsonl", ("v", "start", "end"), "s")
        found, _, summary = brings({"t": table}, Vectors("text"))
        expected = {}
        for n, (uri, start, end) in enumerate(rows):
            whole = uri in texts and start is None and end is None
            span = (0, len(texts[uri])) if whole else (start, end)
            if uri in texts and None not in span and 0 <= span[0] < span[1] <= len(texts[uri]):
                expected.setdefault(ids[uri], {}).setdefault(span, n)
        given_ = {i: {(a, b): round(float(v[1] / v[0])) for a, b, v in parts} for i, parts in found.items()}
        assert given_ == expected
        assert [sorted(parts) for parts in given_.values()] == [list(parts) for parts in given_.values()]
        assert summary["embed.text.t"]["rows"] == len(rows)


@pytest.mark.parametrize("format_", ["jsonl", "arrow", "json", "tsv"])
def test_formats_bring_the_same(items, format_):
    ids = items(s=[("a", "one", True), ("b", "two", True)])
    rows = [{"uri": "a", "n": 1, "t": "x"}, {"uri": "b", "n": 2.5, "t": "ü"}]
    path = Path(f"t.{format_}")
    if format_ == "arrow":
        table = pa.Table.from_pylist([rows[0] | {"n": 1.0}, rows[1]])
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    elif format_ == "tsv":
        path.write_text("uri\tn\tt\na\t1\tx\nb\t2.5\tü\n")
    else:
        path.write_text(json.dumps(rows) if format_ == "json" else "\n".join(map(json.dumps, rows)))
    found, _, _ = brings({"t": TableParams(path.name, ("n", "t"), "s")})
    assert {k: json.loads(v) for k, v in found.items()} == {
        ids["a"]: {"n": 1, "t": "x"}, ids["b"]: {"n": 2.5, "t": "ü"},
    }  # fmt: skip


def test_a_broken_file_is_one_reject_and_a_missing_column_an_error(items):
    items(s=[("a", "one", True)])
    Path("t.parquet").write_bytes(b"PAR1 nothing of the kind")
    _, rejects, _ = brings({"t": TableParams("t.parquet", ("n",), "s")})
    assert rejects["s"] == [("t.parquet", "corrupt-file")]
    Path("t.csv").write_text("uri,m\na,1\n")
    with pytest.raises(ParamsError, match=r"t\.csv has no column 'n'; there are: uri, m"):
        brings({"t": TableParams("t.csv", ("n",), "s")})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"path": "t.csv", "columns": ("n",), "source": "x"}, "no source 'x'; there are: s"),
        ({"path": "no.csv", "columns": ("n",), "source": "s"}, "no.csv is no .jsonl"),
        ({"path": "t.txt", "columns": ("n",), "source": "s"}, "t.txt is no .jsonl"),
        ({"path": "artifacts/t.csv", "columns": ("n",), "source": "s"}, "lies in a folder that gendata writes"),
        ({"path": "a\0b.csv", "columns": ("n",), "source": "s"}, "is not the path of a table"),
    ],
)
def test_what_cannot_be_a_table_is_told_by_scan(project, table, message):
    Path("artifacts").mkdir()
    for path in ("t.csv", "t.txt", "artifacts/t.csv"):
        Path(path).write_text("uri,n\na,1\n")
    with pytest.raises(ParamsError, match=message):
        scan_tables({"tag": {"t": TableParams(**table)}}, ["s"], Path(), Path("out"), LIMITS)


def test_scan_sees_a_change_and_lists_no_images(project, image):
    (project / "data").mkdir()
    (project / "data" / "a.png").write_bytes(image())
    table = project / "data" / "t.csv"
    listings = []
    for text in ("uri,image\na.png,1\n", "uri,image\na.png,2\n"):
        table.write_text(text)
        scan_tables({"tag": {"t": TableParams("data/t.csv", ("image",), "s")}}, ["s"], Path(), Path("out"), LIMITS)
        listings.append(files.read_table(Path("out/tag.t.parquet")).to_pylist())
    assert [[row["uri"] for row in rows] for rows in listings] == [["t.csv"], ["t.csv"]]
    assert listings[0] != listings[1]


NAMES = st.sampled_from(["a.txt", "b.txt", "c.txt", "d e.txt", "f%.txt", ""])


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", "1", "2.5", "x", '"', "é"])), max_size=12))
def test_rows_go_to_the_first_that_names_an_item(tmp_path_factory, rows):
    """Against a dict."""
    root = tmp_path_factory.mktemp("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        there = [("a.txt", "1", True), ("b.txt", "2", False), ("c.txt", "1", False), ("f%25.txt", "3", True)]
        ids = write_items(s=there)
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerows([("uri", "n"), *rows])
        Path("t.csv").write_text(out.getvalue())
        found, rejects, summary = brings({"t": TableParams("t.csv", ("n",), "s")})
        expected = {}
        for key, value in rows:
            key = key.replace("%", "%25")
            if value and key in ids and ids[key] != ids["b.txt"]:
                expected.setdefault(ids[key], value)
        assert {k: str(json.loads(v)["n"]) for k, v in found.items()} == expected
        assert summary["tag.t"]["rows"] == len(rows)
        assert len(rejects["s"]) == summary["tag.t"]["rows"] - len(expected)


def mutate(rng, data):
    """Some bytes replaced, removed or put in, or the end cut off."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 10))):
        at = rng.randrange(len(data) or 1)
        data[at : at + rng.choice((0, 1, 4))] = rng.choice((b"", b"\0", b"\xff\xff", b'"', b"\n", rng.randbytes(3)))
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


def _fuzz(rounds, seed):
    rng = random.Random(seed)
    ids = write_items(s=[("a.png", b"1", True), ("b.png", "a text of five words", True)])
    names = ["a.png", "b.png", "c.png"] * 5
    rows = [{"uri": name, "n": i, "v": [1.0, float(i)], "m": i + 5} for i, name in enumerate(names)]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, "t.parquet")
    with pa.ipc.new_stream("t.arrow", table.schema) as writer:
        writer.write_table(table)
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("t.csv").write_text("uri,n,v,m\n" + "".join(f'{r["uri"]},{r["n"]},"{r["v"]}",{r["m"]}\n' for r in rows))
    whole = {suffix: Path(f"t.{suffix}").read_bytes() for suffix in ("parquet", "arrow", "jsonl", "csv")}
    for _ in range(rounds):
        for suffix, data in whole.items():
            Path(f"t.{suffix}").write_bytes(mutate(rng, data))
            kinds = (Tags(), ("n",)), (Vectors("image"), ("v",)), (Vectors("text"), ("v", "n", "m"))
            for kind, columns in kinds:
                try:
                    found, _, _ = brings({"t": TableParams(f"t.{suffix}", columns, "s")}, kind)
                except ParamsError:
                    continue  # the name of a column
                assert found.keys() <= set(ids.values())


def test_fuzz(project):
    _fuzz(8, 1)


@pytest.mark.soak
def test_fuzz_long(project):
    _fuzz(400, 2)
