"""What ``benchmarks.ingest`` reads: made by a seed, in any size, in seconds per gigabyte.

Texts are words drawn by Zipf's law from a made-up vocabulary in sentences and paragraphs; rows have the columns of a
web corpus (FineWeb's). Images are gradients with noise, as photos are to a compressor.
"""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FILES = 8
"""Files that rows are spread over: the peers share work out by file."""

_WORDS, _BLOCK = 50_000, 1 << 20
_LETTERS = "etaoinshrdlcumwfgypbvkjxqzéüñ"
_ENDINGS = (" ", ", ", ". ", '" ', ".\n\n")
_SHARES = (0.84, 0.06, 0.07, 0.01, 0.02)
_PER_FOLDER = 1000


def texts(mean: int, seed: int) -> Iterator[str]:
    """Texts without end, their lengths log-normal with this mean in characters, about."""
    rng = np.random.default_rng(seed)
    words, endings = _quantiles(1 / (np.arange(_WORDS) + 2.7)), _quantiles(np.array(_SHARES))
    table = _vocabulary(rng)
    while True:
        numbers = words[rng.integers(0, _BLOCK, _BLOCK)] * len(_ENDINGS) + endings[rng.integers(0, _BLOCK, _BLOCK)]
        drawn = iter(numbers.tolist())
        while text := "".join([table[i] for i in itertools.islice(drawn, _length(rng, mean))]):
            yield text


def _quantiles(weights: Any) -> Any:
    """The number of a weight, as often as its share of _BLOCK: one of these is drawn faster than by weights."""
    return np.searchsorted(np.cumsum(weights) / weights.sum(), (np.arange(_BLOCK) + 0.5) / _BLOCK)


def _length(rng: np.random.Generator, mean: int) -> int:
    """Words of a text; six characters each."""
    return 1 + int(rng.lognormal(np.log(mean / 6) - 0.32, 0.8))


def _vocabulary(rng: np.random.Generator) -> list[str]:
    """Every word with every ending; the frequent ones are short."""
    weights = 1 / (np.arange(len(_LETTERS)) + 2)
    drawn = rng.choice(list(_LETTERS), (_WORDS, 16), p=weights / weights.sum())
    lengths = np.minimum(2 + np.log1p(np.arange(_WORDS)) / 2 + rng.integers(0, 5, _WORDS), 16).astype(int)
    return ["".join(word[:n]) + end for word, n in zip(drawn, lengths, strict=True) for end in _ENDINGS]


def rows(mean: int, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of a web corpus without end."""
    rng = np.random.default_rng(seed)
    for number, text in enumerate(texts(mean, seed)):
        yield {
            "text": text,
            "id": f"<urn:uuid:{seed:04x}-{number:08x}>",
            "dump": "CC-MAIN-2024-10",
            "url": f"https://example.org/{seed}/{number % 997}/{number}.html",
            "date": f"2024-02-{1 + number % 28:02d}T06:{number % 60:02d}:47Z",
            "language": "en",
            "language_score": round(float(rng.random()), 4),
            "token_count": len(text) // 4,
        }


def write_jsonl(folder: Path, megabytes: float) -> None:
    """FILES files of this size together."""
    folder.mkdir()
    for seed in range(FILES):
        left = megabytes * 1e6 / FILES
        with (folder / f"rows-{seed}.jsonl").open("wb") as file:
            for row in rows(3000, seed):
                left -= file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                if left <= 0:
                    break


def write_parquet(folder: Path, jsonl: Path) -> None:
    """The rows of the .jsonl, as pyarrow writes them by default."""
    import pyarrow.json as pj
    import pyarrow.parquet as pq

    folder.mkdir()
    for path in sorted(jsonl.iterdir()):
        options = pj.ReadOptions(block_size=16 << 20)
        table = pj.read_json(path, options)
        pq.write_table(table, folder / f"{path.stem}.parquet", row_group_size=10_000)


def write_texts(folder: Path, count: int) -> None:
    """Small texts, a thousand to a folder."""
    for number, text in zip(range(count), texts(1500, 0), strict=False):
        path = folder / f"{number // _PER_FOLDER:04d}" / f"{number:08d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_images(folder: Path, count: int) -> None:
    """PNGs of 5 to 20 kB, a thousand to a folder."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // _PER_FOLDER:04d}" / f"{number:08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        Image.fromarray(_photo(rng)).save(data, "PNG")
        path.write_bytes(data.getvalue())


def _photo(rng: np.random.Generator) -> Any:
    side = int(rng.integers(56, 97))
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    base = rng.uniform(40, 200, 3) + x[..., None] * rng.uniform(-60, 60, 3) + y[..., None] * rng.uniform(-60, 60, 3)
    return np.clip(base + rng.normal(0, 4, (side, side, 1)) + rng.normal(0, 2, (side, side, 3)), 0, 255).astype(
        np.uint8
    )
