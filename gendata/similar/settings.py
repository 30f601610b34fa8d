"""What params.yaml says of similar: thresholds, and whether anything goes."""

from dataclasses import dataclass

LEAST, MOST = 0.5, 0.995
"""Range of the thresholds within a modality. Below it unrelated texts match; above it lie differences of the encoders'
own precision (bfloat16: 0.998) and of the rounding of vectors (``vectors.STEP``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarParams:
    """The section ``similar`` of params.yaml.

    The defaults were measured (``python -m benchmarks.similar``). Of pairs of sentences at 0.95 by all-MiniLM-L6-v2,
    68 % have an STS-B score of 4.5 or more and 83 % of 4; 94.7 % are paraphrases in MRPC, 98.5 % in PAN; 30, 16 and
    11 % of the paraphrases reach it. At 0.90 it is 48 and 72 %, 88 % and 99 %; 60, 35 and 29 % reach it. Of 50 photos
    (BSDS500), by gradient-layout, different ones are at most 0.902 alike; half size and JPEG quality 30 are at 0.992 or
    more, grey at 0.974, brightness x1.3 at 0.943, without a tenth of their sides at 0.928. Of 1,500 digits (MNIST) 69
    reach 0.95 with another and 3 reach 0.98. Other models have other scales.
    """

    remove: bool = False
    """Whether similar items leave the store; otherwise they are a finding alone."""
    text_threshold: float = 0.95
    """Cosine from which texts (and records) are similar; see ``vectors.compare`` for texts of several passages."""
    image_threshold: float = 0.98
    """Cosine from which images are similar."""
    across_threshold: float = 0.3
    """Cosine from which an image is like a text, where one joint model made the vectors of both: a finding alone.
    Of CLIP's scale, on which an image and its caption lie around 0.3; other models have other scales."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        for name in ("text_threshold", "image_threshold"):
            if not LEAST <= getattr(self, name) <= MOST:
                raise ValueError(f"{name} must be from {LEAST} to {MOST}, not {getattr(self, name)}")
        if not 0 < self.across_threshold <= 1:
            raise ValueError(f"across_threshold must be over 0 and at most 1, not {self.across_threshold}")
