"""kill -9 while stores are built and updated, and writes that never reached the disk."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from shards import SOURCES, artifacts, make, write_source

from gendata import doctor
from gendata.store import StoreParams
from gendata.store.build import build
from gendata.store.head import Store, read_head

VARIANTS = ("large", "changed", "small")
"""Shards of three states of the data: from the first to the second is an update, to the third a new build."""

_CHILD = """
import sys
from pathlib import Path
from test_durable import built, VARIANTS
root = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for variant in VARIANTS:
        built(root, variant)
"""


def built(root, variant):
    """The stores of a variant, in the one folder of all."""
    return build(artifacts(root / variant, *SOURCES), SOURCES, root / "store", StoreParams())


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    root = tmp_path_factory.mktemp("durable")
    lines = [f"text {i} about matter {i * i}" for i in range(200)]
    for variant in VARIANTS:
        chosen = {"large": lines, "changed": [*lines[:190], *(f"new {i}" for i in range(20))], "small": lines[:40]}
        write_source(root / variant, "a", "real", chosen[variant], images=12)
        write_source(root / variant, "b", "generated", [f"made text {i}" for i in range(10)])
    return root


def contents(store):
    """The ids that a store holds, as each of its parts has them; they agree or the store is torn."""
    import duckdb

    opened = Store.open(store)
    with duckdb.connect(str(opened.catalog), read_only=True) as connection:
        catalog = {row[0] for row in connection.execute("SELECT id FROM items").fetchall()}
    items = set(opened.table("items").to_table(columns=["id"])["id"].to_pylist())
    passages = set(opened.table("passages").to_table(columns=["id"])["id"].to_pylist())
    assert catalog == items == passages
    return frozenset(items)


@pytest.fixture(scope="module")
def states(shards):
    """What the real store holds in each variant."""
    found = {}
    for variant in VARIANTS:
        built(shards, variant)
        found[contents(shards / "store" / "real")] = variant
    assert len(found) == len(VARIANTS)
    return found


def _killed(root, seconds):
    """Build one variant after the other in a process of its own and kill it."""
    command = [sys.executable, "-c", _CHILD, str(root)]
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as child:
        assert child.stdout.readline() == "ready\n"
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)


def _kill_and_look(root, states, count, seed):
    rng = random.Random(seed)
    seen = set()
    for _ in range(count):
        _killed(root, rng.uniform(0.3, 2))
        found = contents(root / "store" / "real")  # a reader, at once: one of the states, whole
        seen.add(states[found])
        if rng.random() < 0.3:
            variant = rng.choice(VARIANTS)
            record = built(root, variant)
            assert states[contents(root / "store" / "real")] == variant
            shutil.rmtree(root / "anew", ignore_errors=True)
            chosen = artifacts(root / variant, *SOURCES)
            assert build(chosen, SOURCES, root / "anew", StoreParams()) == record
    return seen


def _clean(root, tmp_path, variant):
    """Doctor's findings after a repair, of a project with the shards of this variant."""
    project = tmp_path / "project"
    shutil.copytree(root / variant, project / "artifacts")
    shutil.copytree(root / "store", project / "artifacts" / "store")
    lines = [f"  {n}: {{kind: folder, origin: {s['origin']}, path: {n}}}" for n, s in SOURCES.items()]
    (project / "params.yaml").write_text("\n".join(["gendata: {version: 1}", "sources:", *lines]) + "\n")
    doctor.examine(project, list(SOURCES), repair=lambda line: None)
    return doctor.examine(project, list(SOURCES))


def test_ten_kills(shards, states, tmp_path):
    assert len(_kill_and_look(shards, states, 10, seed=1)) > 1
    assert _clean(shards, tmp_path, "large") == []


@pytest.mark.soak
def test_two_hundred_kills(shards, states, tmp_path):
    assert len(_kill_and_look(shards, states, 200, seed=2)) == len(VARIANTS)
    assert _clean(shards, tmp_path, "large") == []


@pytest.mark.parametrize("seed", range(6))
def test_writes_that_were_lost_are_recovered_from(shards, states, tmp_path, seed):
    """The newest files are cut short, as after a power failure on a disk that lied about what it had written."""
    rng = random.Random(seed)
    built(shards, "large")
    built(shards, "changed")
    store = shards / "store" / "real"
    newest = sorted((p for p in store.rglob("*") if p.is_file() and p.stat().st_size), key=lambda p: p.stat().st_mtime)
    for path in rng.sample(newest[-12:], 4):
        os.truncate(path, rng.choice([0, path.stat().st_size // 2]))
    if seed % 2:
        assert _clean(shards, tmp_path, "changed") == []
        shutil.rmtree(shards / "store")
    else:  # the pipeline mends what it can see; for the rest there is doctor
        built(shards, "small")
        assert states[contents(store)] == "small"
        assert read_head(store)
        assert _clean(shards, tmp_path, "small") == []


def test_the_stores_stay_small(shards, states):
    """Old versions and the files of killed builds go, but for the hour in which a reader may hold them."""
    from datetime import timedelta

    from gendata.store import place

    shutil.rmtree(shards / "store", ignore_errors=True)
    before, place.GRACE = place.GRACE, timedelta(0)
    try:
        for _ in range(3):
            for variant in VARIANTS:
                make(shards / variant, store="../store")
    finally:
        place.GRACE = before
    versions = list((shards / "store" / "real" / "lance" / "items.lance" / "_versions").glob("*.manifest"))
    assert len(versions) <= 3
