"""Tracking of training runs: a protocol, a null object, and MLflow. Training is the same with any."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

_MAX_NAME = 500
"""Characters that MLflow takes as the name of an experiment."""


@dataclass(frozen=True)
class TrackingParams:
    """Section ``tracking`` of params.yaml. No stage depends on it: no artifact does."""

    # mlflow | none. MLFLOW_TRACKING_URI, where it is set, says where; else mlruns/mlflow.db in the project
    to: Literal["mlflow", "none"] = "mlflow"
    # name of the MLflow experiment
    experiment: str = "gendata"

    def __post_init__(self) -> None:
        if not self.experiment.strip() or len(self.experiment) > _MAX_NAME:
            raise ValueError(f"experiment: must be a name of 1 to {_MAX_NAME} characters, not {self.experiment[:40]!r}")


class Tracker(Protocol):
    """One training run as it is logged. Nothing that it does may change the training."""

    @property
    def run_id(self) -> str | None:
        """The run's id in the tracking system, None if there is none."""

    def start(self, params: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
        """Log the parameters (with ``family``), and the training data as a dataset: the manifest's summary."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Add points to curves; written in batches."""

    def image(self, name: str, step: int, png: bytes) -> None:
        """Log a picture of samples at a step."""

    def text(self, name: str, step: int, text: str) -> None:
        """Log sample texts at a step."""

    def document(self, name: str, text: str) -> None:
        """Log a document under the name of its file."""

    def checkpoint(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Log the finished checkpoint (all files of the folder) and register it as a model version, once."""


class NullTracker:
    """Tracks nothing."""

    run_id: str | None = None

    def start(self, params: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
        """Nothing."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def image(self, name: str, step: int, png: bytes) -> None:
        """Nothing."""

    def text(self, name: str, step: int, text: str) -> None:
        """Nothing."""

    def document(self, name: str, text: str) -> None:
        """Nothing."""

    def checkpoint(self, folder: Path, card: Mapping[str, Any]) -> None:
        """Nothing."""


@contextmanager
def open_tracker(params: TrackingParams, root: Path, run_name: str) -> Iterator[Tracker]:
    """A tracker for one run: the run ends finished, failed (any exception) or killed (KeyboardInterrupt).

    Where MLflow does not work or stops to, one line on stderr says so and the training goes on untracked.

    Args:
        params: where to track.
        root: of the project.
        run_name: what the run is called, such as its family.
    """
    if params.to == "none":
        yield NullTracker()
        return
    from gendata.tracking.mlflow import mlflow_run

    with mlflow_run(params.experiment, root.resolve(), run_name) as tracker:
        yield tracker


def checkpoint_folder(run_id: str, root: Path, params: TrackingParams) -> Path | None:
    """The checkpoint that a run logged, as a folder; None if there is none.

    One that is not in the project's ``mlruns/`` is copied into ``.gendata/downloads``, unless tracking is off.

    Raises:
        StoreError: the tracking store cannot be read.
    """
    from gendata.tracking.mlflow import find_checkpoint

    return find_checkpoint(run_id, root.resolve(), ask=params.to == "mlflow")
