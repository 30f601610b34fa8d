import csv
import json
import random

import pytest

from gendata.errors import ParamsError
from gendata.export import imagefolder as exporter
from gendata.export.rows import SCHEMA
from gendata.ingest import SourceParams, preview
from gendata.items import ITEM_SCHEMA, Item, canonical_json, to_table
from tests.ingest.test_fuzz import mutate

FOLDER = SourceParams("imagefolder", "real", "d")


@pytest.fixture
def put(project):
    def _put(**contents):
        for name, content in contents.items():
            path = project / "d" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return _put


def test_folders_are_labels_and_splits(put, run, image):
    names = [
        "dog/1.png",
        "dog/deep/2.png",
        "cat!/3.jpg",
        "4.png",
        "train/dog/5.png",
        "Validation/cat/6.png",
        "test/7.png",
    ]
    put(**{name: image("JPEG" if name.endswith("jpg") else "PNG", color=i) for i, name in enumerate(names)})
    put(**{"dog/1.txt": "a dog", "dog/notes.md": "no image", "classes.txt": "dog", "dog/bad.png": "no image"})
    result = run(FOLDER)
    assert {i["uri"]: (i["source_split"], i["label"]) for i in result.items} == {
        "dog/1.png": (None, "dog"),
        "dog/deep/2.png": (None, "dog"),
        "cat%21/3.jpg": (None, "cat!"),
        "4.png": (None, None),
        "train/dog/5.png": ("train", "dog"),
        "Validation/cat/6.png": ("valid", "cat"),
        "test/7.png": ("test", None),
    }
    assert result.item("dog/1.png")["text"] == "a dog"
    assert result.reasons() == {
        "dog/notes.md": "unsupported-type", "classes.txt": "unsupported-type", "dog/bad.png": "not-an-image",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_metadata_says_more(project, put, run, image, form):
    put(**{name: image(color=i) for i, name in enumerate(["train/a/1.png", "train/2.png", "train/3.png", "x/4.png"])})
    put(**{"train/3.txt": "beside"})
    rows = [
        {"file_name": "a/1.png", "text": "one", "label": "7", "license": "MIT", "origin": "unknown", "width": "5"},
        {"file_name": "./2.png", "text": "two", "label": "", "license": "", "origin": "", "width": "6"},
        {"file_name": "3.png", "text": "three", "label": "", "license": "", "origin": "", "width": "7"},
    ]
    with (project / f"d/train/metadata.{form}").open("w", newline="") as file:
        if form == "csv":
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    result = run(FOLDER)
    assert not result.rejects
    assert [(i["uri"], i["text"], i["text_origin"], i["label"], i["source_split"]) for i in result.items] == [
        ("train/2.png", "two", "column", None, "train"),
        ("train/3.png", "beside", "caption-file", None, "train"),
        ("train/a/1.png", "one", "column", "7", "train"),
        ("x/4.png", None, None, "x", None),
    ]
    one = result.item("train/a/1.png")
    assert (one["license"], one["origin"], one["meta"]) == ("MIT", "unknown", '{"width":"5"}')
    assert result.item("train/3.png")["meta"] == '{"text":"three","width":"7"}'
    (listed,) = [r for r in result.listing if "metadata" in r["uri"]]
    assert (listed["role"], listed["problem"], len(listed["sha256"])) == ("linked", None, 64)
    images = SourceParams("imagefolder", "real", "d", include=("*.png",))
    assert run(images).items == result.items


def test_rows_that_do_not_fit_are_rejects(put, run, image):
    put(**{"a/1.png": image(), "a/2.png": image(color=2), "secret.png": image(color=3), "b/metadata.jsonl": b""})
    rows = ['{"file_name": "1.png", "label": 1}', '{"file_name": "gone.png"}', "{", '{"label": "x"}',
            '{"file_name": 3}', '{"file_name": "1.png", "label": 2}', '{"file_name": "../../x.png"}',
            '{"file_name": "/etc/passwd"}',
            '{"file_name": "2.png", "origin": "mine"}', '{"file_name": "../secret.png", "label": "up"}']  # fmt: skip
    put(**{"a/metadata.jsonl": "\n".join(rows)})
    result = run(FOLDER)
    assert {i["uri"]: i["label"] for i in result.items} == {"a/1.png": "1", "secret.png": "up"}
    assert result.reasons() == {
        "a/metadata.jsonl#2": "missing-file",
        "a/metadata.jsonl#3": "invalid-json",
        "a/metadata.jsonl#4": "invalid-row",
        "a/metadata.jsonl#5": "invalid-row",
        "a/metadata.jsonl#6": "duplicate-name",
        "a/metadata.jsonl#7": "missing-file",
        "a/metadata.jsonl#8": "missing-file",
        "a/2.png": "invalid-origin",
        "b/metadata.jsonl": "empty",
    }


def test_what_gendata_exported_is_read_as_it_was(project, run, image):
    facts = [
        {"text": " a dog ", "label": "a/b %", "license": "MIT", "text_origin": "generated", "meta": {"n": [1]}},
        {"label": None},
        {"label": "_unlabelled"},
        {"label": "dog", "text": "a caption"},
    ]
    splits, origins = ("train", "valid", "test", "train"), ("real", "unknown", "generated", "real")
    rows = [
        Item(modality="image", uri=f"{n}", media_type="image/png", data=image(color=n), **given).row("s", origin, None)
        | {"split": split}
        for n, (given, split, origin) in enumerate(zip(facts, splits, origins, strict=True))
    ]
    (project / "d").mkdir()
    with exporter.Writer(project / "d") as writer:
        for row in rows:
            writer.write(row["split"], to_table([row], SCHEMA))
    result = run(FOLDER)
    assert not result.rejects
    back = {i["id"]: i for i in result.items}
    assert len(back) == len(rows)
    same = ("data", "text", "text_origin", "label", "license", "origin", "media_type", "modality")
    for row in rows:
        found = back[row["id"]]
        assert {k: found[k] for k in same} == {k: row[k] for k in same}
        assert found["source_split"] == row["split"]
        told = {"exported": {"source": "s", "uri": row["uri"]}}
        assert found["meta"] == canonical_json(json.loads(row["meta"]) | told)
    assert {i["origin"] for i in run(SourceParams("imagefolder", "generated", "d")).items} == {"generated"}


def test_a_file_is_no_imagefolder(project):
    (project / "d").write_bytes(b"x")
    with pytest.raises(ParamsError, match="is not a folder"):
        preview("s", FOLDER, project)


def fuzz(project, put, image, rounds, seed):
    rng = random.Random(seed)
    put(**{"a/1.png": image()})
    row = {"file_name": "a/1.png", "text": "t", "label": 1, "split": "val", "origin": "real", "meta": "{}"}
    row |= {"id": "", "modality": "image", "source": "s", "uri": "u", "media_type": "", "text_origin": ""}
    forms = {"jsonl": json.dumps(row).encode(), "csv": b"file_name,text,label\na/1.png,t,1\n"}
    for form, content in forms.items():
        for _ in range(rounds):
            mutated = mutate(rng, content)
            put(**{f"metadata.{form}": mutated})
            try:
                found = preview("s", FOLDER, project, n=100)
            except Exception as error:
                raise AssertionError(repr(mutated)) from error
            assert len({o.uri for o in found}) == len(found), mutated
            to_table([o.row("s", "real", None) for o in found if isinstance(o, Item)], ITEM_SCHEMA)
        (project / f"d/metadata.{form}").unlink()


def test_mutated_metadata(project, put, image):
    fuzz(project, put, image, rounds=200, seed=3)


@pytest.mark.soak
def test_mutated_metadata_at_length(project, put, image):
    fuzz(project, put, image, rounds=20_000, seed=random.randrange(2**32))
