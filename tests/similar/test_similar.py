"""Stage similar: who would stay, across origins, sources, modalities and splits; what is left out."""

import json
from pathlib import Path

import numpy as np
import pytest

from gendata import files, params
from gendata.errors import ParamsError, StoreError
from gendata.keep import KNOWN
from gendata.similar import SimilarParams
from pipelines import similar as script


def test_what_is_like_one_that_stays_would_go_and_nothing_goes_unasked(box, thing, at):
    things = [thing("a", at(1), size=30), thing("b", at(0.96), size=20), thing("c", at(0.88, axis=2), size=10)]
    found = box({"s": things}, SimilarParams(text_threshold=0.94))
    assert found.pairs() == {"b": "a"}
    assert found.rows["b"]["score"] == pytest.approx(0.96, abs=1e-3)
    assert all(row["kept"] for row in found.rows.values())
    assert found.summary["similar"] == 1
    assert found.summary["kept"] == found.summary["items"] == 3
    counts = {"0.8": 2, "0.85": 2, "0.9": 1, "0.94": 1, "0.95": 1, "0.97": 0, "0.99": 0}
    assert found.summary["would_go"]["text"] == counts


def test_told_to_it_removes(box, thing, at):
    things = [thing("a", at(1), size=30), thing("b", at(0.97), size=20), thing("c", at(0.5), size=10)]
    found = box({"s": things}, SimilarParams(remove=True))
    assert {name: row["kept"] for name, row in found.rows.items()} == {"a": True, "b": False, "c": True}
    assert found.rows["b"]["reason"] == "similar"
    assert found.rows["b"]["kept_id"] == things[0].id
    assert found.summary["kept"] == 2


def test_no_chains_and_the_best_of_those_that_stay(box, thing):
    def turned(degrees):
        return [[np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]]

    # 15 degrees are cosine 0.966: b goes for a, c is like b alone and stays, d is like a (12) and like c (6)
    things = [thing(n, turned(d), size=s) for n, d, s in (("a", 0, 9), ("b", 15, 8), ("c", 18.5, 7), ("d", 12, 6))]
    found = box({"s": things}, SimilarParams(text_threshold=0.96))
    assert found.pairs() == {"b": "a", "d": "c"}


def test_policy_says_who_stays(box, thing, at):
    labelled = thing("labelled", at(1), label="x", size=1)
    licensed = thing("licensed", at(1), license="MIT", size=1)
    long, short = thing("long", at(1), size=50), thing("short", at(1), size=5)
    assert set(box({"s": [short, long, licensed, labelled]}).pairs().values()) == {"labelled"}
    assert set(box({"s": [short, licensed, long]}).pairs().values()) == {"licensed"}
    assert set(box({"s": [short, long]}).pairs().values()) == {"long"}
    assert box({"s": [long], "t": [short]}, policy=(("t",), KNOWN)).pairs() == {"long": "short"}


def test_origins_are_never_merged_and_that_is_a_finding(box, thing, at):
    things = [thing("r", at(1)), thing("g", at(0.99), origin="generated"), thing("s", at(0.98), size=1)]
    found = box({"s": things}, SimilarParams(remove=True))
    assert found.pairs() == {"s": "r"}
    assert found.rows["r"]["conflict_id"] == things[1].id
    assert found.rows["r"]["conflict_score"] == pytest.approx(0.99, abs=1e-3)
    assert found.rows["g"]["conflict_id"] is None  # the higher origin names the lower
    assert found.summary["origin_conflicts"] == {"s / s": 2}


def test_modalities_are_compared_with_themselves(box, thing, at):
    kinds = ("text", "record", "image", "audio")
    things = [thing(f"{kind}{n}", at(1), modality=kind, size=9 - n) for kind in kinds for n in range(2)]
    found = box({"s": things})
    assert found.pairs() == {"text1": "text0", "record1": "record0", "image1": "image0"}
    assert found.summary["across_modalities"] == {"joint": False, "images": 0}


def test_an_image_is_compared_with_texts_where_one_model_made_both(box, thing, at):
    things = [
        thing("picture", at(1), modality="image"),
        thing("other", at(0.5, axis=3), modality="image"),
        thing("story", [*at(0.1, axis=2), *at(0.6, axis=2)]),
        thing("words", at(0.4)),
    ]
    found = box({"s": things}, SimilarParams(remove=True, across_threshold=0.55), joint=True)
    assert all(row["kept"] for row in found.rows.values())
    assert found.rows["picture"]["across_id"] == things[2].id
    assert found.rows["picture"]["across_score"] == pytest.approx(0.6, abs=1e-3)
    assert found.rows["other"]["across_id"] is None
    assert found.summary["across_modalities"] == {"joint": True, "images": 1}


def test_sources_without_dedup_and_dropped_copies_take_no_part(box, thing, at):
    found = box({"s": [thing("a", at(1))], "logs": [thing("b", at(1)), thing("c", at(1))]}, dedup_off=("logs",))
    assert found.pairs() == {}
    assert found.summary["not_compared"]["dedup_off"] == 2
    assert box({"s": [thing("a", at(1), kept=False), thing("b", at(1))]}).pairs() == {}


def test_pairs_over_splits_and_sources_are_counted(box, thing, at):
    train, test = thing("a", at(1), size=30), thing("b", at(0.99), size=20, split="test")
    found = box({"s": [train], "t": [test, thing("c", at(0.98), size=5)]})
    assert found.summary["by_sources"] == {"s / t": 2}
    assert found.summary["across_splits"] == {"train / test": 1}
    assert [pair["similar"]["uri"] for pair in found.summary["examples"]] == ["c", "b"]  # the nearest to the threshold


def test_what_has_no_vector_is_counted_and_stays(box, thing, at):
    zero, nan = np.zeros((1, 8)), np.full((1, 8), np.nan)
    found = box({"s": [thing("a", at(1)), thing("none", []), thing("zero", zero), thing("nan", nan)]})
    assert found.pairs() == {}
    assert found.summary["not_compared"] == {"dedup_off": 0, "no_vector": 1, "no_direction": 2}


@pytest.mark.parametrize("count", [0, 1])
def test_few_items_and_none(box, thing, at, count):
    found = box({"s": [thing("a", at(1))][:count]})
    assert found.summary["items"] == count
    assert found.pairs() == {}
    assert box({"s": [thing("a", [])]}).summary["not_compared"]["no_vector"] == 1
    assert box({}).summary["items"] == 0


def test_the_script_reads_who_is_preferred_and_which_models_there_were(box, thing, at):
    picture, words = thing("p", at(1), modality="image"), thing("w", at(0.5))
    box.write(
        {"a": [thing("long", at(1), size=50), picture], "b": [thing("short", at(1)), words], "c": [thing("x", at(1))]}
    )
    sources = {name: {"kind": "folder", "origin": "real"} for name in "abc"} | {"c": {"dedup": False}}
    Path("params.yaml").write_text(json.dumps({"sources": sources, "dedup": {"prefer": ["b"]}, "similar": {}}))
    encoders, found = Path("embed.json"), Path("similar.json")
    for text, image in (("m", "m"), ("m", "n"), ("m", None)):
        models = {"text": {"model": text}} | ({"image": {"model": image}} if image else {})
        files.write_json(encoders, models)
        script.run(*(Path(n) for n in ("ingest", "dedup", "tag", "embed")), encoders, Path("out"), found)
        summary = files.read_json(found)
        assert summary["across_modalities"] == {"joint": text == image, "images": int(text == image)}
        assert summary["by_sources"] == {"b / a": 1}
        assert summary["not_compared"]["dedup_off"] == 1


@pytest.mark.parametrize("stage", ["tag", "embed"])
def test_shards_of_another_run_are_refused(box, thing, at, stage):
    shard = Path(stage, "s", "00000.parquet")
    box.write({"s": [thing("a", at(1)), thing("b", at(0.1))]})
    before = shard.read_bytes()
    box.write({"s": [thing("a", at(1)), thing("c", at(0.1))]})
    shard.write_bytes(before)
    with pytest.raises(StoreError, match="of s shard 0"):
        box.run({"s": True})


@pytest.mark.parametrize(
    "wrong", [{"text_threshold": 0.2}, {"image_threshold": 1.0}, {"across_threshold": 0}, {"remove": "yes"}, {"x": 1}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ParamsError, match=next(iter(wrong))):
        params.build(SimilarParams, wrong, "similar")
