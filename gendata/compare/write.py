"""What the stage writes: tables, and the report in three forms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gendata import files
from gendata.compare import CompareParams
from gendata.compare.evidence import Evidence, Folders
from gendata.compare.report import as_json, as_markdown, as_page
from gendata.compare.stage import measure
from gendata.compare.table import families, write_table


def compare(
    names: Sequence[str], folders: Folders, params: CompareParams, out: Path, report: Path, shown: Path
) -> dict[str, Any]:
    """Measure what is said of the families and write it down.

    Args:
        names: of the families, in the order of the table.
        folders: what the stages before made of them.
        params: of the stage.
        out: table.md, table.csv and comparison.md; replaced as a whole.
        report: as JSON.
        shown: as a page.

    Returns:
        ``families`` (facts and figures of each), ``verdicts`` by id, and the report as ``markdown``.
    """
    found = families(names, folders.trained, folders.evaluated)
    rows = measure(params, Evidence(folders, names))
    with files.output(out) as work:
        text = as_markdown(rows, write_table(found, work))
        (work / "comparison.md").write_text(text, encoding="utf-8")
    files.write_json(report, as_json(rows, found))
    files.write_bytes(shown, as_page(rows, found).encode())
    return {"families": found, "verdicts": {key: row["verdict"] for key, row in rows.items()}, "markdown": text}
