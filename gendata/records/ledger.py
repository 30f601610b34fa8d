"""The ledger: every manifest, checkpoint card, run and export, kept for good.

``records/ledger/manifests/<id>.parquet``, ``checkpoints/<id>.json``, ``runs/<id>.json``, ``exports/<id>.json``.
Files are written once and never changed: provenance survives the next ``dvc repro``. Writing what is there
already does nothing, so any stage may make sure of it.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gendata import files
from gendata.errors import QueryError, StoreError
from gendata.items import canonical_json, content_id
from gendata.records.manifest import Manifest, read_manifest, read_summary, write_manifest

LEDGER = Path("records") / "ledger"
"""Relative to the project root."""

SCHEMA = 1

MIN_PREFIX = 4


class Ledger:
    """The ledger of a project."""

    def __init__(self, root: Path) -> None:
        self.folder = root / LEDGER

    def keep_manifest(self, manifest: Manifest) -> None:
        """Keep a manifest for good."""
        path = self.folder / "manifests" / f"{manifest.id}.parquet"
        if not path.exists():
            with once(path) as part:
                write_manifest(part, manifest)

    def keep_checkpoint(self, card: Mapping[str, Any]) -> None:
        """Keep the card of a checkpoint; ``checkpoint_id`` names it. The first card of an id stays."""
        self._keep_json("checkpoints", card["checkpoint_id"], card)

    def keep_run(self, run: Mapping[str, Any]) -> str:
        """Keep the record of a training run; its id: of the tracker's run, or of the record where there is none."""
        run_id = run.get("run_id") or content_id(canonical_json(run))[:32]
        self._keep_json("runs", run_id, {**run, "run_id": run_id})
        return run_id

    def keep_export(self, export: Mapping[str, Any]) -> str:
        """Keep the record of an export; its id follows from its content."""
        export_id = content_id(canonical_json(export))
        self._keep_json("exports", export_id, {**export, "export_id": export_id})
        return export_id

    def _keep_json(self, kind: str, name: str, value: Mapping[str, Any]) -> None:
        path = self.folder / kind / f"{name}.json"
        if not path.exists():
            with once(path) as part:
                files.write_json(part, {"schema": SCHEMA, **value})

    def manifest(self, manifest_id: str) -> Manifest:
        """A manifest by id or unique prefix of it. Raises QueryError, StoreError."""
        return read_manifest(self._find("manifests", manifest_id, ".parquet"))

    def checkpoint(self, checkpoint_id: str) -> dict[str, Any]:
        """The card of a checkpoint by id or unique prefix of it. Raises QueryError, StoreError."""
        return _read_record(self._find("checkpoints", checkpoint_id, ".json"))

    def manifests(self) -> Iterator[dict[str, Any]]:
        """The summaries of all manifests, by id."""
        for path in sorted((self.folder / "manifests").glob("*.parquet")):
            yield read_summary(path)

    def all(self, kind: str) -> Iterator[dict[str, Any]]:
        """All of ``checkpoints``, ``runs`` or ``exports``, by id."""
        for path in sorted((self.folder / kind).glob("[0-9a-f]*.json")):
            yield _read_record(path)

    def check(self) -> Iterator[tuple[Path, str]]:
        """(file, problem) of everything that is not what its name says."""
        for path in sorted((self.folder / "manifests").glob("*.parquet")):
            try:
                if read_manifest(path).id != path.stem:
                    yield path, "holds another manifest than its name says"
            except StoreError as error:
                yield path, str(error).removeprefix(f"{path}: ")
        for kind, key in (("checkpoints", "checkpoint_id"), ("runs", "run_id"), ("exports", "export_id")):
            for path in sorted((self.folder / kind).glob("[0-9a-f]*.json")):
                try:
                    if _read_record(path).get(key) != path.stem:
                        yield path, "holds another record than its name says"
                except StoreError as error:
                    yield path, str(error).removeprefix(f"{path}: ")

    def _find(self, kind: str, key: str, suffix: str) -> Path:
        prefix = key.lower()
        if len(prefix) < MIN_PREFIX or any(c not in "0123456789abcdef" for c in prefix):
            raise QueryError(f"{key!r} is not the id of one of the {kind} (at least {MIN_PREFIX} hex digits)")
        found = sorted((self.folder / kind).glob(f"{prefix}*{suffix}"))
        if not found:
            raise QueryError(f"no {kind.removesuffix('s')} {key} in {LEDGER.as_posix()}")
        if len(found) > 1:
            raise QueryError(
                f"{kind.removesuffix('s')} {key} is not unique: {', '.join(p.stem[:16] for p in found[:3])}"
            )
        return found[0]


@contextlib.contextmanager
def once(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that becomes it when the block ends well: durable, and never over another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        files.fsync(part)
        if not path.exists():  # another process may have been first, with the same content
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    files.fsync(path.parent)


def _read_record(path: Path) -> dict[str, Any]:
    record = files.read_json(path)
    if not isinstance(record, dict):
        raise StoreError(f"{path}: not a record of the ledger")
    return record
