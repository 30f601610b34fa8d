"""Rows per second of our exports beside ``datasets`` and webdataset's TarWriter on the same items, in turns.

``python -m benchmarks.export [--images 20000] [--texts 200000] [--rounds 3]``. Ours start from a store: they select,
write and keep a manifest, verify every item against its id, write the format, a card, a digest of all files, and sync
the disk. The peers start from a Parquet file of the same columns: ``Dataset.from_parquet(...).save_to_disk`` with an
empty cache, and TarWriter fed from Arrow batches. That all hold the same items is checked by their digests.
"""

import argparse
import hashlib
import resource
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks import corpus
from gendata.export import export
from gendata.export.choice import Choice
from gendata.records.ledger import Ledger
from gendata.store.head import Store

Content = set[tuple[str, str]]
"""(id, sha256 of the content) of every item; ids come from what was read, digests from the bytes beside them."""


class Ours:
    """An export of a whole store."""

    def __init__(self, stores: Mapping[str, Store], format_: str) -> None:
        self.stores, self.format = stores, format_
        self.name = f"gendata {format_}"

    def write(self, out: Path) -> None:
        """The export."""
        export(out, self.format, Choice(), self.stores, Ledger(out.parent))

    def read(self, out: Path) -> Content:
        """What is in it."""
        if self.format == "parquet":
            return {c for path in (out / "data").iterdir() for c in parquet_content(path)}
        if self.format == "webdataset":
            return {c for path in out.glob("*/*.tar") for c in tar_content(path)}
        return hf_content(out)


class Datasets:
    """``Dataset.from_parquet(...).save_to_disk``."""

    name = "datasets save_to_disk"

    def __init__(self, parquet: Path) -> None:
        self.parquet = parquet

    def write(self, out: Path) -> None:
        """Read and save; its cache is part of the work."""
        import datasets

        cache = out.with_suffix(".cache")
        datasets.Dataset.from_parquet(str(self.parquet), cache_dir=str(cache)).save_to_disk(str(out))
        shutil.rmtree(cache)

    def read(self, out: Path) -> Content:
        """What is in it."""
        return hf_content(out)


class TarWriter:
    """webdataset's TarWriter, with the members that ours have."""

    name = "webdataset TarWriter"

    def __init__(self, parquet: Path) -> None:
        self.parquet = parquet

    def write(self, out: Path) -> None:
        """Read and write one tar."""
        import webdataset

        out.mkdir()
        with webdataset.TarWriter(str(out / "00000.tar"), mtime=0) as writer:
            for row in parquet_rows(self.parquet):
                data, text = row.pop("data"), row.pop("text")
                sample = {"__key__": row["id"], "json": row, "txt": text, "png": data}
                writer.write({key: value for key, value in sample.items() if value is not None})

    def read(self, out: Path) -> Content:
        """What is in it."""
        return tar_content(out / "00000.tar")


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows, a thousand at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1000):
            yield from batch.to_pylist()


def sha256(content: bytes | str) -> str:
    """Of bytes, or of a text in UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def parquet_content(path: Path) -> Content:
    """Of a Parquet file."""
    return {(row["id"], sha256(row["data"] or row["text"])) for row in parquet_rows(path)}


def tar_content(path: Path) -> Content:
    """Of a shard."""
    content: dict[str, str] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, kind = member.name.partition(".")
            file = tar.extractfile(member)
            if file and kind != "json" and not (kind == "txt" and key in content):
                content[key] = sha256(file.read())
    return set(content.items())


def hf_content(folder: Path) -> Content:
    """Of a dataset, or of a dataset per split, on disk."""
    import datasets

    loaded = datasets.load_from_disk(str(folder))
    parts = loaded.values() if isinstance(loaded, datasets.DatasetDict) else [loaded]
    found = set()
    for part in parts:
        for batch in part.with_format("arrow").iter(1000):
            for row in batch.to_pylist():
                data = row["image"]["bytes"] if row.get("image") else row.get("data")
                found.add((row["id"], sha256(data or row["text"])))
    return found


def compare(name: str, stores: Mapping[str, Store], work: Path, rounds: int) -> None:
    """Prints medians in rows per second, the ratio to the peer of the same format, and whether contents are equal."""
    Ours(stores, "parquet").write(work / "given")
    given = work / "given.parquet"
    tables = [pq.read_table(path) for path in sorted((work / "given" / "data").iterdir())]
    with pq.ParquetWriter(given, tables[0].schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=1024)
    rows = sum(table.num_rows for table in tables)
    del tables
    writers: list[Ours | Datasets | TarWriter] = [
        *(Ours(stores, f) for f in ("parquet", "hf", "webdataset")),
        Datasets(given),
        TarWriter(given),
    ]
    seconds: dict[str, list[float]] = {writer.name: [] for writer in writers}
    contents = {}
    for number in range(rounds):
        for one in writers:
            out = work / f"{one.name.replace(' ', '-')}-{number}"
            seconds[one.name].append(timed(partial(one.write, out)))
            if number == 0:
                contents[one.name] = one.read(out)
            shutil.rmtree(out)
    print(f"{name}: {rows} rows, {rounds} rounds")
    peers = {"gendata hf": Datasets.name, "gendata parquet": Datasets.name, "gendata webdataset": TarWriter.name}
    for key, values in seconds.items():
        line = f"  {key:<24} {rows / statistics.median(values):10.0f} rows/s"
        if peer := peers.get(key):
            ratios = sorted(theirs / ours for ours, theirs in zip(values, seconds[peer], strict=True))
            line += f"   {statistics.median(ratios):5.2f} x {peer} ({', '.join(f'{r:.2f}' for r in ratios)})"
        print(line)
    expected = contents["gendata parquet"]
    same = all(found == expected for found in contents.values()) and all(i == digest for i, digest in expected)
    print(f"  the same {len(expected)} items in all, by their digests: {same}")


def timed(work: Callable[[], None]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Builds a store of images and one of texts, and compares on each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    import datasets
    import webdataset

    datasets.disable_progress_bars()
    print(f"datasets {datasets.__version__}, webdataset {webdataset.__version__}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as folder:
        work = Path(folder)
        for name, items in (("images", corpus.images(args.images)), ("texts", corpus.texts(args.texts))):
            stores = corpus.build_store(work / name / "artifacts", {name: items})
            compare(name, stores, work / name, args.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory of this process, peers and checks included: {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
