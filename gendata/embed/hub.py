"""Model folders: found locally or on the Hugging Face hub, and what is in them. No pickle is opened, no code run.

Nothing is downloaded unless HF_HUB_OFFLINE=0 is set.
"""

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

from gendata import files
from gendata.errors import GendataError

FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""What a model folder may hold: weights, configuration, vocabularies; no pickle and no code."""


def offline() -> bool:
    """Whether the network is off limits: always, unless the environment has HF_HUB_OFFLINE=0."""
    return os.environ.setdefault("HF_HUB_OFFLINE", "1").strip().lower() not in {"0", "false", "no", "off", ""}


def download(key: str, model: str, patterns: tuple[str, ...] = FILES, hint: str = "give a local folder") -> Path:
    """The folder of a Hugging Face model, from the local cache or, if allowed, from the hub.

    Args:
        key: of params.yaml, under which the model stands.
        model: its name on the hub.
        patterns: the files that are needed.
        hint: what helps where it is absent.
    """
    local = offline()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=local, allow_patterns=list(patterns)))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = "it is neither a folder nor in the local cache" if local else first_line(error)
        raise GendataError(f"{key} {model}: {reason}; {hint}, or allow HF_HUB_OFFLINE=0") from error


def folder_of(key: str, model: str, hint: str = "give a local folder") -> Path:
    """The folder of a model that is named by its folder or by its name on the hub."""
    path = Path(model)
    return path if path.is_dir() else download(key, model, hint=hint)


def weights_in(key: str, model: str, folder: Path) -> list[Path]:
    """The weight files below a folder. Raises GendataError where they are pickles, or absent."""
    weights = sorted(folder.rglob("*.safetensors"))
    if not weights:
        raise GendataError(f"{key} {model}: {folder} holds no .safetensors file; other weights are not opened")
    return weights


def digest(folder: Path, weights: list[Path]) -> str:
    """One digest over names and contents of weights and configuration."""
    texts = [p for pattern in FILES[1:] for p in sorted(folder.rglob(pattern))]
    lines = [f"{p.relative_to(folder).as_posix()} {sha256(p)}" for p in sorted({*weights, *texts})]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sha256(path: Path) -> str:
    """``files.sha256`` of a model's file. Raises GendataError if it cannot be read."""
    try:
        return files.sha256(path)
    except OSError as error:
        raise GendataError(f"{path}: {error.strerror}") from None


def quiet_transformers() -> Any:
    """Transformers, imported after the network was switched off, without progress bars and warnings."""
    offline()
    import transformers

    said: Any = transformers.utils.logging  # its functions carry no types
    said.set_verbosity_error()
    said.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    return transformers


def first_line(error: Exception) -> str:
    """What an error of a library says, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
