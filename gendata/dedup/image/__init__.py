"""Images of equal pixels, and near-duplicate images: hashes find candidates, the pixels of thumbnails decide."""

from gendata.dedup.image.search import search
from gendata.dedup.image.sketch import Sketches, sketch

__all__ = ["Sketches", "search", "sketch"]
