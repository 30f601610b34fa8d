"""Near-duplicate texts beside Daft, rensa and datasketch, from the same raw texts; images: ``benchmarks.dedup_images``.

The corpus: passages of three books, their words in another order so that no two are alike, 1.3 kB each; three in ten
are copies of an earlier one in which 0.5 to 30 % of the words were replaced (evenly on a logarithmic scale). Ours goes
from Arrow's texts to the kept set: sketched, compared, verified, judged. The peers make signatures alone: Daft's
``minhash``; rensa and datasketch with the shingles of words made in Python, as their documentation does. These two get
a part of the texts, and the figure is per text.

Templates: texts of one template, alike to just under the threshold, which all stay.

Quality: of all pairs of a sample at the threshold or above (brute force over sets of word tuples), the share of which
at most one is kept; and the share of drops whose similarity, computed so, is the threshold or above. Of the labelled
collections the threshold is chosen on one half of the pairs and the figures are of the other.
"""

import argparse
import csv
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from pyarrow import feather

from benchmarks.corpus import BOOKS, data_folder
from gendata.dedup import TextParams, containment, texts, visit
from gendata.keep import NO_MATCH, Verdicts, visiting_order

LENGTH, COPIES, EDITS = 1300, 0.3, (0.005, 0.3)
SAMPLE = 5000
"""Texts that are compared with each other one by one."""
PART = 2000
"""Texts that the slow peers get."""


def corpus(count: int, seed: int = 0) -> list[str]:
    """Texts of about LENGTH characters, COPIES of them near-copies."""
    rng = np.random.default_rng(seed)
    words = np.array([w for name in BOOKS for w in (data_folder() / name).read_text(encoding="utf-8").split()])
    vocabulary, size = np.unique(words), LENGTH // 6
    made: list[Any] = []
    for _ in range(count):
        if made and rng.random() < COPIES:
            text = made[rng.integers(len(made))].copy()
            edited = rng.random(len(text)) < np.exp(rng.uniform(*np.log(EDITS)))
            text[edited] = rng.choice(vocabulary, int(edited.sum()))
        else:
            start = rng.integers(0, len(words) - size)
            text = rng.permutation(words[start : start + size + int(rng.integers(-20, 20))])
        made.append(text)
    return [" ".join(text) for text in made]


def templated(count: int) -> list[str]:
    """Texts of one template of words, each with some of its own behind it: 0.78 alike."""
    return [" ".join([*(f"w{i}" for i in range(176)), *(f"x{text}y{i}" for i in range(24))]) for text in range(count)]


def ours(column: pa.ChunkedArray, params: TextParams, *, contained: bool = False) -> Verdicts:
    """From texts to verdicts."""
    with tempfile.TemporaryDirectory() as scratch:
        found = texts.sketch_texts(texts.ArrowTexts(column), np.arange(len(column)), Path(scratch), params, 0)
        verdicts = Verdicts(np.zeros(len(column), np.int8))
        order = visiting_order(found.items, found.sizes)
        texts.search(found, order, verdicts, params, 0)
        if contained:
            containment.search(found, order, verdicts, params, 0)
    return verdicts


def signatures(column: pa.ChunkedArray, params: TextParams) -> None:
    """From texts to what the peers make."""
    with tempfile.TemporaryDirectory() as scratch:
        texts.sketch_texts(texts.ArrowTexts(column), np.arange(len(column)), Path(scratch), params, 0)


def daft(column: pa.ChunkedArray) -> None:
    """Signatures of Daft."""
    import daft

    frame = daft.from_arrow(pa.table({"text": column}))
    frame.select(frame["text"].minhash(num_hashes=128, ngram_size=5, seed=1)).collect()


def shingled(text: str) -> list[str]:
    """The shingles of five words, in Python."""
    words = text.split()
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]


def rensa(column: pa.ChunkedArray) -> None:
    """Those of rensa."""
    from rensa import RMinHash

    for text in column.to_pylist():
        sketch = RMinHash(num_perm=128, seed=1)
        sketch.update(shingled(text))
        sketch.digest()


def datasketch(column: pa.ChunkedArray) -> None:
    """Those of datasketch."""
    from datasketch import MinHash

    for text in column.to_pylist():
        sketch = MinHash(num_perm=128)
        sketch.update_batch([shingle.encode() for shingle in shingled(text)])


def medians(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each call. They take turns: a machine that is shared has fast and slow minutes."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - start)
    return {name: statistics.median(some) for name, some in found.items()}


def similarity(a: set[Any], b: set[Any]) -> float:
    """Jaccard's."""
    return len(a & b) / len(a | b) if a or b else 0.0


def quality(made: Sequence[str], params: TextParams) -> None:
    """Print recall and precision against brute force."""
    verdicts = ours(pa.chunked_array([pa.array(made)]), params)
    plain = [{tuple(w) for w in zip(*(t.lower().split()[i:] for i in range(5)), strict=False)} for t in _worded(made)]
    by_shingle: dict[Any, list[int]] = {}
    for number, one in enumerate(plain):
        for shingle in one:
            by_shingle.setdefault(shingle, []).append(number)
    met = {pair for numbers in by_shingle.values() for pair in combinations(numbers, 2)}
    pairs = [(a, b) for a, b in met if similarity(plain[a], plain[b]) >= params.threshold]
    kept = verdicts.reason == NO_MATCH
    caught = sum(not (kept[a] and kept[b]) for a, b in pairs)
    dropped = np.flatnonzero(~kept).tolist()
    right = sum(similarity(plain[i], plain[verdicts.stays_as[i]]) >= params.threshold for i in dropped)
    print(f"{len(made)} texts, brute force: recall {caught}/{len(pairs)} = {caught / max(1, len(pairs)):.4f}, ", end="")
    print(f"precision {right}/{len(dropped)} = {right / max(1, len(dropped)):.4f}")


def _worded(made: Sequence[str]) -> Iterator[str]:
    """Texts with punctuation as spaces, as our words have it."""
    table = {c: " " for c in range(128) if not chr(c).isalnum()}
    yield from (text.translate(table) for text in made)


def peak() -> int:
    """Peak memory so far in MB; resource would count that of the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) >> 10


def memory(path: Path) -> tuple[int, int]:
    """Peak memory in MB of a process that has read texts and compiled, and once they are deduplicated."""
    column, params = feather.read_table(path, memory_map=False)["text"], TextParams(contained=0)
    ours(column.slice(0, 10), params)
    before = peak()
    ours(column, params)
    return before, peak()


def speed(count: int, rounds: int, peers: bool) -> float:
    """Print speeds, and ours against the peers'; the seconds that ours takes."""
    params = TextParams(contained=0)
    column = pa.chunked_array([pa.array(part) for part in np.array_split(np.array(corpus(count), object), 16)])
    size = column.nbytes / 1e6
    part = column.slice(0, PART)
    called: dict[str, tuple[Callable[[pa.ChunkedArray], Any], pa.ChunkedArray]] = {
        "ours": (lambda some: ours(some, params), column),
        "contained": (lambda some: ours(some, TextParams(), contained=True), column),
        "signatures": (lambda some: signatures(some, params), column),
    }
    called |= {"Daft": (daft, column), "rensa": (rensa, part), "datasketch": (datasketch, part)} if peers else {}
    for call, some in called.values():
        call(some.slice(0, 1000))  # compiles
    took = medians({name: partial(call, some) for name, (call, some) in called.items()}, rounds)
    alone = took["ours"]
    kept = int((ours(column, params).reason == NO_MATCH).sum())
    print(f"{count} texts, {size:.0f} MB: ours {count / alone:,.0f} texts/s ({alone:.2f} s), {kept} kept; ", end="")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as alone_there:
        feather.write_feather(pa.table({"text": column}), path := Path(folder) / "texts", compression="uncompressed")
        texts_alone, most = alone_there.submit(memory, path).result()
    print(f"peak memory {most} MB, {most / size:.1f}x the texts; {texts_alone} MB with texts and libraries alone")
    print(f"  with the search for contained texts: {count / took['contained']:,.0f} texts/s")
    for name in ("Daft", "rensa", "datasketch") if peers else ():
        each = took[name] / len(called[name][1])
        print(f"  {name:10} {1 / each:,.0f} texts/s, signatures alone: ours {each * count / alone:.1f}x, ", end="")
        print(f"with signatures alone {each * count / took['signatures']:.1f}x")
    return alone


def of_one_template(count: int, crowd: int) -> None:
    """Print the speed on texts of one template where a bucket is crowded by so many; by all of them: never."""
    made = pa.chunked_array([pa.array(templated(count))])
    with mock.patch.object(visit, "CROWD", crowd):
        start = time.perf_counter()
        kept = int((ours(made, TextParams(contained=0)).reason == NO_MATCH).sum())
    rate, how = count / (time.perf_counter() - start), "all compared" if crowd >= count else "looked up"
    print(f"{count} texts of one template, {how}: {rate:,.0f} texts/s, {kept} kept")


def labelled() -> None:
    """Print accuracy and F1 on the second half of labelled pairs, by the threshold that is best on the first."""
    for name, pairs in (("mrpc", _mrpc()), ("pan_pairs", _pan()), ("clough_stevenson", _clough())):
        a, b, labels = zip(*pairs, strict=True)
        truth = np.array(labels, bool)
        for n in (1, 2, 3):
            jaccard, contained = texts.compare(pa.array(a), pa.array(b), n)
            for how, scores in (("Jaccard", jaccard), ("containment", contained)):
                first, second = slice(0, None, 2), slice(1, None, 2)
                best = max(np.unique(scores[first]), key=lambda t: ((scores[first] >= t) == truth[first]).mean())
                said = scores[second] >= best
                right = int((said & truth[second]).sum())
                f1 = 2 * right / max(1, said.sum() + truth[second].sum())
                accuracy = (said == truth[second]).mean()
                print(f"{name:18} {n} words, {how:11} threshold {best:.2f}: accuracy {accuracy:.3f}, F1 {f1:.3f}")


def _mrpc() -> list[tuple[str, str, bool]]:
    lines = (data_folder() / "ndtext_mrpc/msr_paraphrase_train.txt").read_text(encoding="utf-8-sig").splitlines()
    return [(a, b, label == "1") for label, _, _, a, b in (line.split("\t") for line in lines[1:])]


def _pan() -> list[tuple[str, str, bool]]:
    folder = data_folder() / "ndtext_pan_pairs"
    parts = [
        (folder / f"pan-train{end}").read_text(encoding="utf-8").splitlines()
        for end in ("_s1.txt", "_s2.txt", ".labels")
    ]
    return [(a, b, label.strip() == "1") for a, b, label in zip(*parts, strict=True)]


def _clough() -> list[tuple[str, str, bool]]:
    folder = data_folder() / "ndtext_clough_stevenson"
    with (folder / "file_information.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["Category"] != "orig"]
    read = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*.txt")}
    there = [
        r for r in rows if r["File"] in read and f"orig_task{r['Task']}.txt" in read
    ]  # some collections lack tasks
    return [(read[r["File"]], read[f"orig_task{r['Task']}.txt"], r["Category"] != "non") for r in there]


def main() -> None:
    """Print quality, speeds and labelled pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--more", type=int, default=500_000, help="also this many, to see how time grows; 0: not")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    os.environ.setdefault("DO_NOT_TRACK", "1")
    quality(corpus(SAMPLE, 1), TextParams(contained=0))
    labelled()
    first = speed(asked.texts, asked.rounds, peers=True)
    few = asked.texts // 5
    for count, crowd in ((few, visit.CROWD), (asked.texts, visit.CROWD), (few, few)):
        of_one_template(count, crowd)
    if asked.more:
        second = speed(asked.more, 1, peers=False)
        power = np.log(second / first) / np.log(asked.more / asked.texts)
        print(f"time grows as n^{power:.2f} from {asked.texts} to {asked.more} texts")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
