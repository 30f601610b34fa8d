"""A small training on made-up text; as a program, what each of several processes (``torchrun``) does in a test."""

import contextlib
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from gendata.models import transformer
from gendata.models.family import DataSpec
from gendata.train.data import TextData
from gendata.train.loop import fit
from gendata.train.machine import open_machine
from gendata.train.step import validate

CONFIG = transformer.Config(
    layers=1, heads=1, width=16, context=8, steps=12, batch=8, every=4, warmup=2, lr=3e-3, device="cpu"
)


class Watch:
    def __init__(self, stop):
        self.stop = stop

    def figures(self, step, values): ...

    def validated(self, step):
        if step == self.stop:
            raise KeyboardInterrupt

    def say(self, line): ...


def data():
    """Bytes that follow each other more or less."""
    steps = np.random.default_rng(0).integers(1, 4, 4000).cumsum() % 250
    return TextData({"train": steps[:3000].astype(np.uint16), "valid": steps[3000:].astype(np.uint16)}, CONFIG.context)


def weights(config, folder, machine=None, stop=None):
    """After a training; None if it was stopped at that validation."""
    torch.manual_seed(config.seed)
    model = transformer.Model(config, DataSpec())
    with contextlib.nullcontext(machine) if machine else open_machine(config, "transformer") as machine:
        try:
            fit("transformer", model, config, data(), folder, Watch(stop), machine)
        except KeyboardInterrupt:
            return None
    return model.state_dict()


def held_out(state):
    model = transformer.Model(CONFIG, DataSpec())
    model.load_state_dict(state)
    return validate(model, CONFIG, data())["valid/loss"]


def main(out):
    """Weights of each process: of a training, of another one, and of one that was stopped and goes on."""
    torch.set_num_threads(1)
    with open_machine(CONFIG, "transformer") as machine:
        trainings = {name: weights(CONFIG, out / name, machine) for name in ("whole", "again")}
        assert weights(CONFIG, out / "cut", machine, stop=8) is None
        assert (out / "cut" / "step-00000004").is_dir()
        trainings["resumed"] = weights(CONFIG, out / "cut", machine)
        for name, state in trainings.items():
            save_file(state, out / f"{name}-{machine.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
