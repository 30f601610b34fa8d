"""Blocks change nothing on disk: the bytes are those of items one by one."""

import csv
import datetime
import json
import pickle
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata import files, rowgroups
from gendata.ingest import IngestParams, SourceParams, blocks, ingest, parted, scan, table
from gendata.ingest.blocks import Block, Gathered
from gendata.ingest.records import columnar, isolated, lines
from gendata.items import ITEM_SCHEMA, ORIGINS, Item, Reject, to_table

SOURCE = SourceParams("table", "unknown", "data", label="l", license="x")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MAYBE = st.none() | TEXT
ITEMS = st.builds(
    Item,
    modality=st.sampled_from(["text", "image"]),
    uri=TEXT.map(lambda name: f"a#{name}"),
    media_type=st.just("text/plain"),
    text=MAYBE,
    data=st.none() | st.binary(max_size=30),
    text_origin=MAYBE,
    parents=st.just(()) | st.lists(TEXT, max_size=2).map(tuple),
    origin=st.none() | st.sampled_from(ORIGINS),
    label=MAYBE,
    license=MAYBE,
    meta=st.dictionaries(TEXT, MAYBE | st.floats(), max_size=2),
    marks=st.just(()) | st.just(({"mark": "png"},)),
)


def bytes_of(folder):
    return [path.read_bytes() for path in files.shards(folder)]


def finished(some):
    gathered = Gathered("s", SOURCE)
    return [item for item in map(gathered.finished, some) if isinstance(item, Item)]


@settings(deadline=None, max_examples=60)
@given(st.lists(ITEMS, max_size=30), st.integers(1, 3), st.randoms(use_true_random=False), st.data())
def test_shards_of_rows_and_of_blocks_have_the_same_bytes(tmp_path_factory, some, times, random, data):
    items, folder = finished(some) * times, tmp_path_factory.mktemp("shards")
    metas = [item.meta_json() for item in items]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SHARD_MIN_ROWS", "SHARD_MEAN_ROWS"):
            patch.setattr(files, name, data.draw(st.integers(1, 6)))
        patch.setattr(files, "SHARD_MAX_ROWS", data.draw(st.integers(3, 40)))
        patch.setattr(files, "SHARD_BYTES", data.draw(st.integers(500, 20_000)))
        patch.setattr(rowgroups, "GROUP_ROWS", data.draw(st.integers(1, 20)))
        patch.setattr(rowgroups, "GROUP_BYTES", data.draw(st.integers(300, 9000)))
        writer = files.ShardWriter(folder / "rows", ITEM_SCHEMA)
        ended = [writer.write(item.row("s", "", None)) is not None for item in items]
        writer.close()
        writer, at = files.ShardWriter(folder / "blocks", ITEM_SCHEMA), 0
        while at < len(items):
            if random.random() < 0.2:
                assert (writer.write(items[at].row("s", "", None)) is not None) == ended[at]
                at += 1
                continue
            end = random.randrange(at, len(items)) + 1
            texts = [None if item.text is None else item.text.encode() for item in items[at:end]]
            contents = [text or b"" if i.data is None else i.data for i, text in zip(items[at:end], texts, strict=True)]
            block = blocks.to_block(items[at:end], metas[at:end], "s", texts, contents)
            block = pickle.loads(pickle.dumps(block)) if random.random() < 0.5 else block
            assert block.rows.equals(to_table([item.row("s", "", None) for item in items[at:end]], ITEM_SCHEMA))
            taken, rest = block.cut(writer.room(block.rows, block.sizes))
            assert (len(taken), len(rest)) == (len(taken), end - at - len(taken))
            at += len(taken)
            assert (writer.extend(taken.rows, taken.sizes) is not None) == ended[at - 1]
            assert not any(ended[at - len(taken) : at - 1])
        writer.close()
    assert bytes_of(folder / "rows") == bytes_of(folder / "blocks")


@given(st.lists(ITEMS | st.builds(Reject, TEXT, TEXT, TEXT)), st.integers(1, 3000), st.integers(1, 9))
def test_gathered_outcomes_keep_their_order(some, size, few):
    gathered = Gathered("s", SOURCE)
    wanted = [o.uri for o in map(gathered.finished, some)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_BYTES", size)
        patch.setattr(blocks, "_FEW", few)
        found = list(gathered.outcomes(some))
    uris = [each.rows["uri"].to_pylist() if isinstance(each, Block) else [each.uri] for each in found]
    assert [uri for one in uris for uri in one] == wanted
    assert all(each.uri == of[0] for each, of in zip(found, uris, strict=True))


def test_a_block_is_no_larger_where_other_columns_than_the_text_are(monkeypatch):
    large = [Item(modality="text", uri=f"a#{i}", media_type="m", text="t", label="l" * 9000) for i in range(99)]
    large += [Item(modality="text", uri=f"a#{i}", media_type="m", text="t", license="l" * 9000) for i in range(99)]
    monkeypatch.setattr(blocks, "_BYTES", 90_000)
    found = list(Gathered("s", SOURCE).outcomes(large))
    assert sum(map(len, found)) == 198
    assert max(map(len, found)) == 10


def test_texts_beyond_the_offsets_of_their_type_are_whole(monkeypatch):
    """As two gigabytes in one column would be."""
    monkeypatch.setattr(blocks, "_OFFSETS", {pa.string(): np.int8})
    values = [f"{i}é" * 10 for i in range(20)]
    assert blocks._array(values, pa.string()).to_pylist() == values
    assert blocks._array(values[:3], pa.large_string()).to_pylist() == values[:3]


WORDS = [
    "ash",
    "bay über",
    "日本 cove",
    "\u3000\u2003",
    " ",
    "",
    "\n dune",
    "x" * 50,
    "é",
    "\x85",
    "\x7f\x00elm",
    "\u00a0a",
]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS)
ROW = st.fixed_dictionaries(
    {"text": st.sampled_from(WORDS) | st.sampled_from(WORDS) | VALUES},
    optional={
        "label": VALUES,
        "origin": st.sampled_from([*ORIGINS, None, "", "odd"]),
        "split": st.sampled_from(["train", "dev", "odd", None, 3]),
        "license": st.none() | TEXT,
        "more": VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
    },
)


def jsonl(path, rows, rng):
    def line(row):
        return json.dumps(row, ensure_ascii=rng.random() < 0.5) if rng.random() < 0.9 else rng.choice(["{", "", "[1]"])

    Path(path).write_bytes("\n".join(map(line, rows)).encode("utf-8", "surrogatepass"))


def delimited(path, rows, rng):
    with Path(path).open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "more"])
        writer.writerows(
            [str(row.get(name, "")).replace("\0", "") for name in ("text", "label", "more")] for row in rows
        )


def columns(rows, rng):
    """Mostly what a table holds; sometimes nulls, other types, bytes that are not UTF-8."""
    plain = rng.random() < 0.5
    words = [w for w in WORDS if w.strip()]
    texts = [t if isinstance(t := row["text"], str) and (t in words or not plain) else "elm" for row in rows]
    found = {"text": pa.array(texts, rng.choice([pa.string(), pa.large_string()])), "n": pa.array(range(len(rows)))}
    if not plain and rng.random() < 0.5 and rows:
        broken = [None if rng.random() < 0.1 else t.encode() + b"\xff" * (rng.random() < 0.1) for t in texts]
        found["text"] = pa.array(broken, pa.binary()).view(pa.string())
    if rng.random() < 0.3:
        found["text"] = found["text"].dictionary_encode() if found["text"].null_count == 0 and plain else found["text"]
    labels = [row.get("label") for row in rows]
    found["label"] = pa.array([x if isinstance(x, str) else None for x in labels], pa.string())
    if not plain:
        found["origin"] = pa.array([row.get("origin") for row in rows], pa.string())
        found["split"] = pa.array([str(row.get("split")) for row in rows])
    found["at"] = pa.array([datetime.datetime(2024, 1, 1 + i % 28) for i in range(len(rows))], rng.choice(TIMES))
    found["score"] = pa.array([rng.choice([0.1, 1e-7, 1e22, float("nan"), None]) for _ in rows], pa.float64())
    return pa.table(found)


TIMES = [pa.timestamp("ms"), pa.timestamp("ns")]


def parquet(path, rows, rng):
    pq.write_table(columns(rows, rng), path, row_group_size=rng.choice([3, 1000]))


def arrow(path, rows, rng):
    pf.write_feather(columns(rows, rng), path, chunksize=rng.choice([3, 1000]), compression="uncompressed")


def everything(out, source, workers):
    shutil.rmtree(".gendata", ignore_errors=True)
    limits = IngestParams(workers=workers, max_text_chars=40)
    summary = ingest("s", source, Path.cwd(), Path("scan/s.parquet"), Path(out), limits)
    return summary, [(p.name, p.read_bytes()) for p in sorted(Path(out).rglob("*.parquet"))]


@settings(deadline=None, max_examples=80)
@given(st.lists(ROW, max_size=25), st.integers(1, 3), st.randoms(use_true_random=False))
@pytest.mark.parametrize("write", [jsonl, delimited, parquet, arrow])
def test_a_table_gives_the_bytes_of_its_items(tmp_path_factory, write, rows, times, random):
    ending = {jsonl: "jsonl", delimited: "csv", parquet: "parquet", arrow: "feather"}[write]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        for name, count in (("MIN", 4), ("MEAN", 4), ("MAX", 16)):
            patch.setattr(files, f"SHARD_{name}_ROWS", count)
        patch.setattr(blocks, "_BYTES", random.choice([1000, 5000, 1 << 20]))
        patch.setattr(blocks, "_FEW", random.choice([1, 8]))
        patch.setattr(columnar, "_BATCH_ROWS", random.choice([2, 7, 64]))
        patch.setattr(columnar, "_MERGED", random.choice([1, 3]))
        patch.setattr(isolated, "batches", lambda file, suffix, _: columnar.merged(columnar.opened(file, suffix)[1]))
        Path("data").mkdir()
        for number in range(2):
            write(f"data/{number}.{ending}", rows * times, random)
        mapping = random.choice([{}, {}, {"text": "text"}, {"text": "text", "label": "text"}])
        source = SourceParams("table", random.choice(ORIGINS), "data", label="l", map=mapping)
        scan({"s": source}, Path.cwd(), Path("scan"), IngestParams())
        found = everything("a", source, 1)
        patch.delattr(table, "blocks")
        assert everything("b", source, 1) == found


def test_plain_tables_in_columns_are_not_read_row_by_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    rows = {"text": [f"text {i}" for i in range(500)], "label": ["a"] * 500, "n": range(500)}
    pq.write_table(pa.table({k: list(v) for k, v in rows.items()}), "data/a.parquet")
    scan({"s": SOURCE}, tmp_path, Path("scan"), IngestParams())
    monkeypatch.setattr("gendata.ingest.rows.Rows.outcomes", lambda *_: 1 / 0)
    summary, _ = everything("a", SOURCE, 1)
    assert summary["read"] == 500


def test_processes_and_parts_of_any_size_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    rng = random.Random(0)
    jsonl("data/a.jsonl", [{"text": rng.choice(WORDS[:3]) * rng.randrange(9), "n": i} for i in range(3000)], rng)
    scan({"s": SOURCE}, tmp_path, Path("scan"), IngestParams())
    alone = everything("a", SOURCE, 1)
    monkeypatch.setattr(parted, "LARGE", 0)
    monkeypatch.setattr(lines, "_PART_BYTES", 3000)
    assert everything("b", SOURCE, 2) == alone
    assert alone[0]["rejected"] > 100
