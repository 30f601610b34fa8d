"""Outputs: marked, traceable, the same bytes for the same request, item by item; and gathered for their store."""

import io
import json
from xml.etree import ElementTree

import pytest
from PIL import Image
from train import toys

from gendata import files
from gendata.errors import ParamsError, QueryError, StoreError
from gendata.generate import GenerateParams, generate, load_generate, write_outputs
from gendata.generate.collect import gather
from gendata.items import OUTPUT_SCHEMA, content_id, to_table
from gendata.models.checkpoint import open_checkpoint
from gendata.models.request import ImageRequest
from gendata.records.outputs import write_adhoc
from gendata.tracking import NullTracker
from gendata.train import train

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
OURS = "{https://gendata.invalid/ns/1.0/}"


@pytest.fixture
def checkpoint(images, tmp_path):
    train("toy", images, toys.Config(steps=2), tmp_path / "trained", NullTracker())
    return open_checkpoint(tmp_path / "trained")


def asked(n=5, seed=0, **request):
    return GenerateParams(n=n, seed=seed, request=ImageRequest(**request))


def test_an_output_says_what_made_it(checkpoint, images):
    rows = list(generate(checkpoint, asked(3)))
    assert to_table(rows, OUTPUT_SCHEMA).num_rows == 3
    for i, row in enumerate(rows):
        assert row["id"] == content_id(row["data"])
        assert (row["origin"], row["modality"], row["source"], row["model"]) == ("generated", "image", "toy", "toy")
        assert (row["checkpoint_id"], row["manifest_id"]) == (checkpoint.id, images.manifest.id)
        assert json.loads(row["request"]) == {"label": None, "truncation": 1.0, "index": i}
        assert row["label"] == row["text"] == "ab"[i % 2]
        assert (row["text_origin"], row["source_split"], row["created_at"]) == ("request", "generated", None)
    assert len({row["uri"] for row in rows}) == 3


def test_a_png_carries_the_mark_and_the_checkpoint(checkpoint):
    row = next(generate(checkpoint, asked(1)))
    with Image.open(io.BytesIO(row["data"])) as image:
        image.load()
        assert image.size == (8, 8)
        assert image.info["gendata:checkpoint"] == checkpoint.id
        (mark,) = ElementTree.fromstring(image.info["XML:com.adobe.xmp"]).iter(f"{RDF}Description")
    assert (
        mark.get(f"{IPTC}DigitalSourceType") == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    )
    assert (mark.get(f"{OURS}checkpoint"), mark.get(f"{OURS}family")) == (checkpoint.id, "toy")


def test_item_i_is_the_same_however_many_are_asked_for(checkpoint):
    many = [row["id"] for row in generate(checkpoint, asked(120))]
    assert len(set(many)) == 120
    for n in (1, 7, 50, 51):
        assert [row["id"] for row in generate(checkpoint, asked(n))] == many[:n]
    assert [row["id"] for row in generate(checkpoint, asked(3, seed=1))] != many[:3]


def test_a_label_is_given_and_an_unknown_one_named(checkpoint):
    assert {row["label"] for row in generate(checkpoint, asked(4, label="b"))} == {"b"}
    with pytest.raises(QueryError, match="label 'z' is none that toy knows: a, b"):
        next(generate(checkpoint, asked(1, label="z")))


def test_the_same_request_gives_the_same_files(checkpoint, tmp_path):
    for name in ("one", "two"):
        assert write_outputs(tmp_path / name, generate(checkpoint, asked(60))) == {"items": 60, "distinct": 60}
    one, two = (files.shard_path(tmp_path / name, 0).read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0}, "n: must be at least 1"),
        ({"n": "many"}, "n: must be a whole number"),
        ({"seed": -1}, "seed: must be between 0"),
        ({"prompt": "x"}, "unknown key 'prompt'; allowed: n, seed, label, truncation"),
        ({"truncation": 2.0}, "truncation: must be above 0"),
        ([], "must be a mapping"),
    ],
)
def test_params_are_checked(given, message):
    with pytest.raises(ParamsError, match=message):
        load_generate("gan", given, "params.yaml: generate.gan")


def test_all_outputs_are_gathered_once(checkpoint, tmp_path):
    generated, adhoc = tmp_path / "generated", tmp_path / "records" / "outputs"
    write_outputs(generated / "toy" / "items", generate(checkpoint, asked(5)))
    write_adhoc(tmp_path, generate(checkpoint, asked(8), "2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z", checkpoint.id)
    (adhoc / "20260102-broken.parquet").write_bytes(b"")
    sources = gather(generated, adhoc, ["toy"], tmp_path / "out")
    assert sources == {
        "adhoc": {"kind": "model", "origin": "generated"},
        "toy": {"kind": "model", "origin": "generated"},
    }
    rows = files.read_table(files.shard_path(tmp_path / "out" / "toy" / "items", 0)).to_pylist()
    assert [r["id"] for r in rows] == [r["id"] for r in generate(checkpoint, asked(8))]  # five were there already
    assert [r["created_at"] for r in rows] == [None] * 5 + ["2026-01-01T00:00:00Z"] * 3
    (reject,) = files.read_table(tmp_path / "out" / "adhoc" / "rejected.parquet").to_pylist()
    assert (reject["uri"], reject["reason"]) == ("outputs/20260102-broken.parquet", "corrupt-parquet")


def test_an_output_that_claims_to_be_real_is_refused(checkpoint, tmp_path):
    rows = [row | {"origin": "real"} for row in generate(checkpoint, asked(2))]
    write_outputs(tmp_path / "generated" / "toy" / "items", iter(rows))
    with pytest.raises(StoreError, match="claims to be real, not generated"):
        gather(tmp_path / "generated", tmp_path / "none", ["toy"], tmp_path / "out")


def test_an_output_without_provenance_is_a_reject(checkpoint, tmp_path):
    rows = [row | {"checkpoint_id": None} for row in generate(checkpoint, asked(2))]
    write_outputs(tmp_path / "generated" / "toy" / "items", iter(rows))
    gather(tmp_path / "generated", tmp_path / "none", ["toy"], tmp_path / "out")
    rejected = files.read_table(tmp_path / "out" / "toy" / "rejected.parquet")
    assert rejected["reason"].to_pylist() == ["no-provenance"] * 2
