"""Fixed references: what matches one goes, whatever it is; references are never touched, and nothing else changes."""

import json
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata import files
from gendata.dedup import DedupParams, TextParams, dedup
from gendata.dedup.barred import Reference
from gendata.items import ITEM_SCHEMA, Item

PARAMS = DedupParams(workers=1, text=TextParams(shingle=2, threshold=0.6, group_threshold=0.3, recall=0.9999))
LINE = "the quick brown fox jumps over the lazy dog and runs far away from here"


def written(name, items):
    files.write_table(
        files.shard_path(Path("refs", name), 0), [i.row(name, "unknown", None) for i in items], ITEM_SCHEMA
    )
    return Path("refs", name)


def record(uri, content):
    return Item(modality="record", uri=uri, media_type="application/json", text=content)


@pytest.fixture
def run(box):
    """Write and deduplicate items as the box does, against references: by name (items, ngram)."""

    def run_against(sources, references, params=PARAMS):
        box(sources, params)
        fixed = {name: Reference((written(name, items),), n) for name, (items, n) in references.items()}
        readers = {name: partial(lambda one, _: one, reference) for name, reference in fixed.items()}
        summary = dedup(Path("in"), dict.fromkeys(sources, True), Path("out"), params, readers)
        rows = [r for s in sources for p in files.shards(Path("out", s)) for r in files.read_table(p).to_pylist()]
        return summary, {row["uri"]: row for row in rows}

    return run_against


def matches(rows):
    return {uri: row["reason"] for uri, row in rows.items() if not row["kept"]}


def test_equal_near_and_other_texts(run, text):
    items = [
        text("same", LINE),
        text("shout", LINE.upper()),
        text("near", LINE + " now"),
        text("other", "no such words"),
    ]
    summary, rows = run({"a": items}, {"eval": ([text("q1", LINE)], None)})
    assert matches(rows) == dict.fromkeys(("same", "shout", "near"), "reference")
    assert '"match":"exact"' in rows["same"]["reference"]
    assert '"match":"normalised"' in rows["shout"]["reference"]
    assert '"match":"near-text"' in rows["near"]["reference"]
    assert all('"name":"eval","uri":"q1"' in rows[uri]["reference"] for uri in matches(rows))
    assert (rows["same"]["score"], rows["shout"]["score"]) == (1.0, 1.0)
    assert rows["near"]["kept_id"] == rows["same"]["id"]
    nothing = {"rejected": 0, "rejected_in": [], "captions_left_out": {"reference": 0, "items": 0}, "unpaired": 0}
    assert summary["against"] == {"eval": {"items": 1, "matched": 3, "by_file": {"q1": 3}} | nothing}
    assert summary["dropped_by_reason"]["reference"] == summary["dropped"] == 3
    assert rows["other"]["copies"] == 1


def test_whatever_the_origin_and_the_source(run, text):
    sources = {"a": [text("g", LINE, origin="generated"), text("r", LINE, origin="real")]}
    _, rows = run(sources, {"eval": ([text("q", LINE)], None)})
    assert matches(rows) == {"g": "reference", "r": "reference"}
    assert {row["conflict_id"] for row in rows.values()} == {rows["g"]["id"]}  # which is true all the same


def test_copies_of_what_matches_stay_where_they_do_not(run, text):
    """b is near a, a is near the reference, b is not: a goes, and b is nobody's copy."""
    words = [f"w{i}" for i in range(40)]
    reference, a, b = (" ".join(w) for w in (words[:30], words[6:36], words[10:40]))
    _, rows = run({"a": [text("a", a), text("b", b)]}, {"eval": ([text("q", reference)], None)})
    assert matches(rows) == {"a": "reference"}
    assert run({"a": [text("a", a), text("b", b)]}, {})[0]["dropped"] == 1


def test_images(run, image, scene):
    items = [
        image("jpeg", scene(1), "JPEG", quality=70),
        image("png", scene(2), compress_level=1),
        image("other", scene(3)),
    ]
    references = [image("x", scene(1)), image("y", scene(2), compress_level=9)]
    _, rows = run({"a": items}, {"eval": (references, None)}, DedupParams(workers=1))
    assert matches(rows) == {"jpeg": "reference", "png": "reference"}
    assert '"match":"near-image"' in rows["jpeg"]["reference"]
    assert '"match":"pixel-equal"' in rows["png"]["reference"]


def test_images_that_are_alike_among_themselves_alone(run, image, scene):
    items = [image("jpeg", scene(1), "JPEG", quality=70), image("png", scene(1))]
    _, rows = run({"a": items}, {"eval": ([image("x", scene(5))], None)}, DedupParams(workers=1))
    assert set(matches(rows).values()) == {"near-image"}


def test_shared_words(run, text):
    quoting = "some page that says: The quick, brown fox jumps OVER the lazy dog! and nothing else of note"
    items = [text("quoting", quoting), text("short", "the quick brown fox"), text("other", "nothing of it")]
    evals = [text("tests.jsonl#1", "what else is there to say at all today"), text("tests.jsonl#2", LINE)]
    summary, rows = run({"a": items}, {"eval": (evals, 8)})
    assert matches(rows) == {"quoting": "reference"}
    assert '"match":"ngram"' in rows["quoting"]["reference"]
    assert '"uri":"tests.jsonl#2"' in rows["quoting"]["reference"]
    shingles = len(quoting.split()) - 8 + 1
    assert rows["quoting"]["score"] == pytest.approx(3 / shingles)  # of nine words in sequence, "and" is the tenth
    assert summary["against"]["eval"]["by_file"] == {"tests.jsonl": 1}


def test_line_breaks_in_records_are_no_letters(run, text):
    """A record without a text is JSON, in which they are written as a backslash and an n."""
    code = "\n".join(LINE[i : i + 20] for i in range(0, len(LINE), 20))
    evals = [record("e.jsonl#1", json.dumps({"answer": "x", "prompt": LINE.replace(" ", "\n")}))]
    summary, rows = run({"a": [text("line", LINE), text("other", code)]}, {"eval": (evals, 13)})
    assert matches(rows) == {"line": "reference"}
    assert summary["against"]["eval"]["by_file"] == {"e.jsonl": 1}
    again = [record("row", json.dumps({"body": LINE.replace(" ", "\t")}))]
    assert matches(run({"a": again}, {"eval": ([text("e", LINE)], 13)})[1]) == {"row": "reference"}
    chat = [record("chat", "user: " + LINE.replace("lazy", "\\nlazy") + "\n\nassistant: no")]
    assert matches(run({"a": chat}, {"eval": ([text("e", LINE)], 13)})[1]) == {}  # which is nlazy there


def test_records_that_are_no_pair_are_counted(run, text):
    evals = [record("e#1", json.dumps({"body": LINE})), record("e#2", f"user: {LINE}\n\nassistant: yes")]
    counts = run({"a": [text("line", LINE)]}, {"eval": (evals, None)})[0]["against"]["eval"]
    assert (counts["matched"], counts["unpaired"]) == (0, 1)


def test_every_file_that_is_hit_counts(run, text):
    """Of shared sequences, of equal items, and of references that are compared in one way or another."""
    quoting = " ".join(["they", "say:", LINE, *(f"word{i}" for i in range(30))])
    evals = [
        text("a.jsonl#1", LINE),
        text("b.jsonl#1", LINE + " to another place"),
        text("b.jsonl#2", "away: " + LINE + " to another"),
        text("c.jsonl#7", LINE),  # the same item as a.jsonl#1
        text("d.jsonl#1", "none of these words occur elsewhere"),
    ]
    items = {"x": [text("quoting", quoting), text("equal", LINE)], "y": [text("again", quoting)]}
    summary, rows = run(items, {"eval": (evals, 8), "short": ([text("s.jsonl#1", LINE)], None)})
    found = summary["against"]
    assert found["eval"]["by_file"] == {"a.jsonl": 3, "b.jsonl": 3, "c.jsonl": 3}  # rows
    assert (found["eval"]["matched"], found["short"]["matched"]) == (3, 1)
    assert found["short"]["by_file"] == {"s.jsonl": 1}
    assert json.loads(rows["quoting"]["reference"]) == {"match": "ngram", "name": "eval", "uri": "a.jsonl#1"}
    assert json.loads(rows["equal"]["reference"]) == {"match": "exact", "name": "short", "uri": "s.jsonl#1"}


def test_equal_items_of_two_files_both_count(run, text):
    evals = [text("a.csv#1", LINE), text("b.csv#4", LINE)]
    found = run({"x": [text("near", LINE + " now"), text("same", LINE)]}, {"eval": (evals, None)})[0]["against"]["eval"]
    assert (found["matched"], found["by_file"]) == (2, {"a.csv": 2, "b.csv": 2})


def test_with_ngram_images_are_compared_and_captions_counted(run, image, scene):
    caption = {"text": LINE, "text_origin": "column"}
    items = [
        image("jpeg", scene(1), "JPEG", quality=70, known=caption),
        image("png", scene(2), compress_level=1),
        image("other", scene(3), known=caption),
    ]
    references = [image("x", scene(1)), image("y", scene(2), compress_level=9), image("z", scene(4), known=caption)]
    summary, rows = run({"a": items}, {"eval": (references, 8)}, DedupParams(workers=1))
    assert matches(rows) == {"jpeg": "reference", "png": "reference"}
    assert summary["against"]["eval"]["captions_left_out"] == {"reference": 1, "items": 2}


def plain_shared(a, b, n):
    one, other = ({tuple(w[i : i + n]) for i in range(max(1, len(w) - n + 1))} for w in (a.split(), b.split()))
    return one & other


words = st.lists(st.sampled_from("alpha beta gamma delta".split()), min_size=1, max_size=9).map(" ".join)


@given(
    st.lists(words, min_size=1, max_size=6, unique=True), st.lists(words, max_size=3, unique=True), st.integers(1, 5)
)
def test_shared_words_against_brute_force(box_for_examples, text, documents, evals, n):
    box_for_examples({"a": [text(d, d) for d in documents]}, PARAMS)
    readers = {"eval": lambda _: Reference((written("eval", [text(e, e) for e in evals]),), n)}
    dedup(Path("in"), {"a": True}, Path("out"), PARAMS, readers)
    rows = files.read_table(Path("out/a/00000.parquet")).to_pylist()
    assert {row["uri"] for row in rows if row["reason"] == "reference"} == {
        d for d in documents if any(plain_shared(d, e, n) for e in evals)
    }
