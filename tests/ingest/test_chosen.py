import pytest

from gendata.errors import ParamsError
from gendata.ingest import SourceParams, infer_source, preview


def chosen(path, **options):
    return SourceParams("files", "real", path, **options)


@pytest.fixture
def data(project, image):
    files = {
        "d/a.txt": b"a", "d/b.md": b"b", "d/x/a.txt": b"xa", "d/x/y/c.txt": b"c", "d/x/p.png": image(),
        "d/x/p.caption": b"a caption", "d/.hidden/a.txt": b"hidden", "d/x/z.exe": b"log", "artifacts/a.txt": b"derived",
        "e.txt": b"e",
    }  # fmt: skip
    for name, content in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(content)
    (project / "d/link").symlink_to("x")
    return project


@pytest.mark.parametrize(
    ("path", "uris"),
    [
        ("d/*.txt", ["a.txt"]),
        ("d/**/*.txt", ["a.txt", "x/a.txt", "x/y/c.txt"]),
        ("d/*/*.txt", ["x/a.txt"]),
        ("d/{b.md,x/y/c.txt}", ["b.md", "x/y/c.txt"]),
        ("d/x/p.*", ["p.png"]),
        ("./d/[ab].*", ["a.txt", "b.md"]),
        ("**/a.txt", ["d/a.txt", "d/x/a.txt"]),
        ("d/none*", []),
        ("e.txt", ["e.txt"]),
        ("d/x/p.png", ["p.png"]),
    ],
)
def test_a_glob_names_files(data, run, path, uris):
    result = run(chosen(path))
    assert [i["uri"] for i in result.items] == uris
    assert not result.rejects
    absolute = run(chosen(str(data / path)))
    assert [i["id"] for i in absolute.items] == [i["id"] for i in result.items]


def test_files_are_read_as_in_a_folder(data, run):
    result = run(chosen("d/x/*"))
    folder = run(SourceParams("folder", "real", "d/x", exclude=("y",)))
    assert (result.items, result.rejects) == (folder.items, folder.rejects)
    assert result.item("p.png")["text"] == "a caption"
    assert result.reasons() == {"z.exe": "unsupported-type"}
    assert run(chosen("d/*")).reasons() == {"link": "symlink-directory"}


def test_include_and_exclude(data, run):
    result = run(chosen("d/**", include=("*.txt",), exclude=("y",)))
    assert [i["uri"] for i in result.items] == ["a.txt", "x/a.txt"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("d", "is a folder; its kind is folder"),
        ("d/x/z.exe", r"is of no type that is read: \.adoc, "),
        ("d/gone.txt", "not found"),
        ("gone/*.txt", "there is no folder"),
        ("~nobody-of-this-name/*.txt", "is not a path"),
    ],
)
def test_paths_that_name_nothing(data, path, message):
    with pytest.raises(ParamsError, match=message):
        preview("s", chosen(path), data)


def test_infer(data):
    assert {infer_source(p) for p in ("d/*.txt", "e.txt", "d/{a,b}.md", "d/x/z.exe")} == {"files"}
    assert infer_source("shard-{000..127}.tar") == "archive"
