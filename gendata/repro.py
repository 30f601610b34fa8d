"""Run the pipeline through DVC and say what happened: ``gendata run`` and ``gendata status``."""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gendata import dvc, files, params, template
from gendata.engine import cores
from gendata.errors import ProjectError, StoreError
from gendata.models import needs
from gendata.project import Project
from gendata.sections import MODEL_STAGES
from gendata.store import OUTPUTS, STORES
from gendata.store.head import Store

_PARENTS = {"store": ("ingest",), "collect": ("generate",), "compare": ("train", "evaluate")}
"""Folders that a stage depends on and no stage writes as a whole: without a source or a family nobody makes them."""

_LANE = ("select", "train", "generate", "evaluate")
"""The stages of one family, in their order."""

_JOBS = 4
"""Most families that are trained at a time if nobody says how many: each needs about 1 GB."""

_UNREAD = "not read yet"
"""Of a source without a listing."""

_ALWAYS = "always changed"
"""DVC's reason for stage scan, which runs always."""


@dataclass(frozen=True)
class Model:
    """How far a model family came."""

    family: str
    modality: str
    skipped: str | None
    """Why there is no checkpoint, None if there is one."""
    checkpoint_id: str
    figures: dict[str, float]
    """Of its last validation (``valid/...``), and of stage evaluate."""


@dataclass(frozen=True)
class Summary:
    """What a run left behind: counts over all sources, and the models."""

    enumerated: int
    read: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    kept: int
    similar: int
    """Items that are like one that stays, and stay too: a finding."""
    stores: dict[str, int]
    models: tuple[Model, ...] = ()
    example: str | None = None
    """The id of an output."""
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What came of the rows of tables, by where they stand in params.yaml: rows, used, rejected (by reason)."""


def run(
    project: Project,
    stages: Sequence[str] = (),
    *,
    force: bool = False,
    jobs: int = 0,
    say: Callable[[str], None],
) -> list[str]:
    """``dvc repro`` in the project; the names of the stages that ran. Raises ProjectError if one fails, or is unknown.

    Args:
        project: to bring up to date.
        stages: only these and what they need; empty for all.
        force: run them even if nothing changed.
        jobs: model families that are trained at a time where all stages are asked for; 0: one per core, at most four.
        say: gets each line worth reading. Stages write their progress to stderr themselves.
    """
    project.validate()
    _check_names(project, stages)
    _prepare(project, say)
    unbuilt, ran = _unbuilt(project), list[str]()
    wanted = {stage.partition("@")[0] for stage in stages} or {"store", "collect"}
    if "store" in unbuilt and wanted & {"store", *MODEL_STAGES}:  # first: selecting and training read it
        ran += dvc.repro(project.root, ["store"], say)
        ran += _rebuild(project, "store", unbuilt["store"], ran, say)
    jobs = jobs or min(cores(), _JOBS)
    if project.has_models() and jobs > 1 and not (stages or force):
        ran += _families_side_by_side(project, jobs, say)
    else:
        ran += dvc.repro(project.root, [*stages, *(["--force"] if force else [])], say)
    if "collect" in unbuilt and "collect" in wanted:
        ran += _rebuild(project, "collect", unbuilt["collect"], ran, say)
    from gendata.ingest import journal

    journal.share(project.root)
    return ran


def _check_names(project: Project, stages: Sequence[str]) -> None:
    """Raises ProjectError, with what there is, for a stage, source or family that there is not."""
    file = project.root / "dvc.yaml"
    defined = (params.read(file).get("stages") or {}) if file.is_file() else {}
    for stage in stages if defined else ():
        name, at, key = stage.partition("@")
        section = str(dict(defined.get(name) or {}).get("foreach", "")).removeprefix("${").removesuffix("}")
        known = [str(k) for k in (params.read(project.params_file).get(section) or {})] if section else []
        if at and section and key not in known:
            raise ProjectError(f"no stage {stage}: {section} in params.yaml has {', '.join(known) or 'nothing'}")
        if name.isidentifier() and name not in defined:  # what is no name may be a path, which DVC takes too
            raise ProjectError(f"no stage {stage}: there are {', '.join(defined)}")


def _families_side_by_side(project: Project, jobs: int, say: Callable[[str], None]) -> list[str]:
    """All stages: the data first, then families beside each other, since one small model fills one core; the rest."""
    ran = dvc.repro(project.root, ["store"], say)
    stale = {stage for stage, whys in dvc.status(project.root).items() if whys != [_ALWAYS]}
    lanes = [
        [f"{stage}@{family}" for stage in _LANE]
        for family in params.read(project.params_file)["train"]
        if any(f"{stage}@{family}" in stale for stage in _LANE)
    ]
    if len(lanes) > 1:
        ran += dvc.repro_side_by_side(project.root, lanes, jobs, say)
    return ran + (dvc.repro(project.root, [], say) if stale else [])


def _rebuild(project: Project, stage: str, why: str, ran: list[str], say: Callable[[str], None]) -> list[str]:
    """Run a stage that did not run, since nothing that DVC sees has changed."""
    if stage in ran:
        return []
    say(f"the databases of the store are missing or broken ({why}): rebuilding them")
    return dvc.repro(project.root, ["--single-item", "--force", stage], say)


def _prepare(project: Project, say: Callable[[str], None]) -> None:
    if not (project.root / "dvc.yaml").is_file():
        raise ProjectError(f"{project.root}: no dvc.yaml; `gendata init` writes one")
    template.ensure_dvc(project.root)
    present = project.stages()
    for stage in present & _PARENTS.keys():
        for name in _PARENTS[stage]:
            (project.artifacts / name).mkdir(parents=True, exist_ok=True)
    if "collect" in present:
        template.ensure_outputs(project.root)
    if (project.root / template.LOCK).is_file() and (changed := template.write_lock(project.root)):
        say(f"gendata's code changed since the last run: {', '.join(changed)} will run again")


def _unbuilt(project: Project) -> dict[str, str]:
    """Stages whose stores, though store.json describes them, cannot be read, and why."""
    found: dict[str, str] = {}
    present = project.stages()
    for name in STORES:
        record = project.artifacts / "store" / name / "store.json"
        stage = "collect" if name == OUTPUTS else "store"
        try:
            if stage not in present or not record.is_file() or not files.read_json(record)["sources"]:
                continue
            store = Store.open(record.parent)
            store.check()
        except (ProjectError, StoreError) as error:
            found.setdefault(stage, str(error).replace(f"{project.root}/", ""))
    return found


def status(project: Project) -> list[tuple[str, str]]:
    """(stage, why) of all that ``gendata run`` would do; empty if everything is up to date."""
    project.validate()
    _prepare(project, lambda line: None)
    stale: dict[str, list[str]] = {f"ingest@{name}": [why] for name, why in _changed_sources(project).items()}
    for stage, reasons in dvc.status(project.root).items():
        whys = [w for w in _whys(reasons) if w != _ALWAYS]
        if whys and stale.get(stage) != [_UNREAD]:  # which says it all
            stale[stage] = [*stale.get(stage, []), *whys]
    for stage, why in _unbuilt(project).items():
        stale[stage] = [*stale.get(stage, []), why]
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


def _changed_sources(project: Project) -> dict[str, str]:
    """Sources whose listing differs from the one that was last ingested, and how."""
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
    return {
        name: "the source changed" if old[name].is_file() else _UNREAD
        for name in fresh
        if not old[name].is_file() or old[name].read_bytes() != fresh[name]
    }


def summary(project: Project) -> Summary:
    """Counts from the metrics of the last run. Raises ProjectError if there are none."""
    metrics = project.artifacts / "metrics"
    try:
        ingested = [files.read_json(metrics / "ingest" / f"{name}.json") for name in project.sources()]
        stages = ("dedup", "similar", "store", "tag", "embed")
        dedup, similar, stores, tag, embed = (files.read_json(metrics / f"{name}.json") for name in stages)
    except StoreError as error:
        raise ProjectError(f"the pipeline has not run to its end: {error}") from None
    models = _models(project) if project.has_models() else ()
    record = project.artifacts / "store" / OUTPUTS / "store.json"
    if models and record.is_file():
        stores[OUTPUTS] = files.read_json(record)
    rejected: Counter[str] = Counter()
    for one in ingested:
        rejected.update(one["rejected_by_reason"])
    return Summary(
        enumerated=sum(one["enumerated"] for one in ingested),
        read=sum(one["read"] for one in ingested),
        rejected=dict(sorted(rejected.items())),
        dropped={**dedup["dropped_by_reason"], "similar": similar["similar"] if similar["remove"] else 0},
        kept=similar["kept"],
        similar=0 if similar["remove"] else similar["similar"],
        stores={name: record["items"] for name, record in stores.items()},
        models=models,
        example=_example(project, models),
        tables={**tag.get("tables", {}), **embed.get("tables", {})},
    )


def _models(project: Project) -> tuple[Model, ...]:
    """How far each family of params.yaml came, from its metrics."""
    found = []
    for family in params.read(project.params_file)["train"]:
        written: dict[str, Any] = {}
        for stage in ("train", "evaluate"):
            path = project.artifacts / "metrics" / stage / f"{family}.json"
            written[stage] = files.read_json(path) if path.is_file() else {}
        trained = written["train"]
        found.append(
            Model(
                family,
                needs(family).modality,
                trained.get("reason") if trained else "not trained yet",
                trained.get("checkpoint_id", ""),
                {k: v for m in written.values() for k, v in m.items() if type(v) in {int, float}},
            )
        )
    return tuple(found)


def _example(project: Project, models: Iterable[Model]) -> str | None:
    """The first output of the pipeline, None if there is none."""
    for model in models:
        for path in files.shards(project.artifacts / "generate" / model.family / "items"):
            for batch in files.iter_batches(path, ["id"]):
                return str(batch["id"][0])
    return None
