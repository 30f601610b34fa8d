"""What a statement tries to get out of the sandbox with, refused in one line each."""

import resource

import pytest
from search.here import run_here, where_here

from gendata.errors import QueryError
from gendata.search import SearchParams, sandbox, search
from gendata.search.expand import expand
from gendata.search.sql import Limits, run_sql, select_ids

FILES = {
    "replacement scan": "SELECT * FROM '{file}'",
    "replacement scan by identifier": 'SELECT * FROM "{file}"',
    "replacement scan in a catalog": 'FROM store_real."{file}"',
    "replacement scan of no rows": "SELECT * FROM '{file}' LIMIT 0",
    "replacement scan of the environment": "SELECT * FROM '/proc/self/environ.csv'",
    "relative path": "FROM 'secret.csv'",
    "pattern": "FROM '*.csv'",
    "table": "TABLE '{file}'",
    "describe": "DESCRIBE '{file}'",
    "summarize": "FROM (SUMMARIZE '{file}')",
    "pivot": "PIVOT '{file}' ON secret IN ('a') USING count(*)",
    "unpivot": "UNPIVOT '{file}' ON COLUMNS(*)",
    "read_csv": "FROM read_csv('{file}')",
    "read_csv with an alias before it": "FROM t: read_csv('{file}')",
    "read_text": "FROM read_text('{file}')",
    "read_text of the environment": "FROM read_text('/proc/self/environ')",
    "read_text of a list": "FROM read_text(['{file}', '/etc/hostname'])",
    "read_text quoted, in capitals, commented": """FROM "READ_text"/**/('{file}')""",
    "read_text by its schema": "FROM system.main.read_text('{file}')",
    "read_text as a scalar": "SELECT '{file}'.read_text()",
    "read_blob": "FROM read_blob('{file}')",
    "read_json_auto": "FROM read_json_auto('{file}')",
    "parquet_scan": "FROM parquet_scan('{file}')",
    "parquet_metadata": "FROM parquet_metadata('{file}')",
    "read_duckdb": "FROM read_duckdb('{file}')",
    "sniff_csv": "FROM sniff_csv('{file}')",
    "glob": "FROM glob('/*')",
    "histogram of a file": "FROM histogram_values('{file}', secret)",
    "in a subquery": "SELECT (SELECT max(content) FROM read_text('{file}'))",
    "in a condition": "SELECT * FROM items WHERE id IN (SELECT content FROM read_text('{file}'))",
    "in an order": "SELECT 1 ORDER BY (SELECT content FROM read_text('{file}'))",
    "in a limit": "SELECT 1 LIMIT (SELECT count(*) FROM read_text('{file}'))",
    "in an argument": "FROM range((SELECT count(*) FROM read_text('{file}')))",
    "in a lateral join": "FROM items i, read_text(i.uri)",
    "in a star": "SELECT * REPLACE ((SELECT content FROM read_text('{file}')) AS id) FROM items",
    "in values": "VALUES ((SELECT content FROM read_text('{file}')))",
    "copy to": "COPY items TO '{file}.out'",
    "copy over": "COPY (SELECT 1) TO '{file}'",
    "copy from": "COPY items FROM '{file}'",
    "copy in a comment's shadow": "/* SELECT */ COPY items TO '{file}.out'",
    "copy in a CTE": "WITH x AS (COPY items TO '{file}.out') FROM x",
    "copy in a CTE that nobody reads": "WITH x AS (SELECT 1), y AS MATERIALIZED (COPY items TO '{file}.out') FROM x",
    "copy in a CTE of a subquery": "SELECT EXISTS (WITH x AS (COPY items TO '{file}.out') FROM x)",
    "explain analyze copy": "EXPLAIN ANALYZE COPY items TO '{file}.out'",
    "explain analyze copy in a CTE": "EXPLAIN ANALYZE WITH x AS (COPY items TO '{file}.out') FROM x",
    "prepare copy": "PREPARE p AS COPY items TO '{file}.out'",
    "copy as a second statement": "SELECT 1; COPY items TO '{file}.out'",
    "copy behind a comment": "SELECT 1 /* ; */ ; COPY items TO '{file}.out'",
    "into outfile": "SELECT 1 INTO OUTFILE '{file}.out'",
    "export database": "EXPORT DATABASE '{file}.out'",
    "import database": "IMPORT DATABASE '{file}'",
    "attach a new file": "ATTACH '{file}.out' AS x",
    "attach as sqlite": "ATTACH '{file}' AS x (TYPE sqlite)",
    "attach over a store": "ATTACH OR REPLACE '{file}' AS store_real",
    "load a library": "LOAD '{file}'",
    "shell of the command line": ".shell touch {file}.out",
}
"""On a machine where ``{file}`` holds a secret; none may show it, change it, or write beside it."""

NETWORK = {
    "http by replacement scan": "SELECT * FROM 'https://127.0.0.1/x.csv'",
    "s3 by replacement scan": "SELECT * FROM 's3://bucket/x.parquet'",
    "http by function": "FROM read_csv('http://127.0.0.1/x.csv')",
    "attach by http": "ATTACH 'https://127.0.0.1/x.duckdb' AS x",
    "attach postgres": "ATTACH 'dbname=x' AS x (TYPE postgres)",
    "connect": "CONNECT 'x'",
    "install": "INSTALL httpfs",
    "install from a host": "FORCE INSTALL httpfs FROM 'http://127.0.0.1'",
    "load": "LOAD httpfs",
    "update extensions": "UPDATE EXTENSIONS",
    "create secret": "CREATE SECRET s (TYPE s3)",
}

CHANGES = {
    "attach memory": "ATTACH ':memory:' AS x",
    "detach": "DETACH store_real",
    "use": "USE store_real",
    "create table": "CREATE TABLE x (i INTEGER)",
    "create temporary table": "CREATE TEMP TABLE x AS SELECT 1",
    "create or replace view": "CREATE OR REPLACE VIEW items AS SELECT 1",
    "create macro": "CREATE MACRO f() AS 1",
    "create table macro": "CREATE TEMP MACRO f(x) AS TABLE FROM read_text(x)",
    "create type": "CREATE TYPE t AS ENUM ('a')",
    "create sequence": "CREATE SEQUENCE s",
    "drop": "DROP VIEW items",
    "alter": "ALTER TABLE store_real.items ADD COLUMN x INT",
    "truncate": "TRUNCATE store_real.items",
    "comment on": "COMMENT ON TABLE items IS 'x'",
    "insert": "INSERT INTO store_real.items SELECT * FROM items",
    "insert in a CTE": "WITH x AS (INSERT INTO store_real.items VALUES (1) RETURNING *) FROM x",
    "update in a CTE": "WITH x AS (UPDATE store_real.items SET id = '' RETURNING *) FROM x",
    "delete": "DELETE FROM store_real.items",
    "delete in a CTE": "WITH x AS (DELETE FROM store_real.items RETURNING *) FROM x",
    "delete as a subquery": "SELECT (DELETE FROM store_real.items RETURNING id)",
    "merge": "MERGE INTO store_real.items USING items ON true WHEN MATCHED THEN DELETE",
    "select into": "SELECT * INTO x FROM items",
    "checkpoint": "CHECKPOINT",
    "checkpoint by function": "FROM force_checkpoint()",
    "vacuum": "VACUUM",
    "begin": "BEGIN",
    "set": "SET threads = 1",
    "set what is locked": "SET GLOBAL enable_external_access = true",
    "set a variable": "SET VARIABLE a = 1",
    "reset": "RESET threads",
    "pragma": "PRAGMA memory_limit='100GB'",
    "call": "CALL duckdb_tables()",
    "explain": "EXPLAIN SELECT 1",
    "explain analyze": "EXPLAIN ANALYZE SELECT 1",
    "prepare": "PREPARE p AS SELECT 1",
    "execute": "EXECUTE p",
    "drop as a second statement": "SELECT 1; DROP VIEW items",
    "two selects": "SELECT 1; SELECT 2",
    "logging": "FROM enable_logging()",
    "write a log": "SELECT write_log('x')",
    "sequence": "SELECT nextval('x')",
    "seed": "SELECT setseed(0.5)",
}

INSIDE = {
    "environment": "SELECT getenv('GENDATA_SECRET')",
    "environment by dot": "SELECT 'GENDATA_SECRET'.getenv()",
    "environment in a lambda": "SELECT list_transform(['GENDATA_SECRET'], lambda x: getenv(x))",
    "environment in a plan": "SELECT json_serialize_plan('SELECT getenv(''GENDATA_SECRET'')', optimize := true)",
    "setting": "SELECT current_setting('threads')",
    "setting by show": "SHOW secret_directory",
    "setting by show in a subquery": "FROM (SHOW allowed_paths)",
    "setting in a plan": "SELECT json_serialize_plan('SELECT current_setting(''threads'')', optimize := true)",
    "settings": "FROM duckdb_settings()",
    "settings as a view": "FROM pg_catalog.pg_settings",
    "settings by the name of a table": "FROM histogram_values('pg_settings', setting)",
    "variable": "SELECT getvariable('x')",
    "paths": "FROM duckdb_databases",
    "paths summarized": "SUMMARIZE duckdb_databases",
    "paths by the name of a table": "FROM histogram('duckdb_databases', path)",
    "paths by a name in parts": "FROM histogram_values(source := 'duckdb_' || 'databases', col_name := path)",
    "paths by pragma": "FROM pragma_database_list",
    "pragma": "PRAGMA database_list",
    "pragma as a function": "FROM pragma_version()",
    "secrets": "FROM which_secret('a', 'b')",
    "base table": "FROM store_real.items",
    "base table described": "DESCRIBE store_real.main.items",
    "base tables listed": "SHOW TABLES FROM store_real",
    "base table of Lance": "SELECT vector FROM passages, lance_passages_real",
    "scan of a base table": "FROM seq_scan('items')",
    "statement in a text": "FROM query('SELECT 1')",
    "table in a text": "FROM query_table(['items'])",
    "statement in JSON": "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "statement in JSON by pragma": "PRAGMA json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "Python variable": "SELECT * FROM secret_table",
    "Python variable of the sandbox": "FROM request",
    "Python function": "FROM python_map_function(1)",
    "Arrow by address": "FROM arrow_scan(1, 2, 3)",
    "pandas by address": "FROM pandas_scan(1)",
    "state from bytes": "SELECT to_aggregate_state('sum', ['INTEGER'], 'x'::BLOB)",
    "state of an aggregate": "SELECT sum(1) EXPORT_STATE",
    "variant from bytes": "SELECT variant_bytes_to_variant('x'::BLOB)",
    "internal cast": "SELECT __internal_compress_string_ubigint('x')",
    "own text": "SELECT current_query()",
    "sleep": "SELECT sleep_ms(100000)",
    "parameter by place": "SELECT ?",
    "parameter by name": "SELECT $name",
    "nothing": "",
    "a comment": "  -- nothing",
    "no SQL": "not sql",
}

DEEP = {
    "parentheses": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "lists": "SELECT " + "[" * 5000 + "1" + "]" * 5000,
    "a sum": "SELECT " + "+".join(["1"] * 20_000),
    "negations": "SELECT " + "NOT " * 20_000 + "true",
    "functions": "SELECT " + "abs(" * 5000 + "1" + ")" * 5000,
    "subqueries": "FROM " + "(FROM " * 1500 + "items" + ")" * 1500,
    "a type": "SELECT NULL::INT" + "[]" * 5000,
    "open brackets": "SELECT " + "CASE f(" * 200,
    "statements": ";".join(["SELECT 1"] * 5000),
}

MEMORY = {
    "a text": "SELECT repeat('x', 2000000000)",
    "a text inside": "SELECT length(repeat('x', 2000000000))",
    "a format": "SELECT format('{:2000000000}', 1)",
    "a range": "SELECT range(3000000000)",
    "a sum of a series": "SELECT list_sum(generate_series(1, 1000000000))",
    "a list": "SELECT list(i) FROM range(300000000) t(i)",
    "a joined text": "SELECT string_agg(i::VARCHAR, ',') FROM range(300000000) t(i)",
    "a doubled text": "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
    "CTEs of CTEs": "WITH a0 AS (FROM items), "
    + ", ".join(f"a{i} AS (FROM a{i - 1} UNION ALL FROM a{i - 1})" for i in range(1, 40))
    + " SELECT count(*) FROM a39",
}

TIME = {
    "recursion": "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
    "cross join": "SELECT count(*) FROM range(1000000) a(i), range(1000000) b(j) WHERE hash(i + j) = 0",
    "self joins": "SELECT count(*) FROM items a, items b, items c, items d, items e WHERE a.id || e.id = b.id",
    "scan": "SELECT i FROM range(1000000000000) t(i) WHERE i < 0",
    "a function": "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
}

CONDITIONS = {
    "closed and opened": "1 = 1) UNION ALL SELECT id FROM items WHERE (1 = 1",
    "closed, the rest a comment": "true) UNION SELECT content FROM read_text('/etc/hostname') --",
    "union": "true UNION ALL SELECT id FROM items",
    "union behind a comment": "true /* ) */ UNION ALL SELECT id FROM outputs --",
    "union on the next line": "true --\nUNION ALL SELECT id FROM items",
    "open comment": "true) /*",
    "order": "true ORDER BY id",
    "limit": "true LIMIT 1",
    "group": "true GROUP BY id",
    "having": "true HAVING true",
    "qualify": "true QUALIFY true",
    "window": "true WINDOW w AS (ORDER BY id)",
    "sample": "true USING SAMPLE 3",
    "second statement": "true; SELECT id FROM items",
    "copy as a second statement": "true; COPY items TO 'x.csv'",
    "file": "id IN (SELECT content FROM read_text('/etc/hostname'))",
    "replacement scan": "EXISTS (FROM '/etc/hostname')",
    "copy in a CTE": "EXISTS (WITH x AS (COPY items TO 'x.csv') FROM x)",
    "environment": "getenv('GENDATA_SECRET') = ''",
    "base table": "id IN (SELECT id FROM store_real.items)",
    "search": "id IN (SELECT id FROM search('a'))",
    "nothing": "",
    "a comment": "--",
    "half": "quality >",
}


def cases(*lists):
    return [pytest.param(sql, id=name) for given in lists for name, sql in given.items()]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Relative paths lead to the file with the secret; the environment holds it, too."""
    monkeypatch.setenv("GENDATA_SECRET", "hidden-value")
    monkeypatch.chdir(tmp_path)


def refusal(tmp_path, sql, run):
    """What is said; and nothing was written."""
    file = tmp_path / "secret.csv"
    file.write_text("secret\nhidden-value\n")
    with pytest.raises(QueryError) as error:
        run(sql.replace("{file}", str(file)))
    assert file.read_text() == "secret\nhidden-value\n"
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]
    return str(error.value)


def one_line(message):
    """A line that does not give the secret away."""
    return message and "\n" not in message and "hidden-value" not in message


@pytest.mark.parametrize("sql", cases(FILES, NETWORK, CHANGES, INSIDE, DEEP))
def test_escapes_are_refused_in_one_line(shelf, tmp_path, sql):
    assert one_line(refusal(tmp_path, sql, lambda sql: run_here(sql, shelf.stores)))


@pytest.mark.parametrize("sql", cases(FILES, NETWORK, CHANGES, INSIDE, DEEP)[::20])
def test_escapes_are_refused_in_the_child(shelf, tmp_path, sql):
    assert one_line(refusal(tmp_path, sql, lambda sql: run_sql(sql, shelf.stores)))


@pytest.mark.parametrize("where", ["(" * 40_000, "search " + "(" * 40_000, "[" * 40_000, "f(" * 40_000])
def test_no_text_is_parsed_outside_the_child(shelf, tmp_path, where):
    """What takes the parser more memory and time than there is ends with the child, whoever looks at it first."""
    limits, before = Limits(timeout=20, memory=512 << 20), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    params = SearchParams(sql_timeout=limits.timeout, sql_memory_mb=512)
    asked = (
        lambda text: search(shelf.stores, "stone", where=text, mode="keyword", params=params),
        lambda text: run_sql(
            expand(f"FROM search('x') WHERE {text}", shelf.stores, None, limits=limits)[0], shelf.stores
        ),
    )
    for ask in asked:
        assert one_line(refusal(tmp_path, where, ask))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


@pytest.mark.parametrize("sql", cases(FILES))
def test_the_wall_holds_without_the_gate(shelf, tmp_path, monkeypatch, sql):
    monkeypatch.setattr(sandbox, "check_select", lambda connection, sql: set())
    assert one_line(refusal(tmp_path, sql, lambda sql: run_here(sql, shelf.stores)))


@pytest.mark.parametrize("sql", [c for c in cases(FILES, CHANGES) if c.values[0].startswith("WITH")])
def test_the_gate_sees_what_changes_data_inside_a_select(shelf, sql):
    with pytest.raises(QueryError, match=r"only SELECT is allowed, not (COPY|INSERT|UPDATE|DELETE) inside it"):
        run_here(sql, shelf.stores)


@pytest.mark.parametrize("where", cases(CONDITIONS))
def test_conditions_are_one_expression(shelf, tmp_path, where):
    assert one_line(refusal(tmp_path, where, lambda where: where_here(where, shelf.stores)))


@pytest.mark.parametrize("where", cases(CONDITIONS)[1:3])
def test_conditions_of_a_search_are_one_expression(shelf, tmp_path, where):
    assert one_line(refusal(tmp_path, where, lambda where: search(shelf.stores, "stone", mode="keyword", where=where)))


@pytest.mark.parametrize("sql", cases(MEMORY))
def test_memory_is_bounded(shelf, sql):
    with pytest.raises(QueryError, match="memory"):
        run_sql(sql, shelf.stores, limits=Limits(timeout=30, memory=512 << 20))


@pytest.mark.parametrize("sql", cases(TIME))
def test_time_is_bounded(shelf, sql):
    with pytest.raises(QueryError, match=r"longer than 0\.8 s"):
        run_sql(sql, shelf.stores, limits=Limits(timeout=0.8))


def test_time_of_a_condition_is_bounded(shelf):
    with pytest.raises(QueryError, match=r"longer than 0\.8 s"):
        select_ids(f"0 < ({TIME['recursion']})", shelf.stores, limits=Limits(timeout=0.8))


def test_stores_are_unchanged_by_all_this(shelf):
    assert run_sql("SELECT count(*) AS n FROM items", shelf.stores).to_pylist() == [{"n": 285}]
