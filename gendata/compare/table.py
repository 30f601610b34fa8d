"""One table over all families: what was trained, on what, and every figure beside its floor."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from gendata import files
from gendata.evaluate import ImageFigures, TextFigures

_FACTS = ("family", "status", "checkpoint", "manifest", "training_rows", "parameters", "steps")


def families(names: Sequence[str], trained: Path, evaluated: Path) -> list[dict[str, Any]]:
    """Facts and figures of each family; one that was skipped has its reason as status.

    Args:
        names: in the order of the table.
        trained: ``<family>/card.json``, or ``skipped.json``.
        evaluated: ``<family>/figures.json``.
    """
    return [_family(name, trained / name, evaluated / name) for name in names]


def write_table(found: Sequence[Mapping[str, Any]], out: Path) -> str:
    """Write table.md and table.csv into a folder: a column per family, a row per fact or figure. The Markdown."""
    known = [*_FACTS, *(f.name for f in (*fields(ImageFigures), *fields(TextFigures)))]
    names = [name for name in dict.fromkeys(known) if any(name in row for row in found)]
    table = [[name, *(_cell(row.get(name)) for row in found)] for name in names if name != "family"]
    head = ["", *(row["family"] for row in found)]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([head, *table])
    (out / "table.csv").write_text(stream.getvalue(), encoding="utf-8")
    text = _markdown(head, table)
    (out / "table.md").write_text(text, encoding="utf-8")
    return text


def _family(name: str, trained: Path, evaluated: Path) -> dict[str, Any]:
    if (trained / "skipped.json").is_file():
        return {"family": name, "status": f"skipped: {files.read_json(trained / 'skipped.json')['reason']}"}
    card: Mapping[str, Any] = files.read_json(trained / "card.json")
    return {
        "family": name,
        "status": "done",
        "checkpoint": card["checkpoint_id"][:12],
        "manifest": card["manifest_id"][:12],
        "training_rows": card["data"]["by"]["split"].get("train", 0),
        "parameters": card["parameters"],
        "steps": card["steps"],
        **files.read_json(evaluated / "figures.json"),
    }


def _markdown(head: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---", *("---:" for _ in head[1:])], *table]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    notes = [
        "`_floor`: the same measure of real items; `_baseline`, `_pca`, `_unigram`, `_bigram`, `_5gram`: of simple",
        "models; `_gzip`, `_bz2`: of compressors that read the held-out texts alone.",
        "Fréchet distances are in the features of a classifier of the real training split: compare them with their",
        "floor and with each other, not with published figures.",
    ]
    return "\n".join(["# Families compared", "", *lines, "", *notes, ""])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
