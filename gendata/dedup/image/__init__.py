"""Images of equal pixels, and near-duplicate images: hashes find candidates, the pixels of thumbnails decide."""

from gendata.dedup.image.judge import search
from gendata.dedup.image.sketches import Sketches, sketch

__all__ = ["Sketches", "search", "sketch"]
