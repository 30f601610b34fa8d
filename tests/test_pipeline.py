"""The pipeline end to end, through the command line and DVC, on corpora made here."""

import io
import json
import os
import shutil

import pyarrow.parquet as pq
from PIL import Image, PngImagePlugin
from sandbox import CORPUS, Sandbox, draw, write_corpus


def _store(project, name="real"):
    return json.loads((project.root / f"artifacts/store/{name}/store.json").read_text())


def test_ten_texts_and_ten_images_are_added_searched_and_removed(built, project):
    assert "read     32" in built.first.stdout
    assert "nothing to do" in project.gendata("run").stderr  # in another folder
    assert project.json("status") == []
    before = _store(project)

    write_corpus(project.root / "more", texts=10, images=10, start=100)
    shutil.copy(project.root / "corpus" / "note-001.txt", project.root / "more" / "again.txt")
    added = project.gendata("add", "more", "--origin", "generated")
    assert "note-100.txt" in added.stdout
    assert "# " in (project.root / "params.yaml").read_text()  # comments stay
    assert {"stage": "ingest@more", "why": "not read yet"} in project.json("status")

    second = project.gendata("run")
    assert "running ingest@more" in second.stderr
    assert "running ingest@corpus" not in second.stderr
    assert "embedded 20 new items, 32 from cache" in second.stderr  # what is new is all that is embedded
    # the copy of note-001 came as generated: equal content merges downward, and it is said
    assert _store(project)["items"] == before["items"] - 1
    assert _store(project, "other")["items"] == 21
    conflict = project.json("sql", "SELECT source, reason FROM rejected WHERE reason = 'origin-conflict'")
    assert conflict == [{"source": "corpus", "reason": "origin-conflict"}]

    origins = {row["origin"] for row in project.json("search", "bees and ships", "-n", "50")}
    assert origins == {"real", "generated"}
    only = project.json("search", "bees and ships", "-n", "50", "--origin", "real")
    assert {row["origin"] for row in only} == {"real"}

    project.sources(corpus=CORPUS)
    project.gendata("run")
    assert _store(project) == before
    assert _store(project, "other")["items"] == 0
    assert {row["source"] for row in project.json("sql", "SELECT DISTINCT source FROM items")} == {"corpus"}
    assert project.json("doctor") == []


def test_every_search_mode_and_image_search(built):
    project = built
    for mode in ("hybrid", "semantic", "keyword"):
        hits = project.json("search", "a drawing of bread on a table", "--mode", mode, "-n", "3")
        assert hits, mode
        assert {"id", "modality", "origin", "source", "uri", "score", "text", "start", "end"} <= set(hits[0])
    captions = project.gendata("search", "drawing of rivers", "--modality", "image", "--format", "jsonl", "-n", "1")
    assert json.loads(captions.stdout)["text"].startswith("a drawing of rivers")
    assert "no words" in captions.stderr  # what the image encoder does not know is said

    picture = project.root / "corpus" / "picture-003.png"
    hit = project.json("search", "--image", picture, "-n", "1")[0]
    assert hit["uri"] == "picture-003.png"
    shown = project.json("show", picture)[0]
    assert shown["id"] == hit["id"]
    project.gendata("show", hit["id"][:12], "--save", "saved.png")
    assert (project.root / "saved.png").read_bytes() == picture.read_bytes()
    project.gendata("search", "bread", "--html", "page.html", "--format", "ids")
    page = (project.root / "page.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_chats_are_added_run_searched_shown_and_exported(project):
    def chat(prompt, reply, **more):
        return {"conversations": [{"from": "human", "value": prompt}, {"from": "gpt", "value": reply}], **more}

    rows = [chat("Is the oven hot?", "Yes.", model="m-1", session_id="a"), chat("Is it raining?", "Yes.", model="m-1")]
    rows += [chat("Is the oven hot?", "Yes.", model="m-2"), {"conversations": [{"from": "human"}]}]
    (project.root / "chats.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (project.root / "pairs.csv").write_text("prompt,completion\nIs it raining?,Yes.\n")
    for name in ("chats.jsonl", "pairs.csv"):
        assert (
            json.loads(project.gendata("add", name, "--origin", "real").stdout.splitlines()[0])["modality"] == "record"
        )
    project.gendata("run")

    found = project.json("sql", "SELECT id, uri, text, copies, meta FROM items WHERE modality = 'record' ORDER BY text")
    assert [row["text"] for row in found] == [
        "user: Is it raining?\n\nassistant: Yes.",
        "user: Is the oven hot?\n\nassistant: Yes.",
    ]
    assert [row["copies"] for row in found] == [2, 2]  # equal replies to two prompts, each in two places
    lost = project.json("sql", "SELECT uri, reason, detail FROM rejected WHERE uri = 'chats.jsonl#4'")
    assert lost == [{"uri": "chats.jsonl#4", "reason": "invalid-row", "detail": "turn 1 has no content"}]
    session = "meta->>'$.chat.session' = 'a'"
    hits = project.json("search", "a warm stove", "--modality", "record", "--where", session)
    assert [hit["uri"] for hit in hits] == ["chats.jsonl#1"]
    shown = project.json("show", hits[0]["id"])[0]
    assert json.loads(shown["meta"])["chat"] == {
        "roles": ["user", "assistant"],
        "turns": 2,
        "model": "m-1",
        "session": "a",
    }
    project.gendata("export", "out", "--as", "jsonl", "--where", "modality = 'record'")
    rows = [
        json.loads(line) for file in (project.root / "out").glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    assert {row["text"] for row in rows} == {row["text"] for row in found}
    assert project.json("doctor") == []


def test_what_says_that_a_model_made_it_is_generated_and_quarantined_where_it_is_declared_real(project):
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a castle by night\nSteps: 28, Sampler: Euler, CFG scale: 6.5, Seed: 7, Model: sdxl")
    castle = io.BytesIO()
    Image.open(io.BytesIO(draw(500))).save(castle, "PNG", pnginfo=info)
    (project.root / "made").mkdir()
    (project.root / "corpus" / "castle.png").write_bytes(castle.getvalue())
    (project.root / "made" / "tower.png").write_bytes(castle.getvalue())
    (project.root / "made" / "tower.caption").write_text("a castle by night")
    project.gendata("add", "made", "--origin", "unknown")
    project.gendata("run")

    (gone,) = project.json("sql", "SELECT uri, stage, reason, detail FROM rejected")
    assert (gone["uri"], gone["stage"], gone["reason"]) == ("castle.png", "ingest", "origin-conflict")
    assert "AI mark, png:parameters (AUTOMATIC1111)" in gone["detail"]
    (hit,) = project.json("search", "castle", "--where", "meta.gen.model = 'sdxl' AND meta.gen.steps > 9")
    assert (hit["uri"], hit["origin"]) == ("tower.png", "generated")
    assert project.json("search", "castle", "--where", "meta.gen.model = 'sd15'") == []
    told = project.json(
        "sql", "SELECT meta.gen.prompt, meta.gen.seed, meta.ai[1].mark AS mark FROM items WHERE meta.ai IS NOT NULL"
    )
    assert told == [{"prompt": "a castle by night", "seed": "7", "mark": "png:parameters"}]
    assert {"by": "rejected (ingest)", "value": "origin-conflict", "items": 1} in project.json("stats")

    with project.settings() as sections:  # a person says that the mark is wrong
        sections["sources"]["corpus"]["marks"] = "ignore"
        del sections["sources"]["made"]
    project.gendata("run")
    assert project.json("sql", "SELECT uri, origin FROM items WHERE meta.ai IS NOT NULL") == [
        {"uri": "castle.png", "origin": "real"}
    ]


def test_two_projects_give_the_same_bytes(built, tmp_path):
    project = built
    other = Sandbox(tmp_path / "elsewhere" / "other")
    shutil.copytree(
        project.root, other.root, ignore=shutil.ignore_patterns("artifacts", ".gendata", "dvc.lock", "tmp", "cache")
    )
    for path in sorted(other.root.rglob("note-*.txt"), reverse=True):  # another directory order, other times
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    other.gendata("run")
    assert other.digest() == project.digest()
    assert len(project.digest()) > 10


def test_bad_input_is_rejected_with_a_reason_and_the_run_ends_well(project, tmp_path):
    corpus = os.fsencode(project.root / "corpus")
    bad = {
        b"corrupt.png": draw(77)[:200],
        b"empty.txt": b"",
        b"text.jpg": b"this is no picture",
        b"latin.txt": b"caf\xe9 au lait",
        b"half.txt": "na\u00efve caf\u00e9".encode()[:-1],
        b"bomb.png": _bomb(),
        b"twin-a.txt": b"the same words in two files",
        b"twin-b.txt": b"the same words in two files",
        b"a name with 'quotes' \"and\" spaces.txt": b"quotes in a file name",
        b"new\nline.txt": b"a newline in a file name",
        "emoji-\N{SNAKE}.txt".encode(): b"a snake in a file name",
        b"undecodable-\xff\xfe.txt": b"bytes that are no text in a file name",
    }
    for name, content in bad.items():
        with open(corpus + b"/" + name, "wb") as file:
            file.write(content)
    (tmp_path / "outside.txt").write_text("not part of the source")
    os.symlink(tmp_path / "outside.txt", corpus + b"/outside.txt")
    os.symlink(b"nowhere", corpus + b"/broken.txt")
    os.mkfifo(corpus + b"/pipe.txt")

    out = project.gendata("run").stdout
    reasons = {
        r["uri"]: r["reason"] for r in project.json("sql", "SELECT uri, reason FROM rejected WHERE stage = 'ingest'")
    }
    assert reasons == {
        "corrupt.png": "corrupt-image",
        "empty.txt": "empty",
        "text.jpg": "not-an-image",
        "latin.txt": "unknown-encoding",  # too short to tell which
        "half.txt": "invalid-utf8",
        "bomb.png": "too-many-pixels",
        "outside.txt": "symlink-outside",
        "broken.txt": "symlink-broken",
        "pipe.txt": "not-a-file",
    }
    assert "rejected 9" in out
    assert "dropped  1 (1 exact)" in out
    uris = {r["uri"] for r in project.json("sql", "SELECT uri FROM items WHERE source = 'corpus'")}
    assert {"new%0Aline.txt", "undecodable-%FF%FE.txt", "emoji-\N{SNAKE}.txt"} <= uris
    assert "nothing to do" in project.gendata("run").stderr
    assert project.json("doctor") == []
    _every_command_tells_of_them(project)


def _every_command_tells_of_them(project):
    item = project.json("show", project.root / "corpus" / "twin-a.txt")[0]
    assert item["copies"] == 2
    assert item["dropped_copies"][0]["reason"] == "exact"
    chain = project.json("show", item["id"][:10], "--chain")
    assert [step["step"] for step in chain] == ["source", "file", "item", "copy merged"]
    stats = project.json("stats")
    assert {"by": "modality", "value": "image", "items": 12} in stats
    assert {"by": "rejected (ingest)", "value": "corrupt-image", "items": 1} in stats
    storage = project.json("stats", "--storage")
    assert {(row["store"], row["table"]) for row in storage} >= {("real", "catalog"), ("real", "passages")}
    assert not any(row.get("unindexed") for row in storage)
    copies = project.json("duplicates")
    assert [copy["reason"] for copy in copies] == ["exact"]
    assert project.json("duplicates", item["id"]) == copies


def _bomb():
    """A PNG whose header claims 46,000 x 46,000 pixels: 2 GB when decoded."""
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", 46_000, 46_000, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_parquet_has_no_absolute_paths_or_times(built):
    project = built
    for path in project.root.glob("artifacts/**/*.parquet"):
        if "lance" not in path.parts:
            content = path.read_bytes()
            assert str(project.root).encode() not in content, path
            assert pq.ParquetFile(path).schema_arrow.metadata in (None, {}) or b"created" not in content
