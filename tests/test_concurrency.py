"""Many processes at once: outputs written by hand, the store of outputs rebuilt, and readers that never see a seam."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import spine

from gendata.items import Item
from gendata.project import Project

CHECKPOINT = "c" * 64

_WRITE = """
import sys, time
from pathlib import Path
from test_concurrency import requests, write
root, writer, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
end, count = time.monotonic() + seconds, 0
while time.monotonic() < end:
    write(root, writer, count)
    count += 1
print(count)
"""

_READ = """
import sys, time
from pathlib import Path
from test_concurrency import look
root, seconds = Path(sys.argv[1]), float(sys.argv[3])
end, count = time.monotonic() + seconds, 0
while time.monotonic() < end or not count:
    look(root)
    count += 1
print(count)
"""


def requests(writer, number):
    """The rows of one request: two texts of its own, and one that all requests have."""
    made = {"model": "toytext", "checkpoint_id": CHECKPOINT, "manifest_id": "d" * 64, "seed": number, "request": "{}"}
    texts = (f"writer {writer} wrote number {number}", f"writer {writer} wrote again {number}", "all wrote this")
    for at, text in enumerate(texts):
        item = Item(modality="text", uri=f"{writer}/{number}/{at}.txt", media_type="text/plain", text=text)
        yield item.row("toytext", "generated", None) | made


def write(root, writer, number):
    from datetime import UTC, datetime

    from gendata.records.outputs import write_adhoc

    created_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    rows = [row | {"created_at": created_at} for row in requests(writer, number)]
    write_adhoc(root, rows, created_at, CHECKPOINT)


def look(root):
    """One reader's turn: what it opens is one moment of the store, whole, whatever is built meanwhile."""
    project = Project(root)
    hits = project.search("coins wrote", n=20, mode="keyword").hits
    assert hits
    assert len({(hit.store, hit.id) for hit in hits}) == len(hits)
    counted = {row["value"]: row["items"] for row in project.stats() if row["by"] == "store"}
    for name, store in project.stores.items():
        assert store.table("items").count_rows() == counted[name]
    (total,) = project.sql("SELECT count(*) AS n, count(DISTINCT id) AS d FROM outputs").to_pylist()
    assert total["n"] == total["d"] == counted["outputs"]


def _start(script, root, number, seconds):
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", script, str(root), str(number), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _crowd(root, people, seconds):
    """So many writers and readers for so long, while the store is rebuilt again and again."""
    spine.trained(root)
    with spine.families():
        spine.collected(root)
        before = Project(root).sql("SELECT count(*) AS n FROM outputs").to_pylist()[0]["n"]
        crowd = [_start(script, root, n, seconds) for script in (_WRITE, _READ) for n in range(people)]
        builds, end = 0, time.monotonic() + seconds
        while time.monotonic() < end or any(one.poll() is None for one in crowd):
            spine.collected(root)
            builds += 1
        spine.collected(root)
    told = [one.communicate() for one in crowd]
    assert [(one.returncode, err) for one, (_, err) in zip(crowd, told, strict=True)] == [(0, "")] * len(crowd)
    turns = [int(out) for out, _ in told]
    written = {row["text"] for writer in range(people) for n in range(turns[writer]) for row in requests(writer, n)}
    found = Project(root).sql("SELECT text FROM outputs WHERE checkpoint_id = '" + CHECKPOINT + "'")["text"].to_pylist()
    assert len(found) == len(set(found))
    assert set(found) == written
    total = Project(root).sql("SELECT count(*) AS n FROM outputs").to_pylist()[0]["n"]
    assert total == before + len(written)
    return builds, turns


def test_writers_readers_and_builds_at_once(tmp_path):
    builds, turns = _crowd(tmp_path / "p", 2, 3)
    assert builds > 1
    assert min(turns) > 0


@pytest.mark.soak
def test_eight_writers_and_eight_readers_for_a_minute(tmp_path):
    builds, turns = _crowd(tmp_path / "p", 8, 60)
    assert builds > 5
    assert min(turns) > 0
    print(f"{builds} builds, {sum(turns[:8])} requests, {sum(turns[8:])} turns of readers")
