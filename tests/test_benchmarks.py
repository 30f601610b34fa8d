"""The benchmark of the trainer runs where there is no GPU, and says so: its figures need one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

REPO = Path(__file__).parent.parent


def told(*args):
    command = [sys.executable, "-m", "benchmarks.train_gpu", *args]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout


def test_tiny_settings_go_through_on_a_cpu():
    lines = told("--tiny", "--steps", "20").splitlines()
    assert lines[0].startswith("cpu: 0.0 M parameters, batch 4 x 16")
    assert "peak of cpu not known" in lines[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured():
    assert told().startswith("there is no GPU here: nothing was measured")
