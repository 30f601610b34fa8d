"""The questions about dropped copies, as SQL over the catalogs of all stores (``Lookup`` has the views)."""

from gendata.store import OUTPUTS

SAME_SIDE = f"(i.store = '{OUTPUTS}') = (r.store = '{OUTPUTS}')"
"""Outputs are deduplicated among themselves; what was ingested, across its stores."""

_COPIES = f"""
    FROM copies r JOIN items i ON i.id = r.kept_id AND {SAME_SIDE} WHERE r.stage = 'dedup'"""

SOURCE_PAIRS = f"""
WITH read AS (
    SELECT source, output, count(*) AS rows FROM (
        SELECT source, store = '{OUTPUTS}' AS output FROM items
        UNION ALL SELECT source, store = '{OUTPUTS}' FROM rejected WHERE stage IN ('dedup', 'similar')
    ) GROUP BY ALL
), dropped AS (
    SELECT r.source, i.source AS kept_in, r.reason, r.store = '{OUTPUTS}' AS output, count(*) AS dropped {_COPIES}
    GROUP BY ALL
)
SELECT source, kept_in, reason, dropped, dropped / read.rows AS share FROM dropped JOIN read USING (source, output)
ORDER BY dropped DESC, source, kept_in, reason
"""
"""Rows of source, kept_in (the source of the copy that stays), reason, dropped, and their share of the source."""


REFERENCES = """
SELECT r.id AS "group", 0 AS copies, r.reason, r.detail, r.score, r.kept_id, 'reference' AS kept_source,
    r.detail AS kept_uri, r.id, r.source, r.uri, NULL AS modality, NULL AS text
FROM rejected r WHERE r.stage = 'dedup' AND r.reason = 'reference'
    AND r.reason = coalesce($reason, r.reason) AND r.source = coalesce($source, r.source)
"""
"""Rows that match a fixed reference, which is in no store, as rows of ``Lookup.duplicates``."""


def _stated(name: str, among: str) -> str:
    """Copies whose label, license or split is not that of what stays, or of another copy: one for each value."""
    return f"""
    SELECT '{name}' AS conflict, i.{name} AS kept_value, r.{name} AS value, r.reason, r.score, i.id AS kept_id,
        i.source AS kept_source, i.uri AS kept_uri, r.id, r.source, r.uri {_COPIES}
        AND {among} AND r.{name} IS NOT NULL
    WINDOW of_item AS (PARTITION BY i.id, i.store)
    QUALIFY (
            r.{name} <> i.{name}
            OR i.{name} IS NULL AND min(r.{name}) OVER of_item <> max(r.{name}) OVER of_item
        )
        AND row_number() OVER (PARTITION BY i.id, i.store, r.{name} ORDER BY r.source, r.uri, r.id) = 1"""


_METAS = f"""
    SELECT 'meta' AS conflict, r.key, r.kept_value, r.value, r.reason, r.score, r.kept_id, r.kept_source, r.kept_uri,
        r.id, r.source, r.uri
    FROM (
        SELECT said.key, CAST(said.value AS VARCHAR) AS value, r.reason, r.score,
            i.id AS kept_id, i.source AS kept_source, i.uri AS kept_uri, i.store, r.id, r.source, r.uri,
            (SELECT CAST(mine.value AS VARCHAR) FROM json_each(i.meta) mine WHERE mine.key = said.key) AS kept_value
        FROM copies r JOIN items i ON i.id = r.kept_id AND {SAME_SIDE}, json_each(r.meta) said
        WHERE r.stage = 'dedup' AND r.id = r.kept_id
    ) r
    WINDOW of_key AS (PARTITION BY r.kept_id, r.store, r.key)
    QUALIFY (
            r.value <> r.kept_value
            OR r.kept_value IS NULL AND min(r.value) OVER of_key <> max(r.value) OVER of_key
        )
        AND row_number() OVER (PARTITION BY r.kept_id, r.store, r.key, r.value ORDER BY r.source, r.uri, r.id) = 1"""


CONFLICTS = f"""
    {_stated("label", "r.reason <> 'contained'")}
UNION ALL BY NAME
    {_stated("license", "r.id = r.kept_id")}
UNION ALL BY NAME
    {_stated("split", "r.reason <> 'contained'")}
UNION ALL BY NAME
    {_METAS}
UNION ALL BY NAME
    SELECT 'origin' AS conflict, i.origin AS kept_value, r.origin AS value, r.reason, r.score, i.id AS kept_id,
        i.source AS kept_source, i.uri AS kept_uri, r.id, r.source, r.uri {_COPIES} AND r.reason = 'origin-conflict'
UNION ALL BY NAME
    SELECT 'origin' AS conflict, i.origin AS kept_value, r.origin AS value, 'kept, alike' AS reason,
        NULL::DOUBLE AS score, i.id AS kept_id, i.source AS kept_source, i.uri AS kept_uri, r.id, r.source, r.uri
    FROM items r JOIN items i ON i.id = r.conflict_id AND i.id <> r.id AND {SAME_SIDE}
"""
"""What copies contradict: label, license, split and meta (by ``key``, values as JSON) of copies that were dropped,
origin of copies dropped and kept. The split is the one that the item is in, whoever says so."""
