"""Repeats of an experiment joined into one finding."""

import math

import pytest

from gendata.compare import stats
from gendata.compare.finding import COUNTED, MIXED, NOT_SUPPORTED, SUPPORTED, Effect, Finding, Plot
from gendata.compare.over import SEEDS, TRAININGS, over
from gendata.compare.stats import Interval, exact


def effect(low, high, limit="", what="size", test="test", **sides):
    return Effect(what, sides or {"a": 1.0, "b": 2.0}, Interval(low, high, limit), test)


def of(*effects, note="", plot=None):
    return Finding(effects, note, plot)


def points(*values):
    return [of(effect(value, value)) for value in values]


def test_seeds_are_joined_by_student():
    joined = over([of(effect(1, 1, a=1.0)), of(effect(2, 2, a=2.0)), of(effect(2, 2, a=6.0))], SEEDS).effects[0]
    assert joined.interval == stats.mean_interval([1.0, 2.0, 2.0])
    assert (joined.sides, joined.test) == ({"a": 3.0}, "Student's t over 3 seeds")
    assert over(points(1), SEEDS).effects[0].interval.limit == "1 of at least 3 seeds"


def test_one_training_decides_nothing_and_two_are_too_few():
    one = over([of(effect(0.5, 1.5))], TRAININGS).effects[0]
    assert (one.interval, one.test) == (Interval(0.5, 1.5, "one training stands for the family"), "test")
    two = over([of(effect(0.5, 1.5))] * 2, TRAININGS)
    assert two.effects[0].interval.limit == "2 of at least 3 trainings"
    assert two.verdict == MIXED


def test_trainings_that_agree_do_not_make_up_for_few_items():
    alike = [of(effect(-0.4 + gap, 0.5 + gap)) for gap in (0.0, 0.001, 0.002)]
    found = over(alike, TRAININGS)
    assert found.verdict == MIXED
    assert found.effects[0].test == "Student's t over 3 trainings, and within each test"
    half = math.hypot(stats.mean_interval([0.05, 0.051, 0.052]).high - 0.051, 0.45)
    assert found.effects[0].interval[:2] == pytest.approx((0.051 - half, 0.051 + half))


def test_what_all_trainings_count_alike_is_exact():
    none = of(Effect("classes missing", {"missing": 0.0}, exact(0.0), COUNTED))
    joined = over([none] * 5, TRAININGS)
    assert (joined.verdict, joined.effects[0].test) == (NOT_SUPPORTED, COUNTED)
    some = of(Effect("classes missing", {"missing": 1.0}, exact(1.0), COUNTED))
    assert over([none, some, none], TRAININGS).effects[0].test == "Student's t over 3 trainings"
    assert over(points(0, 0, 0), SEEDS).effects[0].interval.limit == "a tie without any spread"  # trained, not counted


def test_a_training_that_lacks_a_family_takes_its_effect_alone():
    def likeness(*families, note=""):
        return of(*(effect(1, 3, what=f"of {name}", **{name: 1.0, "real": 0.5}) for name in families), note=note)

    both, lost = likeness("gan", "vae"), likeness("vae", note="gan diverged")
    joined = over([both, lost, both, both], TRAININGS)
    assert [e.what for e in joined.effects] == ["of gan", "of vae"]
    assert joined.effects[0].interval.limit == "1 of 4 trainings gave nothing: gan diverged"
    assert not joined.effects[1].interval.limit
    assert joined.note == "gan diverged"
    other = over([likeness("a", "b", note="5 images"), likeness("b", "c", note="6 images")], TRAININGS)
    assert [e.what for e in other.effects] == ["of a", "of b", "of c"]
    assert other.note == "of the first of 2 trainings: 5 images"


def test_a_side_is_the_mean_of_those_that_have_it():
    joined = over([of(effect(1, 1, gan=1.0, vae=5.0)), of(effect(1, 1, gan=3.0))], SEEDS)
    assert joined.effects[0].sides == {"gan": 2.0, "vae": 5.0}


def test_repeats_that_gave_nothing_are_told_and_decide_nothing():
    lost = Finding((), "gan diverged")
    joined = over([*points(1), lost, *points(2, 3)], TRAININGS)
    assert joined.effects[0].interval.limit == "1 of 4 trainings gave nothing: gan diverged"
    assert (joined.verdict, joined.effects[0].test) == (MIXED, "Student's t over 3 trainings")
    assert over([lost, lost], TRAININGS) == lost


def test_a_limit_of_half_of_the_repeats_limits_all():
    hasty, free = of(effect(1, 1, "hasty")), of(effect(2, 2))
    assert over([hasty] * 3, SEEDS).effects[0].interval == Interval(1.0, 1.0, "hasty")
    most = over([hasty, hasty, free], SEEDS)
    assert most.effects[0].interval.limit == "2 of 3 seeds: hasty"
    few = over([hasty, *points(1.1, 1.2)], SEEDS)
    assert not few.effects[0].interval.limit
    assert few.verdict == SUPPORTED


def test_plots_are_of_the_mean_where_their_points_are_the_same():
    def found(*lines):
        return [of(effect(1, 1), plot=Plot("t", "x", "y", {"a": line})) for line in lines]

    assert over(found([(0, 1.0), (1, 2.0)], [(0, 3.0), (1, 6.0)]), SEEDS).plot.lines == {"a": [(0, 2.0), (1, 4.0)]}
    first = [(0, 1.0)]
    assert over(found(first, [(2, 3.0)]), SEEDS).plot.lines == {"a": first}
    assert over([*found(first), of(effect(1, 1))], SEEDS).plot.lines == {"a": first}
