"""What a training computes with changes little of what it learns: parts, processes, precision, compilation."""

import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from train import ranks

from gendata.errors import GendataError, ParamsError
from gendata.models import gan, rnn, vae
from gendata.models.checkpoint import load_tensors
from gendata.models.family import DataSpec
from gendata.train.data import image_data, text_data
from gendata.train.loop import fit
from gendata.train.machine import CPU, Machine, open_machine
from gendata.train.step import Training, batches, optimizer, take_step

CONFIG = ranks.CONFIG


def close(one, other):
    return all(torch.allclose(one[key], other[key], rtol=1e-3, atol=1e-5) for key in one)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return ranks.weights(CONFIG, tmp_path_factory.mktemp("alone"))


def test_gradients_of_parts_add_up_to_that_of_the_batch(alone, tmp_path):
    parts = ranks.weights(replace(CONFIG, accumulate=4), tmp_path / "parts")
    assert close(parts, alone)
    quarter = ranks.weights(replace(CONFIG, batch=CONFIG.batch // 4), tmp_path / "quarter")
    assert not close(quarter, alone)


def test_batches_come_in_order_and_are_those_of_their_steps():
    data = ranks.data()
    shares = []
    for rank in range(2):
        machine = Machine(torch.device("cpu"), torch.float32, rank, ranks=2)
        training = Training(None, None, {}, replace(CONFIG, accumulate=2), data, machine)
        shares.append([torch.cat([part["tokens"] for part in parts]) for parts in batches(training, 3)])
        assert len(shares[-1]) == CONFIG.steps - 3
    for step, both in enumerate(zip(*shares, strict=True), 3):
        assert torch.cat(both).equal(data.batch(CONFIG.seed, step, CONFIG.batch)["tokens"])


def test_an_error_of_the_thread_that_reads_is_raised():
    data = ranks.data()
    del data.streams["train"]
    with pytest.raises(KeyError, match="train"):
        next(batches(Training(None, None, {}, CONFIG, data, CPU), 0))


def test_two_processes_give_what_one_gives_and_go_on_after_a_stop(alone, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, ranks.__file__, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {path.stem: load_tensors(path) for path in tmp_path.glob("*.safetensors")}
    first = found["whole-0"]
    assert close(first, alone)
    for name in ("whole-1", "again-0", "resumed-0", "resumed-1"):
        assert all(torch.equal(first[key], found[name][key]) for key in first), name


def test_bfloat16_learns_the_same_with_weights_in_float32(alone, tmp_path):
    with open_machine(replace(CONFIG, precision="bfloat16"), "transformer") as machine:
        assert machine.facts() == {"device": "cpu", "precision": "bfloat16", "processes": 1}
    half = ranks.weights(replace(CONFIG, precision="bfloat16"), tmp_path)
    assert all(value.dtype == torch.float32 for value in half.values())
    assert not close(half, alone)
    assert ranks.held_out(half) == pytest.approx(ranks.held_out(alone), abs=0.05)


def test_the_precision_of_a_cpu_is_float32_unless_asked_for():
    with open_machine(CONFIG, "transformer") as machine:
        assert machine.facts() == {"device": "cpu", "precision": "float32", "processes": 1}


def test_a_compiled_loss_gives_the_same(alone, tmp_path, monkeypatch):
    """Traced as ever, but without the C++ compiler, which takes minutes."""
    calls = []
    compile_ = partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", lambda function: calls.append(function) or compile_(function))
    assert close(ranks.weights(replace(CONFIG, compile=True), tmp_path), alone)
    assert len(calls) == 1


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch's, while it traces
@pytest.mark.parametrize(("family", "works"), [(vae, True), (gan, False)])
def test_what_torch_cannot_compile_is_said_in_a_line(images, tmp_path, monkeypatch, family, works):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    config = family.Config(size=8, width=8, hidden=8, steps=1, batch=4, compile=True)
    data = image_data(images, 8, 1)
    model = family.Model(config, DataSpec(data.classes))
    with open_machine(config, "toy") as machine:
        optimizers = {key: optimizer(o, config) for key, o in model.objectives().items()}
        training = Training(model, machine.loss(model), optimizers, config, data, machine)
        if works:
            losses, _ = take_step(training, [data.batch(0, 0, 4)], 0)
            assert losses["elbo"] > 0
            return
        with pytest.raises(
            ParamsError, match=r"^train.gan.compile: torch.compile has no second derivatives, which disc"
        ):
            fit("gan", model, config, data, tmp_path, ranks.Watch(0), machine)


@pytest.mark.parametrize("cell", rnn.CELLS)
def test_a_cell_learns_in_bfloat16_or_the_key_is_named(texts, cell):
    """Which cells a CPU has in bfloat16 is up to it."""
    config, data = rnn.Config(cell=cell, steps=1, batch=4, context=16, precision="bfloat16"), text_data(texts, 16)
    model = rnn.Model(config, DataSpec())
    with open_machine(config, "rnn") as machine:
        optimizers = {key: optimizer(o, config) for key, o in model.objectives().items()}
        training = Training(model, machine.loss(model), optimizers, config, data, machine)
        try:
            losses, _ = take_step(training, [data.batch(0, 0, 4)], 0)
            assert losses["loss"] > 0
        except ParamsError as error:
            assert str(error) == "precision: this CPU cannot compute the model in bfloat16; choose float32"  # noqa: PT017


def test_a_device_that_is_not_there_is_named_by_its_key():
    with (
        pytest.raises(GendataError, match=r"train.rnn.device: cuda:7 is not"),
        open_machine(replace(CONFIG, device="cuda:7"), "rnn"),
    ):
        pass


def test_a_batch_that_does_not_part_among_processes_is_refused(monkeypatch):
    for name, value in {
        "is_torchelastic_launched": True,
        "init_process_group": None,
        "destroy_process_group": None,
        "get_rank": 0,
        "get_world_size": 3,
    }.items():
        monkeypatch.setattr(torch.distributed, name, lambda *_, value=value, **__: value)
    told = r"train\.rnn\.batch: 8 must be a multiple of 3 processes \* accumulate, 6"
    with pytest.raises(GendataError, match=told), open_machine(replace(CONFIG, accumulate=2), "rnn"):
        pass


def test_a_batch_that_does_not_part_is_refused():
    with pytest.raises(ValueError, match="batch: must be a multiple of accumulate, 3, not 8"):
        replace(CONFIG, accumulate=3)
