"""Training runs in MLflow: a log and not the truth.

Where it fails, one line on stderr says so, and the training goes on untracked.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gendata
from gendata import files
from gendata.errors import StoreError
from gendata.tracking import NullTracker, Tracker
from gendata.tracking.connect import Mlruns, failures, quiet, unless_there
from gendata.tracking.version import data_version

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
    from mlflow.tracking import MlflowClient

CHECKPOINT = "checkpoint"
"""Folder of the checkpoint among the artifacts of a run."""

_FLUSH_POINTS, _FLUSH_SECONDS = 500, 5.0

# of mlflow.utils.validation; the last is the column in its database
_MAX_METRICS, _MAX_PARAMS, _MAX_PARAM, _MAX_DIGEST, _MAX_DESCRIPTION = 1000, 100, 6000, 36, 5000

_MAX_LINE = 400

_SAMPLING_SECONDS = 10
"""Between points of the curves ``system/...``, where MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL says nothing else."""


class MlflowTracker:
    """One run in MLflow. The first write that fails is told on stderr; after it nothing more is tried."""

    def __init__(
        self, client: "MlflowClient", run: "Run", versions: Mapping[str, str], monitor: "SystemMetricsMonitor"
    ) -> None:
        self.run_id: str | None = run.info.run_id
        self._client, self._run, self._id = client, run, run.info.run_id
        self._versions, self._monitor = versions, monitor
        self._points: list[Metric] = []
        self._flushed = time.monotonic()
        self._lost = False

    def start(self, params: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
        """Log the parameters (with ``family``), and the manifest's summary as the dataset ``manifest-<family>``.

        From here on a thread logs what processors, memory, disk, network and, with nvidia-ml-py, GPUs do.
        """
        self._monitor.start()
        self._try(self._log_params, params)
        self._try(self._log_manifest, str(params["family"]), manifest)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Add points to curves; written every 500 points or 5 seconds, and at the end. NaN is a point too."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._points += [Metric(name, float(value), now, step) for name, value in values.items()]
        if len(self._points) >= _FLUSH_POINTS or time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self._flush()

    def image(self, name: str, step: int, png: bytes) -> None:
        """Log a picture as ``<name>/step-000250.png``."""
        self._try(self._client.log_stream, self._id, io.BytesIO(png), f"{name}/step-{step:06d}.png")

    def text(self, name: str, step: int, text: str) -> None:
        """Log a text as ``<name>/step-000250.txt``."""
        self._try(self._client.log_text, self._id, text, f"{name}/step-{step:06d}.txt")

    def document(self, name: str, text: str) -> None:
        """Log a text as ``<name>``."""
        self._try(self._client.log_text, self._id, text, name)

    def checkpoint(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Log all files below ``checkpoint/``, and register them as the next version of ``gendata-<family>``.

        A checkpoint that is a version already does not become another.
        """
        self._try(self._log_checkpoint, folder, card)

    def end(self, status: str, error: str = "") -> None:
        """Write what is buffered and end the run: FINISHED, FAILED or KILLED."""
        self._flush()
        self._try(self._end_monitor)
        if self._lost:  # perhaps MLflow is back: then the run does not stand there as running for ever
            with suppress(*failures()):
                self._end(status, error or "tracking stopped before the training did")
        self._try(self._end, status, error)

    def _try(self, write: Callable[..., object], *args: Any) -> None:
        if self._lost:
            return
        try:
            write(*args)
        except failures() as error:
            self._lost = True
            _tell("the rest of this run", error)

    def _flush(self) -> None:
        points, self._points, self._flushed = self._points, [], time.monotonic()
        for at in range(0, len(points), _MAX_METRICS):
            self._try(self._client.log_batch, self._id, points[at : at + _MAX_METRICS])

    def _end_monitor(self) -> None:
        """One more point: a training that is shorter than its thread sleeps would have none."""
        self._monitor.finish()
        self._monitor.collect_metrics()
        self._monitor.publish_metrics(self._monitor.aggregate_metrics())
        self._monitor.mlflow_logger.flush()

    def _log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        values = [Param(name, value[:_MAX_PARAM]) for name, value in _flat(params)]
        for at in range(0, len(values), _MAX_PARAMS):
            self._client.log_batch(self._id, params=values[at : at + _MAX_PARAMS])

    def _log_manifest(self, family: str, manifest: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, RunTag

        manifest_id = str(manifest["manifest_id"])
        tags = {**self._tags(manifest_id), "family": family}
        self._client.log_batch(self._id, tags=[RunTag(name, value) for name, value in tags.items()])
        dataset = Dataset(
            name=f"manifest-{family}",
            digest=manifest_id[:_MAX_DIGEST],
            source_type="local",
            source=json.dumps({"uri": f"records/ledger/manifests/{manifest_id}.parquet"}),
            profile=json.dumps({"num_rows": manifest["rows"], **manifest["by"]}, ensure_ascii=False),
        )
        self._client.log_inputs(self._id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def _log_checkpoint(self, folder: Path, card: Mapping[str, Any]) -> None:
        name = f"gendata-{card['family']}"
        checkpoint_id = str(card["checkpoint_id"])
        self._client.log_artifacts(self._id, str(folder), CHECKPOINT)
        self._client.set_tag(self._id, "checkpoint_id", checkpoint_id)
        with unless_there():
            self._client.create_registered_model(name)
        if self._client.search_model_versions(f"name = '{name}' and tags.checkpoint_id = '{checkpoint_id}'"):
            return
        source = f"{self._run.info.artifact_uri}/{CHECKPOINT}"
        text = (folder / "README.md").read_text(encoding="utf-8")[:_MAX_DESCRIPTION]
        tags = {"checkpoint_id": checkpoint_id, **self._tags(str(card["manifest_id"]))}
        self._client.create_model_version(name, source, self._id, tags=tags, description=text)

    def _tags(self, manifest_id: str) -> dict[str, str]:
        return {"gendata": str(gendata.__version__), "manifest_id": manifest_id, **self._versions}

    def _end(self, status: str, error: str) -> None:
        if error:
            self._client.set_tag(self._id, "error", error)
        self._client.set_terminated(self._id, status)


@contextmanager
def mlflow_run(experiment: str, root: Path, run_name: str) -> Iterator[Tracker]:
    """A new run that ends with the block; a NullTracker where MLflow does not work. ``root`` is absolute."""
    with quiet():
        if (tracker := _new_run(experiment, root, run_name)) is None:
            yield NullTracker()
            return
        try:
            yield tracker
        except KeyboardInterrupt:
            tracker.end("KILLED")
            raise
        except BaseException as error:
            tracker.end("FAILED", _one_line(error))
            raise
        tracker.end("FINISHED")


def _new_run(experiment: str, root: Path, run_name: str) -> MlflowTracker | None:
    place = Mlruns(root)
    try:
        client = place.client()
        run = client.create_run(place.experiment(client, experiment), run_name=run_name)
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(run.info.run_id, _SAMPLING_SECONDS, tracking_uri=place.uri)
        return MlflowTracker(client, run, data_version(root), monitor)
    except failures() as error:
        _tell("this run", error)
        return None


def find_checkpoint(run_id: str, root: Path, *, ask: bool) -> Path | None:
    """The folder of the checkpoint of a run. ``ask`` MLflow for what the project does not hold. Raises StoreError."""
    place = Mlruns(root)
    local = place.folder / "artifacts" / run_id / "artifacts" / CHECKPOINT
    if local.is_dir():  # needs no MLflow, and is right in a project that was moved
        return local
    if place.local or not ask:
        return None
    with quiet():
        try:
            return _download(place.client(), run_id, root / files.WORK / "downloads" / run_id)
        except failures() as error:
            raise StoreError(f"run {run_id}: not readable in MLflow: {_one_line(error)}") from error


def _download(client: "MlflowClient", run_id: str, to: Path) -> Path | None:
    from mlflow.exceptions import MlflowException

    try:
        if not client.list_artifacts(run_id, CHECKPOINT):
            return None
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    to.mkdir(parents=True, exist_ok=True)
    return Path(client.download_artifacts(run_id, CHECKPOINT, str(to)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def _tell(what: str, error: Exception) -> None:
    sys.stderr.write(f"tracking: {what} is not logged: {_one_line(error)}\n")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:_MAX_LINE] or type(error).__name__
