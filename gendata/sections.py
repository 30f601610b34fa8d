"""The sections of params.yaml: which there are, what each must hold, and which belong to the models."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from gendata import files, params
from gendata.errors import ParamsError
from gendata.items import content_id

SECTIONS = {
    "ingest": "gendata.ingest:IngestParams",
    "dedup": "gendata.dedup:DedupParams",
    "tag": "gendata.tag:TagParams",
    "embed": "gendata.embed:EmbedParams",
    "similar": "gendata.similar:SimilarParams",
    "store": "gendata.store:StoreParams",
    "search": "gendata.search:SearchParams",
    "evaluate": "gendata.evaluate:EvaluateParams",
    "compare": "gendata.compare:CompareParams",
    "tracking": "gendata.tracking:TrackingParams",
}
"""Sections of params.yaml and the dataclass of each. Sections of others are left alone."""

FAMILIES = ("train", "select", "generate")
"""Sections with an entry per model family; the keys of ``train`` say which families there are."""

MODEL_STAGES = frozenset({"select", "train", "generate", "evaluate", "collect", "compare"})
"""The stages that `gendata init --full` adds."""

_MODEL_SECTIONS = frozenset({*FAMILIES, "evaluate", "compare", "tracking"})
"""Theirs. In a project of data stages alone these names are free."""


@dataclass(frozen=True)
class ProjectParams:
    """Section ``gendata`` of params.yaml: it marks the root of a project, and no stage reads it."""

    version: Literal[1] = 1
    """Of the layout of params.yaml."""


def check_sections(root: Path, sections: Mapping[str, Any], *, models: bool) -> None:
    """Check every section but the sources themselves; ``models``: whether dvc.yaml has the model stages.

    Raises ParamsError with section, key and what is allowed.
    """
    known = [n for n in ("sources", *SECTIONS, *FAMILIES) if models or n not in _MODEL_SECTIONS]
    for name in sections:
        close = difflib.get_close_matches(str(name), known, cutoff=0.75)
        if close and name not in known:
            raise ParamsError(f"params.yaml: unknown section {name!r}; did you mean {close[0]}?")
    params.build(ProjectParams, sections.get("gendata") or {}, "params.yaml: gendata")
    for name in ("sources", *FAMILIES):
        if name in known and name in sections and sections[name] is None:  # DVC cannot go through null
            raise ParamsError(f"params.yaml: {name} is empty; write `{name}: {{}}`")
    for name in SECTIONS:
        if name in known:
            load_section(name, sections)
    for name in known:  # DVC wants every section that a stage names
        if name not in sections:
            raise ParamsError(f"params.yaml: section {name} is missing; `{name}: {{}}` gives the defaults")
    if models:
        _check_families(root, sections)


def load_section(name: str, sections: Mapping[str, Any]) -> Any:
    """One of SECTIONS as its dataclass. Raises ParamsError."""
    module, cls = SECTIONS[name].split(":")
    return params.build(getattr(import_module(module), cls), sections.get(name) or {}, f"params.yaml: {name}")


def _check_families(root: Path, sections: Mapping[str, Any]) -> None:
    from gendata.generate import load_generate
    from gendata.models import MODELS
    from gendata.select import load_select

    for name in FAMILIES:
        if not isinstance(sections[name], Mapping):
            raise ParamsError(f"params.yaml: {name}: must be a mapping of families, not {sections[name]!r}")
        for key in sections[name]:
            if key not in MODELS:
                raise ParamsError(f"params.yaml: {name}: unknown family {key!r}; there are {', '.join(MODELS)}")
        for key in sections["train"]:
            if key not in sections[name]:
                raise ParamsError(
                    f"params.yaml: {name}.{key} is missing, which train names; `{key}: {{}}` gives the defaults"
                )
    for key in sections["select"]:
        load_select(key, sections)
    for key, given in sections["generate"].items():
        load_generate(key, given or {}, f"params.yaml: generate.{key}")
    _check_train(root, sections)


def _check_train(root: Path, sections: Mapping[str, Any]) -> None:
    """Check ``train``, unless this code has found the same section valid before: it takes torch, 2 s."""
    from gendata.models import load_config

    code = b"".join(path.read_bytes() for path in sorted((Path(__file__).parent / "models").glob("*.py")))
    digest = content_id(repr(sections["train"]).encode() + code)
    seen = root / files.WORK / "cache" / "validated"
    if seen.is_file() and seen.read_text() == digest:
        return
    for key in sections["train"]:
        load_config(key, sections)
    seen.parent.mkdir(parents=True, exist_ok=True)
    seen.write_text(digest)
