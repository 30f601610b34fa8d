import contextlib
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pyarrow as pa
import pytest
from search.here import rows_here, run_here
from search.shelves import encode, encode_image

from gendata.errors import ProjectError, QueryError
from gendata.items import GENERATED_BY
from gendata.search.attach import read_attachment, write_result
from gendata.search.sql import TABLES, Limits, open_sql, run_sql, select_ids
from gendata.search.views import OUTPUT_COLUMNS
from gendata.store.head import Head, Store
from gendata.store.place import Folder


def value(result):
    return result.column(0)[0].as_py()


def test_items_are_real_and_other(shelf):
    rows = run_sql("SELECT origin, count(*) AS n FROM items GROUP BY origin ORDER BY origin", shelf.stores).to_pylist()
    assert rows == [{"origin": "generated", "n": 80}, {"origin": "real", "n": 185}, {"origin": "unknown", "n": 20}]


def test_outputs_are_apart(shelf):
    assert value(run_sql("SELECT count(*) FROM outputs", shelf.stores)) == 0
    stores = {"real": shelf.stores["real"], "outputs": shelf.stores["other"]}
    counts = run_sql("SELECT (SELECT count(*) FROM items) AS i, (SELECT count(*) FROM outputs) AS o", stores)
    assert counts.to_pylist() == [{"i": 185, "o": 100}]
    assert value(run_sql("SELECT count(*) FROM items", {"outputs": shelf.stores["other"]})) == 0


def test_passages_come_from_lance_without_the_vector(shelf):
    expected = sum(len(row.passages) for rows in shelf.rows.values() for row in rows)
    assert value(run_sql("SELECT count(*) FROM passages", shelf.stores)) == expected
    row = run_sql("FROM passages JOIN items USING (id) WHERE label = 'bread'", shelf.stores).to_pylist()[0]
    assert run_sql("SELECT id FROM passages WHERE text = 'bread' AND part > 0", shelf.stores).num_rows == 1
    assert (row["text"], row["part"], row["start"], row["end"]) == ("bread", 1, 0, 5)
    assert "vector" not in row


def test_vectors_are_there_for_who_asks(shelf):
    expected = {
        (r.id, p): encode(t)
        for rows in shelf.rows.values()
        for r in rows
        for p, t in enumerate(r.passages, r.first_part)
    }
    rows = run_sql("SELECT * FROM passage_vectors", shelf.stores).to_pylist()
    assert len(rows) == len(expected)
    assert all(np.array_equal(row["vector"], expected[row["id"], row["part"]]) for row in rows)
    sql = """
        SELECT a.id = b.id AS same, array_cosine_similarity(a.vector, b.vector) AS score
        FROM passage_vectors a, passage_vectors b WHERE a.part = 0 AND b.part = 0 ORDER BY score DESC LIMIT 5"""
    assert all(row["same"] and row["score"] == pytest.approx(1) for row in run_sql(sql, shelf.stores).to_pylist())
    images = run_sql("FROM image_vectors", shelf.stores).to_pylist()
    pictures = {row.id: encode_image(row.data) for row in shelf.rows["real"] if row.data}
    assert {row["id"]: row["vector"] for row in images} == {i: v.tolist() for i, v in pictures.items()}


def test_vectors_of_one_passage(shelf):
    sql = "SELECT vector FROM passages JOIN passage_vectors USING (id, part) WHERE text = 'bread'"
    assert value(run_sql(sql, shelf.stores)) == encode("bread").tolist()
    id_ = next(row.id for row in shelf.rows["real"] if row.data)
    assert run_sql(f"SELECT vector FROM image_vectors WHERE id = '{id_}'", shelf.stores).num_rows == 1


def test_contents_are_the_original_bytes(shelf, tmp_path):
    import lance

    rows = [{"id": str(i), "text": None, "data": bytes([i]) * 100} for i in range(30)] + [
        {"id": "t", "text": "a text", "data": None}
    ]
    schema = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("data", pa.large_binary())])
    lance.write_dataset(pa.Table.from_pylist(rows, schema), tmp_path / "lance" / "items.lance")
    store = shelf.stores["real"]
    (tmp_path / store.catalog.name).symlink_to(store.catalog)
    stores = {"real": Store(tmp_path, Folder(tmp_path), Head(store.head.catalog, {"items": 1}))}
    found = {row["id"]: row["data"] for row in run_sql("FROM contents", stores).to_pylist()}
    assert found == {row["id"]: row["data"] for row in rows}
    assert value(run_sql("SELECT data FROM contents WHERE id = '7'", stores)) == rows[7]["data"]
    assert value(run_sql("SELECT id FROM contents WHERE data = repeat('\\x07', 100)::BLOB", stores)) == "7"
    made = {"outputs": stores["real"]}
    assert run_sql("FROM contents", made).num_rows == run_sql("FROM output_contents", stores).num_rows == 0
    assert {row["id"]: row["data"] for row in run_sql("FROM output_contents", made).to_pylist()} == found


def test_data_frames_can_be_asked_and_other_things_not(shelf):
    pandas = pytest.importorskip("pandas")
    mine = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert run_sql("SELECT sum(a) AS n FROM mine WHERE b IS NULL", shelf.stores, tables={"mine": mine}).to_pylist() == [
        {"n": 2}
    ]
    with pytest.raises(QueryError, match="table mine: give an Arrow table"):
        run_sql("FROM mine", shelf.stores, tables={"mine": [1]})


@pytest.mark.parametrize("sql", ["SHOW TABLES", "DESCRIBE items", "SUMMARIZE items", "VALUES (1)", "TABLE items"])
def test_other_spellings_of_select(shelf, sql):
    assert rows_here(sql, shelf.stores) > 0


def test_show_lists_the_public_tables_alone(shelf):
    names = run_sql("SHOW TABLES", shelf.stores).column("name").to_pylist()
    assert sorted(names) == sorted(TABLES)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list_sort([3, 1]), regexp_replace('a', 'a', 'b'), strftime(DATE '2020-01-01', '%Y')",
        "SELECT meta->>'$.a', json_extract(meta, '$.a') FROM items LIMIT 1",
        "SELECT x FROM range(3) t(x), unnest([1, 2]) u(y)",
        "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < 5) SELECT sum(i) FROM t",
        "PIVOT items ON origin IN ('real') USING count(*) GROUP BY source",
        "SELECT row_number() OVER (ORDER BY id), [x * 2 FOR x IN [1, 2]] FROM items QUALIFY row_number() OVER () < 3",
        "SELECT * FROM information_schema.tables",
        "SELECT 1 -- a comment",
        "SELECT 1;",
    ],
)
def test_ordinary_sql_works(shelf, sql):
    assert rows_here(sql, shelf.stores) > 0


def test_ctrl_c_ends_the_query(shelf):
    code = (
        "import signal, sys; from pathlib import Path; from gendata.store.head import Store\n"
        "from gendata.search.sql import run_sql\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored\n"
        "run_sql('SELECT count(*) FROM range(1000000000000)', {'real': Store.open(Path(sys.argv[1]))})\n"
    )
    command = [sys.executable, "-c", code, str(shelf.stores["real"].path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (children := psutil.Process(process.pid).children()):
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    assert not children[0].is_running()


def test_stores_are_unchanged_by_all_this(shelf):
    assert value(run_sql("SELECT count(*) FROM items", shelf.stores)) == 285


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT lable FROM items", '"label"'),
        ("SELECT * FROM itmes", '"items"'),
        ("SELECT * FROM items WHERE", "syntax error"),
        ("SELECT 'a'::INTEGER", "Could not convert"),
        ("PIVOT items ON origin USING count(*)", "IN ('a', 'b')"),
    ],
)
def test_errors_keep_their_hint(shelf, sql, expected):
    with pytest.raises(QueryError) as error:
        run_here(sql, shelf.stores)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_rows_stream_and_a_reader_that_stops_ends_the_query(shelf):
    with open_sql("SELECT i, repeat('x', 100) FROM range(10000000000) t(i)", shelf.stores) as reader:
        first = reader.read_next_batch()
    assert first.column(0)[0].as_py() == 0


def test_the_caller_s_own_time_does_not_count(shelf):
    with open_sql("SELECT i FROM range(5000000) t(i)", shelf.stores, limits=Limits(timeout=4.0)) as reader:
        count = reader.read_next_batch().num_rows
        time.sleep(4.5)
        count += sum(batch.num_rows for batch in reader)
    assert count == 5_000_000


def test_an_error_after_the_first_rows_is_an_error(shelf):
    sql = "SELECT CASE WHEN i < 3000000 THEN 1 ELSE error('late') END FROM range(4000000) t(i)"
    with open_sql(sql, shelf.stores) as reader:
        assert reader.read_next_batch().num_rows
        with pytest.raises(QueryError, match="late"):
            reader.read_all()


def test_no_child_outlives_its_parent(shelf):
    code = (
        "import os, signal, sys, threading; from pathlib import Path; from gendata.store.head import Store\n"
        "from gendata.search.sql import run_sql\n"
        "threading.Timer(0.8, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()\n"
        "run_sql('WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) AS orphan_probe "
        "FROM t', {'real': Store.open(Path(sys.argv[1]))})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(shelf.stores["real"].path)])
    children = []
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children() or children
        time.sleep(0.1)
    assert children
    gone, _ = psutil.wait_procs(children, timeout=30)
    assert gone == children


def test_conditions(shelf):
    found = select_ids("quality > 0.8 -- good ones", shelf.stores)
    assert set(found["real"].to_pylist()) == {r.id for r in shelf.rows["real"] if r.quality > 0.8}
    assert found["other"].to_pylist() == []
    nested = select_ids("id IN (SELECT id FROM passages WHERE text = 'bread') OR false", shelf.stores)
    assert [len(ids) for ids in nested.values()] == [1, 0]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_attached_files_join(shelf, tmp_path, name):
    row = shelf.rows["real"][0]
    path = tmp_path / name
    if name == "a.parquet":
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"id": [row.id], "mark": [3]}), path)
    elif name == "a.jsonl":
        path.write_text(f'{{"id": "{row.id}", "mark": 3}}\n')
    else:
        between = "," if name == "a.csv" else "\t"
        path.write_text(f"id{between}mark\n{row.id}{between}3\n")
    sql = "SELECT mark, source FROM items JOIN mine USING (id)"
    result = run_sql(sql, shelf.stores, tables={"mine": read_attachment(path)})
    assert result.to_pylist() == [{"mark": 3, "source": "docs"}]


@pytest.mark.parametrize(
    "name", ["items", "Passages", "Runs", "manifest_items", "1a", "a b", "lance_real", 'x"; DROP VIEW items']
)
def test_attached_names_are_checked(shelf, name):
    with pytest.raises(QueryError, match="cannot be the name"):
        run_sql("SELECT 1", shelf.stores, tables={name: pa.table({"a": [1]})})


@pytest.mark.parametrize(
    ("name", "content"),
    [("absent.csv", None), ("empty.csv", b""), ("bad.parquet", b"PAR"), ("bad.jsonl", b"{]"), ("a.xlsx", b"")],
)
def test_unreadable_attachments(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(QueryError) as error:
        read_attachment(tmp_path / name)
    assert name in str(error.value)


def test_outputs_are_typed_where_there_are_none(shelf):
    described = run_sql("DESCRIBE outputs", shelf.stores).to_pylist()
    items = run_sql("DESCRIBE items", shelf.stores).to_pylist()
    columns = {row["column_name"]: row["column_type"] for row in described}
    assert list(columns) == [row["column_name"] for row in items] + list(OUTPUT_COLUMNS)
    assert columns.items() >= OUTPUT_COLUMNS.items()
    assert columns["seed"] == "BIGINT"
    assert set(OUTPUT_COLUMNS) == set(GENERATED_BY.names)
    assert run_sql("SELECT model, seed + 1 FROM outputs", shelf.stores).num_rows == 0


def test_the_ledger_is_handed_in_as_tables(shelf):
    ledger = {
        "manifests": pa.table({"manifest_id": ["a", "b"]}),
        "runs": pa.table({"run_id": pa.array([], pa.string())}),
    }
    sql = "SELECT manifest_id, (SELECT count(*) FROM runs) AS runs FROM Manifests ORDER BY 1"
    assert run_sql(sql, shelf.stores, ledger=ledger).to_pylist() == [
        {"manifest_id": "a", "runs": 0},
        {"manifest_id": "b", "runs": 0},
    ]
    names = run_sql("SHOW TABLES", shelf.stores, ledger=ledger)["name"].to_pylist()
    assert {"manifests", "runs", "items", "outputs"} <= set(names)
    with pytest.raises(QueryError, match="runs"):
        run_sql("FROM runs", shelf.stores)


def test_results_are_written_whole_or_not_at_all(shelf, tmp_path):
    with open_sql("SELECT id, origin FROM items ORDER BY id", shelf.stores) as rows:
        assert write_result(rows, tmp_path / "out.csv") == 285
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 286
    sql = "SELECT CASE WHEN i < 300000 THEN 1 ELSE error('late') END AS x FROM range(400000) t(i)"
    with pytest.raises(QueryError, match="late"), open_sql(sql, shelf.stores) as rows:
        write_result(rows, tmp_path / "late.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_no_store(shelf):
    with pytest.raises(ProjectError, match="gendata run"):
        run_sql("SELECT 1", {})


def test_lean_imports():
    code = (
        "import sys, gendata.search.sql, gendata.search.sandbox; "
        "print([m for m in ('lancedb', 'lance', 'torch', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
