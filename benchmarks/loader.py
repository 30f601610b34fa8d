"""Items per second of our Dataset, shuffled, through a torch DataLoader, beside ``datasets`` and Parquet, in turns.

``python -m benchmarks.loader [--images 20000] [--texts 1000000] [--rounds 3] [--seconds 8] [--batch 64]``. Every
measurement is a process of its own that opens the data, then loads shuffled batches until the epoch or the time is
over; opening is not counted, starting the workers is. All give the same items (checked): dicts with id, label, text
and, of images, the picture decoded by Pillow (as a tensor with ``datasets`` in format torch). ``datasets`` maps Arrow
into memory. Parquet reads, for each item of a batch, its row group of 1,024, which is what random access to Parquet
means. Peak memory is the largest process's, with the pages of files that are mapped.
"""

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks import corpus
from gendata.items import Item
from gendata.select.contents import Contents
from gendata.store.head import Store
from gendata.train.dataset import open_dataset

WORKERS = (0, 2)
COLUMNS = ("id", "label", "text", "data")
SCHEMA = pa.schema([("id", pa.string()), ("label", pa.string()), ("text", pa.string()), ("data", pa.binary())])


class ParquetDataset(Dataset[dict[str, Any]]):
    """A Parquet file at random: the row group of each item is read for it, once per batch."""

    def __init__(self, path: Path) -> None:
        self.path, self.pid = path, -1
        metadata = pq.read_metadata(path)
        self.starts = np.cumsum([0, *(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        """The items at these positions."""
        if self.pid != os.getpid():  # a file that was opened before a fork is shared with its position
            self.file, self.pid = pq.ParquetFile(self.path), os.getpid()
        groups = (np.searchsorted(self.starts, indices, "right") - 1).tolist()
        read = {group: self.file.read_row_group(group, COLUMNS, use_threads=False) for group in set(groups)}
        rows = [read[g].slice(i - self.starts[g], 1).to_pylist()[0] for g, i in zip(groups, indices, strict=True)]
        return [decoded(row) for row in rows]


def decoded(row: dict[str, Any]) -> dict[str, Any]:
    """With the picture for the data."""
    data = row.pop("data")
    if data is not None:
        row["image"] = Image.open(io.BytesIO(data))
        row["image"].load()
    return row


def hugging_face(folder: Path, form: str | None) -> Any:
    """The same file as Arrow, mapped into memory."""
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.Dataset.from_parquet(str(folder / "items.parquet"), cache_dir=str(folder / "cache"))
    if loaded[0]["data"] is None:
        loaded = loaded.remove_columns("data")
    else:
        loaded = loaded.cast_column("data", datasets.Image()).rename_column("data", "image")
    return loaded.with_format(form)


def ours(folder: Path) -> Any:
    """Our Dataset."""
    return open_dataset({"real": Store.open(folder / "artifacts" / "store" / "real")}, folder / "columns")


CONTENDERS: dict[str, Callable[[Path], Any]] = {
    "gendata": ours,
    "datasets": lambda folder: hugging_face(folder, None),
    "datasets, format torch": lambda folder: hugging_face(folder, "torch"),
    "parquet row groups": lambda folder: ParquetDataset(folder / "items.parquet"),
}


def measure(name: str, folder: Path, workers: int, batch: int, seconds: float) -> dict[str, float]:
    """Seconds to open, items per second, and peak MiB, in this process."""
    import torch

    start = time.perf_counter()
    data = CONTENDERS[name](folder)
    opened = time.perf_counter() - start
    torch.manual_seed(0)
    loader = DataLoader(data, batch_size=batch, shuffle=True, num_workers=workers, collate_fn=list)
    count, start = 0, time.perf_counter()
    for items in loader:
        count += len(items)
        if time.perf_counter() - start > seconds:
            break
    rate = count / (time.perf_counter() - start)
    del loader, items
    workers_peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"open": opened, "rate": rate, "peak": max(own_peak(), workers_peak) / 1024}


def own_peak() -> int:
    """KiB. From Linux's own record: the resource usage of a process starts with the memory of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def in_a_process(name: str, folder: Path, workers: int, args: argparse.Namespace) -> dict[str, float]:
    """``measure`` in a process of its own."""
    one = json.dumps([name, str(folder), workers, args.batch, args.seconds])
    command = [sys.executable, "-m", "benchmarks.loader", "--one", one]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{name} failed:\n{result.stderr}")
    return dict(json.loads(result.stdout))


def prepare(folder: Path, name: str, items: Iterator[Item]) -> None:
    """The store, the same rows as one Parquet file, and what each contender makes of them when it first opens."""
    stores = corpus.build_store(folder / "artifacts", {name: items})
    contents = Contents(ours(folder).manifest, stores)
    with pq.ParquetWriter(folder / "items.parquet", SCHEMA, compression="zstd") as writer:
        for batch in contents.batches():
            writer.write_table(batch.select(COLUMNS).cast(SCHEMA))
    for contender in CONTENDERS:
        CONTENDERS[contender](folder)


def check(folder: Path) -> str:
    """Whether items at random positions are equal in all."""
    data = {name: make(folder) for name, make in CONTENDERS.items() if "torch" not in name}
    mine = data.pop("gendata")
    for i in np.random.default_rng(0).integers(0, len(mine), 300).tolist():
        item = mine[i]
        for name, other in data.items():
            row = other[i]
            same = row["id"] == item["id"] and (row["label"] or "") == item["label"]
            same &= (row["text"] or "") == item["text"]
            same &= "image" not in item or row["image"].tobytes() == item["image"].tobytes()
            if not same or len(other) != len(mine):
                return f"item {i} of {name} differs"
    return f"{len(mine)} items, equal at 300 random positions"


def compare(name: str, folder: Path, args: argparse.Namespace) -> None:
    """Prints a line per contender and number of workers."""
    print(f"{name}: {check(folder)}")
    for workers in WORKERS:
        found: dict[str, list[dict[str, float]]] = {contender: [] for contender in CONTENDERS}
        for _ in range(args.rounds):
            for contender, results in found.items():
                results.append(in_a_process(contender, folder, workers, args))
        for contender, results in found.items():
            rates, opened, peak = ([r[key] for r in results] for key in ("rate", "open", "peak"))
            ratios = sorted(r["rate"] / rate for r, rate in zip(found["gendata"], rates, strict=True))
            print(
                f"  {workers} workers  {contender:<24} {statistics.median(rates):9.0f} items/s   gendata "
                f"{statistics.median(ratios):6.2f} x ({ratios[0]:.2f} to {ratios[-1]:.2f})   "
                f"opens in {statistics.median(opened):5.1f} s   peak {max(peak):5.0f} MiB"
            )


def main() -> None:
    """Builds a store of images and one of texts, and compares on each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, folder, *rest = args.one
        print(json.dumps(measure(name, Path(folder), *rest)))
        return
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as work:
        for name, items in (("images", corpus.images(args.images)), ("texts", corpus.texts(args.texts))):
            prepare(Path(work) / name, name, items)
            compare(name, Path(work) / name, args)


if __name__ == "__main__":
    main()
