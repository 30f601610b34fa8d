"""``content: reference``: what is found, decided, shown and exported is what it is of copies, and never other bytes."""

import contextlib
import io
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spine
from PIL import Image
from sandbox import Sandbox, draw
from sounds import sound

from gendata import files, ingest, originals, params, template
from gendata import open as open_project
from gendata.doctor import check_originals, examine
from gendata.errors import StoreError
from gendata.export import FORMATS
from gendata.ingest import places
from gendata.ingest.settings import SourceParams
from gendata.items import content_id
from gendata.originals import OriginalError, Originals

PHOTOS = {"kind": "folder", "origin": "real", "path": "photos", "label": "x"}


def write_photos(folder):
    """Distinct pictures, an equal and a near copy, a caption, a note and audio."""
    folder.mkdir(parents=True)
    for i in range(6):
        (folder / f"{i}.png").write_bytes(draw(i, (160, 120)))
    (folder / "5.caption").write_text("bread on a table")
    (folder / "sub").mkdir()
    shutil.copy(folder / "3.png", folder / "sub" / "equal #1%.png")
    out = io.BytesIO()
    Image.open(folder / "4.png").save(out, "JPEG", quality=95)
    (folder / "near.jpg").write_bytes(out.getvalue())
    (folder / "note.md").write_text("A note on ships and salt.")
    (folder / "tone.wav").write_bytes(sound())
    (folder / "tone.txt").write_text("a tone")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")


def make(root, **sources):
    """A project of these sources, as the pipeline builds it."""
    template.create(root)
    box = Sandbox(root)
    box.sources(**sources)
    return built(box)


def built(box):
    """The project, up to its stores."""
    with contextlib.chdir(box.root):
        sources = ingest.load_sources(params.read(Path("params.yaml"))["sources"], Path.cwd())
        limits = ingest.IngestParams()
        ingest.scan(sources, Path.cwd(), Path("artifacts/scan"), limits)
        for name, source in sources.items():
            listing, out = Path(f"artifacts/scan/{name}.parquet"), Path(f"artifacts/ingest/{name}")
            ingest.ingest(name, source, Path.cwd(), listing, out, limits)
    spine.stored(box.root)
    return box


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two projects of the same photos: copied, and referenced."""
    made = {}
    for content in ("copy", "reference"):
        root = tmp_path_factory.mktemp(content) / "project"
        write_photos(root / "photos")
        made[content] = make(root, photos={**PHOTOS, "content": content})
    return made


@pytest.fixture
def box(twins, tmp_path):
    """The project of references, to be spoiled."""
    shutil.copytree(twins["reference"].root, tmp_path / "spoilt")
    return Sandbox(tmp_path / "spoilt")


def rows(box, *columns, stage="ingest/photos/items"):
    return [
        row for p in files.shards(box.root / "artifacts" / stage) for row in files.read_table(p, columns).to_pylist()
    ]


def test_items_are_those_of_copies_without_their_bytes(twins):
    copied, referenced = (rows(twins[content]) for content in ("copy", "reference"))
    assert len(copied) == 10
    for one, other in zip(copied, referenced, strict=True):
        media = other["modality"] in {"image", "audio"}
        assert other["data"] is None
        assert other["size"] == (len(one["data"]) if media else None)
        assert (other["thumbnail"] is not None) == (other["modality"] == "image")
        same = one.keys() - {"data"}
        assert {n: one[n] for n in same} == {n: other[n] for n in same}
    assert {"size", "thumbnail"}.isdisjoint(copied[0])  # shards of copies are what they were


def test_shards_hold_no_originals(tmp_path):
    root = tmp_path / "project"
    (root / "photos").mkdir(parents=True)
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (600, 800, 3), np.uint8)
        Image.fromarray(noise).save(root / "photos" / f"{i}.png")
    box = make(root, photos={**PHOTOS, "content": "reference"})
    media = sum(p.stat().st_size for p in (root / "photos").iterdir())
    derived = [p for part in ("ingest", "store") for p in (root / "artifacts" / part).rglob("*") if p.is_file()]
    assert media > 4_000_000
    assert sum(p.stat().st_size for p in derived if "catalog" not in p.name) < media / 5
    assert open_project(root).lookup.content(rows(box, "id")[0]["id"])[0] == (root / "photos" / "0.png").read_bytes()


@pytest.mark.parametrize("stage", ["dedup", "tag", "embed", "similar"])
def test_what_stages_find_is_what_they_find_of_copies(twins, stage):
    copied, referenced = (
        {p.name: p.read_bytes() for p in sorted((twins[content].root / "artifacts" / stage / "photos").glob("*"))}
        for content in ("copy", "reference")
    )
    assert copied == referenced
    assert any(pq.read_table(pa.BufferReader(content)).num_rows for content in copied.values())


def test_the_copies_are_found_and_both_reports_show_pictures(twins):
    decided = {r["uri"]: r["reason"] for r in rows(twins["reference"], "uri", "reason", stage="dedup/photos")}
    assert decided["sub/equal %231%25.png"] == "exact" or decided["3.png"] == "exact"
    assert "near-image" in decided.values()
    tags = rows(twins["reference"], "width", "quality", "duration", stage="tag/photos")
    assert sum(r["width"] is not None and r["quality"] > 0 for r in tags) == 6
    assert sum(r["duration"] is not None for r in tags) == 1
    for box in twins.values():
        assert (box.root / "artifacts/reports/dedup.html").read_text().count("<img") >= 2


def test_the_stores_hold_the_same_but_the_bytes(twins):
    said = {c: json.loads((box.root / "artifacts/store/real/store.json").read_text()) for c, box in twins.items()}
    assert said["copy"].pop("digest") != said["reference"].pop("digest")  # the size is a column of items
    assert said["copy"] == said["reference"]
    table = open_project(twins["reference"].root).stores["real"].table("items").to_table()
    assert table["data"].null_count == len(table)
    assert {"uri", "size", "thumbnail"} <= {*table.column_names}


@pytest.mark.parametrize("format_", FORMATS)
def test_an_export_is_byte_for_byte_that_of_copies(twins, tmp_path, format_):
    records = {c: open_project(box.root).export(tmp_path / c, format_) for c, box in twins.items()}
    assert records["copy"] == records["reference"]


def test_a_dataset_is_that_of_copies(twins):
    where = "modality IN ('image', 'audio')"
    ours, theirs = (open_project(twins[c].root).dataset(where) for c in ("reference", "copy"))
    assert len(ours) == len(theirs) == 7
    for one, other in zip(ours, theirs, strict=True):
        assert one["id"] == other["id"]
        assert one.get("data") == other.get("data")
        assert "image" not in one or one["image"].tobytes() == other["image"].tobytes()


def test_show_says_where_the_original_is_and_saves_it(twins, tmp_path):
    box, photo = twins["reference"], twins["reference"].root / "photos" / "sub" / "equal #1%.png"
    shown = box.json("show", photo)[0]
    assert shown["size"] == photo.stat().st_size
    assert shown["original"] in {"photos/3.png", "photos/sub/equal %231%25.png"}
    box.gendata("show", shown["id"], "--save", tmp_path / "saved.png")
    assert (tmp_path / "saved.png").read_bytes() == photo.read_bytes()
    copied = twins["copy"].json("show", shown["id"])[0]
    assert copied["size"] is None
    assert "original" not in copied
    assert {"by": "content", "value": "reference", "items": 7} in box.json("stats")
    assert all(row["by"] != "content" for row in twins["copy"].json("stats"))
    data = box.json("sql", "SELECT i.modality, i.size FROM items i JOIN contents c USING (id) WHERE c.data IS NULL")
    assert {row["modality"] for row in data if row["size"]} == {"image", "audio"}


def test_search_by_image_reads_the_original_and_pages_need_none(box):
    hit = box.json("search", "--image", content_id((box.root / "photos/2.png").read_bytes()), "-n", "1")[0]
    assert hit["uri"] == "2.png"
    (box.root / "photos").rename(box.root / "moved")
    box.gendata("search", "--image", "moved/1.png", "--html", "page.html", "-n", "20")
    assert (box.root / "page.html").read_text().count("<img") == 6
    box.gendata("search", "tone", "--html", "page.html")
    assert "original-missing" in (box.root / "page.html").read_text()  # of the audio
    box.gendata("duplicates", "--html", "page.html")
    assert (box.root / "page.html").read_text().count("<img") >= 3


def _gone(path):
    path.unlink()


def _other(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)  # of the same size


def _shorter(path):
    path.write_bytes(path.read_bytes()[:-1])


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


def _folder(path):
    path.unlink()
    path.mkdir()


SPOILT = {_gone: "missing", _other: "changed", _shorter: "changed", _pipe: "changed", _folder: "unreadable"}


@pytest.mark.parametrize("spoil", SPOILT)
def test_every_reader_refuses_what_is_not_the_original(box, tmp_path, spoil):
    path = box.root / "photos" / "2.png"
    item_id = content_id(path.read_bytes())
    spoil(path)
    reason = f"original-{SPOILT[spoil]}"
    project = open_project(box.root)
    for read in (
        lambda: project.lookup.content(item_id),
        lambda: project.export(tmp_path / "out", "jsonl"),
        lambda: project.dataset("modality = 'image'"),
    ):
        with pytest.raises(StoreError, match=rf"^item {item_id[:12]}: photos/2.png \(photos\) .*{reason}"):
            read()
    assert not (tmp_path / "out").exists()
    refused = box.gendata("show", item_id, "--save", tmp_path / "x.png", code=1)
    assert refused.stderr.startswith(f"error: item {item_id[:12]}")
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "x.png").exists()
    shutil.rmtree(box.root / ".gendata")  # with the sketches of before
    with pytest.raises(StoreError, match=reason):
        spine.stored(box.root)


@pytest.mark.parametrize("stage", ["tag", "embed"])
def test_a_stage_fails_on_an_original_that_went_since(box, stage):
    (box.root / "photos" / "2.png").unlink()
    shutil.rmtree(box.root / ".gendata")
    at = Path("artifacts")
    with contextlib.chdir(box.root), pytest.raises(StoreError, match=r"photos/2.png .*original-missing.*gendata run"):
        getattr(spine, stage).run(at / "ingest", at / "dedup", at / stage, at / f"metrics/{stage}.json")


def test_doctor_finds_originals_and_says_that_it_cannot_mend_them(box):
    assert examine(box.root, ["photos"]) == []
    _gone(box.root / "photos" / "2.png")
    _other(box.root / "photos" / "tone.wav")
    found = box.gendata("doctor", "--format", "json", code=1)
    problems = {row["problem"]: row for row in json.loads(found.stdout)}
    assert set(problems) == {
        "original-missing: 1 originals, first photos/2.png",
        "original-changed: 1 originals, first photos/tone.wav",
    }
    repaired = box.gendata("doctor", "--repair", code=1)
    assert "sources.photos: not repaired here; put it back as it was, or `gendata run`" in repaired.stderr
    shutil.rmtree(box.root / "photos")
    assert [f.problem.split(",")[0] for f in check_originals(box.root, ["photos"])] == ["original-missing: 9 originals"]


def test_the_next_run_sees_what_there_is(box):
    (box.root / "photos" / "2.png").unlink()
    (box.root / "photos" / "1.png").write_bytes(draw(99, (160, 120)))
    built(box)
    assert examine(box.root, ["photos"]) == []
    found = {row["uri"] for row in rows(box, "uri")}
    assert "2.png" not in found
    assert open_project(box.root).lookup.content(content_id(draw(99, (160, 120))))[1] == "image/png"


def test_a_source_may_change_from_one_to_the_other(box):
    item_id = content_id((box.root / "photos" / "2.png").read_bytes())
    for content in ("copy", "reference", "copy"):
        box.sources(photos={**PHOTOS, "content": content})
        built(box)
        assert examine(box.root, ["photos"]) == []
        assert open_project(box.root).lookup.content(item_id)[0] == (box.root / "photos" / "2.png").read_bytes()
    shutil.rmtree(box.root / "photos")
    assert content_id(open_project(box.root).lookup.content(item_id)[0]) == item_id


@pytest.mark.parametrize("prefer", ["one", "two"])
def test_equal_content_copied_and_referenced_is_one_item(tmp_path, prefer):
    root = tmp_path / "project"
    for name in ("a", "b"):
        write_photos(root / name)
    template.create(root)
    box = Sandbox(root)
    box.sources(one={**PHOTOS, "path": "a"}, two={**PHOTOS, "path": "b", "content": "reference"})
    with box.settings() as sections:
        sections["dedup"]["prefer"] = [prefer]
    built(box)
    project = open_project(root)
    assert {row["value"] for row in project.stats() if row["by"] == "source"} == {prefer}
    for path in (root / "b").glob("*.png"):
        if path.name not in {"broken.png", "4.png"}:
            assert project.lookup.content(content_id(path.read_bytes()))[0] == path.read_bytes()
    assert examine(root, ["one", "two"]) == []


def test_a_store_without_the_columns_opens_and_is_rebuilt(twins, tmp_path, monkeypatch):
    """As a version before ``content: reference`` wrote it."""
    from gendata.store import catalog, lance, parts
    from gendata.store import rows as joined

    shutil.copytree(twins["copy"].root, tmp_path / "project")
    box, added = Sandbox(tmp_path / "project"), ("uri", "size", "thumbnail")
    with monkeypatch.context() as before:
        for module in (joined, lance):
            before.setattr(module, "ITEMS", pa.schema(field for field in joined.ITEMS if field.name not in added))
        before.setattr(parts, "_code", lambda: "other")
        before.setattr(catalog, "CONTENT", tuple(name for name in catalog.CONTENT if name != "size"))
        shutil.rmtree(box.root / "artifacts" / "store")
        spine.stored(box.root)
    project, item_id = open_project(box.root), content_id((box.root / "photos" / "2.png").read_bytes())
    assert project.stores["real"].table("items").schema.names == ["id", "modality", "origin", "source", "text", "data"]
    assert project.lookup.content(item_id)[0] == project.lookup.shown(item_id)[0]
    assert "size" not in project.show(item_id)
    assert project.stats()
    assert project.export(tmp_path / "out", "jsonl")["rows"] == 8
    with box.settings() as sections:
        sections["store"]["update_share"] = 1.0  # also where any change is an update
    spine.stored(box.root)
    assert examine(box.root, ["photos"]) == []
    assert "thumbnail" in open_project(box.root).stores["real"].table("items").schema.names


@pytest.mark.parametrize("path", ["photos", "photos/2.png", "photos/**/*.png", "{photos,more}/*.png", "link", "link/*"])
def test_originals_are_looked_for_where_ingest_reads(tmp_path, path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "2.png").touch()
    (tmp_path / "link").symlink_to("photos")
    source = SourceParams(kind="files", origin="real", path=path)
    assert os.fsencode(originals.base_of(tmp_path, path)) == places.place("photos", source, tmp_path).base


def test_a_single_file_that_is_gone_is_named_as_it_was(tmp_path):
    (tmp_path / "params.yaml").write_text("gendata: {}\nsources: {one: {kind: files, path: photos/2.png}}\n")
    assert Originals(tmp_path).where("one", "2.png") == "photos/2.png"


def test_originals_outside_of_the_project(tmp_path):
    root, photos = tmp_path / "project", tmp_path / "elsewhere" / "phötos"
    write_photos(photos)
    box = make(root, photos={**PHOTOS, "kind": "files", "path": f"{photos}/*.png", "content": "reference"})
    assert open_project(root).lookup.content(rows(box, "id")[0]["id"])[0] == (photos / "0.png").read_bytes()
    assert Originals(root).where("photos", "0.png") == f"{photos}/0.png"
    every = (p.read_bytes() for p in (root / "artifacts").rglob("*") if p.is_file())
    assert all(str(photos).encode() not in content for content in every)  # no absolute path in what is derived


def test_a_source_that_left_params_is_said(box):
    box.sources()
    with pytest.raises(StoreError, match=r"source photos: params\.yaml says no more where its originals are"):
        Originals(box.root).read("0" * 64, "photos", "2.png", 1)
    assert Originals(box.root).where("photos", "2.png") == "2.png of source photos"


@pytest.mark.parametrize(
    "stated", ["[1]", "3", "{path: 5}", "{path: ''}", "{path: ~nobody-of-this-name/x}", '{path: "a\\0"}']
)
def test_a_source_that_is_none_is_said(tmp_path, stated):
    (tmp_path / "params.yaml").write_text(f"gendata: {{}}\nsources: {{photos: {stated}}}\n")
    with pytest.raises(OriginalError, match=r"^source photos: params\.yaml says no more where"):
        Originals(tmp_path).read("0" * 64, "photos", "2.png", 1)


def test_a_uri_that_no_file_can_have_is_missing(tmp_path):
    (tmp_path / "params.yaml").write_text("gendata: {}\nsources: {photos: {path: .}}\n")
    with pytest.raises(OriginalError, match="original-missing"):
        Originals(tmp_path).read("0" * 64, "photos", "a%00.png", 1)


def test_what_is_embedded_is_read_no_more(box):
    (box.root / "photos" / "2.png").unlink()
    at = Path("artifacts")
    with contextlib.chdir(box.root):
        before = {p: p.read_bytes() for stage in ("embed", "tag") for p in (at / stage).rglob("*.parquet")}
        assert len(before) > 2
        spine.embed.run(at / "ingest", at / "dedup", at / "embed", at / "metrics/embed.json")
        spine.tag.run(at / "ingest", at / "dedup", at / "tag", at / "metrics/tag.json")
        assert {p: p.read_bytes() for p in before} == before


def test_another_project_reads_originals_where_they_are(box, sandbox, tmp_path):
    Image.open(box.root / "photos" / "0.png").save(tmp_path / "new.jpg", quality=95)
    (found,) = sandbox.json("duplicates", tmp_path / "new.jpg", "--against", box.root)
    assert (found["match"], found["kept_uri"]) == ("near-image", "0.png")


def test_the_command_line_from_add_to_export(sandbox, tmp_path):
    write_photos(tmp_path / "photos")
    sandbox.gendata("add", tmp_path / "photos", "--origin", "real", "--reference")
    assert "content: reference" in (sandbox.root / "params.yaml").read_text()
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}')
    refused = sandbox.gendata("add", tmp_path / "rows.jsonl", "--origin", "real", "--reference", code=1)
    assert "the items of kind table are no whole files" in refused.stderr
    assert "rows.jsonl" not in (sandbox.root / "params.yaml").read_text()
    assert "read     10" in sandbox.gendata("run").stdout
    assert "nothing to do" in sandbox.gendata("run").stderr
    assert sandbox.json("doctor") == []
    (tmp_path / "photos" / "2.png").unlink()
    shutil.rmtree(sandbox.root / ".gendata" / "cache")
    failed = sandbox.gendata("export", tmp_path / "out", "--as", "parquet", code=1)
    assert failed.stderr.startswith("error: item ")
    assert "read     9" in sandbox.gendata("run").stdout
    assert sandbox.json("export", tmp_path / "out", "--as", "parquet")[0]["rows"] == 7
    assert sandbox.json("doctor") == []


def test_an_error_passes_from_process_to_process():
    error = pickle.loads(pickle.dumps(OriginalError("a message", "original-missing")))
    assert (str(error), error.reason) == ("a message", "original-missing")
