"""Format hf: a ``DatasetDict`` on disk, a dataset per split, written by the library ``datasets`` (extra ``export``)."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from gendata.errors import ProjectError
from gendata.export.names import safe_name

MODALITY = None
FILES = None
LAYOUT = (
    "A folder per split as `datasets` writes it. The column `image`, if there are images, decodes as a picture; `data` "
    "holds the bytes of other media."
)
LOAD = """from datasets import load_from_disk
items = load_from_disk("DEST")["SPLIT"]"""


class Writer:
    """Writes each split as an Arrow stream, which ``datasets`` then maps into memory and saves in shards."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._work = folder, folder / ".streams"
        self._streams: dict[str, Any] = {}
        self._hashes: dict[str, Any] = {}
        self._empty = {"image", "data"}

    def __enter__(self) -> Self:
        self._datasets = _library()
        self._work.mkdir()
        return self

    def write(self, split: str, rows: pa.Table) -> None:
        """Add rows of one split."""
        rows = _with_images(rows)
        self._empty -= {name for name in self._empty if rows[name].null_count < rows.num_rows}
        name = safe_name(split)
        if name not in self._streams:
            self._streams[name] = pa.ipc.new_stream(self._work / name, rows.schema)
            self._hashes[name] = hashlib.sha256()
        self._streams[name].write_table(rows)
        self._hashes[name].update("\n".join(rows["id"].to_pylist()).encode() + b"\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams.values():
            stream.close()
        if kind is None:
            splits = {name: self._dataset(name) for name in sorted(self._streams)}
            with _quiet(self._datasets):
                self._datasets.DatasetDict(splits).save_to_disk(self._folder)
        shutil.rmtree(self._work)

    def _dataset(self, name: str) -> Any:
        table = self._datasets.table.MemoryMappedTable.from_file(str(self._work / name)).drop(sorted(self._empty))
        features = self._datasets.Features.from_arrow_schema(table.schema)
        if "image" in features:
            features["image"] = self._datasets.Image()
        return self._datasets.Dataset(
            table,
            info=self._datasets.DatasetInfo(features=features),
            split=self._datasets.NamedSplit(name),
            fingerprint=self._hashes[name].hexdigest()[:16],
        )


def _with_images(rows: pa.Table) -> pa.Table:
    """``image`` for the data of images, in the form of the feature ``Image``; ``data`` keeps that of other media."""
    is_image = pc.equal(rows["modality"], "image").combine_chunks()
    data = rows["data"].combine_chunks()
    held = pc.if_else(is_image, data, None)
    paths = pa.nulls(len(held), pa.string())
    images = pa.StructArray.from_arrays([held, paths], ["bytes", "path"], mask=pc.is_null(held))
    others = pc.if_else(is_image, None, data)
    return rows.drop_columns(["data"]).append_column("image", images).append_column("data", others)


def _library() -> Any:
    try:
        return import_module("datasets")
    except ImportError:
        raise ProjectError("--as hf needs the library datasets: pip install 'gendata[export]'") from None


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Without the library's own progress bars."""
    silent = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not silent:
            datasets.enable_progress_bars()
