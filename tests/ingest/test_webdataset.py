import json
import random

import pytest
from packing import PACKERS, tarred

from gendata.errors import ParamsError
from gendata.export import webdataset as exporter
from gendata.export.rows import SCHEMA
from gendata.ingest import IngestParams, SourceParams, preview
from gendata.items import ITEM_SCHEMA, Item, canonical_json, content_id, to_table
from tests.ingest.test_fuzz import mutate


def shards(path="w.tar", origin="real", **options):
    return SourceParams("webdataset", origin, path, **options)


@pytest.fixture
def read(project, run):
    def _read(members, name="w.tar", params=None, **options):
        (project / name).write_bytes(tarred(members, name.removeprefix("w")))
        return run(shards(name, **options), params)

    return _read


def obj(**facts):
    return json.dumps(facts).encode()


@pytest.mark.parametrize("suffix", PACKERS)
def test_samples_are_items(read, image, suffix):
    a, b = image(color=1), image("JPEG", color=2)
    result = read(
        [
            ("d/a.png", a), ("d/a.txt", b" a dog\n"), ("d/a.cls", b"3"),
            ("b.json", obj(label=5, split="val", license="MIT", origin="generated", caption="no", url="u", n=[1, 2])),
            ("b.caption", b"a cat"), ("b.JPG", b),
            ("c.txt", b" kept as it is\n"), ("c.cls", b" dog house\n"),
            ("e.md", b"# h"), ("e.json", obj(title="t", split="fold1")),
            ("f.json", obj(text="of json", key="f")),
            ("g.png", a), ("g.json", obj(caption="a caption", label=None)),
        ],
        f"w{suffix}",
    )  # fmt: skip
    assert not result.rejects
    uris = [i["uri"].removeprefix(f"w{suffix}!") for i in result.items]
    assert uris == ["d/a", "b", "c", "e", "f", "g"]
    kept = [(i["modality"], i["text"], i["label"], i["text_origin"], json.loads(i["meta"])) for i in result.items]
    assert kept == [
        ("image", "a dog", "3", "caption-file", {}),
        ("image", "a cat", "5", "caption-file", {"caption": "no", "url": "u", "n": [1, 2]}),
        ("text", " kept as it is\n", "dog house", None, {}),
        ("text", "# h", None, None, {"title": "t", "split": "fold1"}),
        ("text", "of json", None, None, {"key": "f"}),
        ("image", "a caption", None, "json", {}),
    ]
    (item,) = [i for i in result.items if i["uri"].endswith("!b")]
    assert (item["origin"], item["license"], item["source_split"], item["data"]) == ("generated", "MIT", "valid", b)


def test_what_does_not_read_is_a_reject(read, image):
    result = read(
        [
            ("a.png", image()), ("a.txt", b"\xff"),
            ("b.png", b"no image"), ("b.txt", b"caption of nothing"),
            ("c.png", image()), ("c.json", b"{"),
            ("d.png", image()), ("d.json", b"[1]"),
            ("e.png", image()), ("e.cls", b"\xff"),
            ("f.txt", b"f"), ("f.npy", b"..."), ("f.caption", b"and another"),
            ("g.json", obj(n=1)),
            ("h.txt", b"h"), ("i.txt", b"i"), ("h.png", image()),
            ("noext", b"x"), ("noext.txt", b"text"),
            ("j.txt", b"j"), ("j.txt", b"k"),
            ("l.png", image()), ("l.json", obj(origin="mine")),
            ("m.txt", b""),
            ("../n.txt", b"n"),
        ]
    )  # fmt: skip
    assert {i["uri"].partition("!")[2]: i["text"] for i in result.items} == {
        "a": None, "f": "f", "h": "h", "i": "i", "noext": "text", "j": "j",
    }  # fmt: skip
    assert {uri.partition("!")[2]: reason for uri, reason in result.reasons().items()} == {
        "a.txt": "caption-invalid",
        "b": "not-an-image",
        "c": "invalid-json",
        "d": "invalid-json",
        "e": "invalid-utf8",
        "f.npy": "unsupported-type",
        "f.caption": "surplus-member",
        "g": "empty",
        "h#2": "duplicate-key",
        "noext!": "unsupported-type",
        "j.txt#2": "duplicate-name",
        "l": "invalid-origin",
        "m": "empty",
        "../n.txt": "path-outside",
    }


def test_origin_is_never_above_that_of_the_source(read):
    members = [(f"{o}.json", obj(text=o, origin=o)) for o in ("real", "unknown", "generated")]
    result = read(members, origin="unknown")
    assert [i["origin"] for i in result.items] == ["unknown", "unknown", "generated"]


def test_a_glob_of_shards(project, run):
    (project / "d/more").mkdir(parents=True)
    for i in range(12):
        (project / f"d/w-{i:03}.tar").write_bytes(tarred([("a.txt", b"%d" % i)]))
    (project / "d/readme.md").write_text("beside")
    (project / "d/more/x.tgz").write_bytes(tarred([("b.txt", b"x")], ".tar.gz"))

    def texts(path, **options):
        return [i["text"] for i in run(shards(path, **options)).items]

    assert texts("d/w-{003..004}.tar") == ["3", "4"]
    assert texts("d/w-00[1-2].tar") == ["1", "2"]
    assert texts("d/{more/*,w-011}.{tgz,tar}") == ["x", "11"]
    assert texts(str(project / "d" / "w-{9..010}.tar")) == ["9", "10"]
    assert texts("d", exclude=("w-00?.tar",)) == ["x", "10", "11"]
    assert run(shards("d")).reasons() == {"readme.md": "unsupported-type"}
    assert run(shards("d/none-*.tar")).summary["enumerated"] == 0
    for path, message in (
        ("gone/*.tar", "there is no folder"),
        ("d/w-{0..9999999}.tar", "stands for more than"),
        ("d/{a,b}{0..9999}{0..9999}.tar", "stand for more than"),
        ("d/readme.md", "is neither a folder nor"),
        ("d/[z-a].tar", "not valid"),
    ):
        with pytest.raises(ParamsError, match=message):
            run(shards(path))


def test_a_glob_never_names_what_gendata_writes(project, run):
    (project / "artifacts").mkdir()
    (project / "artifacts/a.tar").write_bytes(tarred([("a.txt", b"derived")]))
    (project / "a.tar").write_bytes(tarred([("a.txt", b"mine")]))
    assert [i["text"] for i in run(shards("**/*.tar")).items] == ["mine"]


def test_what_gendata_exported_is_read_as_it_was(project, run, image):
    def item(origin, split, **facts):
        return Item(uri="x", **facts).row("s", origin, None) | {"split": split}

    rows = [
        item("real", "train", modality="image", media_type="image/png", data=image(), text=" spaced ", label="a b",
             license="MIT", text_origin="generated", meta={"n": [1, {"x": None}]}),
        item("real", "valid", modality="image", media_type="image/jpeg", data=image("JPEG"), label=""),
        item("unknown", "test", modality="text", media_type="text/markdown", text=" # h\r\n", license="CC0-1.0"),
        item("generated", "train", modality="record", media_type="text/plain", text="user: a\n\nassistant: b",
             meta={"chat": {"roles": ["user", "assistant"]}}),
        item("real", "train", modality="audio", media_type="application/x-none", data=b"none", text="a transcript"),
    ]  # fmt: skip
    (project / "out").mkdir()
    with exporter.Writer(project / "out") as writer:
        for row in rows:
            writer.write(row["split"], to_table([row], SCHEMA))
    result = run(shards("out", "real"))
    by_id = {i["id"]: i for i in result.items}
    assert by_id.keys() == {row["id"] for row in rows[:4]}
    for row in rows[:4]:
        back = by_id[row["id"]]
        assert back["source_split"] == row["split"]
        same = ("modality", "origin", "media_type", "data", "license", "text_origin")
        assert {k: back[k] for k in same} == {k: row[k] for k in same}
        assert (back["label"] or "") == (row["label"] or "")
        assert back["text"] == row["text"]
        told = {"exported": {"source": "s", "uri": "x"}}
        assert back["meta"] == canonical_json(json.loads(row["meta"]) | told)
    assert set(result.reasons().values()) == {"empty", "unsupported-type"}  # what is of no type that is read
    assert {i["origin"] for i in run(shards("out", "generated")).items} == {"generated"}


def test_what_the_package_webdataset_wrote(project, run, image):
    import webdataset

    with webdataset.ShardWriter(str(project / "w-%03d.tar"), maxcount=2, verbose=0) as sink:
        for i in range(5):
            sample = {"__key__": f"k{i}", "png": image(color=i), "cls": i, "txt": f"caption {i}", "json": {"n": i}}
            sink.write(sample)
    result = run(shards("w-{000..002}.tar"))
    assert not result.rejects
    assert [(i["uri"], i["id"], i["label"], i["text"], i["meta"]) for i in result.items] == [
        (f"w-00{i // 2}.tar!k{i}", content_id(image(color=i)), str(i), f"caption {i}", f'{{"n":{i}}}') for i in range(5)
    ]


def test_a_shard_that_is_cut(project, image):
    members = [(f"{i}.{e}", c) for i in range(4) for e, c in (("txt", b"caption"), ("png", image()), ("cls", b"1"))]
    content = tarred(members)
    path = project / "w.tar"
    for end in random.Random(1).sample(range(1, len(content)), 40):
        path.write_bytes(content[:end])
        *found, last = preview("s", shards(), project, n=99)
        assert [(o.uri, o.label, o.text) for o in found] == [(f"w.tar!{i}", "1", "caption") for i in range(len(found))]
        if isinstance(last, Item):
            assert content[end:].strip(b"\0") == b""
        else:
            assert (last.uri, last.reason) == ("w.tar", "truncated-archive")


def test_limits(read, image):
    members = [("a.png", image()), ("a.txt", b"long" * 1000), ("b.png", image(size=(300, 300))), ("c.txt", b"c" * 2000)]
    assert read(members, params=IngestParams(max_file_bytes=1000, max_pixels=1000)).reasons() == {
        "w.tar!a.txt": "caption-invalid", "w.tar!b": "too-many-pixels", "w.tar!c": "too-large",
    }  # fmt: skip


def fuzz(project, image, rounds, seed):
    rng = random.Random(seed)
    facts = obj(text="t", label=1, split="train", origin="real", meta="{}", a=[1])
    members = [("a.png", image()), ("a.json", facts), ("a.txt", b"caption"), ("b.json", facts), ("b.cls", b"1")]
    for _ in range(rounds):
        changed = [(n, mutate(rng, c) if rng.random() < 0.3 else c) for n, c in members]
        content = tarred(changed)
        (project / "w.tar").write_bytes(mutate(rng, content) if rng.random() < 0.5 else content)
        try:
            found = preview("s", shards(), project, n=1000, params=IngestParams(max_pixels=10_000, workers=1))
        except Exception as error:
            raise AssertionError(repr(changed)) from error
        assert len({o.uri for o in found}) == len(found), changed
        to_table([o.row("s", "real", None) for o in found if isinstance(o, Item)], ITEM_SCHEMA)  # it can be written
        assert all(o.detail.isprintable() for o in found if not isinstance(o, Item))


def test_mutated_shards(project, image):
    fuzz(project, image, rounds=300, seed=5)


@pytest.mark.soak
def test_mutated_shards_at_length(project, image):
    fuzz(project, image, rounds=50_000, seed=random.randrange(2**32))
