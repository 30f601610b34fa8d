"""Near-duplicate images: our dedup beside imagededup's PHash and imagehash, on photos and transforms of them.

``python -m benchmarks.dedup_images [--rounds 3] [--photos DIR] [--mnist DIR|none]``. The photos (BSDS500) are
multiplied by TRANSFORMS. Time is from image files to the names that stay, everything included, the systems in turns,
medians of rounds after one that is not counted. Ours puts the files into a shard (not compressed, not validated) and
calls ``gendata.dedup.dedup``; imagededup is ``PHash().find_duplicates`` with its own processes; imagehash is ``phash``
of each file and a comparison with what stays. Recall is that of pairs of a photo and its copy, a folder of 100 files
per transform; in that table alone are the transform png, equal pixels, as a JPEG is decoded a second time, in full,
where another format has its size, which costs us up to as much again, and COLOURINGS, of which the last are other
pictures. False pairs are files that go as copies of
another photo, among all files.

imagededup imports torchvision for its neural networks, which are not measured: they are left out.
"""

import argparse
import gzip
import itertools
import logging
import os
import statistics
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.transforms import COLOURINGS, TRANSFORMS, copies, photo, png
from gendata import files
from gendata.dedup import DedupParams, ImageParams, dedup
from gendata.items import ITEM_SCHEMA, Item

RADIUS = 10
ALL = DedupParams(image=ImageParams(invariant=("flip", "rotation", "crop", "border")))
System = Callable[[Path], dict[str, str]]
"""A folder to what each file that goes is a copy of."""


def ours(folder: Path, params: DedupParams | None = None) -> dict[str, str]:
    """Files to a shard, dedup, and its decisions."""
    return _decided(((path.name, path.read_bytes()) for path in sorted(folder.iterdir())), params or DedupParams())


def _decided(images: Iterator[tuple[str, bytes]], params: DedupParams) -> dict[str, str]:
    """What each image that goes is a copy of, by name."""
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as work, chdir(work):
        shard = files.shard_path(Path("in/photos/items"), 0)
        shard.parent.mkdir(parents=True)
        with pq.ParquetWriter(shard, ITEM_SCHEMA, compression="none") as writer:  # JPEGs do not get smaller
            while batch := list(itertools.islice(images, files.GROUP_ROWS // 8)):
                rows = [
                    Item(modality="image", uri=name, media_type="", data=data).row("photos", "real", None)
                    for name, data in batch
                ]
                writer.write_table(pa.Table.from_pylist(rows, ITEM_SCHEMA))
        dedup(Path("in"), {"photos": True}, Path("out"), params)
        decisions = files.read_table(files.shard_path(Path("out/photos"), 0)).to_pylist()
        uri = {row["id"]: row["uri"] for row in decisions if row["kept"]}
        return {row["uri"]: uri[row["kept_id"]] for row in decisions if not row["kept"]}


def imagededup(folder: Path) -> dict[str, str]:
    """PHash at its defaults; what goes is taken from its answer as its own ``find_duplicates_to_remove`` does."""
    method = _phash()(verbose=False)
    found = method.find_duplicates(image_dir=folder, max_distance_threshold=RADIUS)
    gone: dict[str, str] = {}
    for name, others in found.items():
        if name not in gone:
            gone |= {other: name for other in others if other not in gone}
    return gone


def _phash() -> Any:
    for name, what in (("imagededup.utils.models", "CustomModel"), ("imagededup.methods.cnn", "CNN")):
        module = types.ModuleType(name)
        setattr(module, what, object)
        sys.modules.setdefault(name, module)
    from imagededup.methods import PHash

    logging.getLogger("imagededup").setLevel(logging.ERROR)
    for name in ("imagededup.methods.hashing", "imagededup.handlers.search.retrieval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return PHash


def imagehash(folder: Path) -> dict[str, str]:
    """The hash of each file, compared with those of the files that stay."""
    import imagehash as peer

    stays: list[tuple[str, Any]] = []
    gone: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            own = peer.phash(picture)
        near = next((name for name, other in stays if own - other <= RADIUS), None)
        if near is None:
            stays.append((path.name, own))
        else:
            gone[path.name] = near
    return gone


SYSTEMS: Mapping[str, System] = {
    "ours": ours,
    "ours, all invariances": partial(ours, params=ALL),
    "imagededup": imagededup,
    "imagehash": imagehash,
}


@dataclass(frozen=True)
class Cost:
    """Median seconds, and the most memory used beyond that at the start (of processes together), in MiB."""

    seconds: float
    peak: float


def costs(folder: Path, rounds: int) -> dict[str, Cost]:
    """Every system on all files, in turns; memory in the round that is not timed."""
    peaks: dict[str, float] = {}
    seconds: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    for name, system in SYSTEMS.items():
        with _peak() as peak:
            system(folder)
        peaks[name] = peak[0]
    for _ in range(rounds):
        for name, system in SYSTEMS.items():
            start = time.perf_counter()
            system(folder)
            seconds[name].append(time.perf_counter() - start)
    return {name: Cost(statistics.median(seconds[name]), peaks[name]) for name in SYSTEMS}


@contextmanager
def _peak() -> Iterator[list[float]]:
    """The growth of resident memory in the block, children included, sampled 50 times a second."""
    done, found, me = threading.Event(), [0.0], psutil.Process()

    def now() -> float:
        total = 0
        for process in [me, *me.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 2**20

    first = now()

    def watch() -> None:
        while not done.wait(0.02):
            found[0] = max(found[0], now() - first)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def recall(folder: Path) -> dict[str, dict[str, float]]:
    """Per transform and system the share of copies that are found to be their photo."""
    table = {}
    for name in (*TRANSFORMS, *COLOURINGS):
        photos = len(list((folder / name).iterdir())) // 2
        found = {key: system(folder / name) for key, system in SYSTEMS.items()}
        table[name] = {key: sum(photo(a) == photo(b) for a, b in gone.items()) / photos for key, gone in found.items()}
    return table


def false_pairs(folder: Path) -> dict[str, int]:
    """Per system how many files go as a copy of another photo."""
    return {name: sum(photo(a) != photo(b) for a, b in system(folder).items()) for name, system in SYSTEMS.items()}


def digits(folder: Path) -> dict[str, Any]:
    """MNIST's training set as PNGs: what merges, by whether entropy rules digits out, and across labels."""
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    result: dict[str, Any] = {"digits": len(labels)}
    for name, entropy in (("default", ImageParams().min_entropy), ("min_entropy 0", 0.0)):
        params = DedupParams(image=ImageParams(min_entropy=entropy))
        start = time.perf_counter()
        gone = _decided(((str(i), png(Image.fromarray(p))) for i, p in enumerate(pixels)), params)
        across = sum(labels[int(a)] != labels[int(b)] for a, b in gone.items())
        result[name] = {"merged": len(gone), "across": int(across), "seconds": time.perf_counter() - start}
    return result


def run(photos: Path, mnist: Path | None, rounds: int = 3) -> dict[str, Any]:
    """All measures, and print them."""
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as work:
        copies(sorted(photos.glob("*.jpg")), Path(work))
        everything = Path(work, "all")
        for path in everything.glob("*.png"):
            path.unlink()  # no transform of the claim: see the docstring
        result: dict[str, Any] = {"files": len(list(everything.iterdir())), "costs": costs(everything, rounds)}
        print(f"{result['files']} files, medians of {rounds} rounds")
        for name, cost in result["costs"].items():
            ratio = cost.seconds / result["costs"]["ours"].seconds
            rate = result["files"] / cost.seconds
            print(
                f"  {name:22} {cost.seconds:7.2f} s  {rate:6.0f}/s  x{ratio:5.2f}  peak +{cost.peak:.0f} MiB",
                flush=True,
            )
        result["false_pairs"] = false_pairs(everything)
        print("false pairs: " + ", ".join(f"{name} {count}" for name, count in result["false_pairs"].items()))
        result["recall"] = recall(Path(work))
    print(f"{'recall':20}" + "".join(f"{name:>23}" for name in SYSTEMS))
    for transform, found in result["recall"].items():
        print(f"{transform:20}" + "".join(f"{share:23.2f}" for share in found.values()))
    if mnist is not None:
        result["digits"] = digits(mnist)
        for name in ("default", "min_entropy 0"):
            print(f"MNIST {result['digits']['digits']}, {name}: {result['digits'][name]}")
    return result


def main() -> None:
    """Print speed, memory, recall and false pairs."""
    data = Path(os.environ.get("GENDATA_EVAL_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=Path, default=data / "img_bsds500_50")
    parser.add_argument("--mnist", default=str(data / "img_mnist"), help="a folder, or none")
    asked = parser.parse_args()
    run(asked.photos.resolve(), None if asked.mnist == "none" else Path(asked.mnist).resolve(), asked.rounds)


if __name__ == "__main__":
    main()
