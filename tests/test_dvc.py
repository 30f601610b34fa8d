"""dvc.yaml against the code: deps equal the import closure, params are what the stage reads."""

import ast
import importlib
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

from gendata.project import SECTIONS

REPO = Path(__file__).parent.parent
STAGES = YAML(typ="safe").load((REPO / "dvc.yaml").read_text())["stages"]
REGISTRIES = {
    "scan": ("gendata.ingest", "READERS"),
    "ingest": ("gendata.ingest", "READERS"),
    "tag": ("gendata.tag", "TAGGERS"),
}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("gendata", "pipelines", exclude_type_checking_imports=True, cache_dir=None)


def _file(module):
    path = REPO / Path(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).relative_to(REPO).as_posix()


def _closure(graph, *modules):
    """Files of the modules, of all they import, and of the packages these lie in."""
    found = set(modules)
    for module in modules:
        found |= graph.find_upstream_modules(module)
    for module in list(found):
        parts = module.split(".")
        found |= {".".join(parts[:n]) for n in range(1, len(parts))}
    return {_file(m) for m in found}


def _registered(stage):
    if stage not in REGISTRIES:
        return {}
    module, name = REGISTRIES[stage]
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_equal_the_import_closure(graph, stage):
    body = STAGES[stage].get("do") or STAGES[stage]
    declared = {d for d in body["deps"] if d.endswith(".py") and not d.startswith("artifacts/")}
    if stage == "ingest":  # a dep per kind: a change to one reader leaves the sources of other kinds alone
        shared = _closure(graph, "pipelines.ingest")
        for kind, module in _registered(stage).items():
            resolved = {d.replace("${item.kind}", kind) for d in declared}
            assert resolved == shared | _closure(graph, module) | _shared_by_readers(graph), kind
    else:
        expected = _closure(graph, f"pipelines.{stage}", *_registered(stage).values())
        assert declared == expected, "\n".join(sorted(expected))


def _shared_by_readers(graph):
    """What readers import: declared for every kind, since DVC lists deps once per foreach."""
    readers = set(_registered("ingest").values())
    files = set().union(*(_closure(graph, m) for m in readers))
    return files - {_file(m) for m in readers}


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_those_the_script_reads(stage):
    body = STAGES[stage].get("do") or STAGES[stage]
    declared = {p.split(".")[0] for p in body["params"]}
    tree = ast.parse((REPO / "pipelines" / f"{stage}.py").read_text())
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "load"]
    read = {call.args[1].value for call in calls} | {"sources"}
    assert declared == read
    assert read - {"sources"} <= set(SECTIONS)


def test_every_section_of_params_is_known_and_every_knob_has_a_comment():
    sections = YAML(typ="safe").load((REPO / "params.yaml").read_text())
    assert set(sections) == {"gendata", "sources", *SECTIONS}
    for line in (REPO / "params.yaml").read_text().split("sources:")[-1].splitlines():
        if line.startswith("  ") and ":" in line and not line.strip().startswith(("#", "pydocs", "mnist5k")):
            assert "#" in line or line.rstrip().endswith(":"), line


@pytest.mark.parametrize("name", SECTIONS)
def test_params_yaml_shows_the_defaults(name):
    from gendata import params

    module, cls = SECTIONS[name].split(":")
    dataclass = getattr(importlib.import_module(module), cls)
    assert params.load(REPO / "params.yaml", name, dataclass) == dataclass()


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_description_and_writes_only_below_artifacts(stage):
    body = STAGES[stage].get("do") or STAGES[stage]
    assert body["desc"]
    outs = [o if isinstance(o, str) else next(iter(o)) for o in [*body["outs"], *body.get("metrics", [])]]
    assert all(o.startswith("artifacts/") for o in outs)
