"""Against a real server, where there is one on this machine."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from servers import postgres

from gendata.errors import ParamsError
from gendata.ingest import IngestParams, SourceParams, preview

adbc = pytest.importorskip("adbc_driver_postgresql.dbapi", reason="the extra postgres has the driver")

PASSWORD = "se@cret"


@pytest.fixture(scope="module")
def server():
    with postgres() as uri:
        yield uri


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


def execute(uri, *statements):
    with adbc.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def notes(server):
    create = "create table notes(id bigint primary key, text text, b bytea, n numeric)"
    execute(server, "drop table if exists notes", create)

    def source(query="select * from notes", key="id", uri=server, **options):
        return SourceParams("database", "real", uri=uri, query=query, key=key, **options)

    return source


def test_rows_in_the_order_of_their_key(server, run, notes, image):
    execute(server, f"insert into notes values (10, 'b', '\\x{image().hex()}', 1.50), (9, 'a', null, 'NaN')")
    result = run(notes())
    assert [(i["uri"], i["text"], i["file_sha256"]) for i in result.items] == [
        ("postgres#9", "a", None),
        ("postgres#10", "b", None),
    ]
    assert json.loads(run(notes("select id, text, n from notes")).items[1]["meta"]) == {"id": 10, "n": "1.50"}
    picture = run(notes(map={"image": "b", "text": "text"})).item("postgres#10")
    assert (picture["data"], picture["text"]) == (image(), "b")
    texts = notes("select text as k, text from notes union all select 'A', 'upper' union all select 'é#', '1'", "k")
    assert [i["uri"] for i in run(texts).items] == ["postgres#A", "postgres#a", "postgres#b", "postgres#é%23"]


def test_the_listing_follows_the_rows_alone(server, run, notes):
    execute(server, "insert into notes values (1, 'a'), (2, 'b')")
    first = run(notes())
    execute(server, "update notes set text = 'a' where id = 1", "vacuum full notes")
    assert run(notes()).listing == first.listing
    execute(server, "update notes set text = 'c' where id = 1")
    second = run(notes())
    assert second.listing != first.listing
    assert second.items[0]["text"] == "c"


def test_rows_that_came_after_the_scan_are_noted(server, run, notes):
    execute(server, "insert into notes values (1, 'a')")
    result = run(notes(), between=lambda: execute(server, "insert into notes values (2, 'b')"))
    assert len(result.items) == 2
    assert result.reasons() == {"postgres": "changed"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("delete from notes returning id", "syntax error"),
        ("select 1 as id) as q; drop table notes; select * from (select 1 as id", "multiple commands"),
        ("select nextval('numbers') as id", "read-only transaction"),
        ("select 1 as id, 2 as id", "the name 'id'"),
        ("select 1 as other", "key: no column 'id'; there are: other"),
        ("select i as id from generate_series(1, 1000000) i, generate_series(1, 1000000) j", "query_seconds, 1"),
        ("select 1 / (id - 5) as id from generate_series(1, 10) as id", "division by zero"),
    ],
)
def test_a_query_can_only_read_and_not_for_ever(server, project, notes, query, message):
    execute(server, "insert into notes values (1, 'a')", "create sequence if not exists numbers")
    with pytest.raises(ParamsError, match=message) as error:
        preview("s", notes(query), project, params=IngestParams(query_seconds=1))
    assert "\n" not in str(error.value)
    assert len(preview("s", notes(), project)) == 1


def test_values_of_all_kinds(project, notes):
    query = """select 1 as id, 'x' as text, '{"a": [1]}'::jsonb as j, array[[1, 2], [3, 4]] as grid, row(1, 'z') as r,
        'infinity'::timestamp as never, '2020-01-02 03:04+02'::timestamptz as t, '1 day 2 hours'::interval as long,
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as u, '10.0.0.1'::inet as ip, null as nothing, true as yes,
        1.5::float4 as f, '(1,2)'::point as p, array['a', null] as words, 12::money as m"""
    (item,) = preview("s", notes(query), project)
    assert item.row("s", "real", None)["meta"] == json.dumps(
        {
            "f": 1.5, "grid": [[1, 2], [3, 4]], "id": 1, "ip": "10.0.0.1/32", "j": {"a": [1]}, "long": "1 day 02:00:00",
            "m": "$12.00", "never": "infinity", "nothing": None, "p": "(1,2)", "r": {"f1": 1, "f2": "z"},
            "t": "2020-01-02 01:04:00+00", "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "words": ["a", None],
            "yes": True,
        },
        separators=(",", ":"),
    )  # fmt: skip


def test_bad_rows_are_rejects(run, notes):
    query = """select i as id, repeat('x', i * 400) as text, repeat('[', 150) || repeat(']', 150) as j
        from generate_series(1, 3) i union all select 1, 'twice', '1' union all select null, 'lost', '1'"""
    result = run(notes(f"select id, text, j::jsonb from ({query}) q"), IngestParams(max_record_bytes=1000, workers=1))
    reasons = {uri: reason for uri, reason in result.reasons().items() if "!" not in uri}
    assert reasons["postgres#3"] == "too-large"
    assert reasons["postgres#2"] == "invalid-row"  # nested too deeply
    assert sorted(r for uri, r in result.reasons().items() if "!" in uri) == ["duplicate-key", "invalid-row"]


def test_many_rows_stream_and_a_preview_does_not_read_them(project, notes):
    query = "select i as id, repeat('x', 1000) as text from generate_series(1, 100000000) i"
    # the key's order makes the server sort, unless it has an index; here it stops at the time that it may take
    with pytest.raises(ParamsError, match="query_seconds"):
        preview("s", notes(query), project, params=IngestParams(query_seconds=1))
    small = notes("select i as id, repeat('x', 1000) as text from generate_series(1, 50000) i")
    assert len(preview("s", small, project)) == 5


def test_no_message_and_no_file_shows_the_password(server, project, notes, monkeypatch, capsys):
    parts = urlsplit(server)
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("SECRET", "wr0ng p@ss")
    given = server.replace("writer@", "writer:${SECRET}@")
    with pytest.raises(ParamsError, match="password authentication failed") as error:
        preview("s", notes(uri=given), project)
    assert "wr0ng" not in str(error.value)
    monkeypatch.setenv("SECRET", PASSWORD)
    execute(given.replace("${SECRET}", "se%40cret"), "insert into notes values (1, 'a')")
    assert len(preview("s", notes(uri=given), project)) == 1
    monkeypatch.setenv("WHOLE", f"postgresql://writer:se%40cret@{parts.netloc.partition('@')[2]}/postgres")
    assert len(preview("s", notes(uri="${WHOLE}"), project)) == 1
    monkeypatch.delenv("WHOLE")
    with pytest.raises(ParamsError, match="the environment variable WHOLE is not set"):
        preview("s", notes(uri="${WHOLE}"), project)
    assert not any(b"se%40cret" in p.read_bytes() for p in Path(project).rglob("*") if p.is_file())


def test_a_server_that_is_not_there(project, notes):
    with pytest.raises(ParamsError, match=r"sources\.s\.uri: .*refused"):
        preview("s", notes(uri="postgresql://writer@127.0.0.1:1/postgres"), project)
