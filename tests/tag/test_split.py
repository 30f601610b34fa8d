import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata import files
from gendata.tag import TagParams, tag
from gendata.tag.split import RANK_BELOW, Splitter, by_rank

SHARES = {"train": 0.9, "valid": 0.05, "test": 0.05}
ORDERED = (("train", 0.9), ("test", 0.05), ("valid", 0.05))


def splits(corpus_paths, source="a", **params) -> list[str]:
    tag(*corpus_paths, [source], Path("out"), TagParams(taggers=(), workers=1, **params))
    return [s for p in files.shards(Path("out") / source) for s in files.read_table(p)["split"].to_pylist()]


@pytest.mark.parametrize(
    ("group", "seed", "split"),
    [("g0", 0, "train"), ("g1", 0, "train"), ("g6", 1, "test"), ("g27", 0, "valid"), ("g14", 0, "test")],
)
def test_the_hash_is_a_contract(group, seed, split):
    """These must never change: every split of every project would."""
    assert Splitter(ORDERED, seed, {}).split(group) == split


def test_shares_hold_roughly():
    counts = Counter(Splitter(ORDERED, 7, {}).split(str(i)) for i in range(20_000))
    for name, share in ORDERED:
        sigma = (20_000 * share * (1 - share)) ** 0.5
        assert abs(counts[name] - 20_000 * share) < 5 * sigma


@given(
    names=st.lists(st.text(min_size=1, max_size=4), unique=True, max_size=4),
    weights=st.lists(st.integers(1, 1000), min_size=5, max_size=5),
    groups=st.sets(st.text(max_size=8), max_size=RANK_BELOW - 1),
    seed=st.integers(),
)
def test_rank_gives_each_split_a_group(names, weights, groups, seed):
    total = weights[0] + sum(weights[1 : 1 + len(names)])
    shares = (("train!", weights[0] / total), *((n, w / total) for n, w in zip(names, weights[1:], strict=False)))
    dealt = by_rank(groups, shares, seed)
    counts = Counter(dealt.values())
    assert set(dealt) == groups
    if len(groups) >= len(shares):
        assert set(counts) == {name for name, _ in shares}
    else:
        assert counts == Counter(name for name, _ in shares[: len(groups)])  # train first
    assert dealt == by_rank(sorted(groups, reverse=True), shares, seed)


@pytest.mark.parametrize(("n", "expected"), [(3, (1, 1, 1)), (10, (8, 1, 1)), (40, (36, 2, 2)), (49, (44, 3, 2))])
def test_rank_follows_the_shares(n, expected):
    counts = Counter(by_rank(map(str, range(n)), ORDERED, 0).values())
    assert tuple(counts[name] for name, _ in ORDERED) == expected


def test_ten_texts_and_ten_images_have_every_split(corpus, png):
    rows = [{"text": str(i)} for i in range(10)] + [{"data": png(seed=i)} for i in range(10)]
    found = splits(corpus({"a": [rows]}))
    assert Counter(found[:10]) == Counter(found[10:]) == {"train": 8, "valid": 1, "test": 1}


def test_a_small_modality_beside_a_large_one_is_split_by_rank(corpus, png):
    rows = [{"text": str(i)} for i in range(200)] + [{"data": png(seed=i)} for i in range(3)]
    found = splits(corpus({"a": [rows[:120], rows[120:]]}))
    assert sorted(found[200:]) == ["test", "train", "valid"]
    assert found[:200] == [Splitter(ORDERED, 0, {}).split(_id(str(i))) for i in range(200)]


def _id(text: str) -> str:
    from gendata.items import content_id

    return content_id(text)


@pytest.mark.parametrize(("groups", "ranked"), [(RANK_BELOW - 1, True), (RANK_BELOW, False)])
def test_where_the_rank_rule_ends(corpus, groups, ranked):
    paths = corpus({"a": [[{"text": str(i), "group": f"g{i % groups}"} for i in range(2 * groups)]]})
    splitter = Splitter.build([(paths[0] / "a/items/00000.parquet", paths[1] / "a/00000.parquet")], SHARES, 0)
    assert bool(splitter.ranked) is ranked
    assert len(splitter.ranked) == (groups if ranked else 0)


def test_only_kept_rows_without_their_own_split_are_ranked(corpus):
    dropped = [{"text": f"dropped {i}", "kept": False} for i in range(RANK_BELOW)]
    own = [{"text": f"own {i}", "source_split": "dev"} for i in range(RANK_BELOW)]
    found = splits(corpus({"a": [dropped + own + [{"text": str(i)} for i in range(3)]]}))
    assert found[:RANK_BELOW] == ["dev"] * RANK_BELOW
    assert sorted(found[RANK_BELOW:]) == ["test", "train", "valid"]


def test_a_split_that_copies_gave_is_the_rows(corpus):
    given = json.dumps({"split": {"value": "dev"}, "meta": {"split": {"value": "no"}}})
    rows = [{"text": f"given {i}", "merged": given} for i in range(RANK_BELOW)]
    rows += [{"text": "own", "source_split": "held-out", "merged": given}]
    rows += [{"text": str(i), "merged": '{"meta":{"split":{"value":"no"}}}'} for i in range(3)]
    found = splits(corpus({"a": [rows]}))
    assert found[: RANK_BELOW + 1] == ["dev"] * RANK_BELOW + ["held-out"]
    assert sorted(found[RANK_BELOW + 1 :]) == ["test", "train", "valid"]  # ranked: they are few


def test_a_group_shares_its_split_unless_the_source_states_one(corpus):
    rng = random.Random(0)
    rows = [{"text": str(i), "group": f"g{rng.randrange(80)}"} for i in range(400)]
    for row in rows[::10]:
        row["source_split"] = "held-out"
    found = splits(corpus({"a": [rows]}))
    assert all(split == "held-out" for split in found[::10])
    by_group: dict[str, set[str]] = {}
    for row, split in zip(rows, found, strict=True):
        if "source_split" not in row:
            by_group.setdefault(row["group"], set()).add(split)
    assert all(len(names) == 1 for names in by_group.values())
    assert len({name for names in by_group.values() for name in names}) > 1


def test_a_group_of_two_modalities_shares_its_split(corpus):
    texts = [{"text": f"t{i}", "group": f"g{i}"} for i in range(60)]
    records = [{"text": f"r{i}", "group": f"g{i}", "modality": "record"} for i in range(10)]
    found = splits(corpus({"a": [texts + records]}))
    assert found[:10] == found[60:]
    assert set(found[60:]) == set(SHARES)


@settings(max_examples=20)
@given(st.sets(st.integers(0, 10_000), min_size=RANK_BELOW, max_size=120), st.sets(st.integers(10_001, 20_000)))
def test_more_items_move_nothing(tmp_path_factory, before, added):
    old = _splits_of(tmp_path_factory.mktemp("old"), sorted(before))
    new = _splits_of(tmp_path_factory.mktemp("new"), sorted(added) + sorted(before, reverse=True))
    assert {group: new[group] for group in old} == old


def _splits_of(folder: Path, groups: list[int]) -> dict[str, str]:
    from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA

    empty = dict.fromkeys(ITEM_SCHEMA.names) | {"modality": "text", "origin": "real", "source": "a"}
    decided = dict.fromkeys(DECISION_SCHEMA.names) | {"source": "a", "kept": True, "copies": 0}
    pair = folder / "items.parquet", folder / "decisions.parquet"
    files.write_table(pair[0], [empty | {"id": str(g), "uri": str(g)} for g in groups], ITEM_SCHEMA)
    rows = [decided | {"id": str(g), "uri": str(g), "kept_id": str(g), "group": str(g)} for g in groups]
    files.write_table(pair[1], rows, DECISION_SCHEMA)
    splitter = Splitter.build([pair], SHARES, 0)
    return {str(g): splitter.split(str(g)) for g in groups}


def test_order_of_rows_shards_and_sources_does_not_matter(corpus):
    rows = [{"text": str(i), "group": f"g{i % 30}"} for i in range(60)]
    paths = corpus({"a": [rows[:20], rows[20:]], "b": [rows[::-1]]})
    tag(*paths, ["a"], Path("one"), TagParams(taggers=(), workers=1))
    tag(*paths, ["b"], Path("two"), TagParams(taggers=(), workers=1))
    one = [r for p in files.shards(Path("one/a")) for r in files.read_table(p).to_pylist()]
    two = files.read_table(Path("two/b/00000.parquet")).to_pylist()
    assert one == two[::-1]


def test_another_seed_is_another_split():
    groups = [str(i) for i in range(500)]
    assert [Splitter(ORDERED, 0, {}).split(g) for g in groups] != [Splitter(ORDERED, 1, {}).split(g) for g in groups]
    few = groups[:20]
    assert by_rank(few, ORDERED, 0) != by_rank(few, ORDERED, 1)
