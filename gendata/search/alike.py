"""The pairs that stage similar found, with what the catalogs know of both items.

A row per pair, the most alike first. ``verdict`` says what became of the item ``id``: ``would go`` or ``removed``,
since ``kept_id`` is like it and stays; ``stays`` where the other is of another origin (reason ``origin-conflict``) or
is the text that an image is like (``across-modalities``).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gendata import files
from gendata.errors import QueryError
from gendata.store import OUTPUTS

SNIPPET = 200
"""Characters of a text that a pair shows."""

REMOVED = "removed"

PAIRS = f"""
WITH found AS (SELECT * FROM read_parquet($shards)),
pairs AS (
  SELECT id, kept_id, score, reason, CASE WHEN kept THEN 'would go' ELSE '{REMOVED}' END AS verdict
  FROM found WHERE reason IS NOT NULL
  UNION ALL SELECT id, conflict_id, conflict_score, 'origin-conflict', 'stays' FROM found WHERE conflict_id IS NOT NULL
  UNION ALL SELECT id, across_id, across_score, 'across-modalities', 'stays' FROM found WHERE across_id IS NOT NULL
)
SELECT p.*, coalesce(i.source, r.source) AS source, coalesce(i.uri, r.uri) AS uri, i.split, k.modality,
  left(i.text, {SNIPPET}) AS text,
  k.source AS kept_source, k.uri AS kept_uri, k.split AS kept_split, left(k.text, {SNIPPET}) AS kept_text
FROM pairs p
LEFT JOIN items k ON k.id = p.kept_id AND k.store <> '{OUTPUTS}'
LEFT JOIN items i ON i.id = p.id AND i.store <> '{OUTPUTS}'
LEFT JOIN rejected r ON r.id = p.id AND r.stage = 'similar'
WHERE $id IS NULL OR $id IN (p.id, p.kept_id)
ORDER BY score DESC, p.id, reason LIMIT $limit
"""
"""Of ``items`` and ``rejected`` of all stores, and the shards of the stage."""


def shards(folder: Path) -> list[str]:
    """The shards of the stage, of all sources. Raises QueryError if it has not run."""
    if not folder.is_dir():
        raise QueryError(f"{folder} is not there; run `gendata run`")
    return [str(path) for source in sorted(folder.iterdir()) for path in files.shards(source)]


def with_texts(
    rows: Sequence[Mapping[str, Any]], contents: Iterable[tuple[tuple[str, str, str], bytes, str]]
) -> list[dict[str, Any]]:
    """The pairs, with the texts of items that the stores do not hold: their (source, uri, id), content, media type."""
    texts = {key: data.decode("utf-8", "replace")[:SNIPPET] for key, data, _ in contents}
    return [{**row, "text": texts.get((row["source"], row["uri"], row["id"]), row["text"])} for row in rows]
