"""``gendata generate``: outputs on request, kept in ``records/outputs`` with all that they lead back to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gendata import files, params
from gendata.errors import ProjectError, QueryError, StoreError
from gendata.generate import generate, load_generate
from gendata.models import needs
from gendata.models.checkpoint import CARD, Checkpoint, open_checkpoint
from gendata.records.ledger import LEDGER, MIN_PREFIX, Ledger
from gendata.records.manifest import read_manifest
from gendata.records.outputs import write_adhoc
from gendata.tracking import TrackingParams, checkpoint_folder


def request(
    root: Path, family: str, asked: Mapping[str, Any], tracking: TrackingParams, checkpoint: str | None = None
) -> list[dict[str, Any]]:
    """Rows of OUTPUT_SCHEMA, made now and kept in one new file in ``records/outputs``.

    Args:
        root: of the project.
        family: of the model.
        asked: keys of section ``generate.<family>`` of params.yaml, which gives the rest.
        tracking: where runs are logged, and older checkpoints may be.
        checkpoint: id or unique prefix; the one in ``artifacts/train`` without it.

    Raises:
        ParamsError: the family or a key is unknown, or a value is not allowed.
        QueryError: there is no such checkpoint, or it does not know the label.
        ProjectError: the family is not trained, or the weights are gone.
        StoreError: the weights are not those of the card, or their manifest is lost.
    """
    needs(family)
    given = (params.read(root / "params.yaml").get("generate") or {}).get(family) or {}
    chosen = load_generate(family, {**given, **asked}, f"generate {family}")
    found = find_checkpoint(root, family, checkpoint, tracking)
    _keep_provenance(root, found)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    rows = list(generate(found, chosen, now))
    write_adhoc(root, rows, now, found.id)
    return rows


def find_checkpoint(root: Path, family: str, prefix: str | None, tracking: TrackingParams) -> Checkpoint:
    """The checkpoint of a family in ``artifacts/train``, or the one of this id: from there, else from its run.

    Raises:
        QueryError: there is none of this id, several, or it is of another family.
        ProjectError: the family is not trained, or the weights are gone.
        StoreError: the weights are not those of the card, or the checkpoint in the family's folder is of another.
    """
    trained = root / "artifacts" / "train"
    if prefix is None:
        if not (trained / family / CARD).is_file():
            raise ProjectError(f"{family} is not trained{_why(trained / family)}: run `gendata run train@{family}`")
        return open_checkpoint(trained / family, family)
    card, folder = _identify(root, prefix)
    if card["family"] != family:
        raise QueryError(f"checkpoint {card['checkpoint_id'][:12]} is of family {card['family']}, not {family}")
    if card.get("external"):
        raise QueryError(f"checkpoint {card['checkpoint_id'][:12]} was trained elsewhere: gendata cannot run it")
    if folder is None:
        folder = _logged(root, card["checkpoint_id"], tracking)
    opened = open_checkpoint(folder)
    if opened.id != card["checkpoint_id"]:
        raise StoreError(f"{folder}: holds checkpoint {opened.id[:12]}, not {card['checkpoint_id'][:12]}")
    return opened


def _why(folder: Path) -> str:
    skipped = folder / "skipped.json"
    return f" ({files.read_json(skipped)['reason']})" if skipped.is_file() else ""


def _identify(root: Path, key: str) -> tuple[dict[str, Any], Path | None]:
    """The card of a checkpoint, and its folder in ``artifacts/train`` if it is the one there."""
    prefix = key.lower()
    if len(prefix) < MIN_PREFIX or not set(prefix) <= set("0123456789abcdef"):
        raise QueryError(f"{key!r} is not the id of a checkpoint (at least {MIN_PREFIX} hex digits)")
    known: dict[str, tuple[dict[str, Any], Path | None]] = {}
    for card in Ledger(root).all("checkpoints"):
        known[card["checkpoint_id"]] = card, None
    for path in sorted((root / "artifacts" / "train").glob(f"*/{CARD}")):
        card = files.read_json(path)
        known[card["checkpoint_id"]] = card, path.parent
    found = sorted(checkpoint_id for checkpoint_id in known if checkpoint_id.startswith(prefix))
    if not found:
        raise QueryError(f"no checkpoint {key} in artifacts/train or {LEDGER.as_posix()}")
    if len(found) > 1:
        raise QueryError(f"checkpoint {key} is not unique: {', '.join(i[:16] for i in found[:3])}")
    return known[found[0]]


def _logged(root: Path, checkpoint_id: str, tracking: TrackingParams) -> Path:
    """The folder of a checkpoint that a tracked run has logged. Raises ProjectError if there is none."""
    problem = "only its card is kept"
    for run in Ledger(root).all("runs"):
        if run["checkpoint_id"] == checkpoint_id and (folder := checkpoint_folder(run["run_id"], root, tracking)):
            try:
                return open_checkpoint(folder).folder
            except StoreError as error:  # a copy that was cut short; another run may have it whole
                problem = str(error)
    raise ProjectError(
        f"the weights of checkpoint {checkpoint_id[:12]} are neither in artifacts/train nor in a tracked run: {problem}"
    )


def _keep_provenance(root: Path, checkpoint: Checkpoint) -> None:
    """Make sure that the ledger has what the outputs will lead back to."""
    ledger, manifest_id = Ledger(root), checkpoint.card["manifest_id"]
    ledger.keep_checkpoint(checkpoint.card)
    try:
        ledger.manifest(manifest_id)
    except QueryError:
        for path in sorted((root / "artifacts" / "select").glob("*/manifest.parquet")):
            if (manifest := read_manifest(path)).id == manifest_id:
                ledger.keep_manifest(manifest)
                return
        raise StoreError(
            f"the training manifest {manifest_id[:12]} of checkpoint {checkpoint.id[:12]} is neither in "
            f"{LEDGER.as_posix()} nor in artifacts/select: what it gives could not be traced"
        ) from None
