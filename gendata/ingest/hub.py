"""Data sets of the Hugging Face hub: fetched once, by ``datasets`` (extra ``export``), as a folder that it saved.

The hub is asked only under ``HF_HUB_OFFLINE=0``, as for models. No code of a repository is run: ``datasets`` reads
data files alone since version 4, and no older one is taken.
"""

import os
import re
from pathlib import Path

from gendata import files
from gendata.errors import ParamsError
from gendata.ingest.paths import is_saved
from gendata.ingest.settings import SourceParams
from gendata.items import canonical_json, content_id

_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def fetched(name: str, source: SourceParams, root: Path) -> Path:
    """The folder of the data set. Raises ParamsError where it is not there, and cannot be had."""
    where = f"params.yaml: sources.{name}"
    if not _REPO.fullmatch(source.repo or ""):
        raise ParamsError(f"{where}.repo: {source.repo!r} is not user/name")
    wanted = canonical_json([source.repo, source.config, source.revision, source.split])
    folder = root / files.WORK / "cache" / "hub" / content_id(wanted)[:16]
    if is_saved(folder):
        return folder
    if os.environ.get("HF_HUB_OFFLINE", "1").strip().lower() not in {"0", "false", "no", "off"}:
        raise ParamsError(
            f"{where}: {source.repo} is not on this machine; HF_HUB_OFFLINE=0 allows to ask the hub for it"
        )
    with files.output(folder) as work:
        _fetch(where, source, work)
    return folder


def _fetch(where: str, source: SourceParams, folder: Path) -> None:
    try:
        import datasets
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise ParamsError(f"{where}: the hub needs the extra: pip install 'gendata[export]'") from None
    if int(datasets.__version__.partition(".")[0]) < 4:
        raise ParamsError(f"{where}: the hub needs datasets 4 or later, not {datasets.__version__}")
    try:
        found = datasets.load_dataset(source.repo, source.config, split=source.split, revision=source.revision)
    except (OSError, ValueError, HfHubHTTPError, datasets.exceptions.DatasetsError) as error:
        raise ParamsError(f"{where}: {source.repo} cannot be had: {' '.join(str(error).split())[:300]}") from None
    found.save_to_disk(folder)
