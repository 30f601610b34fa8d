"""N1: can a simple classifier tell what a family made from real items? One training of each.

The classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv 1610.06545) with ridge regression, half of the items
to fit and half to test: on pixels of images, on counts of byte pairs of texts. Beside it the same test of real
against other real items, which should be at chance: made data are like real ones where they are not told apart better.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gendata.compare import sample, stats
from gendata.compare.evidence import Evidence, there
from gendata.compare.finding import Effect, Finding
from gendata.evaluate.texts import documents
from gendata.train.decode import decode_image

READS = ("gan", "vae", "transformer", "rnn")
_RIDGE = 10.0
_MARGIN = 0.1
"""Of accuracy above the floor, that still counts as alike."""

_HASHED = 512


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of N1."""
    effects = []
    families, missing = there(READS, evidence)
    for name in families:
        made, real, other = _images(name, evidence) if name in {"gan", "vae"} else _texts(name, evidence)
        n = min(len(made), len(real), len(other))
        told, floor = told_apart(made[:n], real[:n]), told_apart(other[:n], real[:n])
        alike = stats.shares(floor, n, told, n).above(-_MARGIN)
        what = f"accuracy of telling {name} from real; effect: {_MARGIN:g} less what is above real from real"
        sides = {name: told, "real": floor}
        effects.append(Effect(what, sides, alike, f"Agresti-Caffo interval over {n} tested items"))
    note = "; ".join(part for part in ("one linear classifier", missing) if part)
    return {"N1": Finding(tuple(effects), note)}


Rows = NDArray[np.float64]


def _images(name: str, evidence: Evidence) -> tuple[Rows, Rows, Rows]:
    data = evidence.images(name)
    train, rows = data.pixels["train"], evidence.outputs(name).to_pylist()
    made = np.stack([decode_image(row["id"], row["data"], train.shape[1:]) for row in rows])
    held_out = np.concatenate([data.pixels[split] for split in ("valid", "test")])
    real, other = by_chance(held_out, len(held_out)), by_chance(train, len(made))
    flat = [x.reshape(len(x), -1).astype(np.float64) / 255 for x in (by_chance(made, len(made)), real, other)]
    return flat[0], flat[1], flat[2]


def by_chance(rows: NDArray[np.uint8], k: int) -> NDArray[np.uint8]:
    """At most k rows in a random order: halves of them are then alike, and so are two sets."""
    return rows[sample.some(len(rows), k)]


def _texts(name: str, evidence: Evidence) -> tuple[Rows, Rows, Rows]:
    data = evidence.texts(name)
    made = [(row["text"] or "").encode() for row in evidence.outputs(name).to_pylist()]
    longest = max(map(len, made))
    held_out = [t[:longest] for split in ("valid", "test") for t in documents(data.bytes_of(split))]
    train = [text[:longest] for text in sample.texts(data.bytes_of("train"), len(held_out))]
    return pairs(made), pairs(held_out)[sample.some(len(held_out), len(held_out))], pairs(train)


def pairs(texts: Sequence[bytes]) -> Rows:
    """Square roots of the shares of hashed byte pairs in each text (n, 512)."""
    found = np.zeros((len(texts), _HASHED))
    for row, text in zip(found, texts, strict=True):
        data = np.frombuffer(text, np.uint8).astype(np.int64)
        row += np.bincount((data[:-1] * 31 + data[1:]) % _HASHED, minlength=_HASHED) / max(1, len(data) - 1)
    return np.sqrt(found)


def told_apart(made: Rows, real: Rows) -> float:
    """Accuracy on the second half of both, of ridge regression on the first: a half where they are alike."""
    half = len(made) // 2
    fit, test = (np.concatenate([made[at], real[at]]) for at in (slice(0, half), slice(half, 2 * half)))
    wanted = np.repeat([1.0, -1.0], half)
    centre, spread = fit.mean(0), fit.std(0) + 1e-6
    fit, test = ((x - centre) / spread for x in (fit, test))
    kernel = fit @ fit.T / fit.shape[1]
    weights = fit.T @ np.linalg.solve(kernel + _RIDGE / fit.shape[1] * np.eye(len(fit)), wanted) / fit.shape[1]
    return float(np.mean(np.sign(test @ weights) == wanted))
