import json
import random

import pyarrow as pa
import pytest
from ingest.test_fuzz import mutate
from sounds import sound

from gendata.errors import ParamsError
from gendata.ingest import IngestParams, SourceParams, infer_source, load_sources, preview
from gendata.items import ITEM_SCHEMA, Item, to_table

DIFFERS = {"uri", "file_sha256"}


@pytest.fixture
def datasets(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = pytest.importorskip("datasets", reason="the extra dev has datasets")
    found.disable_progress_bars()
    yield found
    found.enable_progress_bars()


def source(path="d", **options):
    return SourceParams("hf", "real", path, **options)


def alike(items, *, but=frozenset()):
    return [{k: v for k, v in i.items() if k not in DIFFERS | but} for i in items]


def by_hand(folder, table, features, *, files=1, **info):
    """What ``datasets`` would write, without it."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{files:05d}.arrow" for i in range(files)]
    for i, name in enumerate(names):
        part = table.slice(i * len(table) // files, (i + 1) * len(table) // files - i * len(table) // files)
        with pa.ipc.new_stream(folder / name, table.schema) as writer:
            writer.write_table(part, 3)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": n} for n in names], "_split": None}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features, **info}))


def classes(*names):
    return {"_type": "ClassLabel", "names": names}


def test_texts_equal_the_rows_of_a_table(project, run, datasets):
    rows = {"text": [f"text {i}" for i in range(20)], "n": list(range(20)), "split": ["train", "val"] * 10}
    saved = datasets.Dataset.from_dict(rows)
    saved.save_to_disk("d", num_shards=3)
    saved.to_parquet("t.parquet")
    result = run(source())
    assert alike(result.items) == alike(run(SourceParams("table", "real", "t.parquet")).items)
    assert result.items[0]["uri"] == "data-00000-of-00003.arrow#1"
    assert {e["role"] for e in result.listing} == {"unit", "linked"}


def test_images_and_classes_are_found_by_their_types(project, run, datasets, image):
    features = datasets.Features(
        {"img": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"]), "note": datasets.Value("string")}
    )
    pictures = [image(color=c) for c in (10, 90, 200)]
    cells = {"img": [{"bytes": b, "path": None} for b in pictures], "kind": [1, 0, -1], "note": ["a", "b", "c"]}
    datasets.Dataset.from_dict(cells, features=features).save_to_disk("d")
    items = run(source()).items
    assert [i["data"] for i in items] == pictures
    assert [i["label"] for i in items] == ["dog", "cat", None]
    assert json.loads(items[0]["meta"])["note"] == "a"
    mapped = run(source(map={"image": "img", "text": "note"})).items
    assert [(i["text"], i["label"]) for i in mapped] == [("a", None), ("b", None), ("c", None)]
    assert json.loads(mapped[0]["meta"])["kind"] == "dog"


def test_audio(project, run):
    tone = sound("a.wav", frames=3000)
    table = pa.table({"clip": [{"bytes": tone, "path": "a.wav"}], "text": ["a tone"]})
    by_hand(project / "d", table, {"clip": {"_type": "Audio"}, "text": {"_type": "Value", "dtype": "string"}})
    (item,) = run(source()).items
    assert (item["modality"], item["data"], item["text"]) == ("audio", tone, "a tone")


def test_splits_and_license(project, run, datasets):
    texts = datasets.Dataset.from_dict({"text": ["a", "b", "c"]})
    texts.info.license = "CC-BY-4.0"
    several = {"train": texts, "validation": texts.select([2, 0]), "unsupervised": texts.select([1])}
    datasets.DatasetDict(several).save_to_disk("d")
    items = run(source(license="MIT")).items
    assert {i["license"] for i in items} == {"CC-BY-4.0"}
    found = {i["uri"].split("/")[0]: [] for i in items}
    for i in items:
        found[i["uri"].split("/")[0]].append((i["text"], i["source_split"], i["meta"]))
    assert found == {
        "train": [(t, "train", "{}") for t in "abc"],
        "unsupervised": [("b", None, '{"split":"unsupervised"}')],
        "validation": [("c", "valid", "{}"), ("a", "valid", "{}")],
    }
    assert [i["text"] for i in run(source(split="validation")).items] == ["c", "a"]
    with pytest.raises(ParamsError, match="no split 'dev'; there are: train, validation, unsupervised"):
        preview("s", source(split="dev"), project)


def test_bad_rows_are_rejects(project, run):
    table = pa.table({"text": ["a", "b", None, "d"], "label": [0, 7, 1, None]})
    by_hand(project / "d", table, {"label": classes("x", "y")}, files=2)
    result = run(source())
    assert [(i["text"], i["label"]) for i in result.items] == [("a", "x"), ("d", None)]
    assert result.reasons() == {
        "data-00000-of-00002.arrow#2": "invalid-row",
        "data-00001-of-00002.arrow#1": "empty",
    }


def test_classes_in_lists_are_named(project, run):
    feature = {"_type": "List", "feature": classes("x", "y")}
    by_hand(project / "d", pa.table({"text": ["a"], "tags": [[1, 0]]}), {"tags": feature})
    assert run(source()).items[0]["meta"] == '{"tags":["y","x"]}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.json", "{"),
        ("state.json", "[]"),
        ("state.json", '{"_data_files": [{"filename": "../../secret.arrow"}]}'),
        ("state.json", '{"_data_files": []}'),
        ("state.json", '{"_data_files": [{"filename": "x"}], "_indices_files": [{"filename": "indices.arrow"}]}'),
        ("dataset_info.json", '{"features": 3}'),
        ("dataset_info.json", "[" * 100_000),
    ],
)
def test_broken_metadata_costs_its_split(project, run, name, content):
    for split in ("train", "test"):
        by_hand(project / "d" / split, pa.table({"text": ["a"]}), {})
    (project / "d/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    (project / "d/train" / name).write_text(content)
    result = run(source())
    assert [i["uri"] for i in result.items] == ["test/data-00000-of-00001.arrow#1"]
    assert list(result.reasons().values()) == ["corrupt-metadata"]


def test_a_change_of_what_a_number_means_is_seen(project, run):
    by_hand(project / "d", pa.table({"text": ["a"], "label": [0]}), {"label": classes("x")})
    before = run(source())
    (project / "d/dataset_info.json").write_text(json.dumps({"features": {"label": classes("z")}}))
    after = run(source())
    assert before.listing != after.listing
    assert after.items[0]["label"] == "z"


def test_infer_source_and_errors(project):
    by_hand(project / "d", pa.table({"text": ["a"]}), {})
    (project / "plain").mkdir()
    assert (infer_source("d"), infer_source("plain")) == ("hf", "folder")
    with pytest.raises(ParamsError, match="not a folder that datasets saved"):
        preview("s", source("plain"), project)
    with pytest.raises(ParamsError, match="path or repo is missing"):
        load_sources({"s": {"kind": "hf", "origin": "real"}}, project)


def test_the_hub_is_not_asked_unless_allowed(project, monkeypatch):
    wanted = SourceParams("hf", "real", repo="user/data")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(ParamsError, match="HF_HUB_OFFLINE=0 allows to ask the hub"):
        preview("s", wanted, project)
    with pytest.raises(ParamsError, match="is not user/name"):
        preview("s", SourceParams("hf", "real", repo="../x"), project)


def fuzz(project, rounds, seed, image):
    rng = random.Random(seed)
    cells = {"image": [{"bytes": image(size=(3, 3)), "path": "p"}] * 12, "label": [0, 1] * 6, "text": ["é"] * 12}
    by_hand(project / "d", pa.table(cells), {"image": {"_type": "Image"}, "label": classes("x", "y")})
    contents = {p: p.read_bytes() for p in (project / "d").iterdir()}
    for _ in range(rounds):
        path = rng.choice(sorted(contents))
        mutated = mutate(rng, contents[path])
        path.write_bytes(mutated)
        outcomes = preview("s", source(), project, n=1000, params=IngestParams(max_pixels=100_000, workers=1))
        to_table([o.row("s", "real", None) for o in outcomes if isinstance(o, Item)], ITEM_SCHEMA)
        assert all(o.reason and o.detail.isprintable() for o in outcomes if not isinstance(o, Item)), mutated
        path.write_bytes(contents[path])


def test_mutated_data_sets(project, image):
    fuzz(project, 200, 7, image)


@pytest.mark.soak
def test_mutated_data_sets_at_length(project, image):
    fuzz(project, 20_000, random.randrange(2**32), image)
