"""Check every invariant across shards, stores and records, and mend what the Parquet artifacts can mend."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gendata.doctor.chain import check_chain, keep
from gendata.doctor.finding import KEEP, REBUILD, REMOVE
from gendata.doctor.finding import Finding as Finding
from gendata.doctor.leftovers import leftovers, sweep
from gendata.doctor.originals import check_originals
from gendata.doctor.shards import check_shards
from gendata.doctor.stores import STORAGE as STORAGE
from gendata.doctor.stores import built, check_stores, outputs_of, rebuild, shards_of
from gendata.doctor.stores import storage as storage
from gendata.errors import StoreError
from gendata.store import OUTPUTS
from gendata.store.head import roll_back


def examine(root: Path, sources: list[str], repair: Callable[[str], None] | None = None) -> list[Finding]:
    """All findings in a project; ``repair`` asks for mending and is told what was done."""
    findings = [*leftovers(root), *_shards(root, sources), *check_originals(root, sources), *check_stores(root)]
    if repair is None:
        return [*findings, *check_chain(root)]
    mended = _rebuilt([_swept(f, root, repair) for f in findings], root, repair)
    mended += _kept(root, repair)  # after the stores: manifests are compared with them
    for finding in mended:
        if not finding.repaired:
            how = "see above" if finding.remedy in {REMOVE, REBUILD, KEEP} else finding.remedy
            repair(f"{finding.where}: not repaired here; {how}")
    return mended


def _shards(root: Path, sources: list[str]) -> list[Finding]:
    found = [*check_shards(replace(shards_of(root), sources=tuple(sources)), root)]
    if OUTPUTS in built(root):
        try:
            found += check_shards(outputs_of(root)[0], root)
        except StoreError as error:
            found.append(Finding("artifacts/collect", str(error).replace(f"{root}/", ""), "gendata run collect"))
    return found


def _swept(finding: Finding, root: Path, say: Callable[[str], None]) -> Finding:
    if finding.remedy != REMOVE:
        return finding
    sweep(root, finding)
    say(f"removed {finding.where}")
    return replace(finding, repaired=True)


def _rebuilt(findings: list[Finding], root: Path, say: Callable[[str], None]) -> list[Finding]:
    """Build the stores anew that a finding names; the shards are checked before anything is touched."""
    names = {Path(f.where).name for f in findings if f.remedy == REBUILD}
    for name in sorted(names):
        try:
            rebuild(root, (name,))
        except StoreError as error:
            say(f"the store {name} cannot be rebuilt: {str(error).replace(f'{root}/', '')}")
            if roll_back(root / "artifacts" / "store" / name):
                say(f"rolled the store {name} back to what it held before the last build")
        else:
            say(f"rebuilt the store {name} from the Parquet artifacts")
    still = {f.where for f in check_stores(root)} if names else set()
    return [replace(f, repaired=f.where not in still) if f.remedy == REBUILD else f for f in findings]


def _kept(root: Path, say: Callable[[str], None]) -> list[Finding]:
    """What check_chain finds, with what the ledger lacks put into it again."""
    found, done = [*check_chain(root)], []
    for finding in found:
        if finding.remedy == KEEP:
            keep(root, finding)
            say(f"put {finding.where} into the ledger")
            done.append(replace(finding, repaired=True))
    return [*done, *check_chain(root)] if done else found
