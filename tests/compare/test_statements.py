"""Every statement has a row with a verdict by the rule, whatever is there; rows are kept until something changes."""

import inspect
import json
import re
import shutil
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata import params
from gendata.compare import EXPERIMENTS, REPEATED, TIMED, WHOLE, CompareParams, RecallParams, stage
from gendata.compare.evidence import Evidence, Folders, MissingError, findings
from gendata.compare.finding import (
    IMPOSSIBLE,
    MIXED,
    NOT_SUPPORTED,
    SUPPORTED,
    VERDICTS,
    Effect,
    Finding,
    Plot,
)
from gendata.compare.report import as_json, as_markdown, as_page
from gendata.compare.statements import STATEMENTS
from gendata.compare.stats import Interval
from gendata.errors import ParamsError

REPO = params.Path(__file__).parents[2]


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """A project without families."""
    monkeypatch.chdir(tmp_path)
    return [Evidence(Folders(*(tmp_path / name for name in "abcde")), [])]


def effect(low, high, limit=""):
    return Effect("size", {"a": 1.23456789, "b": 2.0}, Interval(low, high, limit), "exact count")


def test_the_ids_are_those_of_the_claims(eval_data):
    claims = eval_data.parent / "claims.md"
    if not claims.is_file():
        pytest.skip(f"no {claims}")
    assert set(re.findall(r"^\| ([A-Z]\d+) \|", claims.read_text(), re.MULTILINE)) == set(STATEMENTS)


def test_every_statement_has_an_experiment_or_a_reason():
    for key, said in STATEMENTS.items():
        assert bool(said.experiment) != bool(said.reason), key
        assert not said.experiment or said.experiment in EXPERIMENTS, key
    assert {said.experiment for said in STATEMENTS.values()} == {"", *EXPERIMENTS}


@pytest.mark.parametrize(
    ("effects", "verdict"),
    [
        ([effect(0.1, 2)], SUPPORTED),
        ([effect(-2, -0.1)], NOT_SUPPORTED),
        ([effect(0, 0)], NOT_SUPPORTED),
        ([effect(-1, 1)], MIXED),
        ([effect(float("-inf"), float("inf"))], MIXED),
        ([effect(1, 2), effect(1, 3)], SUPPORTED),
        ([effect(1, 2), effect(-3, -1)], MIXED),
        ([effect(1, 2, "2 seeds")], MIXED),
        ([effect(-2, -1, "2 seeds")], MIXED),
        ([], IMPOSSIBLE),
    ],
)
def test_a_verdict_follows_from_intervals(effects, verdict):
    assert Finding(tuple(effects)).verdict == verdict
    assert Finding(tuple(effects)).row()["verdict"] == verdict


def test_rows_are_plain_json():
    row = Finding((effect(float("-inf"), 1 / 3),), "why", Plot("t", "x", "y", {"a": [(0, 1 / 3)]})).row()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert row["effects"][0]["effect_interval"] == [None, 0.333333]
    assert row["effects"][0]["test"] == "exact count"
    limited = Finding((effect(1, 2, "2 of at least 3 seeds"),)).row()["effects"][0]
    assert limited["test"] == "exact count; no more than mixed: 2 of at least 3 seeds"


def test_families_that_are_missing_give_rows_that_say_so(nothing):
    quick = CompareParams(seeds=2, timed=False, workers=1, recall=RecallParams((2, 3), 2))
    rows = stage.measure(quick, nothing)
    assert list(rows) == list(STATEMENTS)
    assert all(row["verdict"] in VERDICTS for row in rows.values())
    for key, said in STATEMENTS.items():
        if said.experiment == "recall":
            assert rows[key]["effects"], key
        elif said.experiment in TIMED:
            assert (rows[key]["verdict"], rows[key]["note"].split(":")[0]) == (IMPOSSIBLE, "compare.timed is false"), (
                key
            )
        elif said.experiment:
            assert rows[key]["verdict"] == IMPOSSIBLE, key
            assert re.match(r"no family \w+ in params\.yaml", rows[key]["note"]), key
        else:
            assert (rows[key]["verdict"], rows[key]["note"]) == (IMPOSSIBLE, said.reason), key


def test_a_family_that_was_skipped_says_why(tmp_path):
    (tmp_path / "gan").mkdir()
    (tmp_path / "gan" / "skipped.json").write_text('{"reason": "no labels"}')
    evidence = Evidence(Folders(*[tmp_path] * 5), ["gan"])
    with pytest.raises(MissingError, match="gan was skipped: no labels"):
        evidence.card("gan")
    with pytest.raises(MissingError, match="no family gan"):
        evidence.only(["vae"]).card("gan")


def test_what_one_statement_misses_takes_no_other_away():
    def missing():
        raise MissingError("gan was skipped: no labels")

    found = findings({"G3": missing, "G9": lambda: Finding((effect(1, 2),))})
    assert (found["G3"].verdict, found["G3"].note) == (IMPOSSIBLE, "gan was skipped: no labels")
    assert found["G9"].verdict == SUPPORTED


@pytest.fixture
def counted(monkeypatch):
    """Two experiments over seeds that count their runs; the first has params."""
    runs = []

    def experiment(name, key):
        def run(own, seeds, evidence):
            (seed,) = seeds
            runs.append(f"{name} {seed}")
            return {key: Finding((effect(seed, seed),))}

        return SimpleNamespace(READS=(), run=run)

    modules = {
        "gendata.compare.finding": experiment("recall", "T1"),
        "gendata.compare.table": experiment("copies", "D1"),
    }
    monkeypatch.setattr(stage, "import_module", lambda name: modules[name])
    known = dict(zip(("recall", "copies"), modules, strict=True))
    return SimpleNamespace(runs=runs, known=known)


def test_a_second_run_computes_nothing_and_a_change_re_runs_what_it_is_about(nothing, counted, monkeypatch):
    def runs(known=counted.known, **changed):
        counted.runs.clear()
        return stage.measure(CompareParams(workers=1, **changed), nothing, known), list(counted.runs)

    recall, copies = ([f"{name} {seed}" for seed in range(3)] for name in counted.known)
    first, done = runs()
    assert done == recall + copies
    assert first["T1"]["effects"][0]["test"] == "Student's t over 3 seeds"
    assert runs() == (first, [])
    assert runs(recall=RecallParams((8,), 5))[1] == recall
    assert runs(recall=RecallParams((8,), 5), seeds=4)[1] == ["recall 3", "copies 3"]
    assert runs(seeds=2)[1] == []
    assert runs(seeds=4, recall=RecallParams((8,), 5))[1] == []  # what other params gave is kept
    monkeypatch.setattr(stage, "_shared", lambda: "other code")
    assert runs(seeds=2)[1] == recall[:2] + copies[:2]
    assert len(list(stage.CACHE.iterdir())) == 4  # none of other code


def test_experiments_are_repeated_over_what_they_read():
    assert {*REPEATED, *WHOLE, *TIMED} <= EXPERIMENTS.keys()
    for name, module in EXPERIMENTS.items():
        source = inspect.getsource(import_module(module))
        assert ("(seed,)" in source) == (REPEATED.get(name) == "seeds"), name
        assert bool(re.search(r"in seeds|len\(seeds\)", source)) == (name in WHOLE), name


def test_a_report_is_the_same_bytes_from_the_cache(nothing):
    quick = CompareParams(seeds=2, timed=False, workers=1, recall=RecallParams((2, 3), 2))
    first, again = (stage.measure(quick, nothing) for _ in range(2))
    assert as_page(first, []) == as_page(again, [])
    assert as_markdown(first, "") == as_markdown(again, "")


def test_a_run_that_was_broken_off_goes_on_where_it_was(nothing, counted, monkeypatch):
    whole = stage.measure(CompareParams(workers=1), nothing, counted.known)
    shutil.rmtree(stage.CACHE)
    kept, write = [], stage.files.write_json

    def until_the_fourth(path, value):
        if len(kept) == 3:
            raise KeyboardInterrupt
        kept.append(path)
        write(path, value)

    monkeypatch.setattr(stage.files, "write_json", until_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        stage.measure(CompareParams(workers=1), nothing, counted.known)
    monkeypatch.setattr(stage.files, "write_json", write)
    counted.runs.clear()
    assert stage.measure(CompareParams(workers=1), nothing, counted.known) == whole
    assert counted.runs == ["copies 0", "copies 1", "copies 2"]


@given(
    low=st.floats(allow_nan=False), high=st.floats(allow_nan=False), x=st.floats(allow_nan=False), plotted=st.booleans()
)
def test_a_finding_is_read_as_it_was_written(low, high, x, plotted):
    plot = Plot("t", "x", "y", {"a": [(0.0, x)]}, log=True) if plotted else None
    found = Finding((effect(low, high, "why"),), "note", plot)
    back = Finding.read(json.loads(json.dumps(found.plain())))
    assert back.row() == found.row()
    assert back.effects == found.effects


def test_processes_beside_each_other_find_what_one_finds(nothing):
    quick = CompareParams(seeds=2, timed=False, workers=2, recall=RecallParams((2, 3), 2))
    beside = stage.measure(quick, nothing)
    shutil.rmtree(stage.CACHE)
    assert stage.measure(replace(quick, workers=1), nothing) == beside


def test_the_report_shows_every_statement_and_loads_nothing():
    found = Finding((effect(-1, 1),), "a <b>note</b> | two", Plot("p", "x", "y", {"<a>": [(0, 1), (1, 10)]}, log=True))
    rows = {key: {"statement": said.text, **found.row()} for key, said in STATEMENTS.items()}
    table = [{"family": "gan", "status": "done", "frechet": 1.5}]
    shown = as_page(rows, table)
    assert shown == as_page(rows, table)
    assert "<b>note" not in shown
    assert "&lt;a&gt;" in shown
    assert shown.count("<svg") == len(STATEMENTS)
    assert not re.search(r"https?://|<script|src=", shown)
    text = as_markdown(rows, "# Families compared\n")
    for key in STATEMENTS:
        assert f'id="{key}"' in shown
        assert f"| {key} |" in text
    assert as_json(rows, table)["verdicts"][MIXED] == len(STATEMENTS)


def test_the_full_settings_are_valid_and_no_less_than_the_quick_ones():
    full = params.load(REPO / "params-full.yaml", "compare", CompareParams)
    quick = CompareParams()
    assert full.seeds >= quick.seeds
    for name in EXPERIMENTS:
        if (own := getattr(quick, name, None)) is not None:
            assert getattr(full, name).__dict__.keys() == own.__dict__.keys()
            assert getattr(full, name) != own


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": 0}, "seeds: must be at least 1"),
        ({"workers": -1}, "workers: must be 0 or more"),
        ({"trainings": 0}, "trainings: must be at least 1"),
        ({"recall": {"distances": [0]}}, "distances: must be at least 1"),
        ({"recall": {"distances": []}}, "distances: must not be empty"),
        ({"race": {"steps": 0}}, "steps: must be at least 1"),
        ({"stability": {"steps": 3}}, "steps: must be at least 4"),
    ],
)
def test_settings_that_measure_nothing_are_refused(given, message):
    with pytest.raises(ParamsError, match=message):
        params.build(CompareParams, given, "params.yaml: compare")
