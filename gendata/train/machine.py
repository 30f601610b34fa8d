"""Where a training computes: device, precision, and the processes that share its work (``torchrun``).

Each process computes a share of every batch; gradients are averaged after each backward pass, by the loop and
not by a wrapper around the model: families have several losses, and second derivatives, which such a wrapper
does not know. All processes start from the same seed and take the same steps, so their weights stay equal.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from gendata.embed.device import native_bfloat16, resolve
from gendata.errors import GendataError, ParamsError
from gendata.models.family import Batch, Figures, Recipe, item_seed

T = TypeVar("T")

Loss = Callable[[str, Batch, float], tuple[Tensor, Figures]]
"""``Model.loss``: of an objective, a batch and the progress."""

_PATIENCE = timedelta(days=1)
"""How long a process waits for another, which may be decoding a corpus; ``torchrun`` ends all where one dies."""


def is_first() -> bool:
    """Whether this process is the one that writes: alone, or the first of those that ``torchrun`` started."""
    return not distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"


@dataclass(frozen=True)
class Machine:
    """What the loop knows of where it runs.

    Attributes:
        device: such as cpu or cuda:1.
        dtype: of the products of matrices: float32, or bfloat16 by autocast; weights are float32 always.
        rank: number of this process among those that train together.
        ranks: how many these are.
        compiles: whether losses go through torch.compile.
    """

    device: torch.device
    dtype: torch.dtype
    rank: int = 0
    ranks: int = 1
    compiles: bool = False

    def facts(self) -> dict[str, Any]:
        """What a card tells of it: equal facts and an equal recipe give equal weights on one type of CPU."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {"device": name, "precision": str(self.dtype).removeprefix("torch."), "processes": self.ranks}

    def seed(self, seed: int, step: int) -> int:
        """Of the noise of a step: that of other processes is other noise."""
        own = item_seed(seed, step)
        return item_seed(own, self.rank) if self.rank else own

    def autocast(self) -> AbstractContextManager[Any]:
        """Inside, matrices are multiplied in ``dtype``."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def loss(self, model: Any) -> Loss:
        """The model's loss, compiled where that is asked for."""
        return torch.compile(model.loss) if self.compiles else model.loss

    def ready(self, batch: Batch) -> Batch:
        """The batch in memory that a GPU reads by itself, while the processor goes on."""
        return {key: value.pin_memory() for key, value in batch.items()} if self.device.type == "cuda" else batch

    def move(self, batch: Batch) -> Batch:
        """The batch on the device."""
        return {key: value.to(self.device, non_blocking=True) for key, value in batch.items()}

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, which must come with the same ones in the same order."""
        if self.ranks > 1:
            tensors = list(tensors)
            for work in [distributed.all_reduce(tensor, async_op=True) for tensor in tensors]:
                assert work is not None
                work.wait()
            for tensor in tensors:
                tensor /= self.ranks

    def gather(self, value: T) -> list[T]:
        """The small values of all processes, by rank."""
        values: list[Any] = [value] * self.ranks
        if self.ranks > 1:
            distributed.all_gather_object(values, value)
        return values

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process goes through the block, then all others: for caches that the first one fills."""
        if self.rank:
            distributed.barrier()
        yield
        if self.ranks > 1 and not self.rank:
            distributed.barrier()


CPU = Machine(torch.device("cpu"), torch.float32)
"""One process without a GPU."""


@contextmanager
def open_machine(config: Recipe, name: str) -> Iterator[Machine]:
    """The machine that a recipe asks for; under ``torchrun``, one that all its processes share.

    Raises:
        GendataError: the device is not there, or the batch does not part into equal shares.
    """
    device = resolve(config.device, f"train.{name}.device")
    alone = Machine(torch.device(device), _dtype(config.precision, device), compiles=config.compile)
    if not distributed.is_torchelastic_launched():
        yield alone
        return
    if device.startswith("cuda"):
        device = resolve(f"cuda:{os.environ['LOCAL_RANK']}", f"train.{name}: torchrun --nproc-per-node")
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_PATIENCE)
    try:
        rank, ranks = distributed.get_rank(), distributed.get_world_size()
        if config.batch % (ranks * config.accumulate):
            raise GendataError(
                f"train.{name}.batch: {config.batch} must be a multiple of {ranks} processes * accumulate, "
                f"{ranks * config.accumulate}"
            )
        yield Machine(torch.device(device), alone.dtype, rank, ranks, config.compile)
    finally:
        distributed.destroy_process_group()


def _dtype(precision: str, device: str) -> torch.dtype:
    """``auto`` is float32 on a CPU also where that multiplies bfloat16: the weights stay the same bytes."""
    fast = device.startswith("cuda") and native_bfloat16(device)
    return torch.bfloat16 if precision == "bfloat16" or (precision == "auto" and fast) else torch.float32


@contextmanager
def explained(objective: str) -> Iterator[None]:
    """What torch cannot do with these settings, as ParamsError by their key: it says so where it comes to it."""
    try:
        yield
    except RuntimeError as error:
        if "double backward" in str(error):
            raise ParamsError(f"compile: torch.compile has no second derivatives, which {objective} needs") from None
        if "could not create a primitive" in str(error):  # oneDNN: an LSTM on a CPU without bfloat16
            raise ParamsError("precision: this CPU cannot compute the model in bfloat16; choose float32") from None
        raise
