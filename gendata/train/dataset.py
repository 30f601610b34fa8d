"""The store as a torch Dataset, for people who train elsewhere: a selection with its manifest, read at random.

The rows are copied once from Lance, verified, into columns in ``.gendata/cache/dataset`` that are mapped into
memory: many times faster at random than Lance, and safe to use after a fork, which Lance is not. The copy can be
deleted at any time when no dataset is open.
"""

import contextlib
import errno
import io
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from gendata import files
from gendata.engine import Progress
from gendata.errors import QueryError, StoreError
from gendata.items import ORIGINS
from gendata.records.manifest import Manifest, read_manifest, write_manifest
from gendata.search.sql import Limits
from gendata.select.contents import Contents
from gendata.select.guard import check_origins
from gendata.select.selection import select_rows
from gendata.store import INPUTS
from gendata.store.head import Store
from gendata.train.columns import ColumnWriter, open_columns

LAYOUT = 1
"""Version of the copied columns."""

COLUMNS = ("id", "modality", "label", "text", "data")

Transform = Callable[[Image.Image], Any]


class StoreDataset(Dataset[dict[str, Any]]):
    """Items by position in the manifest, as dicts.

    - ``id`` sha256 hex, ``label`` and ``text`` (of a text; caption of an image): str, ``""`` where there is none;
    - ``image``, of images alone: what ``transform`` makes of the picture, or the PIL image, upright, of its own size
      and mode (give the DataLoader ``collate_fn=list`` for those);
    - ``data``, of other media: bytes.

    A batch is fetched at once. Copies for the workers of a DataLoader, forked or spawned, share one mapping.
    """

    def __init__(self, folder: Path, transform: Transform | None = None) -> None:
        """Use ``Project.dataset`` or ``open_dataset``, which make the folder."""
        self._folder, self.transform = folder, transform
        self._columns = open_columns(folder, COLUMNS)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoreDataset, (self._folder, self.transform)

    @cached_property
    def manifest(self) -> Manifest:
        """Exactly which rows these are."""
        return read_manifest(self._folder / "manifest.parquet")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted(filter(None, pc.unique(self._columns[2]).to_pylist())))

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The items at these positions, in this order."""
        at = pa.array(indices, pa.int64())
        return [self._item(*row) for row in zip(*(c.take(at).to_pylist() for c in self._columns), strict=True)]

    def _item(self, item_id: str, modality: str, label: str, text: str, data: bytes) -> dict[str, Any]:
        item: dict[str, Any] = {"id": item_id, "label": label, "text": text}
        if modality == "image":
            picture = _decode(item_id, data)
            item["image"] = picture if self.transform is None else self.transform(picture)
        elif data:
            item["data"] = data
        return item


def _decode(item_id: str, data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StoreError(f"item {item_id[:12]}: its image does not decode: {error}") from None
    return image


def open_dataset(
    stores: Mapping[str, Store],
    cache: Path,
    *,
    where: str | None = None,
    splits: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
    transform: Transform | None = None,
    limits: Limits | None = None,
) -> StoreDataset:
    """The items that satisfy a condition, as a dataset.

    Args:
        stores: of the project.
        cache: where the copied columns lie.
        where: a condition in SQL over the columns of ``items``; without it, every item whose origin may be used.
        splits: only items of these splits.
        allow_origins: origins beside real that may be used.
        transform: of pictures; picklable if workers are spawned.
        limits: of the sandbox in which the condition runs.

    Raises:
        OriginError: a row is not real and its origin is not allowed.
        QueryError: the condition is not valid, or nothing satisfies it.
        StoreError: content in the store is not what its id says.
    """
    if unknown := sorted(set(allow_origins) - set(ORIGINS)):
        raise QueryError(f"allow_origins: {unknown[0]!r} is none of {', '.join(ORIGINS)}")
    usable = sorted({"real", *allow_origins})
    condition = where or " OR ".join(f"origin = '{origin}'" for origin in usable)
    stores = {name: store for name, store in stores.items() if name in INPUTS}  # never what our own models made
    rows = select_rows(condition, stores, limits)
    if splits:
        rows = rows.filter(pc.is_in(rows["split"], pa.array(splits, pa.string())))
    if not rows.num_rows:
        raise QueryError("dataset: the selection matches no item")
    allowed = check_origins(rows, allow_origins, "dataset")
    selection = {"where": condition, "allow_origins": sorted(allow_origins), "allowed": allowed, "left_out": {}}
    manifest = Manifest.of(selection | ({"splits": sorted(splits)} if splits else {}), rows)
    contents = Contents(manifest, stores)  # also where the columns are there: it is what compares the origins
    _expect_forks()
    folder = cache.absolute() / f"{manifest.id[:32]}-{LAYOUT}"
    if not folder.is_dir():
        _copy(contents, folder)
    dataset = StoreDataset(folder, transform)
    dataset.manifest = manifest
    return dataset


def _expect_forks() -> None:
    """Lance warns at every fork of a process that imported it; here nothing of it is used after one."""
    for message in ("lance is not fork-safe", "lancedb fork support is experimental"):
        warnings.filterwarnings("ignore", message)


def _copy(contents: Contents, folder: Path) -> None:
    """Write the columns and the manifest, whole or not at all."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack, Progress("read the store", len(contents)) as progress:
            columns = [stack.enter_context(contextlib.closing(ColumnWriter(part / name))) for name in COLUMNS]
            for batch in contents.batches():
                for column in columns:
                    column.add(batch[column.name])
                progress.add(batch.num_rows)
        write_manifest(part / "manifest.parquet", contents.manifest)
        files.fsync_all(part.iterdir())
        part.rename(folder)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:  # another process was first, with the same rows
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
