"""dvc.yaml against the code: digests are of import closures, params are what a stage reads, outputs never train."""

import ast
import importlib
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

from gendata import closure, params, template
from gendata.generate import load_generate
from gendata.models import MODELS, load_config
from gendata.sections import FAMILIES, SECTIONS
from gendata.select import load_select

REPO = Path(__file__).parent.parent
STAGES = YAML(typ="safe").load((REPO / "dvc.yaml").read_text())["stages"]
SETTINGS = YAML(typ="safe").load((REPO / "params.yaml").read_text())
VARIES = {"ingest": "${item.kind}", "train": "${key}", "generate": "${key}", "evaluate": "${key}"}
"""How a stage names the entry of a registry whose code it runs."""
STARTED = {"select": ("gendata.search.sandbox",), "compare": tuple(MODELS.values())}
"""Modules that a stage runs as a program of their own, or finds by name in another registry."""
KNOWN = {"sources", *SECTIONS, *FAMILIES}
LOADERS = {"load_select": "select", "load_config": "train"}
"""Functions that take the section that they need out of all."""
UNDECLARED = {"train": {"tracking"}, "compare": {"tracking"}}
"""Sections that a stage reads and does not depend on: where a run is logged changes no artifact."""


@pytest.fixture(scope="module")
def graph():
    return build_graph()


def build_graph():
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


def _body(stage):
    return STAGES[stage].get("do") or STAGES[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_of_a_stage_is_its_import_closure(graph, stage):
    """Against another reader of imports."""
    expected = _closure(graph, f"pipelines.{stage}", *STARTED.get(stage, ()), *closure.registered(stage).values())
    found = {path.relative_to(REPO).as_posix() for path in closure.files(REPO / "gendata", REPO / "pipelines", stage)}
    assert found == {path for path in expected if path.startswith("gendata/")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_watches_its_script_and_the_digest_of_its_code(stage):
    body = _body(stage)
    code = [dep for dep in body["deps"] if dep.endswith(".py")]
    assert code == [f"pipelines/{stage}.py", "pipelines/__init__.py"]
    watched = [entry[template.LOCK] for entry in body["params"] if isinstance(entry, dict)]
    own = f"-{VARIES[stage]}" if stage in VARIES else ""
    assert watched == ([] if body.get("always_changed") else [[f"code.{stage}{own}"]])


def test_the_digests_are_those_of_the_code():
    code = params.read(REPO / template.LOCK)["code"]
    assert code == closure.digests(REPO / "gendata", REPO / "pipelines", STAGES)


def test_a_change_to_a_variant_is_none_to_the_others(graph):
    assert {*VARIES} == closure.VARIES
    for stage in VARIES:
        others = _closure(graph, f"pipelines.{stage}", *STARTED.get(stage, ()))
        for module in closure.registered(stage).values():
            assert _file(module) not in others


def _read(stage):
    """The sections of params.yaml that a script reads: by ``params.load``, a loader, or by name out of all."""
    found = set()
    for node in ast.walk(ast.parse((REPO / "pipelines" / f"{stage}.py").read_text())):
        name = ""
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name == "load":
            found.add(node.args[1].value)
        elif name in LOADERS:
            found.add(LOADERS[name])
        elif name == "get" or isinstance(node, ast.Subscript):
            key = node.args[0] if name == "get" else node.slice
            if isinstance(key, ast.Constant) and key.value in KNOWN:
                found.add(key.value)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_those_the_script_reads(stage):
    declared = {p.split(".")[0] for p in _body(stage)["params"] if isinstance(p, str)}
    assert _read(stage) - declared == UNDECLARED.get(stage, set())
    assert declared <= _read(stage)
    assert declared <= KNOWN


@pytest.mark.parametrize("stage", [s for s in STAGES if "foreach" in STAGES[s]])
def test_a_stage_of_a_source_or_family_reads_its_own_entry_alone(stage):
    shared = {p for p in _body(stage)["params"] if isinstance(p, str) and not p.endswith(".${key}")}
    assert not shared & {"sources", *FAMILIES}


def test_every_section_of_params_is_known_and_every_knob_has_a_comment():
    assert set(SETTINGS) == {"gendata", *KNOWN}
    section, explained = "", set()
    for line in (REPO / "params.yaml").read_text().splitlines():
        if line and line[0] not in " #":
            section, explained = line.split(":")[0], set()
        elif section != "sources" and ":" in line and not line.strip().startswith("#"):
            key = line.split(":")[0].strip()
            if "#" in line:
                explained.add(key)
            elif section in FAMILIES and key in explained:  # by another family
                continue
            assert "#" in line or line.rstrip().endswith(":"), line


@pytest.mark.parametrize("name", SECTIONS)
def test_params_yaml_shows_the_defaults(name):
    module, cls = SECTIONS[name].split(":")
    dataclass = getattr(importlib.import_module(module), cls)
    assert params.load(REPO / "params.yaml", name, dataclass) == dataclass()


@pytest.mark.parametrize("family", MODELS)
def test_params_yaml_shows_the_defaults_of_families(family):
    assert load_select(family, SETTINGS) == load_select(family, {})
    assert load_config(family, SETTINGS) == load_config(family, {})
    assert load_generate(family, SETTINGS["generate"][family], "x") == load_generate(family, {}, "x")
    assert all(SETTINGS[section][family] for section in FAMILIES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_description_and_writes_only_below_artifacts(stage):
    assert _body(stage)["desc"]
    assert all(out.startswith("artifacts/") for out in _outs(_body(stage)))


def _outs(body):
    listed = [entry for kind in ("outs", "metrics", "plots") for entry in body.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in listed]


def _resolved():
    """Name of every stage, as DVC resolves them, to its deps and its outs."""
    found = {}
    for name, stage in STAGES.items():
        entries = SETTINGS[stage["foreach"].strip("${}")] if "foreach" in stage else {None: None}
        for key, item in entries.items():

            def resolve(path, key=key, item=item):
                kind = item["kind"] if item and "kind" in item else ""
                return path.replace("${key}", str(key)).replace("${item.kind}", kind)

            body = _body(name)
            deps, outs = ([resolve(p) for p in paths] for paths in (body["deps"], _outs(body)))
            found[f"{name}@{key}" if key else name] = deps, outs
    return found


def _meet(a, b):
    return a == b or a.startswith(f"{b}/") or b.startswith(f"{a}/")


def _before(stages, name):
    """Everything that a stage depends on, over other stages too: stages and paths."""
    found, paths, todo = set(), set(), [name]
    while todo:
        deps = stages[todo.pop()][0]
        paths |= set(deps)
        before = {other for other, (_, outs) in stages.items() if any(_meet(d, o) for d in deps for o in outs)} - found
        found |= before
        todo += before
    return found, paths


def test_no_path_leads_from_outputs_to_training():
    stages = _resolved()
    made = {name for name in stages if name.split("@")[0] in {"generate", "collect", "evaluate", "compare"}}
    outputs = {out for name in made for out in stages[name][1]} | {"records"}
    for name in stages:
        if name.split("@")[0] in {"select", "train"}:
            before, paths = _before(stages, name)
            assert "store" in before
            assert not before & made
            assert not [(p, o) for p in paths for o in outputs if _meet(p, o)]
    for family in SETTINGS["train"]:  # the walk does follow stages
        assert f"train@{family}" in _before(stages, f"evaluate@{family}")[0]
        assert f"generate@{family}" in _before(stages, "collect")[0]
