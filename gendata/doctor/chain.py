"""The chain behind every output: manifests, checkpoints and the ledger that keeps both for good."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from gendata import files, params
from gendata.doctor.finding import KEEP, Finding
from gendata.errors import GendataError, StoreError
from gendata.records.ledger import Ledger
from gendata.records.manifest import read_manifest
from gendata.records.outputs import OUTPUTS
from gendata.store import INPUTS
from gendata.store.head import Store, open_stores

_BACKUP = "restore it from a backup"

_NOT_KEPT = "is not in the ledger"


def check_chain(root: Path) -> Iterator[Finding]:
    """Every manifest, checkpoint and output against the ledger, the weights and the stores."""
    ledger = Ledger(root)
    kept = {path.stem for kind in ("manifests", "checkpoints") for path in (ledger.folder / kind).glob("[0-9a-f]*")}
    yield from _ledger(root, ledger, kept)
    yield from _manifests(root, kept)
    yield from _checkpoints(root, kept)
    for folder in _families(root, "generate"):
        for path in sorted((folder / "items").glob("*.parquet")):
            yield from _outputs(root, path, kept, f"gendata run generate@{folder.name} --force")
    for path in sorted((root / OUTPUTS).glob("*.parquet")):
        yield from _outputs(root, path, kept, _BACKUP)


def keep(root: Path, finding: Finding) -> None:
    """Put the manifest or the card at ``finding.where`` into the ledger again."""
    path = root / finding.where
    if path.suffix == ".parquet":
        Ledger(root).keep_manifest(read_manifest(path))
    else:
        Ledger(root).keep_checkpoint(files.read_json(path))


def _families(root: Path, stage: str) -> list[Path]:
    """What a stage wrote for each family of params.yaml, where it was not skipped."""
    train = params.read(root / "params.yaml").get("train")
    names = sorted(train) if isinstance(train, Mapping) else []  # in a project of data stages it may be anybody's
    folders = [root / "artifacts" / stage / str(name) for name in names]
    return [folder for folder in folders if folder.is_dir() and not (folder / "skipped.json").is_file()]


def _ledger(root: Path, ledger: Ledger, kept: set[str]) -> Iterator[Finding]:
    broken = set()
    for path, problem in ledger.check():
        broken.add(path)
        yield _finding(root, path, problem, _BACKUP)
    for kind, named in (("checkpoints", "manifest"), ("exports", "manifest"), ("runs", "checkpoint")):
        for path in sorted((ledger.folder / kind).glob("[0-9a-f]*.json")):
            if path not in broken and (key := files.read_json(path).get(f"{named}_id")) not in kept:
                yield _finding(root, path, f"its {named} {str(key)[:12]} {_NOT_KEPT}", _BACKUP)


def _manifests(root: Path, kept: set[str]) -> Iterator[Finding]:
    """Each is what its id says and kept in the ledger, and its rows are in the stores, of the origins that it says."""
    from gendata.select.contents import Contents

    stores = _open_inputs(root)
    for folder in _families(root, "select"):
        path = folder / "manifest.parquet"
        try:
            manifest = read_manifest(path)
        except StoreError as error:
            yield _finding(root, path, str(error), f"gendata run select@{folder.name} --force")
            continue
        if manifest.id not in kept:
            yield _finding(root, path, _NOT_KEPT, KEEP)
        try:
            Contents(manifest, stores, verify=False)
        except GendataError as error:
            yield _finding(root, path, str(error), "gendata run")


def _open_inputs(root: Path) -> dict[str, Store]:
    """The stores that selections see; one that does not open is a finding of its own."""
    found: dict[str, Store] = {}
    for name in INPUTS:
        try:
            found |= open_stores(root / "artifacts" / "store", (name,))
        except GendataError:
            continue
    return found


def _checkpoints(root: Path, kept: set[str]) -> Iterator[Finding]:
    """Each is whole and of its family, and its card is in the ledger."""
    folders = _families(root, "train")
    if folders:  # opening takes torch
        from gendata.models.checkpoint import CARD, open_checkpoint
    for folder in folders:
        try:
            checkpoint = open_checkpoint(folder, folder.name)
        except StoreError as error:
            yield _finding(root, folder, str(error), f"gendata run train@{folder.name} --force")
            continue
        if checkpoint.id not in kept:
            yield _finding(root, folder / CARD, _NOT_KEPT, KEEP)


def _outputs(root: Path, path: Path, kept: set[str], remedy: str) -> Iterator[Finding]:
    """Outputs are generated, and the ledger knows what made them."""
    links: Counter[tuple[str, str]] = Counter()
    others: Counter[str] = Counter()
    try:
        for batch in files.iter_batches(path, ("origin", "checkpoint_id", "manifest_id")):
            others.update(origin for origin in batch["origin"].to_pylist() if origin != "generated")
            for column in ("checkpoint_id", "manifest_id"):
                links.update((column, key) for key in batch[column].to_pylist() if key is not None)
    except (StoreError, KeyError) as error:
        yield _finding(root, path, str(error) if isinstance(error, StoreError) else "not a file of outputs", remedy)
        return
    for origin, n in sorted(others.items()):
        yield _finding(root, path, f"{n} outputs claim to be {origin}: outputs are generated", remedy)
    for (column, key), n in sorted(links.items()):
        if key not in kept:
            what = column.removesuffix("_id")
            yield _finding(root, path, f"{n} outputs name {what} {key[:12]}, which {_NOT_KEPT}", remedy)


def _finding(root: Path, path: Path, problem: str, remedy: str) -> Finding:
    """A finding that shows no absolute path."""
    where, text = path.relative_to(root).as_posix(), problem.replace(f"{root}/", "")
    return Finding(where, text.removeprefix(f"{where}: "), remedy)
