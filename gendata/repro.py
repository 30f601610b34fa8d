"""Run the pipeline through DVC and say what happened: ``gendata run`` and ``gendata status``."""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gendata import dvc, files, template
from gendata.errors import ProjectError, StoreError
from gendata.project import Project
from gendata.store import STORES
from gendata.store.head import Store


@dataclass(frozen=True)
class Summary:
    """What a run left behind: counts over all sources."""

    enumerated: int
    read: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    kept: int
    stores: dict[str, int]


def run(project: Project, stages: Sequence[str] = (), *, force: bool = False, say: Callable[[str], None]) -> list[str]:
    """``dvc repro`` in the project; the names of the stages that ran. Raises ProjectError if one fails.

    ``say`` gets each line worth reading. Stages write their progress to stderr themselves.
    """
    project.validate()
    _prepare(project, say)
    forced = _unbuilt(project)
    ran = dvc.repro(project.root, [*stages, *(["--force"] if force else [])], say)
    if forced and "store" not in ran and (not stages or "store" in stages):
        say(f"the databases of the store are missing or broken ({forced}): rebuilding them")
        ran += dvc.repro(project.root, ["--single-item", "--force", "store"], say)
    return ran


def _prepare(project: Project, say: Callable[[str], None]) -> None:
    if not (project.root / "dvc.yaml").is_file():
        raise ProjectError(f"{project.root}: no dvc.yaml; `gendata init` writes one")
    template.ensure_dvc(project.root)
    if (project.root / template.LOCK).is_file() and (changed := template.write_lock(project.root)):
        say(f"gendata's code changed since the last run: {', '.join(changed)} will run again")


def _unbuilt(project: Project) -> str:
    """Why a store that store.json describes cannot be read, empty if all can."""
    for name in STORES:
        record = project.artifacts / "store" / name / "store.json"
        try:
            if not record.is_file() or not files.read_json(record)["sources"]:
                continue
            store = Store.open(record.parent)
            store.check()
        except (ProjectError, StoreError) as error:
            return str(error)
    return ""


def status(project: Project) -> list[tuple[str, str]]:
    """(stage, why) of all that ``gendata run`` would do; empty if everything is up to date."""
    project.validate()
    _prepare(project, lambda line: None)
    stale: dict[str, list[str]] = {f"ingest@{name}": ["the source changed"] for name in _changed_sources(project)}
    for stage, reasons in dvc.status(project.root).items():
        if whys := [w for w in _whys(reasons) if w != "always changed"]:
            stale[stage] = [*stale.get(stage, []), *whys]
    if why := _unbuilt(project):
        stale["store"] = [*stale.get("store", []), why]
    return [(stage, "; ".join(whys)) for stage, whys in stale.items()]


def _whys(reasons: Iterable[Any]) -> list[str]:
    out = []
    for reason in reasons:
        if isinstance(reason, str):
            out.append(reason)
            continue
        for kind, changes in reason.items():
            for name, change in changes.items():
                what = change if isinstance(change, str) else ", ".join(f"{k} {v}" for k, v in change.items())
                out.append(f"{kind.removeprefix('changed ').removesuffix('s')} {name}: {what}")
    return out


def _changed_sources(project: Project) -> list[str]:
    """Sources whose listing differs from the one that was last ingested."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scan"
        command = [sys.executable, "-m", "pipelines.scan", str(out)]
        result = subprocess.run(
            command, cwd=project.root, env=dvc.environment(), capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise ProjectError((result.stderr.strip().splitlines() or ["the scan failed"])[-1].removeprefix("error: "))
        fresh = {name: (out / f"{name}.parquet").read_bytes() for name in project.sources()}
    old = {name: project.artifacts / "scan" / f"{name}.parquet" for name in fresh}
    return [name for name in fresh if not old[name].is_file() or old[name].read_bytes() != fresh[name]]


def summary(project: Project) -> Summary:
    """Counts from the metrics of the last run. Raises ProjectError if there are none."""
    metrics = project.artifacts / "metrics"
    try:
        ingested = [files.read_json(metrics / "ingest" / f"{name}.json") for name in project.sources()]
        dedup, stores = files.read_json(metrics / "dedup.json"), files.read_json(metrics / "store.json")
    except StoreError as error:
        raise ProjectError(f"the pipeline has not run to its end: {error}") from None
    rejected: Counter[str] = Counter()
    for one in ingested:
        rejected.update(one["rejected_by_reason"])
    return Summary(
        enumerated=sum(one["enumerated"] for one in ingested),
        read=sum(one["read"] for one in ingested),
        rejected=dict(sorted(rejected.items())),
        dropped=dedup["dropped_by_reason"],
        kept=dedup["kept"],
        stores={name: record["items"] for name, record in stores.items()},
    )
