"""What params.yaml says of dedup: thresholds of texts and images, whose copies stay."""

import re
from dataclasses import dataclass, field

from gendata.keep import KNOWN

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
INVARIANT = ("flip", "rotation", "crop", "border")
"""Transforms that images may be found through at the user's choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextParams:
    """Near-duplicate texts: MinHash-LSH over word shingles, verified by exact Jaccard similarity."""

    shingle: int = 5
    """Words per shingle; a character of a script without spaces counts as a word."""
    threshold: float = 0.8
    """Texts at this Jaccard similarity or above are near-duplicates; 1.0 merges equal shingle sets only."""
    group_threshold: float = 0.5
    """Compared texts at this similarity or above share a group, so that a split does not part them."""
    contained: float = 0.9
    """Share of a text's shingles from which another contains it: reported, and in one group with it; 0: off."""
    contained_words: int = 20
    """Texts of fewer words are not looked for in others."""
    remove_contained: bool = False
    """Drop a text that is contained in another of its origin which comes before it in the order of who stays."""
    permutations: int = 128
    """Hash functions to spend on a text: more find more at the same cost in wrong candidates."""
    recall: float = 0.98
    """The least chance that a pair at the threshold is compared; it decides bands and rows."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        from gendata.dedup.minhash import banding

        _check(1 <= self.shingle <= 100, "shingle must be from 1 to 100")
        _check(0 < self.threshold <= 1, "threshold must be over 0 and at most 1")
        _check(0 < self.group_threshold <= self.threshold, "group_threshold must be over 0 and at most threshold")
        _check(0 <= self.contained <= 1, "contained must be from 0 to 1")
        _check(self.contained_words >= 1, "contained_words must be 1 or more")
        _check(1 <= self.permutations <= 1024, "permutations must be from 1 to 1024")
        _check(0 < self.recall < 1, "recall must be between 0 and 1")
        banding(self.threshold, self.permutations, self.recall)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParams:
    """Equal images in another encoding, and near-duplicate images: perceptual hash within a radius, verified on pixels.

    Images of equal pixels always merge. Near-duplicates are found through re-encoding, scaling, greyscale and
    brightness, and through flips, rotation, crops and borders if ``invariant`` names them. Not found are changed
    contents, other angles, crops that keep other proportions or under 80 % of a side, brightness that clips much,
    and images under ``min_entropy`` or ``min_contrast``; nor the same shapes in other colours: see ``colour``.

    The defaults were measured (``python -m benchmarks.dedup_images``) on 50 photos (BSDS500). Sizes x0.25 to x2, JPEG
    quality 10 to 90, greyscale and brightness x0.5 to x1.3: all found; brightness x1.6: 84 %. With all four invariances
    flips, rotations, borders of 5 and 10 % and crops of 5 to 20 %: 96 to 100 % of each, and no two of the photos merge.
    Without them flips and rotations are never found, borders not, and crops of 5 % in 24 % of cases at best. 60,000
    handwritten digits (MNIST) merge nothing; with ``min_entropy: 0`` 4,057 would, none across labels.
    """

    radius: int = 10
    """Bits of 64 in which the hashes of near-duplicates may differ."""
    correlation: float = 0.95
    """Normalised correlation of the grey thumbnails from which images are near-duplicates."""
    colour: float = 0.7
    """Cosine of the chroma of 4 x 4 parts from which images in colour are near-duplicates, whatever the saturation;
    -1: colour plays no role. An image that is next to grey is like one in any colour, and a small change of the white
    balance is no difference. Of the photos with red and blue exchanged 14 % stay near-duplicates (of all with -1),
    with the hue turned by 90 degrees 16 %, by 30 all; toned in sepia 48 %, with red 10 % up and blue down 96 %."""
    group_radius: int = 12
    """Like radius, for sharing a group."""
    group_correlation: float = 0.85
    """Like correlation, for sharing a group."""
    min_entropy: float = 3.0
    """Bits of the grey histogram's entropy under which an image merges with equal pixels only:
    drawings and digits on an even ground are alike without being copies (MNIST: at most 2.8; photos: 4.4 or more)."""
    min_contrast: float = 4.0
    """Standard deviation, in grey levels, of the DCT coefficients behind the hash under which an image
    merges with equal pixels only: the hash of an even image or a plain gradient is noise (photos: 13 or more)."""
    invariant: tuple[str, ...] = ()
    """What is no difference either: flip (left and right, top and bottom), rotation (by 90 degrees), crop (of 5 to
    20 % of both sides) and border (an even frame)."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        _check(0 <= self.radius <= 64, "radius must be from 0 to 64")
        _check(self.radius <= self.group_radius <= 64, "group_radius must be from radius to 64")
        _check(0 < self.correlation <= 1, "correlation must be over 0 and at most 1")
        _check(-1 <= self.colour <= 1, "colour must be from -1 to 1")
        _check(
            0 < self.group_correlation <= self.correlation, "group_correlation must be over 0 and at most correlation"
        )
        _check(0 <= self.min_entropy <= 8, "min_entropy must be from 0 to 8")
        _check(self.min_contrast >= 0, "min_contrast must be 0 or more")
        _check(set(self.invariant) <= set(INVARIANT), f"invariant must be of {', '.join(INVARIANT)}")
        _check(len(set(self.invariant)) == len(self.invariant), "invariant must not name a transform twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceParams:
    """A fixed reference: what the items must not repeat."""

    path: str
    """A folder, a file, or another gendata project; relative to the project."""
    ngram: int | None = None
    """Drop what shares this many words in sequence with it (13 is usual); null: what equals it or is near it."""
    map: dict[str, str] = field(default_factory=dict)
    """Columns of a table, as of a source."""

    def __post_init__(self) -> None:
        """Check the range. Raises ValueError."""
        _check(self.ngram is None or 1 <= self.ngram <= 100, "ngram must be from 1 to 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupParams:
    """The section ``dedup`` of params.yaml."""

    text: TextParams = field(default_factory=TextParams)
    image: ImageParams = field(default_factory=ImageParams)
    prefer: tuple[str, ...] = ()
    """Sources whose rows stay before those of others, the first before the second; the rest are equal."""
    keep: tuple[str, ...] = KNOWN
    """What is known of the copy that stays: after ``prefer``, before its size, the first before the second."""
    merge: tuple[str, ...] = ("label", "license", "split", "meta")
    """What a row that stays takes from its copies where it has none; see ``gendata.dedup.merge``."""
    against: dict[str, str | ReferenceParams] = field(default_factory=dict)
    """Fixed references by name, each a path or more about it; only the items are dropped that match one."""
    workers: int = 0
    """Threads and processes that sketch; 0 means every core. Decisions do not depend on it."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        _check(self.workers >= 0, "workers must be 0 or more")
        for name in self.against:
            _check(bool(_NAME.fullmatch(name)), f"against: the name {name!r} must match {_NAME.pattern}")
        _check(set(self.keep) <= {"label", "text", "license"}, "keep may name label, text and license")
        _check(
            set(self.merge) <= {"label", "license", "split", "meta"}, "merge may name label, license, split and meta"
        )
        _check(len(set(self.prefer)) == len(self.prefer), "prefer must not name a source twice")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
