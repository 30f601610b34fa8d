"""The way to MLflow: where it is, a database that a kill does not break, no noise, bounded waiting.

MLflow is imported here on use, with telemetry off; explicit clients, no global state of MLflow is set.
"""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from gendata import files
from gendata.errors import StoreError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # MLflow's 7 retries of 120 s are too long for what is only a log
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Environment of MLflow where nothing else is set."""

_DATABASES = "sqlite", "postgresql", "mysql", "mssql"


class Mlruns:
    """Where runs of a project are logged: MLFLOW_TRACKING_URI if it is set, else ``mlruns/`` in the project.

    Attributes:
        uri: of the tracking store.
        artifacts: uri of the folder where a new experiment keeps its artifacts; None where the server decides.
        local: whether it is the project's own store.
    """

    def __init__(self, root: Path) -> None:
        chosen = os.environ.get("MLFLOW_TRACKING_URI")
        self.folder = root / "mlruns"
        self.local = not chosen
        self.uri = chosen or f"sqlite:///{self.folder / 'mlflow.db'}"
        self.artifacts = (self.folder / "artifacts").as_uri() if self.uri.startswith(_DATABASES) else None

    def client(self) -> "MlflowClient":
        """A client of the store, which is made if it is a SQLite file that is not there. Raises ``failures()``."""
        from mlflow.tracking import MlflowClient

        if self.local and "%" in self.uri:
            raise StoreError(f"{self.folder}: MLflow takes % in the path of a database for an escape")
        if self.uri.startswith("sqlite"):
            _make_database(self.uri)
        return MlflowClient(self.uri)

    def experiment(self, client: "MlflowClient", name: str) -> str:
        """The id of an experiment, which is made if it is not there. Raises StoreError, MlflowException."""
        with unless_there():
            client.create_experiment(name, artifact_location=self.artifacts)
        found = client.get_experiment_by_name(name)
        if found is None:
            raise StoreError(f"experiment {name}: removed while it was opened")
        if self.local and found.artifact_location != self.artifacts:
            advice = f"as the project was moved: set tracking.experiment to another name, or remove {self.folder}"
            raise StoreError(f"experiment {name} keeps its files in {found.artifact_location}, {advice}")
        return str(found.experiment_id)


def _make_database(uri: str) -> None:
    """Create and migrate a SQLite database in a folder beside, then rename it into place.

    MLflow does it in place and unlocked: of two runs that start at once one fails, and a kill leaves
    a database that MLflow cannot open ever after (both seen with 3.17.2).
    """
    from mlflow.tracking import MlflowClient
    from sqlalchemy import make_url

    name = make_url(uri).database
    if not name or name == ":memory:":
        return
    path = Path(name)
    if path.exists():
        if not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):  # MLflow would try again for 100 seconds
            raise StoreError(f"{path}: cannot be written")
        return
    with files.lock(path.with_name(f".{path.name}.lock")):
        if not path.exists():
            part = path.with_name(f".{path.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            MlflowClient(f"sqlite:///{part / path.name}")
            (part / path.name).rename(path)
            shutil.rmtree(part)


@contextmanager
def unless_there() -> Iterator[None]:
    """What is created in the block may be there already."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def quiet() -> Iterator[None]:
    """MLflow without its log lines: what goes wrong is raised as well, and told once by who catches it."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    with suppress(ImportError), warnings.catch_warnings():  # an ImportError comes again, where it is told
        # mlflow 3.17 asks sqlalchemy 2.1 for the deprecated loader `noload` when it is imported
        warnings.filterwarnings("ignore", "The ``noload`` loader", DeprecationWarning)
        import_module("mlflow.store.tracking.sqlalchemy_store")
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def failures() -> tuple[type[Exception], ...]:
    """What MLflow, its database, its servers (requests: an OSError) and their absence raise."""
    with suppress(ImportError):
        from alembic.util import CommandError
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        return MlflowException, SQLAlchemyError, CommandError, ImportError, OSError, StoreError
    return ImportError, OSError, StoreError
