"""What a project is: its folder, its params.yaml, its lock; and what a run refuses."""

import pytest
from click.testing import CliRunner

from gendata import dvc, template
from gendata.cli.run import run
from gendata.embed.decode import UnreadableImageError
from gendata.embed.image import thumbnail
from gendata.errors import ParamsError, ProjectError
from gendata.project import Project
from gendata.store import LANGUAGES, StoreParams


def _edit(project, old, new):
    text = project.params_file.read_text()
    assert text.count(old) == 1
    project.params_file.write_text(text.replace(old, new))


@pytest.fixture
def project(tmp_path):
    template.create(tmp_path / "project")
    found = Project.find(tmp_path / "project")
    found.validate()
    return found


def test_null_sources_are_named(project):
    lines = project.params_file.read_text().splitlines()
    project.params_file.write_text("\n".join(x for x in lines if "{kind:" not in x))
    with pytest.raises(ParamsError, match=r"^params\.yaml: sources is empty; write `sources: \{\}`$"):
        project.validate()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 99", "gendata.version: must be one of 1, not 99"),
        ("colour: blue", "gendata: unknown key 'colour'; allowed: version"),
    ],
)
def test_the_section_gendata_is_strict(project, text, message):
    _edit(project, "version: 1 ", f"{text} ")
    with pytest.raises(ParamsError, match=message):
        project.validate()


def test_a_language_without_a_stemmer_is_refused_before_the_run(project):
    _edit(project, "language: English", "language: Klingon")
    with pytest.raises(ParamsError, match=r"store: language: must be one of Arabic, .*, Turkish, not 'Klingon'"):
        project.validate()


def test_lance_takes_exactly_the_languages(tmp_path):
    import lancedb
    import pyarrow as pa
    from lancedb.index import FTS

    table = lancedb.connect(tmp_path).create_table("t", pa.table({"text": ["open a file"]}))
    for language in LANGUAGES:
        assert StoreParams(language=language).language == language
        table.create_index("text", config=FTS(language=language, with_position=False), replace=True)
    with pytest.raises(ValueError, match="Polish"):
        table.create_index("text", config=FTS(language="Polish"), replace=True)


@pytest.mark.parametrize("character", ["?", "\\", "{", "}", "\n", "\x07", "\x7f"])
def test_folders_that_duckdb_or_dvc_cannot_name(project, character):
    bad = project.root.parent / f"a{character}b"
    for target in (bad, bad / "below"):
        with pytest.raises(ProjectError, match="cannot hold") as caught:
            template.create(target)
        assert repr(character) in str(caught.value)
        assert str(caught.value).isprintable()
    assert not bad.exists()
    project.root.rename(bad)
    with pytest.raises(ProjectError, match="cannot hold"):
        Project.find(bad)


def test_other_folders_are_fine(tmp_path):
    template.create(tmp_path / "ä b'c,d $e")
    assert Project.find(tmp_path / "ä b'c,d $e" / "pipelines").root == tmp_path / "ä b'c,d $e"


def test_a_lock_in_conflict_is_set_aside(sandbox):
    lock, kept = sandbox.root / "dvc.lock", sandbox.root / ".gendata" / "dvc.lock.broken"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("older")
    lock.write_text(text := "<<<<<<< HEAD\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> other\n")
    said = []
    assert "scan" in dvc.repro(sandbox.root, ["scan"], said.append)
    assert kept.read_text() == text
    assert lock.read_text().startswith("schema:")
    assert [line for line in said if "dvc.lock.broken" in line and "\n" not in line]


@pytest.mark.parametrize("option", ["--help", "--dry", "-f"])
def test_options_of_dvc_are_no_stages(project, monkeypatch, option):
    monkeypatch.chdir(project.root)
    result = CliRunner().invoke(run, ["--", option])
    assert result.exit_code == 2
    assert f"'{option}' is no stage" in result.output


@pytest.mark.parametrize("data", [b"", b"no image at all"])
def test_an_unreadable_query_image_shows_no_python_objects(data):
    with pytest.raises(UnreadableImageError, match=r"^not a readable image$"):
        thumbnail(data)
