"""Stage evaluate: what a family's outputs are worth, against held-out real data, floors and baselines."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluateParams:
    """Section ``evaluate`` of params.yaml."""

    # training steps of the classifier in whose features images are compared
    classifier_steps: int = 300
    # neighbours that span the manifolds of precision, recall, density and coverage
    neighbours: int = 3
    # share of real held-out images that count as near-duplicates of the training data
    duplicate_share: float = 0.01
    # pairs in the picture of nearest training neighbours
    shown: int = 30
    # weights of Inception (pt_inception-2015-12-05-6726825d.pth), for the usual FID; needs the package torch-fidelity
    inception: str = ""
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

    ``_floor`` is the same measure of as many real training images, where that means something, ``_baseline`` that of a
    Gaussian per class and pixel, ``_pca`` that of one per class along its principal components.
    """

    samples: int
    held_out: int
    frechet: float | None
    frechet_floor: float | None
    frechet_baseline: float | None
    frechet_pca: float | None
    kid: float | None
    """Kernel distance, mean over subsets of samples and held-out images; 0 for equal distributions, also below."""
    kid_std: float | None
    kid_floor: float | None
    kid_baseline: float | None
    kid_pca: float | None
    precision: float | None
    precision_floor: float | None
    precision_pca: float | None
    recall: float | None
    recall_floor: float | None
    recall_pca: float | None
    density: float | None
    density_floor: float | None
    density_pca: float | None
    coverage: float | None
    coverage_floor: float | None
    coverage_pca: float | None
    label_accuracy: float
    label_accuracy_floor: float
    """Of the classifier on held-out real images."""
    label_accuracy_pca: float
    classes: int
    """Of the training data."""
    classes_covered: int
    """Of which a sample was asked for and is read as what was asked for."""
    sharpness: float | None
    """Energy of the Laplacian over that of held-out real images: below 1 blurred, above 1 noisy."""
    sharpness_floor: float | None
    sharpness_pca: float | None
    near_duplicates: float | None
    """Share of samples with another one nearer than ``duplicate_distance``."""
    near_duplicates_floor: float | None
    support: float | None
    """How many images the family makes, as pairs of samples nearer than that tell; null where there is no such pair."""
    support_floor: float | None
    training_copies: float
    """Share of samples nearer to a training image than ``duplicate_distance``."""
    training_copies_floor: float
    """The same of held-out real images: about ``duplicate_share``."""
    duplicate_distance: float
    """Root mean squared difference of pixels, 0 to 1."""
    nearest_distance: float
    """Median over samples of the distance to the nearest training image."""
    nearest_distance_floor: float
    frechet_inception: float | None = None
    """The usual FID, in features of Inception: where ``evaluate.inception`` names its weights."""
    frechet_inception_floor: float | None = None
    score: float | None = None
    """Median over held-out images of what stands in table ``scores``; null for a family that scores nothing."""
    score_wrong_label: float | None = None
    """Share of held-out images whose score is higher with another label: 1 is best, a half is chance."""


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
