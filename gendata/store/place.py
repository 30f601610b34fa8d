"""Where the databases of a store are: in its folder, in another one, or in an object store of the S3 kind.

Only names relative to the place are used: ``HEAD.json``, catalogs, and the folder ``lance``.
"""

import os
import shutil
import time
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gendata import files
from gendata.errors import StoreError

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

SCHEME = "s3://"

GRACE = timedelta(hours=1)
"""How long catalogs and versions of tables stay that neither HEAD nor the HEAD before it names: readers pin them."""


def past_grace(written: float) -> bool:
    """Whether what was written then, in seconds of the epoch, is older than ``GRACE``."""
    return written <= time.time() - GRACE.total_seconds()


class Place(Protocol):
    """What stores ask of the place that they are in."""

    uri: str

    def read(self, name: str) -> bytes | None:
        """The content of a small file, None if it is not there."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """A small file: durable, all at once."""
        ...

    def publish(self, part: Path, name: str) -> None:
        """Make a finished local file the file ``name``; ``part`` may be gone afterwards."""
        ...

    def fetch(self, name: str) -> Path:
        """A local file with the content of ``name``. Raises StoreError if it is not there."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """The bytes of every file below a folder, by name."""
        ...

    def written(self, name: str) -> float:
        """When a file was written, in seconds of the epoch."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it; nothing if it is not there."""
        ...

    def settle(self) -> None:
        """Return when everything written so far would outlive a power failure."""
        ...


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root, self.uri = root, str(root)

    def read(self, name: str) -> bytes | None:
        """See Place."""
        path = self.root / name
        return path.read_bytes() if path.is_file() else None

    def write(self, name: str, content: bytes) -> None:
        """See Place."""
        files.write_bytes(self.root / name, content)

    def publish(self, part: Path, name: str) -> None:
        """See Place."""
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.move(part, self.root / name)  # a rename, within one file system

    def fetch(self, name: str) -> Path:
        """See Place."""
        if not (self.root / name).is_file():
            raise StoreError(f"{self.root}: {name} is missing; run `gendata doctor --repair`")
        return self.root / name

    def sizes(self, folder: str) -> dict[str, int]:
        """See Place."""
        found = (path for path in (self.root / folder).rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.stat().st_size for path in found}

    def written(self, name: str) -> float:
        """See Place."""
        return (self.root / name).stat().st_mtime

    def remove(self, name: str) -> None:
        """See Place."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def settle(self) -> None:
        """See Place."""
        # files and the folders that name them
        files.fsync_all((*self.root.glob("catalog-*"), *(self.root / "lance").rglob("*"), self.root))


class Bucket:
    """A prefix in an S3 object store; credentials, region and endpoint are those of the environment (AWS_...).

    Files that must be local, the catalogs, are copied into ``cache``. An object appears whole or not at all.
    """

    def __init__(self, uri: str, cache: Path) -> None:
        self.uri, self._cache = uri, cache
        self._base = uri.removeprefix(SCHEME)

    @cached_property
    def _files(self) -> "S3FileSystem":
        from pyarrow.fs import S3FileSystem

        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            scheme, _, host = endpoint.partition("://")
            return S3FileSystem(region=_region(), scheme=scheme, endpoint_override=host)
        return S3FileSystem(region=_region())

    def read(self, name: str) -> bytes | None:
        """See Place. Raises StoreError if the object store does not answer."""
        try:
            with self._files.open_input_stream(f"{self._base}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.uri}: {str(error).splitlines()[0]}") from None

    def write(self, name: str, content: bytes) -> None:
        """See Place."""
        with self._files.open_output_stream(f"{self._base}/{name}") as stream:
            stream.write(content)

    def publish(self, part: Path, name: str) -> None:
        """See Place."""
        with part.open("rb") as source, self._files.open_output_stream(f"{self._base}/{name}") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
        part.replace(self._cache / name)

    def fetch(self, name: str) -> Path:
        """See Place."""
        local = self._cache / name
        if not local.is_file():
            part = self._cache / f".catalog.part-{os.getpid()}"
            try:
                with self._files.open_input_stream(f"{self._base}/{name}") as stream, part.open("wb") as file:
                    shutil.copyfileobj(stream, file, 1 << 20)
            except FileNotFoundError:
                part.unlink(missing_ok=True)
                raise StoreError(f"{self.uri}: {name} is missing; run `gendata doctor --repair`") from None
            part.replace(local)
            self._forget(local)
        return local

    def _forget(self, newest: Path) -> None:
        """Drop copies of older catalogs: who still reads one fetches it again."""
        for path in self._cache.glob("catalog-*.duckdb"):
            if path != newest and past_grace(path.stat().st_mtime):
                path.unlink(missing_ok=True)

    def sizes(self, folder: str) -> dict[str, int]:
        """See Place."""
        from pyarrow.fs import FileSelector

        selector = FileSelector(f"{self._base}/{folder}", allow_not_found=True, recursive=True)
        found = (info for info in self._files.get_file_info(selector) if info.is_file)
        return {info.path.removeprefix(f"{self._base}/"): info.size for info in found}

    def written(self, name: str) -> float:
        """See Place."""
        return float(self._files.get_file_info(f"{self._base}/{name}").mtime_ns) / 1e9

    def remove(self, name: str) -> None:
        """See Place."""
        (self._cache / name).unlink(missing_ok=True)
        for path in self.sizes(name):
            self._files.delete_file(f"{self._base}/{path}")
        if self._files.get_file_info(f"{self._base}/{name}").is_file:
            self._files.delete_file(f"{self._base}/{name}")

    def settle(self) -> None:
        """See Place: what an object store has taken it keeps."""


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def storage_options(uri: str) -> dict[str, str] | None:
    """What Lance has to know beside a URI; None for a folder."""
    if not uri.startswith(SCHEME):
        return None
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    options = {"region": _region()}
    return options | ({"endpoint": endpoint, "allow_http": str(endpoint.startswith("http:"))} if endpoint else {})


def place(store: Path, uri: str) -> Place:
    """The place of the store in the project's folder ``store`` when all stores are at ``uri``; "" for that folder."""
    if uri.startswith(SCHEME):
        return Bucket(f"{uri.rstrip('/')}/{store.name}", store)
    return Folder(Path(uri).expanduser().resolve() / store.name if uri else store)
