"""Scan and ingest beside ``datasets.load_dataset`` and datatrove, on the same files: speed, CPU, memory, same content.

``python -m benchmarks.ingest [--jsonl-mb 1000] [--texts 50000] [--images 20000] [--rounds 3]``. Every run is a process
of its own with empty caches; seconds are of the work, without imports; MB are of the files. All write Parquet and may
use both of ``--workers`` cores. What they do:

- gendata: ``scan`` (walks, hashes every file) and ``ingest`` (hashes again what it reads; checks UTF-8, encodings and
  characters; decodes every image; a content id per item; ids, uris, meta and rejects; zstd, level 3; synced to disk).
- datasets: ``load_dataset`` (JSON and Parquet by Arrow, in C++; texts by document; images undecoded and unchecked) with
  ``num_proc``, ``map`` that adds the sha256, ``to_parquet`` (snappy). It writes an Arrow cache twice on the way.
- datatrove: ``JsonlReader`` (orjson) or ``ParquetReader`` to ``ParquetWriter`` (snappy; or zstd, for a file as small as
  ours), no hashes. It has no reader for files of text or images.

Memory is the largest sum over a run's processes, each with its share of what they share (PSS), sampled.
"""

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from benchmarks import ingest_corpus as corpus
from gendata import engine

TENTH = 10
"""How much smaller the corpus is that the memory for the whole is compared with."""


def gendata(kind: str, folder: Path, out: Path, workers: int) -> Callable[[], Any]:
    """Scan and ingest."""
    from gendata.ingest import IngestParams, SourceParams, ingest, scan

    source = SourceParams("table" if kind in {"jsonl", "parquet"} else "folder", "real", str(folder))
    params = IngestParams(workers=workers)

    def work() -> None:
        scan({"it": source}, out, out / "listings", params)
        ingest("it", source, out, out / "listings" / "it.parquet", out / "ingested", params)

    return work


def hugging_face(kind: str, folder: Path, out: Path, workers: int) -> Callable[[], Any]:
    """``load_dataset``, ``map`` with sha256, ``to_parquet``."""
    import datasets

    datasets.disable_progress_bars()
    files = [str(path) for path in sorted(folder.rglob("*.*"))]

    def load() -> Any:
        given: dict[str, Any] = {"split": "train", "num_proc": workers, "cache_dir": str(out / "cache")}
        if kind == "images":
            loaded = datasets.load_dataset("imagefolder", data_files=files, drop_labels=True, **given)
            return loaded.cast_column("image", datasets.Image(decode=False))
        more = {"sample_by": "document"} if kind == "texts" else {}
        return datasets.load_dataset(
            {"jsonl": "json", "texts": "text"}.get(kind, kind), data_files=files, **given, **more
        )

    def work() -> None:
        load().map(hashed, num_proc=workers).to_parquet(str(out / "items.parquet"))

    return work


def hashed(row: dict[str, Any]) -> dict[str, Any]:
    """The id of a row of ``datasets``, and of an undecoded image, which is a path, the bytes."""
    if "image" not in row:
        return {"sha256": hashlib.sha256(row["text"].encode()).hexdigest()}
    data = Path(row["image"]["path"]).read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "image": {"bytes": data, "path": row["image"]["path"]}}


def datatrove(kind: str, folder: Path, out: Path, workers: int, compression: str = "snappy") -> Callable[[], Any]:
    """Reader to ParquetWriter."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader, ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    reader = JsonlReader if kind == "jsonl" else ParquetReader
    pipeline = [reader(str(folder)), ParquetWriter(str(out / "items"), compression=compression)]
    executor = LocalPipelineExecutor(pipeline, tasks=workers, workers=workers, logging_dir=str(out / "logs"))
    return executor.run  # type: ignore[no-any-return]


def datatrove_zstd(kind: str, folder: Path, out: Path, workers: int) -> Callable[[], Any]:
    """The same with a codec as ours."""
    return datatrove(kind, folder, out, workers, "zstd")


CONTENDERS: dict[str, Callable[[str, Path, Path, int], Callable[[], Any]]] = {
    "gendata": gendata,
    "datasets": hugging_face,
    "datatrove": datatrove,
    "datatrove, zstd": datatrove_zstd,
}


def contenders(kind: str) -> list[str]:
    """Those that read this kind of files."""
    return [name for name in CONTENDERS if kind in {"jsonl", "parquet"} or not name.startswith("datatrove")]


def one_run(name: str, kind: str, folder: str, out: str, workers: int) -> None:
    """In a process of its own: the seconds that the work takes, and the processor time that was spent before."""
    os.chdir(out)  # caches of ours are beside the process: no run finds the journal of another
    work = CONTENDERS[name](kind, Path(folder), Path(out), workers)
    before, start = time.process_time(), time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - start, "before": before}))


class Watch(threading.Thread):
    """Memory and processor time of a process and all that it starts."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root, self._cpu = psutil.Process(pid), dict[int, float]()
        self.peak = 0

    def run(self) -> None:
        """Until the process ends."""
        with contextlib.suppress(psutil.NoSuchProcess):
            while self._root.status() != psutil.STATUS_ZOMBIE:
                self.peak = max(self.peak, sum(map(self._look, [self._root, *self._root.children(recursive=True)])))
                time.sleep(0.05)

    def _look(self, process: psutil.Process) -> int:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = process.cpu_times()
            self._cpu[process.pid] = times.user + times.system
            return int(process.memory_full_info().pss)
        return 0

    @property
    def cpu(self) -> float:
        """Seconds of all processes, but of what each did after it was last seen."""
        return sum(self._cpu.values())


def measure(name: str, kind: str, folder: Path, workers: int) -> tuple[dict[str, float], Counter[str]]:
    """Seconds, processor seconds, peak MB and size of one run, and what it wrote."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        job = json.dumps([name, kind, str(folder), out, workers])
        # caches here, and no network
        env = os.environ | {"HF_HOME": f"{out}/hf", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        command = [sys.executable, "-m", "benchmarks.ingest", "--one", job]
        with tempfile.TemporaryFile("w+") as told:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True, env=env)
            watch = Watch(child.pid)
            watch.start()
            output, _ = child.communicate()
            watch.join()
            if child.returncode:
                told.seek(0)
                raise SystemExit(f"{name} failed on {kind}:\n{told.read()[-4000:]}")
        found = json.loads(output.splitlines()[-1])
        written = list(Path(out).rglob("items/*.parquet")) or [Path(out) / "items.parquet"]
        size = sum(path.stat().st_size for path in written) / 1e6
        cpu = watch.cpu - found["before"]
        result = {"seconds": found["seconds"], "cpu": cpu, "peak": watch.peak / 1e6, "size": size}
        return result, Counter(digest for path in written for digest in digests(path))


def digests(path: Path) -> Iterator[str]:
    """Sha256 of every content in a Parquet file of any contender; of what states one of its own, both must agree."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1000):
            for row in batch.to_pylist():
                data = row.get("data") or (row.get("image") or {}).get("bytes")
                found = hashlib.sha256(row["text"].encode() if data is None else data).hexdigest()
                stated = row.get("sha256") or (row["id"] if "uri" in row else found)
                yield found if found == stated else f"{found}, but stated as {stated}"


def expected(kind: str, folder: Path) -> Counter[str]:
    """What all must have written, read from the files by nothing but the standard library (and pyarrow)."""
    if kind == "parquet":
        return Counter(digest for path in folder.iterdir() for digest in digests(path))
    if kind == "jsonl":
        lines = (line for path in folder.iterdir() for line in path.open("rb"))
        return Counter(hashlib.sha256(json.loads(line)["text"].encode()).hexdigest() for line in lines)
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.*"))


def compare(kind: str, folder: Path, tenth: Path, args: argparse.Namespace) -> None:
    """Prints a line per contender."""
    wanted = expected(kind, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*.*")) / 1e6
    print(f"{kind}: {wanted.total()} items, {size:.0f} MB in {sum(1 for _ in folder.rglob('*.*'))} files")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders(kind)}
    wrong: dict[str, int] = {}
    for _ in range(args.rounds):  # they take turns: a machine that is shared has fast and slow minutes
        for name, runs in found.items():
            run, content = measure(name, kind, folder, args.workers)
            runs.append(run)
            wrong[name] = max(wrong.get(name, 0), ((wanted - content) + (content - wanted)).total())
    for name, runs in found.items():
        seconds, cpu, peak, written = (
            statistics.median(run[key] for run in runs) for key in ("seconds", "cpu", "peak", "size")
        )
        ratios = [
            sorted(other[key] / mine[key] for other, mine in zip(runs, found["gendata"], strict=True))
            for key in ("seconds", "cpu")
        ]
        print(
            f"  {name:<15} {size / seconds:6.1f} MB/s   {wanted.total() / seconds:7.0f} items/s   CPU {cpu:6.1f} s   "
            f"peak {peak:5.0f} MB   writes {written:5.0f} MB   gendata {statistics.median(ratios[0]):5.2f} x "
            f"({ratios[0][0]:.2f} to {ratios[0][-1]:.2f}), by CPU {statistics.median(ratios[1]):5.2f} x   "
            f"{'same items and hashes' if not wrong[name] else f'{wrong[name]} ITEMS DIFFER'}"
        )
    few, _ = measure("gendata", kind, tenth, args.workers)
    most = max(run["peak"] for run in found["gendata"])
    print(f"  gendata's memory for {TENTH} x the items: {few['peak']:.0f} to {most:.0f} MB, {most / few['peak']:.2f} x")


def make(folder: Path, args: argparse.Namespace, share: float) -> None:
    """The corpora, or a share of them."""
    folder.mkdir()
    corpus.write_jsonl(folder / "jsonl", args.jsonl_mb * share)
    corpus.write_parquet(folder / "parquet", folder / "jsonl")
    corpus.write_texts(folder / "texts", int(args.texts * share))
    corpus.write_images(folder / "images", int(args.images * share))


def main() -> None:
    """Makes the corpora and compares on each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jsonl-mb", type=float, default=1000)
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=engine.cores())
    parser.add_argument("--kinds", nargs="+", default=["jsonl", "parquet", "texts", "images"])
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one_run(*args.one)
        return
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as work:
        make(Path(work) / "all", args, 1)
        make(Path(work) / "tenth", args, 1 / TENTH)
        for kind in args.kinds:
            compare(kind, Path(work) / "all" / kind, Path(work) / "tenth" / kind, args)


if __name__ == "__main__":
    main()
