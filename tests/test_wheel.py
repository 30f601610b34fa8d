"""A wheel, installed where the sources are not: `gendata init` and `gendata run` work from it."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from sandbox import Sandbox, write_corpus

REPO = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_the_template_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "gendata/_template/dvc.yaml",
        "gendata/_template/params.yaml",
        "gendata/_template/pipelines/store.py",
    } <= set(names)
    assert "gendata/py.typed" in names
    assert {n.split("/")[0].split("-")[0] for n in names} == {"gendata"}
    assert not [n for n in names if "__pycache__" in n or "artifacts" in n]


def test_a_project_made_by_an_installed_wheel_runs(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    # the dependencies of this environment, but not its gendata: that one is editable
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)], check=True
    )
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}

    def gendata(*args, cwd):
        result = subprocess.run(
            [python, "-m", "gendata", *args], cwd=cwd, env=environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        return result

    where = subprocess.run(
        [python, "-c", "import gendata; print(gendata.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert str(site) in where.stdout
    gendata("init", "demo", cwd=tmp_path)
    box = Sandbox(tmp_path / "demo")
    write_corpus(box.root / "corpus", texts=5, images=3)
    box.sources(corpus={"kind": "folder", "path": "corpus", "origin": "real"})
    assert "kept     8" in gendata("run", cwd=box.root).stdout
    assert "nothing to do" in gendata("run", cwd=box.root).stderr
    assert "note-" in gendata("search", "bees", cwd=box.root).stdout

    with (site / "gendata" / "tag" / "size.py").open("a") as module:  # as an upgrade might
        module.write("# another version\n")
    upgraded = gendata("run", cwd=box.root).stderr
    assert "tag will run again" in upgraded
    assert "running tag" in upgraded
    assert "running embed" not in upgraded
