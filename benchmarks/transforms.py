"""Photos and copies of them, as ``benchmarks.dedup_images`` looks for: scaled, encoded anew, cut, framed, turned."""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps


def jpeg(picture: Image.Image, quality: int = 95) -> bytes:
    """The picture as a JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG: the same pixels."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _resized(factor: float, picture: Image.Image) -> bytes:
    size = (round(picture.width * factor), round(picture.height * factor))
    return jpeg(picture.resize(size, Image.Resampling.LANCZOS))


def _bright(factor: float, picture: Image.Image) -> bytes:
    return jpeg(ImageEnhance.Brightness(picture).enhance(factor))


def _saturated(factor: float, picture: Image.Image) -> bytes:
    return jpeg(ImageEnhance.Color(picture).enhance(factor))


def _cropped(share: float, left: float, top: float, picture: Image.Image) -> bytes:
    """Without ``share`` of both sides, of which ``left`` and ``top`` go at the left and the top."""
    width, height = round(picture.width * (1 - share)), round(picture.height * (1 - share))
    x, y = round((picture.width - width) * left), round((picture.height - height) * top)
    return jpeg(picture.crop((x, y, x + width, y + height)))


def _framed(share: float, colour: str, picture: Image.Image) -> bytes:
    return jpeg(ImageOps.expand(picture, round(share * min(picture.size)), colour))


def _turned(how: Image.Transpose, picture: Image.Image) -> bytes:
    return jpeg(picture.transpose(how))


TRANSFORMS: Mapping[str, Callable[[Image.Image], bytes]] = {
    "png": png,
    **{f"resize {f}": partial(_resized, f) for f in (0.25, 0.5, 0.75, 2.0)},
    **{f"jpeg q{q}": partial(jpeg, quality=q) for q in range(10, 100, 10)},
    "grey": lambda picture: jpeg(picture.convert("L")),
    **{f"brightness {f}": partial(_bright, f) for f in (0.5, 0.7, 1.3, 1.6)},
    **{f"crop {s:.0%} centre": partial(_cropped, s, 0.5, 0.5) for s in (0.05, 0.1, 0.15, 0.2)},
    **{f"crop {s:.0%} aside": partial(_cropped, s, 0.2, 0.9) for s in (0.05, 0.1, 0.15, 0.2)},
    "border 5% black": partial(_framed, 0.05, "black"),
    "border 10% white": partial(_framed, 0.1, "white"),
    "flip left-right": partial(_turned, Image.Transpose.FLIP_LEFT_RIGHT),
    "flip top-bottom": partial(_turned, Image.Transpose.FLIP_TOP_BOTTOM),
    "rotation 90": partial(_turned, Image.Transpose.ROTATE_90),
    "rotation 180": partial(_turned, Image.Transpose.ROTATE_180),
    "rotation 270": partial(_turned, Image.Transpose.ROTATE_270),
}
"""What the photos are multiplied by."""


def _toned(*matrix: float) -> Callable[[Image.Image], bytes]:
    return lambda picture: jpeg(picture.convert("RGB", matrix))


def _hue_turned(degrees: int, picture: Image.Image) -> bytes:
    hue, *others = picture.convert("HSV").split()
    turned = hue.point([(value + round(degrees * 256 / 360)) % 256 for value in range(256)])
    return jpeg(Image.merge("HSV", (turned, *others)).convert("RGB"))


COLOURINGS: Mapping[str, Callable[[Image.Image], bytes]] = {
    **{f"saturation {f}": partial(_saturated, f) for f in (0.2, 0.5, 1.5, 2.0)},
    "warmer by 10%": _toned(1.1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0.9, 0),
    "cooler by 10%": _toned(0.9, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1.1, 0),
    "sepia": _toned(0.393, 0.769, 0.189, 0, 0.349, 0.686, 0.168, 0, 0.272, 0.534, 0.131, 0),
    "red as blue": _toned(0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0),
    **{f"hue by {degrees}": partial(_hue_turned, degrees) for degrees in (30, 60, 90, 180)},
}
"""The photos in other colours: the first six to be found, the others not."""


def photo(name: str) -> str:
    """The photo that a file shows."""
    return name.partition("~")[0]


def copies(photos: Sequence[Path], folder: Path) -> None:
    """Write the photos and their TRANSFORMS to ``folder/all``; pairs, also of COLOURINGS, to ``folder/<transform>``."""
    (folder / "all").mkdir()
    for path in photos:
        (folder / "all" / f"{path.stem}~.jpg").write_bytes(path.read_bytes())
    for name, transform in {**TRANSFORMS, **COLOURINGS}.items():
        (folder / name).mkdir()
        for path in photos:
            with Image.open(path) as picture:
                picture.load()
                data = transform(picture)
            copy = folder / name / f"{path.stem}~{name}{'.png' if name == 'png' else '.jpg'}"
            copy.write_bytes(data)
            if name in TRANSFORMS:
                os.link(copy, folder / "all" / copy.name)
            os.link(folder / "all" / f"{path.stem}~.jpg", folder / name / f"{path.stem}~.jpg")
