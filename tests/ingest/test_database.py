import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest.test_fuzz import mutate

from gendata.errors import ParamsError
from gendata.ingest import IngestParams, SourceParams, infer_source, load_sources, preview
from gendata.items import ITEM_SCHEMA, Item, to_table


def notes(query="select * from notes", path="notes.db", origin="real", **options):
    return SourceParams("database", origin, path, query=query, **options)


def write(path, *rows, create="create table notes(id integer primary key, text, n, b blob)", wal=False):
    with closing(sqlite3.connect(path)) as database:
        if wal:
            database.execute("pragma journal_mode = wal")
        database.execute(create)
        database.executemany(f"insert into notes values ({','.join('?' * len(rows[0]))})", rows)
        database.commit()


def snapshot(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_rows_as_those_of_a_table(project, run, image):
    write(project / "notes.db", (1, "one", 1, None), (2, "two", "text in a column of numbers", b"\1"))
    (project / "notes.jsonl").write_text(
        '{"id": 1, "text": "one", "n": 1, "b": null}\n'
        '{"id": 2, "text": "two", "n": "text in a column of numbers", "b": "AQ=="}'
    )
    result = run(notes())
    plain = run(SourceParams("table", "real", "notes.jsonl")).items
    differ = {"uri", "file_sha256"}
    assert [{k: v for k, v in i.items() if k not in differ} for i in result.items] == [
        {k: v for k, v in i.items() if k not in differ} for i in plain
    ]
    assert [i["uri"] for i in result.items] == ["notes.db#1", "notes.db#2"]
    assert {i["file_sha256"] for i in result.items} == {result.listing[0]["sha256"]}


def test_images_are_blobs(project, run, image):
    write(project / "notes.db", (1, "a dog", 0, image()), (2, None, 0, b"no image"), (3, "x", 0, "dog.png"))
    result = run(notes(map={"image": "b", "text": "text"}))
    assert result.item("notes.db#1")["data"] == image()
    assert result.item("notes.db#1")["text"] == "a dog"
    assert result.reasons() == {"notes.db#2": "not-an-image", "notes.db#3": "path-outside"}


def test_a_key_names_and_orders_rows(project, run):
    write(project / "notes.db", ("b", "two"), ("a#1", "one"), ("c", "three"), create="create table notes(k, text)")
    assert [i["uri"] for i in run(notes(key="k")).items] == ["notes.db#a%231", "notes.db#b", "notes.db#c"]


def test_keys_that_name_no_row_are_rejects(project, run):
    rows = [(2, "a"), (1, "b"), (1, "c"), (None, "d"), ("1", "e"), (1.5, "f"), (b"x", "g"), ("", "h")]
    write(project / "notes.db", *rows, create="create table notes(k collate nocase, text)")
    result = run(notes(key="k"))
    assert [i["uri"] for i in result.items] == ["notes.db#1", "notes.db#2"]
    assert sorted(result.reasons().values()) == ["duplicate-key", *["invalid-row"] * 5]
    assert all("#!" in uri for uri in result.reasons())


def test_bad_cells_cost_their_rows(project, run):
    write(project / "notes.db", (1, "good", 0, None), (2, "x" * 2000, 0, None), (3, "y", 0, b"\0" * 2000))
    with closing(sqlite3.connect("notes.db")) as database:
        database.execute("insert into notes values (4, cast(x'61ff' as text), 0, null), (5, 7, 0, null)")
        database.execute("insert into notes values (6, char(0) || 'é', 9e999, null)")
        database.commit()
    for key in ("id", None):
        result = run(notes(key=key), IngestParams(max_record_bytes=1000, workers=1))
        assert [i["text"] for i in result.items] == ["good", "\0é"]
        assert json.loads(result.items[1]["meta"])["n"] == "Infinity"
        uris = [f"notes.db#{i}" for i in (2, 3, 4, 5)]
        reasons = ["too-large", "too-large", "invalid-utf8", "invalid-text"]
        assert result.reasons() == dict(zip(uris, reasons, strict=True))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("delete from notes", "syntax error"),
        ("select 1) ; drop table notes; --", "one statement at a time"),
        ("select * from elsewhere", "no such table: elsewhere"),
        ("select load_extension('evil')", "load_extension"),
        ("select * from pragma_table_info('notes')", "one SELECT is read"),
        ("select 'a\0'", "null character"),
        (
            "with recursive c(x) as (values(1) union all select 1 from c) select * from c where x < 0",
            "query_seconds, 1",
        ),
    ],
)
def test_a_query_can_only_read_and_not_for_ever(project, query, message):
    write(project / "notes.db", (1, "a", 0, None))
    before = snapshot(project)
    with pytest.raises(ParamsError, match=message):
        preview("s", notes(query), project, params=IngestParams(query_seconds=1))
    assert snapshot(project) == before


def test_what_the_schema_of_a_hostile_file_does_is_refused(project):
    write(project / "notes.db", (1, "a", 0, None))
    with closing(sqlite3.connect("notes.db")) as database:
        database.execute("create view evil as select load_extension('x') as text")
        database.execute("create view pragmas as select name as text from pragma_database_list")
        database.commit()
    for view in ("evil", "pragmas"):
        with pytest.raises(ParamsError):
            preview("s", notes(f"select * from {view}"), project)


def test_a_semicolon_and_a_comment_may_end_a_query(project, run):
    write(project / "notes.db", (1, "a", 0, None))
    assert len(run(notes("select * from notes ; ")).items) == len(run(notes("select * from notes -- all")).items) == 1


@pytest.mark.parametrize("wal", [False, True])
def test_nothing_is_left_beside_a_database(project, run, wal):
    write(project / "notes.db", (1, "a", 0, None), wal=wal)
    before = snapshot(project)
    assert len(run(notes()).items) == 1
    assert snapshot(project) == before


def test_rows_that_are_in_the_log_alone_are_read_and_watched(project, run):
    write(project / "notes.db", (1, "a", 0, None), wal=True)
    with closing(sqlite3.connect("notes.db")) as writer:
        writer.execute("insert into notes values (2, 'b', 0, null)")
        writer.commit()
        first = run(notes())
        writer.execute("insert into notes values (3, 'c', 0, null)")
        writer.commit()
        second = run(notes())
    assert [i["text"] for i in first.items] == ["a", "b"]
    assert [i["text"] for i in second.items] == ["a", "b", "c"]
    assert [e["uri"] for e in first.listing] == ["notes.db", "notes.db-wal"]
    assert first.listing != second.listing
    assert not first.rejects + second.rejects


def test_rows_that_came_after_the_scan_are_kept_and_noted(project, run):
    write(project / "notes.db", (1, "a", 0, None))

    def insert():
        with closing(sqlite3.connect("notes.db")) as writer:
            writer.execute("insert into notes values (2, 'b', 0, null)")
            writer.commit()

    result = run(notes(), between=insert)
    assert len(result.items) == 2
    assert result.reasons() == {"notes.db": "changed"}


def test_a_journal_of_a_killed_writer_is_named(project, run):
    code = """
import os, sqlite3
c = sqlite3.connect("notes.db")
c.execute("create table notes(text)")
c.executemany("insert into notes values (?)", [("x" * 500,)] * 2000)
c.commit()
c.execute("pragma cache_size = 5")
c.execute("update notes set text = text || 'yyy'")
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code], cwd=project)
    result = run(notes())
    assert result.reasons() == {"notes.db": "unreadable"}
    assert "must open it once" in result.rejects[0]["detail"]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database(project, run, content):
    (project / "notes.db").write_bytes(content)
    assert set(run(notes()).reasons().values()) == {"corrupt-file"}


def test_an_empty_file_is_a_database_without_tables(project):
    (project / "notes.db").touch()
    with pytest.raises(ParamsError, match="no such table"):
        preview("s", notes(), project)


def test_errors_of_params(project):
    def load(**section):
        return load_sources({"n": {"kind": "database", "origin": "real", **section}}, project)

    server = {"query": "select 1", "key": "id"}
    for section, message in [
        ({"path": "a.db"}, "query is missing"),
        ({"query": "select 1"}, "path or uri is missing"),
        ({"path": "a.db", "uri": "postgresql://h/d", **server}, "path and uri are given"),
        ({"uri": "postgresql://h/d", "query": "select 1"}, "key is missing"),
        ({"uri": "mysql://h/d", **server}, "must begin with postgresql://"),
        ({"uri": "postgresql://u:hunter2@h/d", **server}, "passwords do not belong"),
        ({"uri": "postgresql://h/d?password=hunter2", **server}, "passwords do not belong"),
        ({"uri": "postgresql://u:hunter@2@h/d", **server}, "percent-encoded"),
        ({"uri": "postgresql://u:hunt/er2@h/d", **server}, "percent-encoded"),
    ]:
        with pytest.raises(ParamsError, match=message) as error:
            load(**section)
        assert "hunt" not in str(error.value)
    load(uri="postgresql://u:${PGPASSWORD}@h/d", **server)
    load(uri="${DATABASE_URL}", **server)


def test_a_server_needs_the_extra(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    server = SourceParams("database", "real", uri="postgresql://h/d", query="select 1 as id", key="id")
    with pytest.raises(ParamsError, match=r"gendata\[postgres\]"):
        preview("s", server, project)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
@settings(max_examples=200, deadline=None)
def test_no_message_shows_a_password(password):
    from gendata.ingest import addresses

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET", password)
        uri = addresses.expand("sources.s", "postgresql://user:${SECRET}@host/db")
        assert addresses.database(uri) == "db"
        assert addresses.redacted(uri, uri).endswith(addresses.redacted("@host/db", uri))
        assert quote(password, safe="") not in addresses.redacted(f"'{quote(password, safe='')}'", uri)
        patch.setenv("SECRET", f"postgresql://user:{password}@host/db")
        try:
            whole = addresses.expand("sources.s", "${SECRET}")
        except ParamsError as error:
            message = str(error)
        else:
            message = addresses._ENCODE
            assert addresses._passwords(whole) in ([password], [])
        assert message.endswith(addresses._ENCODE)


def test_infer_source(project):
    write(project / "notes.db", (1, "a", 0, None))
    assert {infer_source(p) for p in ("notes.db", "a.SQLITE", "b.sqlite3", "postgresql://h/d")} == {"database"}


def fuzz(project, rounds, seed):
    rng = random.Random(seed)
    rows = [(i, f"naïve text {i} 😀" * (i % 40), i / 3, rng.randbytes(i * 20)) for i in range(60)]
    write(project / "seed.db", *rows)
    with closing(sqlite3.connect("seed.db")) as database:
        database.execute("create index i on notes(text)")
        database.execute("create view v as select * from notes")
        database.execute("create virtual table f using fts5(text)")
        database.execute("insert into f select text from notes")
        database.commit()
    content = (project / "seed.db").read_bytes()
    limits = IngestParams(max_record_bytes=10_000, query_seconds=5, workers=1)
    for round_ in range(rounds):
        mutated = mutate(rng, content)
        (project / "notes.db").write_bytes(mutated)
        source = notes(*rng.choice((("select * from notes",), ("select * from v order by n",), ("select * from f",))))
        try:
            outcomes = preview("s", source, project, n=1000, params=limits)
        except ParamsError:
            continue  # tables and columns may be gone, which is the user's to see
        except Exception as error:
            raise AssertionError(f"round {round_} of seed {seed}: {source.query}") from error
        to_table([o.row("s", "real", None) for o in outcomes if isinstance(o, Item)], ITEM_SCHEMA)
        assert all(o.reason and o.detail.isprintable() for o in outcomes if not isinstance(o, Item))


def test_mutated_databases(project):
    fuzz(project, rounds=150, seed=7)


@pytest.mark.soak
def test_mutated_databases_at_length(project):
    fuzz(project, rounds=20_000, seed=random.randrange(2**32))
