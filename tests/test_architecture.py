"""The shape of the project: layers, sizes, the public surface, and how little `--help` loads."""

import ast
import subprocess
import sys
from pathlib import Path

import gendata

REPO = Path(__file__).parent.parent


def test_layers_point_down():
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


def test_modules_stay_small():
    long = [p for p in (REPO / "gendata").rglob("*.py") if len(p.read_text().splitlines()) > 300]
    assert not long
    for path in (REPO / "gendata").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path}:{node.name}"


def test_public_names_are_those_exported():
    assert gendata.__all__ == ["GendataError", "Project", "__version__", "open"]
    for name in gendata.__all__:
        assert getattr(gendata, name) is not None
    assert callable(gendata.open)


def test_help_loads_nothing_heavy():
    heavy = (
        "torch lancedb lance mlflow duckdb pyarrow numpy sentence_transformers PIL ruamel dvc prompt_toolkit".split()
    )
    code = (
        "import sys\nfrom gendata.cli import cli\n"
        "try:\n    cli(['--help'], prog_name='gendata')\nexcept SystemExit: pass\n"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "search" in result.stdout
    assert result.stderr.strip() == "[]"


def test_importing_gendata_loads_nothing_heavy():
    code = "import sys, gendata; print([m for m in ('numpy', 'pyarrow', 'torch', 'duckdb') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
