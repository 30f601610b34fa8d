"""What the stage writes: tables, and the report in three forms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gendata import files
from gendata.compare import CompareParams
from gendata.compare.evidence import Folders
from gendata.compare.report import as_json, as_markdown, as_page
from gendata.compare.stage import measure
from gendata.compare.table import families, write_table
from gendata.compare.trainings import Sections, trainings


class Outs(NamedTuple):
    """What is written."""

    folder: Path
    """table.md, table.csv and comparison.md; replaced as a whole."""
    report: Path
    """As JSON."""
    page: Path
    """For people."""


def compare(
    names: Sequence[str], folders: Folders, params: CompareParams, sections: Sections, outs: Outs
) -> dict[str, Any]:
    """Measure what is said of the families and write it down.

    Args:
        names: of the families, in the order of the table.
        folders: what the stages before made of them.
        params: of the stage.
        sections: of further trainings.
        outs: what is written.

    Returns:
        ``families`` (facts and figures of each), ``verdicts`` by id, and the report as ``markdown``.
    """
    found = families(names, folders.trained, folders.evaluated)
    rows = measure(params, trainings(names, folders, sections, params.trainings, params.workers))
    with files.output(outs.folder) as work:
        text = as_markdown(rows, write_table(found, work))
        (work / "comparison.md").write_text(text, encoding="utf-8")
    files.write_json(outs.report, as_json(rows, found))
    files.write_bytes(outs.page, as_page(rows, found).encode())
    return {"families": found, "verdicts": {key: row["verdict"] for key, row in rows.items()}, "markdown": text}
