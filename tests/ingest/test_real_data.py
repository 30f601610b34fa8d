"""Over the real evaluation data, whose labels stand in its names."""

import json
from pathlib import Path

import pytest

from gendata.ingest import SourceParams
from gendata.items import encode_uri


def test_pngsuite(run, eval_data):
    folder = eval_data / "bad_pngsuite"
    observed = json.loads((folder / "observed_pillow13.json").read_text())
    result = run(SourceParams("folder", "real", str(folder), include=("*.png",)))
    read = {i["uri"].replace("%23", "#") for i in result.items}
    for name, seen in observed.items():
        if name.endswith(".png"):
            is_bad = Path(name).name.startswith("x") or seen["result"] != "loaded"
            assert (name in read) is not is_bad, name
    assert result.summary["enumerated"] == sum(n.endswith(".png") for n in observed)
    assert set(result.summary["rejected_by_reason"]) <= {"corrupt-image", "not-an-image", "too-many-pixels"}
    for row in result.items:
        assert row["data"] == (folder / row["uri"].replace("%23", "#")).read_bytes()


def test_naughty_strings_come_through_byte_for_byte(run, project, eval_data):
    strings = json.loads((eval_data / "bad_blns/blns.json").read_text(encoding="utf-8"))
    (project / "blns.jsonl").write_text("\n".join(json.dumps({"text": s}) for s in strings))
    result = run(SourceParams("table", "real", "blns.jsonl"))
    texts = {int(i["uri"].rpartition("#")[2]): i["text"] for i in result.items}
    assert texts == {n: s for n, s in enumerate(strings, 1) if s.strip()}
    assert set(result.reasons().values()) <= {"empty"}
    assert len(texts) + len(result.rejects) == len(strings)


def test_json_minefield(run, project, eval_data):
    (project / "d").mkdir()
    for path in (eval_data / "bad_jsontestsuite/test_parsing").glob("*.json"):
        value = path.read_bytes().replace(b"\n", b" ")  # still the same JSON, as a line
        (project / "d" / f"{path.stem}.jsonl").write_bytes(
            b'{"text": "x", "v": ' + value + b"}\n" + b'{"text": "next"}'
        )
    result = run(SourceParams("table", "real", "d"))
    reasons = result.reasons()
    for path in (project / "d").iterdir():
        uri = encode_uri(path.name)
        if path.name.startswith("n_") and path.name not in NEWLINES_MATTER:
            assert f"{uri}#1" in reasons, path.name
        if path.name.startswith("y_"):
            assert reasons.get(f"{uri}#1") in {None, "invalid-unicode"}, path.name
        result.item(f"{uri}#2")  # the good row after it is kept


# broken by their line break alone
NEWLINES_MATTER = {"n_string_unescaped_newline.jsonl"}


def test_json_minefield_as_whole_files(run, project, eval_data):
    (project / "d").mkdir()
    for path in (eval_data / "bad_jsontestsuite").rglob("*.json"):
        (project / "d" / f"{path.stem}.jsonl").write_bytes(path.read_bytes())
    assert run(SourceParams("table", "real", "d", map={"text": "a"})).summary["enumerated"] > 300


def test_wrong_extensions_and_a_corrupt_file(run, eval_data):
    result = run(SourceParams("folder", "real", str(eval_data / "img_imagededup")))
    assert result.reasons()["mixed_images/ukbench09268_corrupt.jpg"] == "not-an-image"
    row = result.item("formats_images/ukbench09380.png")
    assert (row["media_type"], row["meta"]) == ("image/jpeg", '{"extension":".png"}')
    assert json.loads(result.item("base_images/ukbench09268.jpg")["meta"]) == {"orientation": 6}
    assert json.loads(result.item("formats_images/giphy.gif")["meta"]) == {"frames": 4}
    assert result.reasons()["formats_images/ukbench09380.svg"] == "unsupported-type"


@pytest.mark.parametrize("name", ["lm_books", "lm_tinyshakespeare"])
def test_books_are_kept_exactly(run, eval_data, name):
    result = run(SourceParams("folder", "real", str(eval_data / name), include=("*.txt",)))
    for row in result.items:
        assert row["text"].encode() == (eval_data / name / row["uri"]).read_bytes()
    assert result.items
