"""Model families: which there are, what each needs, and where each lives.

A family is one file with its config, module, losses and sampling; see ``gendata.models.family`` for
the protocol. Importing this package imports no torch: selections need to know only what a family wants.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gendata import params
from gendata.errors import ParamsError

if TYPE_CHECKING:
    from gendata.models.family import Family, Recipe

MODELS = {
    "gan": "gendata.models.gan",
    "vae": "gendata.models.vae",
    "transformer": "gendata.models.transformer",
    "rnn": "gendata.models.rnn",
}


class Needs(NamedTuple):
    """What a family is trained on."""

    modality: str
    labelled: bool


NEEDS = {
    "gan": Needs("image", labelled=True),
    "vae": Needs("image", labelled=True),
    "transformer": Needs("text", labelled=False),
    "rnn": Needs("text", labelled=False),
}


def needs(name: str) -> Needs:
    """What the family wants of its data. Raises ParamsError for an unknown family."""
    if name not in MODELS:
        raise ParamsError(f"unknown family {name!r}; there are {', '.join(MODELS)}")
    return NEEDS[name]


def load_family(name: str) -> "Family":
    """The module of a family, imported now. Raises ParamsError for an unknown family."""
    needs(name)
    return cast("Family", import_module(MODELS[name]))


def load_config(name: str, sections: Mapping[str, Any]) -> "Recipe":
    """Section ``train.<family>`` of params.yaml as the family's Config. Raises ParamsError."""
    given = (sections.get("train") or {}).get(name) or {}
    return params.build(load_family(name).Config, given, f"params.yaml: train.{name}")
