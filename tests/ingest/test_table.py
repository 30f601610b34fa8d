import datetime
import json
import os
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.errors import ParamsError
from gendata.ingest import IngestParams, SourceParams, preview
from gendata.items import Item, content_id


def table(path="t.jsonl", origin="real", **options):
    return SourceParams("table", origin, path, **options)


def jsonl(project, *rows, name="t.jsonl"):
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows]
    (project / name).write_bytes(b"\n".join(lines))


def test_columns_by_name_and_the_rest_to_meta(project, run):
    jsonl(
        project,
        {"text": "hello ", "label": 3, "license": "MIT", "split": "Validation", "origin": "generated", "n": [1, None]},
        {"text": "plain"},
    )
    full, plain = run(table(license="CC0-1.0", label="none")).items
    assert {k: full[k] for k in ("uri", "text", "label", "license", "source_split", "origin", "meta")} == {
        "uri": "t.jsonl#1", "text": "hello ", "label": "3", "license": "MIT", "source_split": "valid",
        "origin": "generated", "meta": '{"n":[1,null]}',
    }  # fmt: skip
    assert full["id"] == content_id("hello ")
    assert full["file_sha256"] == content_id((project / "t.jsonl").read_bytes())
    assert {k: plain[k] for k in ("label", "license", "source_split", "origin", "meta", "media_type")} == {
        "label": "none", "license": "CC0-1.0", "source_split": None, "origin": "real", "meta": "{}",
        "media_type": "text/plain",
    }  # fmt: skip


def test_map_names_the_columns_and_only_these(project, run):
    jsonl(project, {"body": "hello", "text": "a title", "y": True, "label": "unused"})
    (row,) = run(table(map={"text": "body", "label": "y"})).items
    assert (row["text"], row["label"], row["meta"]) == ("hello", "true", '{"label":"unused","text":"a title"}')


def test_one_column_may_serve_twice(project, run):
    jsonl(project, {"word": "tree"})
    (row,) = run(table(map={"text": "word", "label": "word"})).items
    assert (row["text"], row["label"], row["meta"]) == ("tree", "tree", "{}")


def test_bad_lines_are_rejects_and_the_file_goes_on(project, run):
    rows = [
        ({"text": "first"}, None),
        (b'{"text": "cut', "invalid-json"),
        (b'{"text": "\xff"}', "invalid-utf8"),
        (b'{"text": "\\ud800"}', "invalid-unicode"),
        (b'{"text": "ok", "meta": ["\\uDFFF"]}', "invalid-unicode"),
        (b'{"text": "ok", "\\ud800": 1}', "invalid-unicode"),
        (b'{"text": "\\ud83d\\ude00"}', None),
        (b'["text"]', "invalid-row"),
        (b'"text"', "invalid-row"),
        (b'{"text": NaN}', "invalid-json"),
        (b'{"n": ' + b"1" * 5000 + b"}", "invalid-json"),
        (b"[" * 200_000, "invalid-json"),
        (b'{"text": "deep", "n": ' + b"[" * 150 + b"]" * 150 + b"}", "invalid-row"),
        ({"text": 3}, "invalid-text"),
        ({"text": ["a"]}, "invalid-text"),
        ({"text": ""}, "empty"),
        ({"text": " \n"}, "empty"),
        ({"text": None}, "empty"),
        ({"other": 1}, "empty"),
        ({"text": "x", "origin": "fake"}, "invalid-origin"),
        ({"text": "x", "origin": 1}, "invalid-origin"),
        ({"text": "x", "label": ["a"]}, "invalid-row"),
        ({"text": "x", "license": 3}, "invalid-row"),
        (b"", None),
        (b"  ", None),
        ({"text": "last", "label": float("1e3"), "big": 10**30}, None),
    ]
    jsonl(project, *(r for r, _ in rows))
    result = run(table())
    assert result.reasons() == {f"t.jsonl#{i}": reason for i, (_, reason) in enumerate(rows, 1) if reason}
    assert [(i["uri"], i["text"]) for i in result.items] == [
        ("t.jsonl#1", "first"), ("t.jsonl#7", "😀"), ("t.jsonl#26", "last"),
    ]  # fmt: skip
    assert result.items[-1]["label"] == "1000.0"


def test_long_lines_cost_one_reject(project, run):
    jsonl(project, {"text": "a"}, {"text": "x" * 5000}, {"text": "b"}, {"text": "y" * 60})
    result = run(table(), IngestParams(max_record_bytes=1000, max_text_chars=50))
    assert result.reasons() == {"t.jsonl#2": "too-large", "t.jsonl#4": "too-large"}
    assert [i["text"] for i in result.items] == ["a", "b"]


def test_byte_order_mark_crlf_and_no_last_newline(project, run):
    (project / "t.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b"}')
    (project / "t.csv").write_bytes(b'\xef\xbb\xbf"text",n\r\na,1\r\n"b\r\nc",2')
    assert [i["text"] for i in run(table()).items] == ["a", "b"]
    assert [i["text"] for i in run(table("t.csv")).items] == ["a", "b\r\nc"]


def test_csv(project, run):
    (project / "t.csv").write_bytes(
        b"text,label,n\n"
        b'"quoted, with ""quotes""\nand a line",1,x\n'
        b"\n"
        b"short,1\n"
        b"long,1,2,3\n"
        b"caf\xe9,1,x\n"
        b'"bad"quote,1,x\n'
        b",1,x\n"
        b"nul\0,,\n"
        b'"never closed,1,x\n'
    )
    result = run(table("t.csv"))
    assert [(i["uri"], i["text"], i["label"], i["meta"]) for i in result.items] == [
        ("t.csv#1", 'quoted, with "quotes"\nand a line', "1", '{"n":"x"}'),
        ("t.csv#7", "nul\0", None, '{"n":""}'),
    ]
    assert result.reasons() == {
        "t.csv#2": "invalid-row",
        "t.csv#3": "invalid-row",
        "t.csv#4": "invalid-utf8",
        "t.csv#5": "invalid-row",
        "t.csv#6": "empty",
        "t.csv#8": "invalid-row",
    }
    assert {r["uri"]: r["detail"] for r in result.rejects}["t.csv#2"] == "2 fields, the header has 3"


@pytest.mark.parametrize("long", [b"x" * 3000, b'"' + b"y\n" * 700 + b'"', b'"y\n' + b"z" * 3000 + b'\ny"'])
def test_a_csv_ends_at_a_limit_rather_than_inventing_records(project, run, long):
    (project / "t.csv").write_bytes(b"text\na\n" + long + b"\nb\n")
    result = run(table("t.csv"), IngestParams(max_record_bytes=1000))
    assert [i["text"] for i in result.items] == ["a"]
    assert result.reasons() == {"t.csv": "too-large"}


@pytest.mark.parametrize("content", [b"", b"a,a\n1,2\n", b"\xff,b\n1,2\n", b'"a', b"\n"])
def test_csv_without_a_usable_header_counts_one(project, run, content):
    (project / "t.csv").write_bytes(content)
    result = run(table("t.csv"))
    assert result.reasons() == {"t.csv": "corrupt-file" if content.strip() else "empty"}


def write_parquet(project, columns, name="t.parquet", **options):
    pq.write_table(pa.table(columns), project / name, **options)


def test_parquet(project, run, image):
    png = image()
    write_parquet(
        project,
        {
            "text": ["a", None, "caption", None, "struct"],
            "image": pa.array(
                [
                    None,
                    {"bytes": png, "path": None},
                    {"bytes": png, "path": "x.jpg"},
                    None,
                    {"bytes": None, "path": None},
                ]
            ),
            "label": [1, 2, None, 3, 4],
            "score": [0.5, float("nan"), float("inf"), None, 1.0],
            "when": pa.array([1, 2, 3, 4, 5], pa.timestamp("ns")),
            "day": [datetime.date(2020, 1, 2)] * 5,
            "price": [Decimal("1.50")] * 5,
            "raw": [b"\xff"] * 5,
        },
        row_group_size=2,
    )
    result = run(table("t.parquet"))
    assert [(i["uri"], i["modality"], i["text"], i["label"], i["text_origin"]) for i in result.items] == [
        ("t.parquet#1", "text", "a", "1", None),
        ("t.parquet#2", "image", None, "2", None),
        ("t.parquet#3", "image", "caption", None, "column"),
        ("t.parquet#5", "text", "struct", "4", None),
    ]
    assert result.reasons() == {"t.parquet#4": "empty"}
    assert result.items[1]["data"] == png
    assert [json.loads(i["meta"])["score"] for i in result.items] == [0.5, "NaN", "Infinity", 1.0]
    assert json.loads(result.items[0]["meta"]) == {
        "score": 0.5, "when": "1970-01-01 00:00:00.000000001", "day": "2020-01-02", "price": "1.50", "raw": "/w==",
    }  # fmt: skip


def test_parquet_with_one_bad_value(project, run):
    raw = pa.array([b"good", b"b\xffd", b"fine"], pa.binary())
    write_parquet(project, {"text": raw.view(pa.string())})
    result = run(table("t.parquet"))
    assert [i["text"] for i in result.items] == ["good", "fine"]
    assert result.reasons() == {"t.parquet#2": "invalid-utf8"}


def test_parquet_with_impossible_dates_keeps_the_other_rows(project, run):
    write_parquet(project, {"text": ["a", "b"], "when": pa.array([0, 2**60], pa.timestamp("us"))})
    result = run(table("t.parquet"))
    assert [i["text"] for i in result.items] == ["a"]
    assert result.reasons() == {"t.parquet#2": "invalid-row"}


@pytest.mark.parametrize("content", [b"PAR1", b"not parquet at all", b"PAR1" + b"\0" * 100 + b"PAR1", b"x"])
def test_a_corrupt_container_counts_one(project, run, content):
    (project / "t.parquet").write_bytes(content)
    assert run(table("t.parquet")).reasons() == {"t.parquet": "corrupt-file"}


def test_a_container_that_breaks_off_keeps_the_rows_before(project, run):
    write_parquet(project, {"text": [str(i) * 50 for i in range(300)]}, row_group_size=100, compression="zstd")
    content = bytearray((project / "t.parquet").read_bytes())
    start = pq.ParquetFile(project / "t.parquet").metadata.row_group(2).column(0).dictionary_page_offset
    content[start : start + 30] = b"\xff" * 30
    (project / "t.parquet").write_bytes(content)
    result = run(table("t.parquet"))
    assert result.summary["read"] == 200
    assert result.reasons() == {"t.parquet": "corrupt-file"}


def test_a_folder_of_tables(project, run, image):
    (project / "d" / "sub").mkdir(parents=True)
    jsonl(project, {"text": "a"}, {"text": "b"}, name="d/b #1.jsonl")
    (project / "d/a.csv").write_text("text\nc\n")
    write_parquet(project, {"text": ["d"]}, name="d/sub/x.parquet")
    (project / "d/README.txt").write_text("about")
    (project / "d/pic.png").write_bytes(image())
    (project / "d/empty.jsonl").write_bytes(b"")
    os.mkfifo(project / "d/pipe.jsonl")
    result = run(table("d"))
    assert [(i["uri"], i["text"]) for i in result.items] == [
        ("a.csv#1", "c"), ("b %231.jsonl#1", "a"), ("b %231.jsonl#2", "b"), ("sub/x.parquet#1", "d"),
    ]  # fmt: skip
    assert result.reasons() == {"README.txt": "unsupported-type", "empty.jsonl": "empty", "pipe.jsonl": "not-a-file"}
    chosen = run(table("d", include=("*.jsonl", "*.csv"), exclude=("pipe*", "empty*")))
    assert [i["text"] for i in chosen.items] == ["c", "a", "b"]
    assert chosen.rejects == []


def test_a_vanished_table(project, run):
    jsonl(project, {"text": "a"}, name="t.jsonl")
    (project / "d").mkdir()
    jsonl(project, {"text": "a"}, name="d/x.jsonl")
    result = run(table("d"), between=(project / "d/x.jsonl").unlink)
    assert result.reasons() == {"x.jsonl": "vanished"}


def test_images_by_path(project, run, image, tmp_path):
    (project / "d" / "img").mkdir(parents=True)
    (project / "artifacts" / "x").mkdir(parents=True)
    for folder in (project / "d/img", project, project / "artifacts/x", tmp_path):
        (folder / "a.png").write_bytes(image())
    (project / "d/img/text.jpg").write_text("no")
    os.mkfifo(project / "d/img/pipe.png")
    (project / "d/out.png").symlink_to(tmp_path / "a.png")
    (project / "d/in.png").symlink_to("img/a.png")
    rows = [
        ("img/a.png", None),
        ("./img/../img/a.png", None),
        ("in.png", None),
        ("../a.png", "path-outside"),
        ("img/../../a.png", "path-outside"),
        (str(project / "d/img/a.png"), "path-outside"),
        ("out.png", "path-outside"),
        ("gone.png", "missing-file"),
        ("a\0b.png", "missing-file"),
        ("x" * 4000, "missing-file"),
        ("x" * 5000, "not-an-image"),  # too long for a path, and base64
        ("img", "not-a-file"),
        ("img/pipe.png", "not-a-file"),
        ("img/text.jpg", "not-an-image"),
        ("", "empty"),
        (None, "empty"),
        (7, "invalid-row"),
    ]
    jsonl(project, *({"image": path} for path, _ in rows), name="d/t.jsonl")
    result = run(table("d/t.jsonl"))
    assert result.reasons() == {f"t.jsonl#{i}": reason for i, (_, reason) in enumerate(rows, 1) if reason}
    assert [(i["modality"], i["data"], i["file_sha256"]) for i in result.items] == [
        ("image", image(), content_id(image()))
    ] * 3
    # a table beside artifacts must not bring in what the pipeline made
    jsonl(project, {"image": "artifacts/x/a.png"}, {"image": "a.png"}, name="t.jsonl")
    result = run(table())
    assert result.reasons() == {"t.jsonl#1": "path-outside"}
    assert not [r for r in result.listing if r["uri"].startswith("artifacts")]


def test_an_edited_image_changes_the_listing(project, run, image):
    (project / "d").mkdir()
    (project / "d/a.png").write_bytes(image())
    jsonl(project, {"pic": "a.png", "text": "a dog"}, name="d/t.jsonl")
    source = table("d/t.jsonl", map={"image": "pic", "text": "text"})
    before = run(source)
    assert [(r["uri"], r["role"]) for r in before.listing] == [("a.png", "linked"), ("t.jsonl", "unit")]
    (project / "d/a.png").write_bytes(image(color=1))
    assert run(source).listing != before.listing


def test_pictures_that_gendata_writes_are_not_in_the_listing(project, run, image):
    for folder in ("mlruns/1/samples", "records/outputs", "artifacts/train", ".gendata"):
        (project / folder).mkdir(parents=True, exist_ok=True)
        (project / folder / "grid.png").write_bytes(image())
    (project / "a.png").write_bytes(image())
    jsonl(project, {"image": "a.png", "text": "a dog"})
    assert [r["uri"] for r in run(table()).listing] == ["a.png", "t.jsonl"]


def test_a_table_without_images_does_not_list_any(project, run, image):
    (project / "a.png").write_bytes(image())
    jsonl(project, {"text": "a"})
    assert [r["uri"] for r in run(table()).listing] == ["t.jsonl"]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_a_column_that_is_not_there_is_an_error(project, run, name):
    if name == "t.parquet":
        write_parquet(project, {"body": ["x"], "n": [1]})
    else:
        (project / name).write_text("body,n\nx,1\n" if name == "t.csv" else '{"body": "x", "n": 1}\n')
    with pytest.raises(ParamsError, match=r"sources\.s\.map\.text: no column 'bdy'; there are: body, n"):
        run(table(name, map={"text": "bdy"}))


def test_a_column_of_one_file_of_several_is_enough(project, run):
    (project / "d").mkdir()
    (project / "d/a.csv").write_text("text,label\nx,1\n")
    (project / "d/b.csv").write_text("text\ny\n")
    assert [i["label"] for i in run(table("d", map={"text": "text", "label": "label"})).items] == ["1", None]


@pytest.mark.parametrize(
    ("stated", "row", "expected"),
    [
        ("real", "real", "real"),
        ("real", "generated", "generated"),
        ("real", None, "real"),
        ("unknown", "real", "unknown"),
        ("generated", "real", "generated"),
        (None, "real", "real"),
        (None, "generated", "generated"),
    ],
)
def test_the_origin_of_a_row_is_never_above_that_of_the_source(project, run, stated, row, expected):
    jsonl(project, {"text": "a", "origin": row})
    assert run(table(origin=stated, map={"text": "text", "origin": "origin"})).items[0]["origin"] == expected


@pytest.mark.parametrize("row", [{"text": "a"}, {"text": "a", "origin": ""}, {"text": "a", "origin": None}])
def test_without_any_origin_a_row_is_refused(project, run, row):
    jsonl(project, {"text": "b", "origin": "real"}, row)
    result = run(table(origin=None, map={"text": "text", "origin": "origin"}))
    assert result.reasons() == {"t.jsonl#2": "invalid-origin"}


@pytest.mark.parametrize(
    ("given", "split", "meta"),
    [
        ("train", "train", "{}"),
        (" Training ", "train", "{}"),
        ("dev", "valid", "{}"),
        ("val", "valid", "{}"),
        ("TEST", "test", "{}"),
        ("fold-3", None, '{"split":"fold-3"}'),
        (3, None, '{"split":3}'),
        (None, None, "{}"),
    ],
)
def test_splits_by_their_usual_names(project, run, given, split, meta):
    jsonl(project, {"text": "a", "split": given})
    (row,) = run(table()).items
    assert (row["source_split"], row["meta"]) == (split, meta)


@given(st.lists(st.text().filter(lambda t: t.strip()), min_size=1, max_size=5))
def test_any_text_comes_through_any_format(tmp_path_factory, texts):
    root = tmp_path_factory.mktemp("p")
    jsonl(root, *({"text": t} for t in texts))
    pq.write_table(pa.table({"text": texts}), root / "t.parquet")
    quoted = ['"' + t.replace('"', '""') + '"' for t in texts]
    (root / "t.csv").write_bytes("\n".join(["text", *quoted]).encode())
    for name in ("t.jsonl", "t.parquet", "t.csv"):
        got = preview("s", table(name), root, n=99)
        assert [o.text if isinstance(o, Item) else o for o in got] == texts


def test_memory_does_not_grow_with_the_file(project):
    import tracemalloc

    with Path("t.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": f"{i} " + "x" * 2000}) + "\n" for i in range(10_000))
    from gendata.ingest.reader import Entry
    from gendata.ingest.sources import reader_of

    outcomes = reader_of("table").read("s", table(), project, [Entry("t.jsonl")], IngestParams())
    next(outcomes)
    tracemalloc.start()
    assert sum(1 for _ in outcomes) == 9_999
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
