"""Images from a checkpoint as PNG files that say that, and by what, they were generated."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gendata.generate import BATCH, output_item
from gendata.items import Item
from gendata.models.checkpoint import Checkpoint
from gendata.models.family import item_seed
from gendata.models.picture import to_bytes, to_image
from gendata.models.request import ImageRequest

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media made by a trained model (Digital Source Type NewsCodes)."""

_XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:gendata="https://gendata.invalid/ns/1.0/"
    Iptc4xmpExt:DigitalSourceType="{source_type}"
    gendata:family="{family}"
    gendata:checkpoint="{checkpoint}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def sample_images(checkpoint: Checkpoint, n: int, seed: int, request: ImageRequest) -> Iterator[Item]:
    """``n`` images; without a label in the request, the classes in turn. Captioned and labelled by their class."""
    model: Any = checkpoint.model()
    classes = checkpoint.data.classes
    wanted = [classes.index(request.label)] if request.label is not None else list(range(len(classes)))
    for start in range(0, n, BATCH):
        indices = range(start, start + BATCH)  # the last batch is full too: the shape never changes
        labels = torch.tensor([wanted[i % len(wanted)] for i in indices])
        with torch.inference_mode():
            images = to_bytes(model.sample([item_seed(seed, i) for i in indices], labels, request))
        for pixels, label in zip(images[: n - start], labels.tolist(), strict=False):
            yield output_item(
                "image",
                ".png",
                "image/png",
                data=png(pixels, str(checkpoint.card["family"]), checkpoint.id),
                text=classes[label],
                text_origin="request",
                label=classes[label],
            )


def png(pixels: NDArray[np.uint8], family: str, checkpoint_id: str) -> bytes:
    """Pixels (H, W, C) as a PNG with the mark in XMP and the checkpoint's id."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    xmp = _XMP.format(source_type=SOURCE_TYPE, family=family, checkpoint=checkpoint_id)
    info.add_itxt("XML:com.adobe.xmp", xmp)
    info.add_text("gendata:checkpoint", checkpoint_id)
    out = io.BytesIO()
    to_image(pixels).save(out, "PNG", pnginfo=info, compress_level=0)  # bytes do not depend on zlib's version
    return out.getvalue()
