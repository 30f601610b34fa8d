"""Images and texts in one space: CLIP (Radford et al. 2021, arXiv 2103.00020) and models built like it, as SigLIP.

A folder of transformers, or of sentence-transformers around one. Images and texts are encoded one at a time:
in a batch, even one of a fixed shape, the last bits of a vector depend on its place. Texts are padded to the
model's length (SigLIP was trained so, CLIP does not see it).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from huggingface_hub.errors import StrictDataclassError
from PIL import Image
from safetensors import SafetensorError

from gendata import engine
from gendata.embed.decode import UnreadableImageError, every, upright
from gendata.embed.encoder import Vectors, key_of, unit
from gendata.embed.hub import digest, first_line, folder_of, quiet_transformers, weights_in
from gendata.errors import GendataError

KEY = "embed.image.model"
MAX_TOKENS = 512
"""Length of a text where the model names none."""

MAX_RATIO = 100
"""Long to short side: what lies outside is cut off where the short side sets the scale and the middle is kept.
An image of 1 x 50,000 pixels would else become one of 224 x 11,200,000."""

VERSION = 1
"""Raised when the arithmetic changes: cached vectors of an older version are then not used."""


class ClipEncoder:
    """A model with ``get_image_features`` and ``get_text_features`` and safetensors weights; see JointEncoder."""

    def __init__(self, name: str, device: str, dtype: str) -> None:
        self.name, self.device, self.dtype = name, device.partition(":")[0], dtype
        hint = "give gradient-layout or a local folder"
        folder = _inner(name, folder_of(KEY, name, hint))
        weights = weights_in(KEY, name, folder)
        self._place = {"device": torch.device(device), "dtype": getattr(torch, dtype)}
        self._model, self._tokenizer, self._processor = _load(name, folder, self._place["dtype"])
        self._model.to(self._place["device"]).eval()
        text = getattr(self._model.config, "text_config", self._model.config)
        limits = (self._tokenizer.model_max_length, getattr(text, "max_position_embeddings", MAX_TOKENS))
        self._max_tokens = min(limits)
        self.dim = 0  # not known yet
        self.dim = self.encode_texts(["a"]).shape[1]
        self.key = key_of(
            weights=digest(folder, weights), dtype=dtype, device=self.device, version=VERSION,
            isa=torch.backends.cpu.get_cpu_capability(), torch=torch.__version__, pillow=PIL.__version__,
            numpy=np.__version__, transformers=quiet_transformers().__version__,
        )  # fmt: skip

    def encode(self, contents: Sequence[bytes], tick: Callable[[int], None] | None = None) -> Vectors:
        """See Encoder; ``contents`` are the bytes of image files. Raises UnreadableImageError."""
        return every(self.encode_each(contents), len(contents), self.dim, tick)

    def encode_each(self, contents: Sequence[bytes]) -> Iterator[Vectors | UnreadableImageError]:
        """See ImageEncoder. On a CPU each worker runs the model on one thread: faster, and the same on any number."""
        workers = 1 if self.device == "mps" else engine.cores()  # on CUDA some decode while another computes
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(workers) as pool:
                found = list(pool.map(self._one, contents))
        finally:
            torch.set_num_threads(before)  # workers set it to 1, which new threads of the caller would inherit
        return iter(found)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """See JointEncoder."""
        padding = "max_length" if self._tokenizer.pad_token is not None else False
        fixed = {"padding": padding, "max_length": self._max_tokens, "truncation": True, "return_tensors": "pt"}
        rows = [self._run(self._model.get_text_features, dict(self._tokenizer([text], **fixed))) for text in texts]
        return unit(np.concatenate(rows)) if rows else np.empty((0, self.dim), np.float32)

    def _one(self, data: bytes) -> Vectors | UnreadableImageError:
        """The vector of an image, shape (dim,)."""
        if self.device == "cpu":
            torch.set_num_threads(1)
        try:
            picture = upright(data)
        except UnreadableImageError as error:
            return error
        if "shortest_edge" in self._processor.size:
            picture = _middle(picture)
        inputs = dict(self._processor(picture, return_tensors="pt"))
        vector: Vectors = unit(self._run(self._model.get_image_features, inputs))[0]
        return vector

    def _run(self, features: Callable[..., Any], inputs: dict[str, torch.Tensor]) -> Vectors:
        device, dtype = self._place["device"], self._place["dtype"]
        placed = {k: v.to(device, dtype) if v.is_floating_point() else v.to(device) for k, v in inputs.items()}
        try:
            with torch.inference_mode():
                found = features(**placed)
            rows: Vectors = getattr(found, "pooler_output", found).float().cpu().numpy()
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:  # parts of several models
            raise GendataError(f"{KEY} {self.name}: the model cannot be run: {first_line(error)}") from error
        if rows.shape != (1, self.dim or rows.shape[-1]):
            raise GendataError(f"{KEY} {self.name}: its vectors of images and of texts do not have one length")
        return rows


def _middle(picture: Image.Image) -> Image.Image:
    """The picture, at most ``MAX_RATIO`` times as long as wide."""
    width, height = picture.size
    w, h = min(width, MAX_RATIO * height), min(height, MAX_RATIO * width)
    left, top = (width - w) // 2, (height - h) // 2
    return picture if (w, h) == (width, height) else picture.crop((left, top, left + w, top + h))


def _inner(name: str, folder: Path) -> Path:
    """Where the model of transformers lies: in ``folder``, or where modules.json of sentence-transformers says."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return folder
    try:
        first, *others = [
            (str(module["type"]), folder / str(module["path"])) for module in json.loads(listed.read_bytes())
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise GendataError(f"{KEY} {name}: {listed} is not a list of modules") from error
    where: Path = first[1]
    further = [kind for kind, _ in others if not kind.endswith(".Normalize")]
    if further:
        raise GendataError(f"{KEY} {name}: is no joint model of images and texts: it has a module {further[0]}")
    return where


def _load(name: str, folder: Path, dtype: torch.dtype) -> tuple[Any, Any, Any]:
    """The model, its tokenizer and its image processor: the one on Pillow, whether torchvision is there or not."""
    transformers = quiet_transformers()
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, info = transformers.AutoModel.from_pretrained(
            str(folder), use_safetensors=True, dtype=dtype, output_loading_info=True, **safe
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **safe)
        processor = transformers.AutoImageProcessor.from_pretrained(str(folder), backend="pil", **safe)
    except (
        OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError, AttributeError,
        SafetensorError, StrictDataclassError,
    ) as error:  # fmt: skip
        raise GendataError(f"{KEY} {name}: cannot be loaded: {first_line(error)}") from error
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise GendataError(f"{KEY} {name}: {type(model).__name__} is no joint model of images and texts")
    if info["missing_keys"]:  # transformers makes them up at random
        raise GendataError(f"{KEY} {name}: its weights lack {min(info['missing_keys'])}")
    return model, tokenizer, processor
