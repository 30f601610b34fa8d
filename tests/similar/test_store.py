"""Similar items in a project: a finding that the command line shows, or gone from the store with stage and reason."""

import json

import pytest
from sandbox import CORPUS, Sandbox

from gendata import template
from gendata.items import content_id

ALIKE = {
    "whale.txt": "The whale swam slowly along the northern coast in the early morning light.\n",
    "again.txt": "In the early morning light the whale swam slowly along the northern coast.\n",
    "bread.txt": "Two loaves of bread were left on the kitchen table after the guests had gone.\n",
    "copy.txt": "In the early morning light the whale swam slowly along the northern coast.\n",
}
KEPT, LIKE = (content_id(ALIKE[name]) for name in ("whale.txt", "again.txt"))


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """The same texts without and with removal, by name."""
    made = {}
    for name in ("finding", "removed"):
        root = tmp_path_factory.mktemp(name) / "project"
        template.create(root)
        (root / "corpus").mkdir()
        for file, text in ALIKE.items():
            (root / "corpus" / file).write_text(text)
        box = Sandbox(root)
        box.sources(corpus=CORPUS)
        with box.settings() as sections:
            sections["similar"] |= {"remove": name == "removed", "text_threshold": 0.9}
        made[name] = box
        made[name].told = box.gendata("run").stdout
    return made


def _ids(project):
    return {row["id"] for row in project.json("sql", "SELECT id FROM items")}


def test_a_finding_is_shown_and_changes_no_store(projects):
    project = projects["finding"]
    first, second = sorted((KEPT, LIKE))  # equally long: the lower id stays
    assert _ids(project) == {first, second, content_id(ALIKE["bread.txt"])}
    assert "kept     3 (1 like another: gendata duplicates --similar)" in project.told
    (pair,) = project.json("duplicates", "--similar")
    assert (pair["kept_id"], pair["id"], pair["verdict"], pair["reason"]) == (first, second, "would go", "similar")
    assert 0.9 <= pair["score"] <= 1
    assert {pair["text"], pair["kept_text"]} == {ALIKE["whale.txt"], ALIKE["again.txt"]}
    assert project.json("sql", "SELECT * FROM rejected WHERE stage = 'similar'") == []
    told = project.gendata("duplicates", "--similar").stderr
    assert "text: of 3 would go" in told
    assert project.json("doctor") == []


def test_removed_items_are_rejected_with_stage_and_reason(projects):
    project = projects["removed"]
    first, second = sorted((KEPT, LIKE))
    assert _ids(project) == {first, content_id(ALIKE["bread.txt"])}
    assert "dropped  2 (1 exact, 1 similar)" in project.told
    assert "kept     2\n" in project.told
    (row,) = project.json("sql", "SELECT * FROM rejected WHERE stage = 'similar'")
    assert (row["reason"], row["id"], row["kept_id"]) == ("similar", second, first)
    assert row["score"] == pytest.approx(project.json("duplicates", "--similar")[0]["score"])
    # kept + dropped = read
    counts = project.json("sql", "SELECT (SELECT count(*) FROM items) + count(*) AS n FROM rejected")
    assert counts == [{"n": len(ALIKE)}]
    assert project.json("search", "whale", "-n", "9", "--mode", "semantic", "--format", "json")[0]["id"] == first
    assert {"by": "rejected (similar)", "value": "similar", "items": 1} in project.json("stats")
    assert project.json("doctor") == []


def test_a_removed_item_and_its_copies_lead_to_what_stays(projects):
    project = projects["removed"]
    first, second = sorted((KEPT, LIKE))
    (pair,) = project.json("duplicates", "--similar", second)
    assert (pair["verdict"], pair["uri"] in ALIKE) == ("removed", True)
    assert {pair["text"], pair["kept_text"]} == {ALIKE["whale.txt"], ALIKE["again.txt"]}  # from the shards
    shown = project.gendata("show", second, "--format", "json")
    assert json.loads(shown.stdout)[0]["id"] == first
    assert "dropped as a copy (similar)" in shown.stderr
    assert project.json("show", project.root / "corpus" / "copy.txt")[0]["id"] == first
    page = project.root / "page.html"
    project.gendata("duplicates", "--similar", "--html", "page.html")
    assert "whale swam slowly" in page.read_text()


def test_an_update_after_the_setting_changed_is_a_new_build(projects):
    project = projects["finding"]
    with project.settings() as sections:
        sections["similar"]["remove"] = True
    project.gendata("run")
    digest = {k: v for k, v in project.digest().items() if "store" in k}
    assert digest == {k: v for k, v in projects["removed"].digest().items() if "store" in k}
    assert project.json("doctor") == []
    with project.settings() as sections:
        sections["similar"]["remove"] = False
    project.gendata("run")
    assert len(_ids(project)) == 3
    assert project.json("doctor") == []
