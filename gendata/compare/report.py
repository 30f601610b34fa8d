"""The report on all statements: as JSON, as a page that loads nothing, and as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from gendata.chart import chart
from gendata.compare.finding import RULE, VERDICTS
from gendata.compare.stage import counts
from gendata.page import escaped, page, sentence

Rows = Mapping[str, Mapping[str, Any]]

TITLE = "What is said about generative models, measured"


def as_json(rows: Rows, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All of it as plain values."""
    return {"schema": 1, "rule": RULE, "verdicts": counts(rows, VERDICTS), "statements": rows, "families": table}


def as_markdown(rows: Rows, table: str) -> str:
    """A row per statement, then the table over all families."""
    lines = [f"# {TITLE}", "", RULE, "", _summary(rows), ""]
    lines += ["| id | statement | measured | test | verdict |", "| --- | --- | --- | --- | --- |"]
    for key, row in rows.items():
        measured = "; ".join(_measured(e) for e in row["effects"]) or "—"
        tests = "; ".join(dict.fromkeys(e["test"] for e in row["effects"])) or "—"
        verdict = row["verdict"] + (f" ({row['note']})" if row["note"] else "")
        cells = (key, row["statement"], measured, tests, verdict)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", table])


def as_page(rows: Rows, table: Sequence[Mapping[str, Any]]) -> str:
    """A document for people: an overview, then every statement with its numbers and plot."""
    overview = "".join(
        f'<tr><td><a href="#{key}">{key}</a></td><td>{escaped(row["statement"])}</td>'
        f"<td>{escaped(row['verdict'])}</td></tr>"
        for key, row in rows.items()
    )
    head = "<tr><th>id</th><th>statement</th><th>verdict</th></tr>"
    parts = [f"<p>{sentence(RULE)}</p><p>{escaped(_summary(rows))}</p><table>{head}{overview}</table>"]
    parts += [_section(key, row) for key, row in rows.items()]
    parts.append(f"<h2>Families</h2><table>{_families(table)}</table>")
    return page(TITLE, "\n".join(parts))


def _summary(rows: Rows) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in counts(rows, VERDICTS).items() if n)


def _section(key: str, row: Mapping[str, Any]) -> str:
    effects = "".join(
        f"<tr><td>{escaped(e['what'])}</td><td>{escaped(_sides(e))}</td><td>{escaped(_interval(e))}</td>"
        f"<td>{escaped(e['test'])}</td><td>{escaped(e['verdict'])}</td></tr>"
        for e in row["effects"]
    )
    head = "<tr><th>compared</th><th>measured</th><th>effect, 95 %</th><th>test</th><th>verdict</th></tr>"
    parts = [f'<h2 id="{key}">{key}: {escaped(row["statement"])}</h2><p><b>{escaped(row["verdict"])}</b></p>']
    parts += [f"<table>{head}{effects}</table>"] if effects else []
    parts += [f'<p class="facts">{sentence(row["note"])}</p>'] if row["note"] else []
    return "".join(parts) + (chart(row["plot"]) if row["plot"] else "")


def _measured(effect: Mapping[str, Any]) -> str:
    return f"{effect['what']}: {_sides(effect)} (effect {_interval(effect)})"


def _sides(effect: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in effect["sides"].items())


def _interval(effect: Mapping[str, Any]) -> str:
    low, high = effect["effect_interval"]
    return f"{_number(low)} to {_number(high)}" if low is not None else "unknown"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _families(table: Sequence[Mapping[str, Any]]) -> str:
    names = [name for name in dict.fromkeys(key for row in table for key in row) if name != "family"]
    head = "".join(f'<th class="number">{escaped(row["family"])}</th>' for row in table)
    rows = [f"<tr><th></th>{head}</tr>"]
    for name in names:
        cells = "".join(f'<td class="number">{escaped(_cell(row.get(name)))}</td>' for row in table)
        rows.append(f"<tr><td>{escaped(name)}</td>{cells}</tr>")
    return "".join(rows)


def _cell(value: object) -> str:
    return "" if value is None else _number(value) if isinstance(value, float) else str(value)
