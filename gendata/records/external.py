"""Models that were trained elsewhere on data of this project: known by their weights, never run."""

import re
import tempfile
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

import gendata
from gendata import files
from gendata.errors import QueryError
from gendata.items import canonical_json
from gendata.records.ledger import Ledger
from gendata.tracking import TrackingParams, open_tracker

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


def register(
    root: Path, card: Mapping[str, str], manifest: str, weights: Path, tracking: TrackingParams
) -> dict[str, Any]:
    """Keep the card of a model in the ledger, and log it as a model version where runs are tracked.

    The weights are hashed, and never opened: any kind of file will do.

    Args:
        root: of the project.
        card: ``name``, ``family`` and ``note``, as the user states them.
        manifest: id, or unique prefix of it, of the manifest that the model was trained on.
        weights: the file.
        tracking: where to log.

    Returns:
        The card.

    Raises:
        QueryError: a name is not allowed, the weights are not readable or are known under another card, or there
            is no such manifest.
        StoreError: the manifest was changed.
    """
    for key in ("name", "family"):
        if not _NAME.fullmatch(card[key]):
            raise QueryError(f"{key}: must be letters, digits, '.', '_' and '-', not {card[key]!r}")
    ledger = Ledger(root)
    used = ledger.manifest(manifest)
    full = {**card, **_facts(weights), "external": True, "manifest_id": used.id, "gendata": gendata.__version__}
    summary = used.summary()
    full["data"] = {key: summary[key] for key in ("rows", "by", "selection")}
    if known := _known(ledger, full):
        return known
    with open_tracker(tracking, root, card["name"]) as tracker:
        tracker.start({key: full[key] for key in ("family", "name", "external", "file", "bytes")}, summary)
        with tempfile.TemporaryDirectory(prefix="gendata-model-") as folder:
            _write(Path(folder), full, weights)
            tracker.checkpoint(Path(folder), full)
    ledger.keep_checkpoint(full)
    ledger.keep_run({"family": card["family"], "run_id": tracker.run_id, "checkpoint_id": full["checkpoint_id"]})
    return full


def _facts(weights: Path) -> dict[str, Any]:
    try:
        with weights.open("rb") as file:
            return {
                "checkpoint_id": file_digest(file, "sha256").hexdigest(),
                "file": weights.name,
                "bytes": file.tell(),
            }
    except OSError as error:
        raise QueryError(f"{weights}: {error.strerror}") from None


def _known(ledger: Ledger, card: Mapping[str, Any]) -> dict[str, Any] | None:
    """The card that the ledger has of these weights. Raises QueryError if it says something else."""
    path = ledger.folder / "checkpoints" / f"{card['checkpoint_id']}.json"
    if not path.is_file():
        return None
    known: dict[str, Any] = files.read_json(path)
    for key in card.keys() - {"gendata"}:
        if canonical_json(known.get(key)) != canonical_json(card[key]):
            name = known.get("name", known["family"])
            raise QueryError(
                f"{card['file']}: these weights are known as {name}, trained on manifest {known['manifest_id'][:12]}: "
                "the card of a checkpoint never changes"
            )
    return known


def _write(folder: Path, card: Mapping[str, Any], weights: Path) -> None:
    """What is logged: card, model card and weights, which are linked and not copied."""
    files.write_json(folder / "card.json", card)
    (folder / "README.md").write_text(_readme(card), encoding="utf-8")
    (folder / f"weights{weights.suffix}").symlink_to(weights.resolve())


def _readme(card: Mapping[str, Any]) -> str:
    data, by = card["data"], card["data"]["by"]
    lines = [
        f"# {card['name']}",
        "",
        f"A model of family `{card['family']}`, trained elsewhere. Weights: `{card['file']}`, {card['bytes']:,} bytes, "
        f"sha256 `{card['checkpoint_id']}`.",
        *(["", card["note"]] if card["note"] else []),
        "",
        f"Manifest `{card['manifest_id']}`: {data['rows']:,} rows, selected by `{canonical_json(data['selection'])}`.",
        "",
        *(f"- {name}: " + ", ".join(f"{k or 'not stated'} {n:,}" for k, n in by[name].items()) for name in by),
        "",
    ]
    return "\n".join(lines)
