"""The kind of source that a path suggests."""

import os
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest import formats
from gendata.ingest.addresses import SCHEMES
from gendata.ingest.globs import is_glob
from gendata.ingest.paths import is_archive, is_database, is_saved
from gendata.ingest.reader import one_line
from gendata.ingest.records import SUFFIXES
from gendata.ingest.sources import READERS, reader_of
from gendata.ingest.urls import is_url, parse


def infer_source(path: Path | str) -> str:
    """The kind that a path (or the name of a built-in source) suggests.

    Raises:
        ParamsError: nothing suits; the message says what there is.
    """
    if str(path).startswith(SCHEMES):
        return "database"
    if is_url(str(path)):
        return _infer_url(str(path))
    path = Path(path)
    if path.is_dir():
        return "hf" if is_saved(path) else "folder"
    if is_database(path):
        return "database"
    if path.suffix.lower() in SUFFIXES:
        return "table"
    if is_archive(os.fsencode(path.name)):
        return "archive"
    if path.is_file() or is_glob(str(path)):
        return "files"
    if str(path) in READERS and "path" not in reader_of(str(path)).KEYS:
        return str(path)
    builtins = [kind for kind in READERS if "path" not in reader_of(kind).KEYS]
    raise ParamsError(
        f"{one_line(str(path))}: not a folder, nor a file, archive (.zip, .tar) or table ({', '.join(SUFFIXES)}), "
        f"nor a glob, nor one of {', '.join(builtins)}"
    )


def _infer_url(text: str) -> str:
    """The kind that the ending of a URL suggests. Raises ParamsError."""
    try:
        url = parse(text)
    except ValueError as error:
        raise ParamsError(str(error)) from None
    name = Path(url.rest.rpartition("/")[2])
    if name.suffix.lower() in SUFFIXES:
        return "table"
    if is_archive(os.fsencode(name)):
        return "archive"
    if name.suffix.lower() in formats.SUFFIXES or is_glob(url.rest):
        return "files"
    if url.is_web:
        raise ParamsError(f"{url}: its ending says no kind; say --kind, e.g. table, archive, files or webdataset")
    return "folder"
