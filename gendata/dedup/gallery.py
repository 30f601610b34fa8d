"""The report as a page that opens from disk: tables, differences word by word, thumbnails; nothing is loaded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from gendata.chart import chart
from gendata.dedup.worddiff import Piece, compare
from gendata.page import escaped, page, thumbnail

BUDGET = 3 << 20
"""Characters of a page; what would go beyond is left out, and the page says so."""
SIDE = 96
"""Pixels of a thumbnail."""
COMPARED = 200_000
"""Characters of a text that are kept to be compared."""
_CUT = 200
"""Characters shown of a label or uri."""

MEANINGS = {
    "exact": "the same content",
    "origin-conflict": "the same content under another origin; counted as the lower one",
    "normalised": "the same text but for case, white space, punctuation and Unicode form",
    "near-text": "most shingles of words in common",
    "contained": "nearly all of it is in the kept text",
    "pixel-equal": "the same pixels in another file",
    "near-image": "nearly the same picture",
    "reference": "like a fixed reference (dedup.against)",
}
"""Why a row is dropped, in words."""

Key = tuple[str, str]
"""(source, uri)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows of a row: facts, and a thumbnail or a text (the first COMPARED characters)."""

    modality: str
    origin: str
    label: str | None
    license: str | None
    picture: str | None = None
    text: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Of a row of ITEM_SCHEMA or REFERENCE_SCHEMA."""
        facts = (row["modality"], row["origin"], row["label"], row["license"])
        if (row["media_type"] or "").startswith("image/"):
            return cls(*facts, picture=thumbnail(row["data"] or row.get("thumbnail") or b"", SIDE) or "")
        return cls(*facts, text=(row["text"] or "")[:COMPARED])


def gallery(report: Mapping[str, Any], shown: Mapping[Key, Shown]) -> str:
    """The page of a report (``report.report``), with what is shown of its rows."""
    parts, room = [], BUDGET
    for part in _parts(report, shown):
        room -= len(part)
        if room < 0:
            parts.append("<p>The page is full: what follows is left out.</p>")
            break
        parts.append(part)
    return page("Duplicates", "\n".join(parts))


def _parts(report: Mapping[str, Any], shown: Mapping[Key, Shown]) -> Iterator[str]:
    """The sections, in pieces that are whole by themselves."""
    yield f"<p>{report['read']:,} rows read, {report['kept']:,} kept, {report['dropped']:,} dropped.</p>"
    if taken := {name: n for name, n in report["merged"].items() if n}:
        yield f"<p>Rows that took something from their copies: {escaped(_counts(taken))}.</p>"
    yield from _tables(report)
    yield from _contradictions(report, shown)
    yield from _clusters(report["clusters"], shown)
    seen = {_key(copy) for cluster in report["clusters"]["largest"] for copy in cluster["copies"]}
    yield from _holders(report["contained"]["found"], report["holders"], shown)
    for reason, pairs in report["closest"].items():
        yield from _closest(reason, [pair for pair in pairs if _key(pair["copy"]) not in seen], shown)


def _tables(report: Mapping[str, Any]) -> Iterator[str]:
    reasons = [(name, n, MEANINGS.get(name, "")) for name, n in report["dropped_by_reason"].items() if n]
    yield _table("Why rows were dropped", ("reason", "rows", ""), reasons)
    sources = [(name, c["read"], c["kept"], c["read"] - c["kept"]) for name, c in report["by_source"].items()]
    yield _table("Sources", ("source", "read", "kept", "dropped"), sources)
    pairs = [
        (p["source"], p["kept_in"], p["dropped"], f"{p['share']:.2%}", _counts(p["by_reason"]))
        for p in report["source_pairs"]
    ]
    yield _table("Who repeats whom", ("source", "kept copy in", "dropped", "share of the source", ""), pairs)
    matched = [
        (name, found["items"], file, n)
        for name, found in report["against"].items()
        for file, n in found["by_file"].items() or [("no match", 0)]
    ]
    yield _table("Matches of references", ("reference", "items of it", "file", "rows that match"), matched)
    unread = [
        (name, one["file"], one["reason"], one["units"], found["rejected"])
        for name, found in report["against"].items()
        for one in found["rejected_in"]
    ]
    yield _table("Not read of references", ("reference", "file", "why", "units", "of the reference"), unread)
    captions = [
        (name, counts["reference"], counts["items"])
        for name, found in report["against"].items()
        if any((counts := found["captions_left_out"]).values())
    ]
    yield _table("Captions that took no part", ("reference", "captions of it", "captions of items"), captions)
    unpaired = [(name, found["unpaired"]) for name, found in report["against"].items() if found["unpaired"]]
    yield _table("Compared by equal content alone", ("reference", "records that are no pair"), unpaired)
    chances = [(similarity, f"{chance:.2%}") for similarity, chance in report["chance_of_comparison"].items()]
    yield _table("How surely two texts are compared", ("similarity", "chance"), chances)
    curve = [(float(similarity), chance) for similarity, chance in report["chance_of_comparison"].items()]
    yield chart({"title": "chance", "x": "similarity", "y": "chance", "log": False, "lines": {"": curve}})
    alone = [(name, n) for name, n in sorted(report["exact_only"].items()) if n]
    yield _table("Took part in exact deduplication alone", ("why", "items"), alone)


def _contradictions(report: Mapping[str, Any], shown: Mapping[Key, Shown]) -> Iterator[str]:
    labels, licenses, splits, metas = (report[f"{name}_conflicts"] for name in ("label", "license", "split", "meta"))
    if labels["items"]:
        yield f"<h2>Copies with different labels: {labels['items']:,}</h2>"
        for example in labels["examples"]:
            sides = [_side(f"label {row['value']}", row, shown) for row in example["rows"][:4]]
            yield _entry(sides)
    if report["conflicts"]["examples"]:
        counts = report["conflicts"]
        yield f"<h2>Copies of different origin: {counts['exact']:,} equal, {counts['near']:,} near</h2>"
        for pair in counts["examples"]:
            yield _entry([_pair(pair["lower"], pair["higher"], shown, ("lower origin", "higher origin"))])
    listed = [(e["id"], ", ".join(e["licenses"])) for e in licenses["examples"]]
    yield _table(f"Equal content under different licenses: {licenses['items']:,}", ("id", "licenses"), listed)
    listed = [(e["id"], ", ".join(e["splits"])) for e in splits["examples"]]
    yield _table(f"Copies in different splits: {splits['items']:,}", ("id", "splits"), listed)
    keys = list(metas["keys"].items())
    yield _table(f"Equal content with different meta: {metas['items']:,}", ("key", "items"), keys)


def _clusters(clusters: Mapping[str, Any], shown: Mapping[Key, Shown]) -> Iterator[str]:
    if clusters["largest"]:
        yield f"<h2>The largest of {clusters['count']:,} clusters</h2>"
    for cluster in clusters["largest"]:
        title = f"{cluster['size']:,} rows: {_counts(cluster['by_reason'])}"
        yield _entry([f"<h3>{escaped(title)}</h3>", *_cluster(cluster["kept"], cluster["copies"], shown)])


def _cluster(kept: Mapping[str, Any], copies: Iterable[Mapping[str, Any]], shown: Mapping[Key, Shown]) -> Iterator[str]:
    """Pictures beside each other, texts in pairs; equal content is shown once."""
    view = shown.get(_key(kept))
    equal = [copy for copy in copies if copy["id"] == kept["id"]]
    others = [copy for copy in copies if copy["id"] != kept["id"]]
    if others and view and view.text is not None:
        for copy in others:
            yield _pair(kept, copy, shown)
    else:
        yield _side("kept", kept, shown)
        yield from (_side("copy", copy, shown) for copy in others)
    yield from (_side("copy", copy, shown, "") for copy in equal)


def _closest(reason: str, pairs: Sequence[Mapping[str, Any]], shown: Mapping[Key, Shown]) -> Iterator[str]:
    if pairs:
        yield f"<h2>The least similar that were dropped as {escaped(reason)}</h2>"
    for pair in pairs:
        yield _entry([_pair(pair["kept"], pair["copy"], shown)])


def _holders(found: int, holders: Sequence[Mapping[str, Any]], shown: Mapping[Key, Shown]) -> Iterator[str]:
    if found:
        yield f"<h2>Texts that are contained in another one, and stay or went: {found:,}</h2>"
    for holder in holders:
        pairs = [_pair(holder["whole"], part, shown, ("whole", "part")) for part in holder["parts"]]
        yield _entry([f"<h3>{holder['count']:,} that stay</h3>", *pairs])


def _key(row: Mapping[str, Any]) -> Key:
    return row["source"], row["uri"]


def _pair(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    shown: Mapping[Key, Shown],
    roles: tuple[str, str] = ("kept", "copy"),
) -> str:
    """Two rows side by side; texts with what differs marked, equal content once."""
    views = [shown.get(_key(row)) for row in (one, other)]
    texts = [view.text for view in views if view and view.text is not None]
    marked: tuple[str | None, str | None] = (None, None)
    if one["id"] == other["id"]:
        marked = (None, "")
    elif len(texts) == 2:
        marked = differences(*texts)
    sides = [_side(role, row, shown, text) for role, row, text in zip(roles, (one, other), marked, strict=True)]
    return f'<div class="pair">{"".join(sides)}</div>'


def _side(role: str, row: Mapping[str, Any], shown: Mapping[Key, Shown], marked: str | None = None) -> str:
    view = shown.get(_key(row))
    score = row.get("score")
    facts = [f"{row['reason']} {score:.3f}" if score is not None else row.get("reason"), row["source"], row["uri"]]
    if view:
        facts += [view.origin, view.label and f"label {view.label}", view.license]
    if row.get("rows", 1) > 1:
        facts.append(f"{row['rows']:,} rows")
    if marked is None and view:
        undecoded = '<div class="facts">no picture: it does not decode</div>'
        marked = plain(view.text) if view.text is not None else view.picture or undecoded
    return side(role, [fact for fact in facts if fact], marked or "", row["id"])


def side(role: str, facts: Iterable[str], content: str, id_: str) -> str:
    """One of the things that stand side by side; ``content`` is markup, all else is text."""
    told = " · ".join(escaped(fact, _CUT) for fact in facts)
    return (
        f'<div class="side"><div class="facts"><b>{escaped(role, _CUT)}</b> · {told}</div>{content}'
        f'<div class="facts">{escaped(id_[:12])}</div></div>'
    )


def differences(a: str, b: str) -> tuple[str, str]:
    """Two texts as markup: words that only the first has are ``del``, words that only the second has ``ins``."""
    one, other = compare(a, b)
    return _marked(one, "del"), _marked(other, "ins")


def plain(text: str) -> str:
    """The beginning of a text, as markup."""
    return differences(text, text)[0]


def _marked(pieces: Iterable[Piece], only: str) -> str:
    forms = {"same": "{}", "only": f"<{only}>{{}}</{only}>", "cut": '<span class="facts"> {} </span>'}
    return f'<div class="text">{"".join(forms[kind].format(escaped(text)) for kind, text in pieces)}</div>'


def _entry(sides: Iterable[str]) -> str:
    return f"<ol><li>{''.join(sides)}</li></ol>"


def _counts(by_reason: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in sorted(by_reason.items(), key=lambda pair: (-pair[1], pair[0])))


def _table(title: str, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A table with its heading; nothing without rows."""
    cells = [_row("td", row) for row in rows]
    if not cells:
        return ""
    return (
        f"<h2>{escaped(title)}</h2>\n<table><thead>{_row('th', header)}</thead><tbody>{''.join(cells)}</tbody></table>"
    )


def _row(tag: str, cells: Iterable[object]) -> str:
    def cell(value: object) -> str:
        if isinstance(value, int):
            return f'<{tag} class="number">{value:,}</{tag}>'
        return f"<{tag}>{escaped(value, _CUT)}</{tag}>"

    return f"<tr>{''.join(map(cell, cells))}</tr>"
