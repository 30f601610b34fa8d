"""What may be asked of a model, beside number and seed. Needs no torch: params.yaml is checked without it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """What may be asked of an image family."""

    # one of the model's classes; null takes them in turn
    label: str | None = None
    # factor on the noise: below 1 less varied and more typical
    truncation: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.truncation <= 1:
            raise ValueError(f"truncation: must be above 0 and at most 1, not {self.truncation}")


@dataclass(frozen=True, kw_only=True)
class TextRequest:
    """What may be asked of a text family."""

    # one of the model's classes; null takes them in turn
    label: str | None = None
    # the text to go on from; empty starts a new one
    prompt: str = ""
    # a text ends here at the latest
    max_tokens: int = 256
    # below 1 more typical, 0 always the likeliest token
    temperature: float = 0.8
    # sample from this many likeliest tokens; 0 from all
    top_k: int = 0
    # sample from the likeliest tokens that together have this probability; 1 from all
    top_p: float = 1.0

    def __post_init__(self) -> None:
        try:
            self.prompt.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"prompt: holds what is not UTF-8 at character {error.start}") from None
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p: must be above 0 and at most 1, not {self.top_p}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens: must be at least 1, not {self.max_tokens}")
        if not 0 <= self.temperature <= 10:
            raise ValueError(f"temperature: must be between 0 and 10, not {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k: must be 0 or more, not {self.top_k}")
