from pathlib import Path

import pytest

from gendata import params
from gendata.errors import ParamsError
from gendata.ingest import READERS, IngestParams, SourceParams, infer_source, load_sources, preview, scan
from gendata.ingest.sources import reader_of


def load(root, **section):
    return load_sources({"notes": section}, root)["notes"]


def test_all_keys_reach_the_dataclass(project):
    (project / "n").mkdir()
    got = load(
        project, kind="folder", origin="real", path="n", license="CC0-1.0", label="a", dedup=False,
        include=["*.txt"], exclude=["drafts/**"], marks="ignore",
    )  # fmt: skip
    expected = SourceParams("folder", "real", "n", "CC0-1.0", "a", False, ("*.txt",), ("drafts/**",), marks="ignore")
    assert got == expected


def test_sources_are_sorted_by_name(project):
    sections = {n: {"kind": "pydocs", "origin": "real"} for n in ("b", "a", "c-1_x")}
    assert list(load_sources(sections, project)) == ["a", "b", "c-1_x"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"kind": "folder", "path": "n"},
            "params.yaml: sources.notes: origin is missing; it must be one of real, generated, unknown",
        ),
        (
            {"kind": "folder", "path": "n", "origin": "fake"},
            "params.yaml: sources.notes.origin: must be one of real, generated, unknown, not 'fake'",
        ),
        (
            {"kind": "pdf", "origin": "real"},
            f"params.yaml: sources.notes.kind: must be one of {', '.join(READERS)}, not 'pdf'",
        ),
        (
            {"origin": "real"},
            "params.yaml: sources.notes: kind is missing; it must be a text",
        ),
        (
            {"kind": "pydocs", "origin": "real", "pth": "x"},
            "params.yaml: sources.notes: unknown key 'pth'; allowed: kind, origin, path, license, label, dedup, "
            "include, exclude, map, marks, content, uri, query, key, repo, config, revision, split",
        ),
        (
            {"kind": "pydocs", "origin": "real", "path": "x"},
            "params.yaml: sources.notes: path is not used by the kind pydocs; remove it",
        ),
        (
            {"kind": "folder", "origin": "real", "path": "x", "map": {"text": "t"}},
            "params.yaml: sources.notes: map is not used by the kind folder; remove it",
        ),
        (
            {"kind": "table", "origin": "real"},
            "params.yaml: sources.notes: path is missing; the kind table reads a file or a folder",
        ),
        (
            {"kind": "table", "origin": "real", "path": "x", "map": {"txt": "t"}},
            "params.yaml: sources.notes: map: unknown key 'txt'; allowed: text, image, audio, label, license, split, "
            "origin, messages, prompt, input, reply, system, session, model, time",
        ),
        (
            {"kind": "table", "origin": "real", "path": "x", "map": {"text": 3}},
            "params.yaml: sources.notes.map.text: must be a text, not 3",
        ),
        (
            {"kind": "folder", "origin": "real", "path": "x", "include": ["[z-a]"]},
            "params.yaml: sources.notes: the glob '[z-a]' is not valid: bad character range z-a at position 1",
        ),
        (
            {"kind": "folder", "origin": "real", "path": "a\0b"},
            "params.yaml: sources.notes.path: 'a\\x00b' is not a path",
        ),
    ],
)
def test_errors_name_the_source_the_key_and_what_is_allowed(project, section, message):
    with pytest.raises(ParamsError) as error:
        load_sources({"notes": section}, project)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["Notes", "a b", "", "-a", "../x", "é", "a\n", 3])
def test_names_of_sources_are_plain(project, name):
    with pytest.raises(ParamsError, match=r"must match \[a-z0-9\]"):
        load_sources({name: {"kind": "pydocs", "origin": "real"}}, project)


def test_origin_may_come_from_a_column(project):
    assert load(project, kind="table", path="x.csv", map={"text": "t", "origin": "o"}).origin is None


@pytest.mark.parametrize(
    "path",
    [
        "artifacts",
        "artifacts/store",
        ".gendata/cache",
        "mlruns",
        "records/outputs",
        ".",
        "..",
        "./a/..",
        "link",
        "/",
        "artifacts/../artifacts",
    ],
)
def test_a_source_never_overlaps_what_the_pipeline_writes(project, path):
    (project / "artifacts").mkdir()
    (project / "a").mkdir()
    (project / "link").symlink_to(project / "artifacts")
    with pytest.raises(ParamsError, match=r"sources\.notes\.path: .* overlaps what gendata writes"):
        load(project, kind="folder", origin="real", path=path)


def test_artifacts_elsewhere_are_refused_through_links(project, tmp_path):
    (tmp_path / "big" / "store").mkdir(parents=True)
    (project / "artifacts").symlink_to(tmp_path / "big")
    with pytest.raises(ParamsError, match="overlaps"):
        load(project, kind="folder", origin="real", path=str(tmp_path / "big" / "store"))


def test_paths_are_relative_to_the_project_absolute_or_at_home(project, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in (project / "here", tmp_path / "home", tmp_path / "there"):
        folder.mkdir()
        (folder / "a.txt").write_text(folder.name)
    monkeypatch.chdir(tmp_path)  # not the root
    for path, text in (("here", "here"), ("~/home", "home"), (str(tmp_path / "there"), "there")):
        (item,) = preview("n", load(project, kind="folder", origin="real", path=path), project)
        assert item.text == text


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_missing_path_names_the_source_and_the_path(project, kind):
    source = load(project, kind=kind, origin="real", path="gone/x.csv")
    with pytest.raises(ParamsError, match=r"sources\.notes\.path: gone/x\.csv not found \(looked at /.*gone/x\.csv\)"):
        scan({"notes": source}, project, Path("artifacts/scan"), IngestParams())


@pytest.mark.parametrize(
    ("kind", "name", "message"), [("folder", "f.txt", "is not a folder"), ("table", "f.txt", "neither")]
)
def test_a_path_of_the_wrong_type_is_an_error(project, kind, name, message):
    (project / name).write_text("x")
    with pytest.raises(ParamsError, match=message):
        scan({"n": SourceParams(kind, "real", name)}, project, Path("artifacts/scan"), IngestParams())


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"max_pixels": 0}, "max_pixels must be at least 1"),
        ({"max_pixels": 10**9}, "where Pillow stops"),
        ({"workers": -1}, "workers must be 0"),
        ({"max_text": 3}, "unknown key"),
    ],
)
def test_limits_are_checked(section, message):
    with pytest.raises(ParamsError, match=message):
        params.build(IngestParams, section, "params.yaml: ingest")


@pytest.mark.parametrize("kind", READERS)
def test_every_kind_is_a_reader(kind):
    reader = reader_of(kind)
    assert isinstance(reader.KEYS, frozenset)
    assert callable(reader.listing)
    assert callable(reader.read)


def test_infer_source(project):
    (project / "pics").mkdir()
    (project / "mnist5k").mkdir()
    assert infer_source(Path("pics")) == "folder"
    assert infer_source(Path("a/b.JSONL")) == infer_source(Path("x.csv")) == infer_source("x.parquet") == "table"
    assert {infer_source(f"a{s}") for s in (".zip", ".TAR", ".tar.gz", ".tgz", ".tar.zst")} == {"archive"}
    assert infer_source("pydocs") == "pydocs"
    assert infer_source("mnist5k") == "folder"  # what is there goes before the built-in
    with pytest.raises(ParamsError, match="nor one of mnist5k, pydocs"):
        infer_source(Path("x.docx"))
