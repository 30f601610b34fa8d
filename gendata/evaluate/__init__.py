"""Stage evaluate: what a family's outputs are worth, against held-out real data, floors and baselines."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluateParams:
    """Section ``evaluate`` of params.yaml."""

    # training steps of the classifier in whose features images are compared
    classifier_steps: int = 300
    # neighbours that span the manifolds of precision and recall
    neighbours: int = 3
    # share of real held-out images that count as near-duplicates of the training data
    duplicate_share: float = 0.01
    # pairs in the picture of nearest training neighbours
    shown: int = 30
    # of the classifier and of the samples of real data
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("classifier_steps", "neighbours", "shown"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        if not 0 < self.duplicate_share < 1:
            raise ValueError(f"duplicate_share: must be between 0 and 1, not {self.duplicate_share}")
        if not 0 <= self.seed < 1 << 62:
            raise ValueError(f"seed: must be between 0 and 2**62, not {self.seed}")


@dataclass(frozen=True)
class ImageFigures:
    """Figures of an image family; too few images for a measure give null.

    ``_floor`` is the same measure of as many real training images, where that means something,
    ``_baseline`` that of a Gaussian per class and pixel.
    """

    samples: int
    held_out: int
    frechet: float | None
    frechet_floor: float | None
    frechet_baseline: float | None
    precision: float | None
    precision_floor: float | None
    recall: float | None
    recall_floor: float | None
    label_accuracy: float
    label_accuracy_floor: float
    """Of the classifier on held-out real images."""
    near_duplicates: float | None
    """Share of samples with another one nearer than ``duplicate_distance``."""
    near_duplicates_floor: float | None
    training_copies: float
    """Share of samples nearer to a training image than ``duplicate_distance``."""
    training_copies_floor: float
    """The same of held-out real images: about ``duplicate_share``."""
    duplicate_distance: float
    """Root mean squared difference of pixels, 0 to 1."""
    nearest_distance: float
    """Median over samples of the distance to the nearest training image."""
    nearest_distance_floor: float


@dataclass(frozen=True)
class TextFigures:
    """Figures of a text family; ``_floor`` is the same measure of as many real held-out texts of that length."""

    samples: int
    held_out: int
    bits_per_byte: float
    bits_per_byte_unigram: float
    bits_per_byte_bigram: float
    bits_per_byte_5gram: float
    """Witten-Bell, as the two before."""
    bits_per_byte_gzip: float
    """Of a compressor that reads the held-out texts alone."""
    bits_per_byte_bz2: float
    distinct_1: float
    distinct_1_floor: float
    distinct_2: float
    distinct_2_floor: float
    self_bleu: float
    """BLEU of every text against all others, mean: high where texts are alike."""
    self_bleu_floor: float
    repetition: float
    repetition_floor: float
    overlap_mean: float
    """Bytes of the longest verbatim overlap with a training text, mean over samples."""
    overlap_mean_floor: float
    overlap_max: int
    overlap_max_floor: int
