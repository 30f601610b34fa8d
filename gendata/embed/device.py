"""Which device and which precision a model runs with."""

from gendata.errors import GendataError


def resolve(device: str, key: str = "embed.device") -> str:
    """``auto`` as the best device here, anything else checked. Raises GendataError if it is absent, naming ``key``."""
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, index = device.partition(":")
    if (kind == "cuda" and not cuda) or (kind == "mps" and not mps):
        raise GendataError(f"{key}: {device} is not available here; use auto or cpu")
    if index and int(index) >= torch.cuda.device_count():
        raise GendataError(f"{key}: {device} is not here; there are {torch.cuda.device_count()} CUDA devices")
    return device


def native_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware, so that it is faster than float32."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = torch.cpu.get_capabilities()
    return device == "cpu" and bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
