"""``gendata init``: what a project gets, with and without models, and what stays as it is in one that is there."""

import re
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from gendata import params, template
from gendata.cli import cli
from gendata.errors import ParamsError, ProjectError
from gendata.ingest import READERS
from gendata.models import MODELS
from gendata.project import Project
from gendata.sections import FAMILIES, MODEL_STAGES, SECTIONS

DATA_STAGES = {"scan", "ingest", "dedup", "tag", "embed", "similar", "store"}
MODEL_SECTIONS = {*FAMILIES, "evaluate", "compare", "tracking"}


def contents(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def yaml(path):
    return YAML(typ="safe").load(path.read_text())


def _holds(new, old):
    """All lines of the old text are in the new one, in order; blank lines do not count."""
    rest = iter(new.splitlines())
    return all(line in rest for line in old.splitlines() if line)


def body(stage):
    return stage.get("do") or stage


@pytest.mark.parametrize("full", [False, True])
def test_a_project_has_its_stages_sections_and_scripts_alone(tmp_path, full):
    template.create(tmp_path / "p", full=full)
    project = Project(tmp_path / "p")
    stages = DATA_STAGES | MODEL_STAGES if full else DATA_STAGES
    assert project.stages() == set(yaml(project.root / "dvc.yaml")["stages"]) == stages
    assert {p.stem for p in (project.root / "pipelines").iterdir()} == {"__init__", *stages}
    sections = {"gendata", "sources", *SECTIONS, *FAMILIES}
    assert set(yaml(project.params_file)) == (sections if full else sections - MODEL_SECTIONS)
    assert (project.root / "records/outputs/.gitkeep").exists() == full
    project.validate()


def test_what_belongs_to_the_models_is_not_told_to_others(tmp_path):
    template.create(tmp_path / "p")
    for name in ("dvc.yaml", "params.yaml"):
        text = (tmp_path / "p" / name).read_text()
        assert not re.search(r"famil(y|ies)|\b(models|select|generate|evaluate|checkpoint)\b", text), name
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert "\n\n\n" not in text


@pytest.mark.parametrize("full", [False, True])
def test_comments_and_layout_are_those_of_the_template(tmp_path, full):
    template.create(tmp_path / "p", full=full)
    for name in ("dvc.yaml", "params.yaml"):
        ours = (template.folder() / name).read_text().splitlines()
        theirs = (tmp_path / "p" / name).read_text().splitlines()
        assert not [line for line in theirs if line not in ours]
        assert not full or theirs == ours


@pytest.mark.parametrize("full", [False, True])
def test_the_lock_has_the_digest_of_every_stage_kind_and_family(tmp_path, full):
    template.create(tmp_path / "p", full=full)
    stages = yaml(tmp_path / "p" / "dvc.yaml")["stages"]
    code = params.read(tmp_path / "p" / template.LOCK)["code"]
    expected = {*stages, *(f"ingest-{kind}" for kind in READERS)}
    expected |= {f"{stage}-{family}" for stage in {"train", "generate", "evaluate"} & {*stages} for family in MODELS}
    assert set(code) == expected


def test_stage_scan_which_runs_always_writes_the_digests(tmp_path):
    template.create(tmp_path / "p")
    lock = tmp_path / "p" / template.LOCK
    fresh = lock.read_text()
    lock.write_text(fresh.replace("store: ", "store: 0"))
    command = [sys.executable, "-m", "pipelines.scan", "artifacts/scan"]
    subprocess.run(command, cwd=tmp_path / "p", check=True, capture_output=True)
    assert lock.read_text() == fresh


def test_an_upgrade_of_one_family_leaves_the_others_alone(tmp_path, monkeypatch):
    copied = shutil.copytree(template.package(), tmp_path / "gendata", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(template, "folder", lambda: template.Path(template.__file__).parents[1])
    monkeypatch.setattr(template, "package", lambda: copied)
    template.create(tmp_path / "p", full=True)
    assert template.write_lock(tmp_path / "p") == []
    with (copied / "models" / "gan.py").open("a") as file:
        file.write("# another version\n")
    changed = template.write_lock(tmp_path / "p")
    assert set(changed) == {
        *(f"{stage}{of}" for stage in ("train", "generate", "evaluate") for of in ("", "-gan")),
        "compare",
    }
    with (copied / "tag" / "size.py").open("a") as file:
        file.write("# another version\n")
    assert template.write_lock(tmp_path / "p") == ["tag", "collect"]


def test_models_come_to_a_project_that_was_changed_and_nothing_else_changes(tmp_path):
    template.create(tmp_path / "p")
    root = tmp_path / "p"
    settings, stages = root / "params.yaml", root / "dvc.yaml"
    settings.write_text(
        re.sub(r"sources:\n(  .*\n)*", "sources: {}  # none yet\n", settings.read_text()).replace("0.98", "0.9")
        + "\n# mine\nprepare: {seed: 1}\n\n# the end"
    )
    own = "\n  mine:\n    cmd: echo 'it is mine'\n    # why\n    always_changed: true\n\n# plots\nplots:\n  - a.csv\n"
    stages.write_text(stages.read_text() + own)
    (root / "pipelines/tag.py").write_text("# mine\n")
    before = contents(root)
    settled = {name: yaml(root / name) for name in ("params.yaml", "dvc.yaml")}
    *_, done = template.create(root, full=True)
    assert "models added" in done
    after = contents(root)
    for name, content in before.items():
        if name in {"params.yaml", "dvc.yaml", template.LOCK}:
            assert _holds(after[name].decode(), content.decode())
        else:
            assert after[name] == content
    template.create(tmp_path / "whole", full=True)
    whole = {name: yaml(tmp_path / "whole" / name) for name in settled}
    found = {name: yaml(root / name) for name in settled}
    assert found["params.yaml"] == {**whole["params.yaml"], **settled["params.yaml"]}
    assert found["dvc.yaml"] == {
        "stages": {**whole["dvc.yaml"]["stages"], **settled["dvc.yaml"]["stages"]},
        "plots": ["a.csv"],
    }
    assert after["dvc.yaml"].decode().endswith("\n\n# plots\nplots:\n  - a.csv\n")
    assert Project(root).stages() == DATA_STAGES | MODEL_STAGES
    assert contents(tmp_path / "whole").keys() <= after.keys()


def test_a_project_with_models_is_left_as_it_is(tmp_path):
    template.create(tmp_path / "p", full=True)
    before = contents(tmp_path / "p")
    for full in (False, True):
        with pytest.raises(ProjectError, match=r"params\.yaml has .* already: not changed"):
            template.create(tmp_path / "p", full=full)
    assert contents(tmp_path / "p") == before


REPOSITORY = {
    "dvc.yaml": "# ours\nstages:\n    train:\n        cmd: python train.py  # long\n    test: {cmd: a}\n\nplots: []\n",
    "params.yaml": "# lr and so on\ntrain: {lr: 0.1}\nevaluate:\n    # how many\n    n: 3\n",
}


@pytest.fixture
def repository(tmp_path):
    """A repository of somebody who uses DVC, with stages and sections that are called like ours."""
    for name, text in REPOSITORY.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_an_existing_repository_keeps_its_own_stages(repository):
    template.create(repository)
    for name, text in REPOSITORY.items():
        assert _holds((repository / name).read_text(), text)
    project = Project(repository)
    assert project.stages() == DATA_STAGES  # `train` is theirs
    assert set(yaml(repository / "dvc.yaml")["stages"]) == {*DATA_STAGES, "train", "test"}
    assert not project.has_models()
    project.validate()  # and so are its sections
    assert {key.split("-")[0] for key in params.read(repository / template.LOCK)["code"]} == DATA_STAGES


def test_models_do_not_come_over_stages_of_that_name(repository):
    for _ in range(2):  # with all, and to the data stages
        before = contents(repository)
        with pytest.raises(ProjectError, match=r"params\.yaml has evaluate, train already: not changed"):
            template.create(repository, full=True)
        assert contents(repository) == before
        if not Project(repository).stages():
            template.create(repository)


def test_a_script_of_that_name_is_not_written_over(tmp_path):
    template.create(tmp_path / "p")
    (tmp_path / "p/pipelines/select.py").write_text("mine")
    before = contents(tmp_path / "p")
    with pytest.raises(ProjectError, match=r"select\.py exists already"):
        template.create(tmp_path / "p", full=True)
    assert contents(tmp_path / "p") == before


def test_scripts_of_another_version_are_told(tmp_path):
    template.create(tmp_path / "p")
    (tmp_path / "p/pipelines/__init__.py").write_text('"""Older."""\n')
    note, _ = template.create(tmp_path / "p", full=True)
    assert "pipelines/__init__.py is not the one" in note


@pytest.mark.parametrize("text", ["{stages: {a: {cmd: b}}}", "stages: {a: {cmd: b}}\n", "stages: {}\n"])
def test_a_file_that_is_no_block_is_left_as_it_is(tmp_path, text):
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(ProjectError, match="indented blocks"):
        template.create(tmp_path)
    assert contents(tmp_path) == {"dvc.yaml": text.encode()}


def test_the_command_says_what_it_did(tmp_path):
    def init(*args):
        result = CliRunner().invoke(cli, ["init", str(tmp_path / "p"), *args], prog_name="gendata")
        return result.exit_code, result.stderr

    assert init() == (0, f"project made in {tmp_path / 'p'}; next: cd {tmp_path / 'p'} && gendata run\n")
    assert init("--full") == (
        0,
        f"models added to the project in {tmp_path / 'p'}; next: cd {tmp_path / 'p'} && gendata run\n",
    )
    code, error = init("--full")
    assert code == 1
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made") / "p"
    template.create(root, full=True)
    return root


@pytest.fixture
def whole(made, tmp_path):
    return Project(shutil.copytree(made, tmp_path / "p"))


def edit(project, change):
    """Write params.yaml with a change to its values."""
    settings = params.read(project.params_file)
    change(settings)
    with project.params_file.open("w") as stream:
        YAML().dump(settings, stream)


def _set(*path_and_value):
    *path, last, value = path_and_value

    def change(settings):
        for key in path:
            settings = settings[key]
        settings[last] = value

    return change


def _without(*path):
    *path, last = path

    def change(settings):
        for key in path:
            settings = settings[key]
        del settings[last]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("train", "diffusion", {}), r"train: unknown family 'diffusion'; there are gan, "),
        (_set("select", "gann", {}), r"select: unknown family 'gann'; there are gan, "),
        (_without("select", "vae"), r"select\.vae is missing, which train names; `vae: \{\}` gives the defaults"),
        (_without("generate", "rnn"), r"generate\.rnn is missing"),
        (_without("tracking"), r"section tracking is missing; `tracking: \{\}` gives the defaults"),
        (_without("train"), r"section train is missing"),
        (_set("train", None), r"train is empty; write `train: \{\}`"),
        (_set("generate", ["gan"]), r"generate: must be a mapping of families"),
        (_set("trian", {}), r"unknown section 'trian'; did you mean train\?"),
        (_set("select", "gan", "allow_origins", ["reel"]), r"select\.gan: allow_origins: 'reel' is none of"),
        (_set("select", "gan", "were", "true"), r"select\.gan: unknown key 'were'"),
        (_set("generate", "rnn", "prompts", "a"), r"generate\.rnn: unknown key 'prompts'"),
        (_set("generate", "gan", "n", 0), r"generate\.gan: n: must be at least 1, not 0"),
        (_set("train", "gan", "steps", "many"), r"train\.gan\.steps: must be a whole number, not 'many'"),
        (_set("train", "rnn", "batch", 0), r"train\.rnn: batch: must be at least 1, not 0"),
        (_set("train", "vae", "wdth", 3), r"train\.vae: unknown key 'wdth'"),
        (_set("tracking", "to", "wandb"), r"tracking\.to: must be one of mlflow, none, not 'wandb'"),
        (_set("evaluate", "seed", "x"), r"evaluate\.seed: must be a whole number"),
    ],
)
def test_settings_of_models_are_checked_before_a_run(whole, change, message):
    edit(whole, change)
    for _ in range(2):  # what was wrong is not remembered as right
        with pytest.raises(ParamsError, match=rf"^params\.yaml: {message}"):
            whole.validate()


@pytest.mark.parametrize(
    "change",
    [
        _without("train", "vae"),  # select and generate may name more
        _set("train", {}),
        _set("train", "gan", None),
        _set("generate", "gan", None),
        _set("select", "gan", {}),
    ],
)
def test_settings_of_models_that_are_fine(whole, change):
    edit(whole, change)
    whole.validate()


def test_torch_is_imported_for_a_section_that_changed_alone(whole):
    code = f"import sys, gendata; gendata.open({str(whole.root)!r}).validate(); print('torch' in sys.modules)"

    def imports_torch():
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    whole.validate()
    edit(whole, _set("generate", "gan", "n", 7))
    assert imports_torch() == "False"
    edit(whole, _set("train", "gan", "steps", 7))
    assert imports_torch() == "True"
