"""The loop: kill and resume equal an unbroken run, what is not finite stops it, half-written states are left aside."""

import re
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from train import toys

from gendata.engine import Progress
from gendata.errors import StoreError
from gendata.models.family import DataSpec
from gendata.train import loop
from gendata.train.data import ImageData, image_data
from gendata.train.loop import DivergedError, fit
from gendata.train.machine import open_machine
from gendata.train.resume import last_good
from gendata.train.step import rate


class Watch:
    """Remembers what it was told; ``stop`` ends the training like a kill, after that validation."""

    def __init__(self, stop=None):
        self.stop, self.lines, self.points, self.seen = stop, [], [], []

    def figures(self, step, values):
        self.points.append((step, dict(values)))

    def validated(self, step):
        self.seen.append(step)
        torch.rand(7)  # a watcher may use the global generator
        if step == self.stop:
            raise KeyboardInterrupt

    def say(self, line):
        self.lines.append(line)


def start(config, data):
    torch.manual_seed(config.seed)
    return toys.Model(config, DataSpec(data.classes))


def run(config, data, work, stop=None):
    model, watch = start(config, data), Watch(stop)
    try:
        with open_machine(config, "toy") as machine:
            state = fit("toy", model, config, data, work, watch, machine)
    except KeyboardInterrupt:
        state = None
    return model, state, watch


@pytest.fixture
def data(images):
    return image_data(images, 8, 1)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(data, tmp_path):
    config = toys.Config()
    whole, state, _ = run(config, data, tmp_path / "whole")
    _, none, _ = run(config, data, tmp_path / "cut", stop=12)  # after the checkpoint of step 8
    assert none is None
    resumed, again, watch = run(config, data, tmp_path / "cut")
    assert watch.lines == ["going on from step 8"]
    assert equal(whole, resumed)
    assert again.history == state.history
    assert [row["step"] for row in state.history] == [4, 8, 12]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data, tmp_path):
    config = toys.Config()
    first, second, third = (
        run(c, data, tmp_path / str(i))[0] for i, c in enumerate([config, config, replace(config, seed=1)])
    )
    assert equal(first, second)
    assert not equal(first, third)


def test_it_learns(data, tmp_path):
    _, state, watch = run(toys.Config(steps=60, every=20, lr=0.1), data, tmp_path)
    losses = [row["train/means"] for row in state.history]
    assert losses[-1] < 0.8 * losses[0]
    assert all("train/means" in row and "train/gradient/scale" in row for row in state.history)
    assert [step for step, _ in watch.points if step % 20 == 0] == [20, 20, 40, 40, 60, 60]


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint(data, tmp_path):
    with pytest.raises(DivergedError) as error:
        run(toys.Config(burst=6), data, tmp_path)
    assert str(error.value) == (
        f"train toy: the loss of means is nan at step 6; the last good checkpoint is {tmp_path}/step-00000004; "
        "lower train.toy.lr or clip"
    )
    with pytest.raises(DivergedError, match="at step 2; there is no checkpoint before it"):
        run(toys.Config(burst=2), data, tmp_path / "early")


def test_weights_that_are_not_finite_are_no_checkpoint(data, tmp_path):
    config = toys.Config()
    model = start(config, data)
    model.average.fill_(float("inf"))  # which no loss sees
    with (
        pytest.raises(DivergedError, match="the weights average are not finite at step 4; there is no checkpoint"),
        open_machine(config, "toy") as machine,
    ):
        fit("toy", model, config, data, tmp_path, Watch(), machine)


def test_a_held_out_loss_far_above_the_first_is_divergence(data, tmp_path, monkeypatch):
    """Finite all the time; what overfits stays below."""
    losses = iter([2.0, 19.0, 21.0])
    monkeypatch.setattr(toys.Model, "validate", lambda *_: {"loss": torch.tensor(next(losses))})
    monkeypatch.setattr(data, "validation", lambda _: iter([(data.batch(0, 0, 1), 1)]))
    with pytest.raises(DivergedError, match=r"the held-out loss is 21, at first it was 2, at step 12; .*step-00000008"):
        run(toys.Config(), data, tmp_path)
    monkeypatch.undo()
    _, state, watch = run(toys.Config(), data, tmp_path)  # the checkpoint that it names is good
    assert watch.lines == ["going on from step 8"]
    assert state.step == 12


@pytest.mark.parametrize("harm", ["truncate", "garble", "no tensors", "no json", "half json"])
def test_a_broken_state_is_left_aside_and_the_one_before_taken(data, tmp_path, harm):
    config = toys.Config()
    whole, _, _ = run(config, data, tmp_path / "whole")
    run(config, data, tmp_path / "cut", stop=12)
    tensors, written = (tmp_path / "cut" / "step-00000008" / f"state.{kind}" for kind in ("safetensors", "json"))
    content = tensors.read_bytes()
    if harm == "truncate":
        tensors.write_bytes(content[: len(content) // 2])
    elif harm == "garble":
        tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif harm == "no tensors":
        tensors.unlink()
    elif harm == "no json":
        written.unlink()
    else:
        written.write_text(written.read_text()[:-9])
    resumed, _, watch = run(config, data, tmp_path / "cut")
    assert "step-00000008: not a whole checkpoint" in watch.lines[0]
    assert watch.lines[1] == "going on from step 4"
    assert equal(whole, resumed)


def test_the_last_good_checkpoint_is_one_that_is_whole(data, tmp_path):
    run(toys.Config(), data, tmp_path, stop=12)
    newest, before = tmp_path / "step-00000008", tmp_path / "step-00000004"
    assert last_good(tmp_path) == f"the last good checkpoint is {newest}"
    (newest / "state.safetensors").write_bytes(b"x")
    assert last_good(tmp_path) == f"the last good checkpoint is {before}"
    (before / "state.json").write_text("[]")
    assert last_good(tmp_path) == "there is no checkpoint before it"


def test_a_full_disk_is_one_line_and_the_state_before_stays(tmp_path):
    """In a process that may not write files over 4 kB: the kernel refuses as it does on a full disk."""
    script = f"""
import resource, signal, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
import torch
from train import toys
from gendata.errors import StoreError
from gendata.models.family import DataSpec
from gendata.train.resume import State, save_state
model = toys.Model(toys.Config(size=64), DataSpec(("a", "b")))
folder = Path({str(tmp_path)!r}) / "states"
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
save_state(folder, State(4, []), toys.Model(toys.Config(), DataSpec(("a",))), {{}})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_state(folder, State(8, []), model, {{}})
except StoreError as error:
    print(f"error: {{error}}")
print(sorted(p.name for p in folder.iterdir()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("error: ")
    assert "cannot be written" in first
    assert second == "['step-00000004']"


def test_a_disk_that_gets_full_ends_a_training_that_goes_on_when_there_is_room(data, tmp_path):
    """The limit comes with the second validation, before its checkpoint is written."""

    class Full(Watch):
        def validated(self, step):
            if step == 8:
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))

    config = toys.Config(size=64)
    whole, _, _ = run(config, wide(data), tmp_path / "whole")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(StoreError, match="cannot be written") as error, open_machine(config, "toy") as machine:
            fit("toy", start(config, data), config, wide(data), tmp_path / "cut", Full(), machine)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(f"the last good checkpoint is {tmp_path / 'cut' / 'step-00000004'}")
    assert [p.name for p in (tmp_path / "cut").iterdir()] == ["step-00000004"]
    resumed, _, watch = run(config, wide(data), tmp_path / "cut")
    assert watch.lines == ["going on from step 4"]
    assert equal(whole, resumed)


def wide(data):
    """The same images, eight times as wide and high."""
    pixels = {name: np.asarray(values).repeat(8, 2).repeat(8, 3) for name, values in data.pixels.items()}
    return ImageData(pixels, data.labels, data.classes)


def test_the_line_of_progress_tells_loss_speed_and_time_left(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "Progress", lambda *args, done: Progress(*args[:3], after=0, done=done))
    run(toys.Config(), data, tmp_path)
    said = capsys.readouterr().err
    assert re.search(r"train toy: 1/12 steps, means [\d.]+, scale [\d.]+, [\d,]+ images/s, \d+ s left\n", said)


def test_the_learning_rate_rises_then_falls():
    config = toys.Config(steps=100, warmup=10, lr=1.0, final=0.1)
    rates = [rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[11:] == sorted(rates[11:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
