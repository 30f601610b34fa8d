"""A Lance table as a store reads it. Imports Lance, which takes half a second."""

import contextlib
from collections.abc import Iterator
from typing import Any

import lance
import pyarrow as pa

from gendata.errors import StoreError
from gendata.store.place import Place


class Table(lance.LanceDataset):
    """A Lance table that raises StoreError where its files do not read: cut short, or gone."""

    def to_table(self, *args: Any, **options: Any) -> pa.Table:
        """See Lance."""
        with self._reading():
            return super().to_table(*args, **options)

    def to_batches(self, *args: Any, **options: Any) -> Iterator[pa.RecordBatch]:
        """See Lance."""
        with self._reading():
            yield from super().to_batches(*args, **options)

    def take(self, *args: Any, **options: Any) -> pa.Table:
        """See Lance."""
        with self._reading():
            return super().take(*args, **options)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowInvalid, RuntimeError, OSError) as error:
            if "Invalid user input" in str(error):
                raise  # a bug of ours
            raise unreadable(self.uri, error) from error


def unreadable(uri: str, error: Exception) -> StoreError:
    """What to raise where a table could not be read."""
    reason = str(error).splitlines()[0].partition(", /")[0]  # without places in Lance's code
    return StoreError(f"{uri} does not read ({reason}); run `gendata doctor --repair`")


def cut_short(at: Place, name: str, dataset: lance.LanceDataset) -> list[str]:
    """The files of rows of table ``name`` that are not there, or not as long as they were written."""
    folder = f"lance/{name}.lance/"
    sizes = {path.removeprefix(folder): size for path, size in at.sizes(folder).items()}
    files = (file for fragment in dataset.get_fragments() for file in fragment.metadata.files)
    return sorted(file.path for file in files if sizes.get(f"data/{file.path}") != file.file_size_bytes)
