"""``gendata add``: what is written into params.yaml, and how folders are read."""

import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gendata import params, sources, template
from gendata.errors import ParamsError
from gendata.ingest import preview
from gendata.ingest.sources import load_sources
from gendata.items import Reject
from gendata.project import Project

FEW = {"kind": "folder", "path": "../few", "origin": "real"}
MORE = {"kind": "table", "path": "../more.csv", "origin": "generated", "map": {"text": "body"}, "dedup": False}


@pytest.fixture
def fresh(tmp_path):
    template.create(tmp_path / "project")
    return Project(tmp_path / "project")


def _above(text):
    """The lines directly above each section."""
    blocks = re.split(r"\n\s*\n", text)
    return {m[1]: b[: m.start()] for b in blocks for m in re.finditer(r"^(\w+):", b, re.M)}


def _lines_of_sources(text):
    return re.search(r"^sources:.*\n((?:[ #].*\n|\n)*?)(?=\n|\Z)", text, re.M)[1]


def test_two_sources_leave_every_comment_with_its_section(fresh):
    before = fresh.params_file.read_text()
    expected = params.read(fresh.params_file)
    sources.write(fresh, "few", FEW)
    sources.write(fresh, "more", MORE)
    after = fresh.params_file.read_text()
    assert _above(after) == _above(before)
    assert all(f"  {name}:" in _lines_of_sources(after) for name in (*expected["sources"], "few", "more"))
    assert [line for line in after.splitlines() if line in before.splitlines()] == before.splitlines()
    expected["sources"] |= {"few": FEW, "more": MORE}
    assert params.read(fresh.params_file) == expected


@pytest.mark.parametrize("empty", ["sources: {}", "sources:", "sources: null  # none yet", "sources: {\n}"])
def test_the_first_source_of_a_project(tmp_path, empty):
    file = tmp_path / "params.yaml"
    file.write_text(f"gendata: {{version: 1}}\n\n{empty}\n\n# limits\ningest: {{}}\n")
    sources.write(Project(tmp_path), "few", FEW)
    sources.write(Project(tmp_path), "more", MORE)
    assert params.read(file) == {"gendata": {"version": 1}, "sources": {"few": FEW, "more": MORE}, "ingest": {}}
    assert "\n\n# limits\ningest: {}\n" in file.read_text()
    assert ("# none yet" in empty) == ("# none yet" in file.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "sources: {a: {kind: pydocs, origin: real}}  # flow\n# last",
        "sources:\n    a:\n        kind: pydocs\n        origin: real # of a\n    # of the sources\n# of x\nx: 1",
        "sources:\n  a: {kind: pydocs,\n    origin: real}",
        "{sources: {a: {kind: pydocs, origin: real}}, gendata: {}}",
        "gendata: {}",
        "sources:\n  a:\n    kind: table\n    map:\n      text: |\n        body\n\n# x\nx: 1",
        "\ufeffsources:\n  a: {kind: pydocs, origin: real}\n",
        "sources:\n  a: {kind: pydocs, license: 'x\u2028y', origin: real}\n# t\ntag: {}\n",
    ],
)
def test_any_layout_keeps_what_it_says(tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    expected = params.read(file)
    sources.write(Project(tmp_path), "few", FEW)
    old = expected.get("sources") or {}
    assert params.read(file) == expected | {"sources": {**old, "few": FEW}}
    assert re.findall("# .*", file.read_text()) == re.findall("# .*", text)


def test_a_file_that_would_change_in_meaning_is_left_alone(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(text := "sources: &all\n  a: {kind: pydocs, origin: real}\ncopy: *all\n")
    with pytest.raises(ParamsError, match="add it by hand"):
        sources.write(Project(tmp_path), "few", FEW)
    assert file.read_text() == text


@given(st.dictionaries(st.from_regex(r"[a-z0-9_-]+", fullmatch=True), st.text(max_size=200), min_size=1, max_size=4))
def test_any_name_and_path_is_read_back(tmp_path_factory, added):
    root = tmp_path_factory.mktemp("p")
    (root / "params.yaml").write_text("sources: {}\n# below\ntag: {}\n")
    for name, path in list(added.items()):
        try:
            sources.write(Project(root), name, FEW | {"path": path})
        except ParamsError:  # ruamel writes no NEL that it reads back
            assert re.search("[\\x85\\u2028\\u2029\\ud800-\\udfff]", path)
            del added[name]
    assume(added)
    assert params.read(root / "params.yaml") == {
        "sources": {n: FEW | {"path": p} for n, p in added.items()},
        "tag": {},
    }
    assert "\n# below\ntag: {}\n" in (root / "params.yaml").read_text()


@pytest.mark.parametrize(
    ("where", "expected"), [("project/in", "in"), ("beside/data", "../beside/data"), ("../far", None)]
)
def test_paths_near_the_project_are_relative(tmp_path, where, expected):
    root, target = tmp_path / "here" / "project", tmp_path / "here" / where
    root.mkdir(parents=True)
    target.mkdir(parents=True)
    value = sources.entry(root, str(target), origin="real", mapping={}, license_=None, dedup=True)
    assert value["path"] == (expected or str(target.resolve()))
    assert (root / value["path"]).resolve() == target.resolve()


def test_a_caption_without_an_image_says_so(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "alone.caption").write_text("of nothing")
    (folder / "b.bin").write_bytes(b"x")
    source = load_sources({"s": FEW | {"path": "data"}}, tmp_path)["s"]
    assert list(preview("s", source, tmp_path)) == [
        Reject("alone.caption", "caption-orphan", "no image or audio of this name beside it"),
        Reject("b.bin", "unsupported-type", "no reader for this file type"),
    ]


def test_add_through_the_command_line(sandbox):
    folder = sandbox.root.parent / "few"
    folder.mkdir()
    (folder / "a.txt").write_text("some words")
    sandbox.gendata("add", "../few", "--origin", "real")
    written = YAML(typ="safe").load(Path(sandbox.root / "params.yaml").read_text())["sources"]
    assert written == {"few": FEW}
