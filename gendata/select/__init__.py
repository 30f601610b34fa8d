"""Stage select: a condition in SQL over the catalog becomes a training manifest, or says why it cannot.

The guard stands here: a row whose origin is not ``real`` is refused unless ``allow_origins`` names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gendata import params
from gendata.items import ORIGINS
from gendata.models import needs


@dataclass(frozen=True, kw_only=True)
class SelectParams:
    """Section ``select.<family>`` of params.yaml."""

    # a condition in SQL over the columns of items; the family's default takes real items of its kind
    where: str
    # origins beside real that may be trained on; each use is written into the manifest
    allow_origins: tuple[str, ...] = ()
    # labels with fewer training items are left out (families that use labels)
    min_per_label: int = 2

    def __post_init__(self) -> None:
        if not self.where.strip():
            raise ValueError("where: must be a condition in SQL, as `origin = 'real'`")
        for origin in self.allow_origins:
            if origin not in ORIGINS:
                raise ValueError(f"allow_origins: {origin!r} is none of {', '.join(ORIGINS)}")
        if self.min_per_label < 1:
            raise ValueError(f"min_per_label: must be at least 1, not {self.min_per_label}")


def default_where(family: str) -> str:
    """The selection of a family where params.yaml gives none: real items of its modality."""
    return f"origin = 'real' AND modality = '{needs(family).modality}'"


def load_select(family: str, sections: Mapping[str, Any]) -> SelectParams:
    """Section ``select.<family>`` of params.yaml. Raises ParamsError."""
    given = (sections.get("select") or {}).get(family) or {}
    if isinstance(given, Mapping):
        given = {"where": default_where(family), **given}
    return params.build(SelectParams, given, f"params.yaml: select.{family}")
