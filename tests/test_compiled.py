"""Who waits for a compiler is told, once, and only then."""

import os
import subprocess
import sys

CODE = """
from gendata.compiled import jit

@jit
def inner(value):
    return value + 1

@jit
def outer(value):
    return inner(value) + inner(value)

print(outer(1), outer(1.0))
"""


def test_a_compilation_is_told_once_and_what_is_kept_is_not(tmp_path):
    (tmp_path / "loops.py").write_text(CODE)
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.run([sys.executable, tmp_path / "loops.py"], env=env, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [run.stdout for run in runs] == ["4 4.0\n"] * 2
    assert runs[0].stderr.startswith("compiling loops")
    assert runs[0].stderr.count("\n") == 1
    assert runs[1].stderr == ""
