"""Selections: what gets into a manifest, what is refused, and why a selection cannot be trained on."""

from pathlib import Path

import pytest
from warehouse import image, stock, text

import pipelines.select
from gendata.errors import ParamsError, QueryError
from gendata.models import needs
from gendata.select import SelectParams, default_where, load_select
from gendata.select.guard import OriginError
from gendata.select.selection import select


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    real = [image(i, "cat") for i in range(4)] + [image(i, "dog", "valid") for i in range(4, 6)]
    real += [image(6, "cat", "test"), image(7, "dog"), image(8, "dog"), image(9, "emu"), image(10, None)]
    real += [text(f"a real text {i}", split) for i, split in enumerate(["train", "train", "valid"])] + [text("")]
    made = [image(20 + i, "cat") for i in range(3)] + [text("a made text")]
    found = [text("a text of unknown origin")]
    folder = tmp_path_factory.mktemp("select") / "artifacts"
    return stock(folder, photos=("real", real), made=("generated", made), found=("unknown", found))


def chosen(where, **more):
    return SelectParams(where=where, **more)


def test_the_default_of_a_family_takes_real_items_of_its_kind(stores):
    manifest, reason = select("select.gan", needs("gan"), load_select("gan", {}), stores)
    assert reason == ""
    assert manifest.counts()["origin"] == {"real": 9}
    assert manifest.counts()["split"] == {"test": 1, "train": 6, "valid": 2}
    assert manifest.selection["left_out"] == {"no-label": 1, "rare-label": 1, "rare_labels": ["emu"]}
    texts, reason = select("select.rnn", needs("rnn"), load_select("rnn", {}), stores)
    assert (texts.counts()["modality"], texts.selection["left_out"], reason) == ({"text": 3}, {"no-text": 1}, "")


def test_what_is_left_out_is_said_where_the_stage_runs(stores, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("select: {}")
    monkeypatch.setattr("pipelines.select.open_stores", lambda *_: stores)
    pipelines.select.run("gan", Path("stores"), Path("out"), Path("metrics/gan.json"))
    told = capsys.readouterr().err.splitlines()
    assert told == ["select@gan: left out 1 no-label", "select@gan: left out 1 rare-label (emu)"]
    Path("params.yaml").write_text("select: {gan: {min_per_label: 3}}")
    pipelines.select.run("gan", Path("stores"), Path("out"), Path("metrics/gan.json"))
    assert capsys.readouterr().err.splitlines()[-1] == "select@gan: left out 5 rare-label (dog, emu)"


def test_rows_that_are_not_real_are_refused_by_number_and_source(stores):
    with pytest.raises(OriginError) as error:
        select("select.gan", needs("gan"), chosen("modality = 'image'"), stores)
    assert "select.gan: refused, since 3 of 14 rows are not real (3 generated from made)" in str(error.value)
    with pytest.raises(
        OriginError, match=r"2 of \d+ rows are not real \(1 generated from made, 1 unknown from found\)"
    ):
        select("select.rnn", needs("rnn"), chosen("modality = 'text'"), stores)


@pytest.mark.parametrize(
    "where",
    [
        "random() < 0.5",
        "now() > TIMESTAMP '2020-01-01'",
        "current_timestamp IS NOT NULL",
        "CURRENT_DATE > DATE '2020-01-01'",
        "id > uuid()::VARCHAR",
        "id IN (SELECT id FROM items TABLESAMPLE 10%)",
    ],
)
def test_a_selection_asks_no_chance_and_no_clock(stores, where):
    with pytest.raises(QueryError, match="a selection must not"):
        select("s", needs("rnn"), chosen(where), stores)


def test_a_share_of_the_items_is_the_same_each_time(stores):
    found = [select("s", needs("gan"), chosen("origin = 'real' AND hash(id) % 100 < 60"), stores)[0] for _ in range(2)]
    assert found[0].id == found[1].id


def test_allowing_one_origin_does_not_allow_another_and_is_logged(stores):
    where = "modality = 'text'"
    with pytest.raises(OriginError, match=r"1 of \d+ rows are not real \(1 unknown from found\)"):
        select("s", needs("rnn"), chosen(where, allow_origins=("generated",)), stores)
    manifest, _ = select("s", needs("rnn"), chosen(where, allow_origins=("generated", "unknown")), stores)
    allowed = manifest.selection["allowed"]
    assert allowed["generated"] == {"rows": 1, "share": round(1 / 6, 6), "sources": {"made": 1}}
    assert allowed["unknown"]["sources"] == {"found": 1}
    assert manifest.selection["allow_origins"] == ["generated", "unknown"]


@pytest.mark.parametrize(
    ("family", "where", "reason"),
    [
        ("gan", "label = 'unicorn'", "the selection matches no item"),
        (
            "gan",
            "origin = 'real' AND label IS NULL AND modality = 'image'",
            "no usable item in the training split (1 found; left out: 1 no-label)",
        ),
        (
            "gan",
            "origin = 'real' AND modality = 'text'",
            "no usable item in the training split (4 found; left out: 4 not-an-image)",
        ),
        ("gan", "label = 'emu'", "no usable item in the training split (1 found; left out: 1 rare-label)"),
        ("rnn", "modality = 'image' AND origin = 'real' AND label = 'dog'", "left out: 4 no-text"),
        (
            "rnn",
            "modality = 'text' AND origin = 'real' AND split = 'train'",
            "no held-out item: all 2 are in the training split",
        ),
    ],
)
def test_what_cannot_be_trained_on_says_why(stores, family, where, reason):
    _, found = select("s", needs(family), chosen(where), stores)
    assert reason in found


@pytest.mark.parametrize(
    "where", ["nonsense = 1", "1 = 1; DROP TABLE items", "label = (SELECT content FROM read_text('/etc/passwd'))"]
)
def test_a_condition_runs_in_the_sandbox(stores, where):
    with pytest.raises(QueryError):
        select("s", needs("gan"), chosen(where), stores)


def test_the_same_selection_has_the_same_id_and_another_condition_another(stores):
    one, again, other = (
        select("s", needs("gan"), chosen(w), stores)[0].id
        for w in ("label = 'cat' AND origin = 'real'",) * 2 + ("label = 'dog'",)
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"where": " "}, "where: must be a condition"),
        ({"allow_origins": ["fake"]}, "'fake' is none of generated, unknown, real"),
        ({"min_per_label": 0}, "must be at least 1"),
        ({"wehre": "true"}, "unknown key 'wehre'"),
    ],
)
def test_params_are_checked(given, message):
    with pytest.raises(ParamsError, match=message):
        load_select("gan", {"select": {"gan": given}})


def test_an_unknown_family_is_named():
    with pytest.raises(ParamsError, match="unknown family 'diffusion'; there are gan, vae, transformer, rnn"):
        default_where("diffusion")
