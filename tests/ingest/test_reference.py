"""Sources of ``content: reference``: which there are, and what is written of their items."""

import io
import json
import shutil

import pytest
from PIL import Image
from sandbox import draw
from sounds import sound

from gendata import files, page, rowgroups
from gendata.errors import ParamsError
from gendata.ingest import IngestParams, ingest, load_sources, scan
from gendata.items import ITEM_SCHEMA, REFERENCE_SCHEMA, content_id

PHOTOS = {"kind": "folder", "origin": "real", "path": "photos", "content": "reference"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "dog").mkdir(parents=True)
    for i in range(4):
        (tmp_path / "photos" / "dog" / f"{i}.png").write_bytes(draw(i, (300, 200)))
    return tmp_path


def read(root, listed=True, **stated):
    """Summary, rows and rejects of the source."""
    source = load_sources({"photos": {**PHOTOS, **stated}}, root)
    limits, out = IngestParams(), root / "artifacts/ingest/photos"
    if listed:
        scan(source, root, root / "artifacts/scan", limits)
    summary = ingest("photos", source["photos"], root, root / "artifacts/scan/photos.parquet", out, limits)
    shards = [files.read_table(path) for path in files.shards(out / "items")]
    rejects = {row["uri"]: row["reason"] for row in files.read_table(out / "rejected.parquet").to_pylist()}
    return summary, [row for shard in shards for row in shard.to_pylist()], rejects


@pytest.mark.parametrize(
    "stated",
    [
        {"kind": "archive", "path": "photos.zip"},
        {"kind": "webdataset", "path": "photos.tar"},
        {"kind": "table", "path": "photos.csv"},
        {"kind": "database", "path": "photos.db", "query": "select 1"},
        {"kind": "hf", "path": "saved"},
        {"kind": "mnist5k", "path": None},
        {"kind": "pydocs", "path": None},
    ],
)
def test_kinds_without_whole_files_are_refused(root, stated):
    message = rf"^params.yaml: sources.photos.content: the items of kind {stated['kind']} are no whole files"
    with pytest.raises(ParamsError, match=message):
        load_sources({"photos": {**PHOTOS, **stated}}, root)
    load_sources({"photos": {**PHOTOS, **stated, "content": "copy"}}, root)


@pytest.mark.parametrize("kind", ["folder", "files"])
def test_urls_are_refused(root, kind):
    with pytest.raises(
        ParamsError, match=r"^params.yaml: sources.photos.content: what a URL names is fetched into a c"
    ):
        load_sources({"photos": {**PHOTOS, "kind": kind, "path": "s3://bucket/photos"}}, root)


def test_another_word_is_refused(root):
    with pytest.raises(ParamsError, match="content"):
        load_sources({"photos": {**PHOTOS, "content": "link"}}, root)


@pytest.mark.parametrize(("kind", "path"), [("folder", "photos"), ("files", "photos/**/*"), ("imagefolder", "photos")])
def test_every_kind_of_whole_files(root, kind, path):
    (root / "photos" / "dog" / "1.txt").write_text("a caption")
    (root / "photos" / "dog" / "2.json").write_text(json.dumps({"caption": "told", "by": "me"}))
    summary, rows, rejects = read(root, kind=kind, path=path)
    copied, originals, _ = read(root, kind=kind, path=path, content="copy")
    assert (summary, rejects) == (copied, {})
    assert [row["id"] for row in rows] == [content_id(row["data"]) for row in originals]
    assert [row["text"] for row in rows] == [None, "a caption", "told", None]
    for row, original in zip(rows, originals, strict=True):
        assert row.pop("size") == len(original["data"])
        with Image.open(io.BytesIO(row.pop("thumbnail"))) as small:
            assert small.size == (192, 128)
        assert row == original | {"data": None}


def test_texts_are_written_and_audio_has_no_thumbnail(root):
    (root / "photos" / "note.md").write_text("a note")
    (root / "photos" / "tone.wav").write_bytes(sound())
    _, rows, _ = read(root)
    note, tone = (next(row for row in rows if row["uri"] == uri) for uri in ("note.md", "tone.wav"))
    assert (note["text"], note["size"], note["thumbnail"]) == ("a note", None, None)
    assert (tone["data"], tone["size"], tone["thumbnail"]) == (None, len(sound()), None)
    assert tone["id"] == tone["file_sha256"] == content_id(sound())


def test_our_own_export_is_read_back_as_it_was(root):
    stated = {"id": "x", "modality": "image", "origin": "real", "source": "s", "uri": "u", "text_origin": "column"}
    row = {"file_name": "dog/1.png", **stated, "media_type": "image/png", "meta": "{}", "text": "told", "label": "cat"}
    (root / "photos" / "metadata.jsonl").write_text(json.dumps(row))
    _, rows, rejects = read(root, kind="imagefolder")
    assert rejects == {}
    assert (rows[1]["modality"], rows[1]["label"], rows[1]["media_type"]) == ("image", "cat", "image/png")


def test_what_cannot_be_read_is_a_reject_as_of_copies(root):
    (root / "photos" / "broken.png").write_bytes(draw(9)[:-40])
    (root / "photos" / "empty.wav").touch()
    _, rows, rejects = read(root)
    assert rejects == {"broken.png": "corrupt-image", "empty.wav": "empty"}
    (root / "photos" / "dog" / "0.png").unlink()
    (root / "photos" / "dog" / "1.png").write_bytes(draw(50))
    shutil.rmtree(root / ".gendata")
    _, rows, rejects = read(root, listed=False)
    assert rejects | {"dog/0.png": "vanished", "dog/1.png": "changed"} == rejects
    assert len(rows) == 2


def test_shards_have_two_more_columns_and_the_same_bytes_each_time(root):
    shard = root / "artifacts/ingest/photos/items/00000.parquet"
    read(root)
    first = shard.read_bytes()
    assert files.read_table(shard).schema.names == REFERENCE_SCHEMA.names
    shutil.rmtree(root / ".gendata")
    read(root)
    assert shard.read_bytes() == first
    read(root, content="copy")  # what the journal has of references is not taken for it
    assert files.read_table(shard).schema.names == ITEM_SCHEMA.names
    read(root)
    assert shard.read_bytes() == first


def test_shards_and_row_groups_end_where_those_of_copies_end(root, monkeypatch):
    monkeypatch.setattr(rowgroups, "GROUP_BYTES", 60_000)
    monkeypatch.setattr(files, "SHARD_BYTES", 130_000)
    for i in range(20):
        (root / "photos" / f"{i}.png").write_bytes(draw(100 + i, (320, 240)))

    def sizes(content):
        read(root, content=content)
        found = files.shards(root / "artifacts/ingest/photos/items")
        return [[batch.num_rows for batch in files.iter_batches(path)] for path in found]

    copied = sizes("copy")
    assert len(copied) > 1
    assert max(map(len, copied)) > 1
    assert sizes("reference") == copied


@pytest.mark.parametrize("mode", ["P", "1", "LA", "I;16"])
def test_a_thumbnail_takes_little_more_memory_than_the_image(mode, monkeypatch):
    out, real, largest = io.BytesIO(), Image.Image.convert, []
    picture = Image.linear_gradient("L").resize((1700, 1000))
    (real(real(picture, "I"), mode) if mode == "I;16" else real(picture, mode)).save(out, "PNG")
    monkeypatch.setattr(page, "_STRIP", 50_000)
    monkeypatch.setattr(
        Image.Image, "convert", lambda self, *mode: (largest.append(self.width * self.height), real(self, *mode))[1]
    )
    _, small = page.reduced(out.getvalue(), 192)
    with Image.open(io.BytesIO(small)) as found:
        assert found.size == (192, 113)
        assert found.getextrema() != ((255, 255),) * 3
    assert max(largest) == 850 * 500, "the one that is reduced already"
