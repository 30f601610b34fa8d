import shutil
from pathlib import Path

import pytest

from gendata import files
from gendata.tag import CACHE, TagParams, cached, size, tag
from gendata.tag.split import Splitter

ONE = TagParams(workers=1)
GERMAN = "Die Fähre zur Insel legt am Mittag ab und bringt am Abend die Post zurück, Nummer {}."


def tagged(paths: tuple[Path, Path], params: TagParams = ONE, cache: Path = CACHE) -> dict[str, bytes]:
    """The bytes of all shards, and the summary."""
    summary = tag(*paths, ["notes", "photos"], Path("out"), params, cache)
    return {str(p): p.read_bytes() for p in Path("out").rglob("*.parquet")} | {"summary": repr(summary).encode()}


@pytest.fixture
def make(corpus, png):
    """Shards anew: of these texts, and four images with captions."""

    def build(texts, caption="Ein Hund läuft über die grüne Wiese im Park"):
        for folder in ("ingest", "dedup"):
            shutil.rmtree(folder, ignore_errors=True)
        photos = [{"data": png(20 + i, 10, seed=i), "text": caption} for i in range(4)]
        return corpus({"notes": [[{"text": text} for text in texts]], "photos": [photos], "empty": []})

    return build


def texts(*numbers: int) -> list[str]:
    return [GERMAN.format(n) for n in numbers]


def said(capsys) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_what_did_not_change_comes_from_the_cache_with_the_same_bytes(make, capsys):
    paths = make(texts(*range(20)))
    first = tagged(paths)
    assert said(capsys) == "tagged 24 new items, 0 from cache"
    assert tagged(paths) == first
    assert said(capsys) == "tagged 0 new items, 24 from cache"
    assert tagged(paths, cache=Path("elsewhere")) == first
    assert said(capsys) == "tagged 24 new items, 0 from cache"


@pytest.mark.parametrize(
    ("numbers", "new"),
    [
        ([99, *range(20)], 1),  # before all others
        ([*range(20), 99], 1),
        ([*range(10), 99, 98, *range(10, 20)], 2),
        ([0, *range(5, 20)], 0),
        ([0, 7, 6, 5, 19], 0),
    ],
)
def test_rows_that_come_and_go_leave_the_others_in_the_cache(make, capsys, numbers, new):
    tagged(make(texts(*range(20))))
    paths = make(texts(*numbers))
    found = tagged(paths)
    assert said(capsys) == f"tagged {new} new items, {len(numbers) + 4 - new} from cache"
    assert found == tagged(paths, cache=Path("elsewhere"))


def test_shards_keep_their_tags_whatever_rows_are_dropped_from_them(corpus, capsys):
    kept = [{"text": text} for text in texts(1, 2, 3)]
    ends = [{"text": text, "kept": False} for text in texts(8, 9)]
    runs = [(kept, 3, 0), ([ends[0], *kept], 0, 3), (kept, 0, 3), ([*kept, ends[1]], 0, 3), (ends, 0, 0), (kept, 3, 0)]
    for rows, new, known in runs:
        shutil.rmtree("ingest", ignore_errors=True), shutil.rmtree("dedup", ignore_errors=True)
        tagged(corpus({"notes": [rows], "photos": []}))
        assert said(capsys) == f"tagged {new} new items, {known} from cache"


def test_a_new_caption_is_asked_about_although_the_image_is_the_same(make, capsys):
    tagged(make(texts(1, 2)))
    paths = make(texts(1, 2), caption="A dog is running over the green meadow in the park today")
    found = tagged(paths)
    assert said(capsys) == "tagged 4 new items, 2 from cache"
    rows = files.read_table(Path("out/photos/00000.parquet"))
    assert set(rows["lang"].to_pylist()) == {"en"}
    assert found == tagged(paths, cache=Path("elsewhere"))


def test_groups_splits_and_stated_tags_are_not_cached(corpus):
    splitter = Splitter((("train", 0.9), ("test", 0.05), ("valid", 0.05)), 0, {})
    groups = {splitter.split(str(n)): str(n) for n in range(200)}
    others = [{"text": text} for text in texts(*range(60))]  # enough groups for a split by hash
    runs = [({"group": groups[name]}, name, None) for name in ("train", "test", "valid")]
    runs.append(({"source_split": "own", "meta": {"tags": ["new"]}}, "own", ["new"]))
    for row, split, tags in runs:
        shutil.rmtree("ingest", ignore_errors=True), shutil.rmtree("dedup", ignore_errors=True)
        tagged(corpus({"notes": [[{"text": GERMAN.format(99)} | row, *others]], "photos": []}))
        found = files.read_table(Path("out/notes/00000.parquet")).to_pylist()[0]
        assert (found["split"], found["tags"]) == (split, tags)


def test_other_taggers_code_or_libraries_ask_again(make, capsys, monkeypatch):
    paths = make(texts(1, 2))
    tagged(paths)
    for params in (TagParams(taggers=("size",), workers=1), ONE):
        tagged(paths, params)
        assert said(capsys) == "tagged 6 new items, 0 from cache"
    for module, name in ((cached, "version"), (cached.platform, "python_version")):
        monkeypatch.setattr(module, name, lambda *_: "another")
        tagged(paths)
        assert said(capsys) == "tagged 6 new items, 0 from cache"
    assert len(list(CACHE.rglob("*.parquet"))) == 2  # of the last run alone


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: flip(data, 10)])
def test_a_broken_file_is_asked_for_again(make, capsys, damage):
    paths = make(texts(*range(5)))
    whole = tagged(paths)
    for path in CACHE.rglob("*.parquet"):
        path.write_bytes(damage(path.read_bytes()))
    assert tagged(paths) == whole
    assert said(capsys) == "tagged 9 new items, 0 from cache"
    tagged(paths)
    assert said(capsys) == "tagged 0 new items, 9 from cache"


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


def test_an_interrupted_run_leaves_what_it_has_finished(make, monkeypatch, capsys):
    paths, real = make(texts(*range(5))), size.tag

    def interrupted(batch):
        if batch["modality"][0].as_py() == "image":
            raise KeyboardInterrupt
        return real(batch)

    monkeypatch.setattr(size, "tag", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tagged(paths)
    monkeypatch.setattr(size, "tag", real)
    tagged(paths)
    assert said(capsys) == "tagged 4 new items, 5 from cache"
