"""What params.yaml says of dedup: thresholds of texts and images, whose copies stay."""

from dataclasses import dataclass, field

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
        _check(1 <= self.permutations <= 1024, "permutations must be from 1 to 1024")
        _check(0 < self.recall < 1, "recall must be between 0 and 1")
        banding(self.threshold, self.permutations, self.recall)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParams:
    """Equal images in another encoding, and near-duplicate images: perceptual hash within a radius, verified on pixels.

    Images of equal pixels always merge. Near-duplicates are found through re-encoding, scaling, greyscale and
    brightness, and through flips, rotation, crops and borders if ``invariant`` names them. Not found are changed
    contents, other angles, crops that keep other proportions or under 80 % of a side, brightness that clips much,
    and images under ``min_entropy`` or ``min_contrast``. Colour plays no role.

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
        _check(
            0 < self.group_correlation <= self.correlation, "group_correlation must be over 0 and at most correlation"
        )
        _check(0 <= self.min_entropy <= 8, "min_entropy must be from 0 to 8")
        _check(self.min_contrast >= 0, "min_contrast must be 0 or more")
        _check(set(self.invariant) <= set(INVARIANT), f"invariant must be of {', '.join(INVARIANT)}")
        _check(len(set(self.invariant)) == len(self.invariant), "invariant must not name a transform twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupParams:
    """The section ``dedup`` of params.yaml."""

    text: TextParams = field(default_factory=TextParams)
    image: ImageParams = field(default_factory=ImageParams)
    prefer: tuple[str, ...] = ()
    """Sources whose rows stay before those of others, the first before the second; the rest are equal."""
    workers: int = 0
    """Processes that sketch; 0 means every core. Decisions do not depend on it."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        _check(self.workers >= 0, "workers must be 0 or more")
        _check(len(set(self.prefer)) == len(self.prefer), "prefer must not name a source twice")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
