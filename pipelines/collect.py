"""Stage collect: all outputs, tagged and embedded like data, into the store of outputs."""

from pathlib import Path

from gendata import files, params
from gendata.dedup import DedupParams, dedup
from gendata.embed import EmbedParams, embed
from gendata.generate.collect import gather
from gendata.store import OUTPUTS, StoreParams
from gendata.store.build import build
from gendata.store.rows import Artifacts
from gendata.tag import TagParams, tag
from pipelines import PARAMS, main, skipped


def run(generated: Path, adhoc: Path, out: Path, stores: Path, metrics: Path) -> None:
    """Write the shards below ``out`` and build the store; equal outputs are one item, near ones stay."""
    families = [name for name in params.read(PARAMS).get("train") or {} if not skipped(generated / name)]
    with files.output(out / "items") as work:
        sources = gather(generated, adhoc, families, work)
        files.write_json(work / "sources.json", sources)
    parts = Artifacts(out / "items", out / "dedup", out / "tag", out / "embed", tuple(sources))
    near = dict.fromkeys(sources, False)
    dedup(parts.ingested, near, parts.decisions, params.load(PARAMS, "dedup", DedupParams))
    cache = files.WORK / "cache" / "collect"
    tags = params.load(PARAMS, "tag", TagParams)
    tag(parts.ingested, parts.decisions, list(sources), parts.tags, tags, cache / "tag")
    how = params.load(PARAMS, "embed", EmbedParams)
    embed(parts.ingested, parts.decisions, list(sources), parts.vectors, how, cache)
    summary = build(parts, sources, stores, params.load(PARAMS, "store", StoreParams), (OUTPUTS,))
    files.write_json(metrics, summary[OUTPUTS])


if __name__ == "__main__":
    main(run)
