"""The whole stage: what holds for every corpus, and what its params refuse."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata import params as sections
from gendata.dedup import DedupParams, ImageParams, TextParams
from gendata.errors import ParamsError
from gendata.items import ORIGINS, Item

PARAMS = DedupParams(
    workers=1, text=TextParams(shingle=2, threshold=0.6, group_threshold=0.3), prefer=("b",), image=ImageParams()
)
LOGS = ("logs",)
HALF = settings(max_examples=settings().max_examples // 2)  # each example writes and syncs files

words = st.lists(st.sampled_from("alpha beta gamma delta epsilon zeta".split()), max_size=12)
contents = st.one_of(
    words.map(" ".join),
    words.map(lambda w: " ".join(w).title()),
    words.map("".join),
    st.text(max_size=8),
    st.tuples(st.integers(0, 2), st.sampled_from([(96, 64), (48, 32), (80, 60)])),  # scene and size
)
known = st.fixed_dictionaries(
    {"origin": st.sampled_from(ORIGINS)},
    optional={"label": st.sampled_from("xy"), "license": st.just("MIT")},
)
rows = st.lists(st.tuples(st.sampled_from(["a", "b", "logs"]), contents, known), max_size=14)


@pytest.fixture(scope="module")
def corpus(text, image, scene):
    """Drawn rows to items by source; uris are unique."""

    def make(drawn) -> dict[str, list[Item]]:
        sources: dict[str, list[Item]] = {"a": [], "b": [], "logs": []}
        for i, (source, content, facts) in enumerate(drawn):
            if isinstance(content, str):
                sources[source].append(text(i, content, **facts))
            else:
                sources[source].append(image(i, scene(content[0]).resize(content[1]), known=facts))
        return sources

    return make


def decisions(out):
    return {(row["source"], row["uri"]): row for row in out.rows}


@HALF
@given(drawn=rows)
def test_every_row_is_accounted_for(box_for_examples, corpus, drawn):
    sources = corpus(drawn)
    out = box_for_examples(sources, PARAMS, exact_only=LOGS)
    item = {(s, i.uri): i for s, items in sources.items() for i in items}
    stays = {row["id"]: row for row in out.kept}
    summary = out.summary
    assert summary["read"] == len(out.rows) == len(drawn)
    assert summary["kept"] == len(out.kept) == len(stays)
    assert summary["kept"] + summary["dropped"] == summary["read"]
    assert sum(summary["dropped_by_reason"].values()) == summary["dropped"]
    assert sum(row["copies"] for row in out.kept) == summary["read"]
    for row in out.rows:
        keeper, mine = stays[row["kept_id"]], item[row["source"], row["uri"]]
        assert row["group"] == keeper["group"] <= row["kept_id"]
        if row["kept"]:
            assert (row["reason"], row["score"], row["kept_id"]) == (None, None, row["id"])
        else:
            assert row["copies"] == 0
            assert 0 < row["score"] <= 1
            origins = [ORIGINS.index(o) for o in (item[keeper["source"], keeper["uri"]].origin, mine.origin)]
            assert (origins[0] < origins[1]) == (row["reason"] == "origin-conflict")
            assert origins[0] <= origins[1]
        if row["reason"] in {"normalised", "near-text", "near-image"}:
            assert keeper["source"] != "logs"
            assert any(r["id"] == row["id"] and r["source"] != "logs" for r in out.rows)


@HALF
@given(drawn=rows, seed=st.integers(0, 99), shard_rows=st.integers(1, 9))
def test_order_and_shards_do_not_matter(box_for_examples, corpus, drawn, seed, shard_rows):
    sources = corpus(drawn)
    before = box_for_examples(sources, PARAMS, exact_only=LOGS)
    rng = random.Random(seed)
    names = rng.sample(sorted(sources), len(sources))
    shuffled = {name: rng.sample(sources[name], len(sources[name])) for name in names}
    after = box_for_examples(shuffled, PARAMS, exact_only=LOGS, shard_rows=shard_rows)
    assert decisions(after) == decisions(before)
    assert after.summary == before.summary


@HALF
@given(drawn=rows)
def test_what_is_kept_is_kept_again(box_for_examples, corpus, drawn):
    sources = corpus(drawn)
    kept = {(row["source"], row["uri"]) for row in box_for_examples(sources, PARAMS, exact_only=LOGS).kept}
    again = {name: [i for i in items if (name, i.uri) in kept] for name, items in sources.items()}
    assert box_for_examples(again, PARAMS, exact_only=LOGS).summary["dropped"] == 0


def test_near_copies_stay_where_near_removal_is_off(box, text, image, scene):
    line = "user 17 logged in from the office at nine"
    logs = [text("1", line), text("2", line + "!"), text("3", line), image("4", scene(1))]
    pages = [text("5", line.title()), text("6", line.upper()), image("7", scene(1), "JPEG", quality=80)]
    out = box({"logs": logs, "pages": pages}, exact_only=LOGS)
    assert {row["uri"]: row["reason"] for row in out.rows if not row["kept"]} == {
        "3": "exact",
        "6" if out.row("5")["kept"] else "5": "normalised",
    }
    assert all(row["group"] == row["id"] for row in out.rows if row["source"] == "logs")


def test_copies_of_a_near_copy_follow_it(box, text):
    line = "the quick brown fox jumps over the lazy dog"
    items = [text("short", line), text("copy", line), text("long", line + "."), text("real", line, origin="real")]
    generated = [Item(**{**_fields(i), "origin": "generated"}) for i in items[:3]]
    out = box({"a": [*generated, items[3]]})
    assert [(row["uri"], row["copies"]) for row in out.kept] == [("long", 4)]
    assert {row["uri"]: row["reason"] for row in out.rows if not row["kept"]} == {
        "short": "normalised",
        "copy": "normalised",
        "real": "origin-conflict",
    }
    assert {row["kept_id"] for row in out.rows} == {out.row("long")["id"]}
    assert out.row("real")["conflict_id"] == out.row("real")["id"]


def _fields(item):
    return {name: getattr(item, name) for name in ("modality", "uri", "media_type", "text")}


def test_a_near_match_of_another_origin_is_kept_and_named(box, text):
    line = "the quick brown fox jumps over the lazy dog"
    items = [text("r", line), text("u", line + "!", origin="unknown"), text("g", line.upper(), origin="generated")]
    out = box({"a": items[:1], "b": items[1:]})
    assert len(out.kept) == 3
    assert len({row["group"] for row in out.rows}) == 1
    assert out.row("g")["conflict_id"] is None
    assert out.row("u")["conflict_id"] == out.row("g")["id"]
    assert out.row("r")["conflict_id"] in {out.row("g")["id"], out.row("u")["id"]}
    conflicts = out.summary["conflicts"]
    assert (conflicts["exact"], conflicts["near"]) == (0, 2)
    assert sum(conflicts["by_sources"].values()) == len(conflicts["examples"]) == 2


def test_processes_decide_the_same_as_one(box, text, scene, image):
    rng = random.Random(3)
    vocabulary = [f"w{i}" for i in range(30)]
    items = [text(i, " ".join(rng.choices(vocabulary, k=rng.randrange(20)))) for i in range(60)]
    items += [image(f"i{i}", scene(i % 4).resize((60 + i, 45 + i))) for i in range(12)]
    rng.shuffle(items)
    outs = [box({"a": items}, DedupParams(workers=n), shard_rows=20) for n in (1, 2)]
    assert outs[0].rows == outs[1].rows
    assert outs[0].summary == outs[1].summary


def test_the_same_rows_give_the_same_bytes_and_nothing_is_left_behind(box, tmp_path, text):
    bytes_of = []
    for _ in range(2):
        box({"a": [text(i, f"{i} and so on") for i in range(5)]})
        bytes_of.append((tmp_path / "out" / "a" / "00000.parquet").read_bytes())
    assert bytes_of[0] == bytes_of[1]
    assert not list((tmp_path / ".gendata" / "work").iterdir())


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"text": {"threshold": 0}}, "dedup.text: threshold must be over 0 and at most 1"),
        ({"text": {"threshold": 0.4}}, "dedup.text: group_threshold must be over 0 and at most threshold"),
        ({"text": {"shingle": 0}}, "dedup.text: shingle must be from 1 to 100"),
        ({"text": {"permutations": 2}}, "dedup.text: permutations: 2 are too few for recall 0.98 at threshold 0.8"),
        ({"text": {"recall": 1.0}}, "dedup.text: recall must be between 0 and 1"),
        ({"image": {"radius": 65}}, "dedup.image: radius must be from 0 to 64"),
        ({"image": {"group_radius": 3}}, "dedup.image: group_radius must be from radius to 64"),
        ({"image": {"correlation": 0.5}}, "dedup.image: group_correlation must be over 0 and at most correlation"),
        ({"image": {"min_entropy": 9}}, "dedup.image: min_entropy must be from 0 to 8"),
        ({"image": {"min_contrast": -1}}, "dedup.image: min_contrast must be 0 or more"),
        ({"workers": -1}, "dedup: workers must be 0 or more"),
        ({"prefer": ["a", "a"]}, "dedup: prefer must not name a source twice"),
    ],
)
def test_params_out_of_range(section, message):
    with pytest.raises(ParamsError) as error:
        sections.build(DedupParams, section, "dedup")
    assert str(error.value) == message


def test_params_from_a_section():
    built = sections.build(DedupParams, {"text": {"shingle": 3}, "prefer": ["a", "b"]}, "dedup")
    assert built == DedupParams(text=TextParams(shingle=3), prefer=("a", "b"))
