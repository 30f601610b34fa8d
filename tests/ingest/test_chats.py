import csv
import datetime
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.chats import parts, turns
from gendata.ingest import IngestParams, SourceParams, preview
from gendata.ingest.chats import read_chat, usual_columns
from gendata.ingest.reader import UnitError
from gendata.items import content_id

OPENAI = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is two and two?"},
    {"role": "assistant", "content": "Four."},
]
TEXT = "system: Be brief.\n\nuser: What is two and two?\n\nassistant: Four."


def table(path="t.jsonl", **options):
    return SourceParams("table", "real", path, **options)


def jsonl(project, *rows, name="t.jsonl"):
    (project / name).write_text("\n".join(json.dumps(row) for row in rows))


def sharegpt(messages):
    names = {"user": "human", "assistant": "gpt"}
    return [{"from": names.get(m["role"], m["role"]), "value": m["content"]} for m in messages]


def test_messages_are_a_record(project, run):
    row = {"messages": OPENAI, "session_id": "s1", "model": "m-7b", "created_at": 17, "label": "sums", "score": 0.5}
    jsonl(project, row, {"messages": OPENAI[1:]})
    first, second = run(table()).items
    assert (first["modality"], first["media_type"], first["text"]) == ("record", "text/plain", TEXT)
    assert first["id"] == content_id(TEXT)  # DESIGN.md: the id of a record is the hash of its text
    assert (first["uri"], first["label"], first["file_sha256"]) == ("t.jsonl#1", "sums", content_id(
        (project / "t.jsonl").read_bytes()
    ))  # fmt: skip
    assert json.loads(first["meta"]) == {
        "chat": {"roles": ["system", "user", "assistant"], "turns": 3, "session": "s1", "model": "m-7b", "time": 17},
        "score": 0.5,
    }
    assert json.loads(second["meta"]) == {"chat": {"roles": ["user", "assistant"], "turns": 2}}


def test_equal_chats_are_equal_items_in_every_dialect(project, run):
    system, user, assistant = (m["content"] for m in OPENAI)
    jsonl(project, {"messages": OPENAI}, name="a.jsonl")
    jsonl(project, {"conversations": sharegpt(OPENAI)}, name="b.jsonl")
    jsonl(project, {"conversations": sharegpt(OPENAI[1:]), "system": system}, name="c.jsonl")
    jsonl(project, {"prompt": user, "completion": assistant, "system": system}, name="d.jsonl")
    jsonl(project, {"messages": json.dumps(OPENAI)}, name="e.jsonl")
    in_parts = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in OPENAI]
    jsonl(project, {"messages": in_parts}, name="f.jsonl")
    out = io.StringIO()
    csv.writer(out).writerows([["messages"], [json.dumps(OPENAI)]])
    (project / "g.csv").write_text(out.getvalue())
    pq.write_table(pa.table({"messages": [[{**m, "tool_calls": None} for m in OPENAI]]}), project / "h.parquet")
    names = sorted(path.name for path in project.iterdir() if path.is_file())
    assert len(names) == 8
    for name in names:
        (item,) = run(table(name)).items
        assert (item["modality"], item["text"]) == ("record", TEXT), name
        assert json.loads(item["meta"]) == {"chat": {"roles": ["system", "user", "assistant"], "turns": 3}}, name


def test_equal_replies_to_two_prompts_are_two_items(project, run):
    jsonl(project, {"question": "Is it so?", "answer": "Yes."}, {"question": "Is it?", "answer": "Yes."})
    first, second = run(table()).items
    assert first["id"] != second["id"]
    assert [parts(item["text"]) for item in (first, second)] == [("Is it so?", "Yes."), ("Is it?", "Yes.")]


def test_a_reply_may_be_a_number_or_a_truth_value(project, run):
    rows = [{"question": "How many?", "answer": answer} for answer in (3, -0.5, True, [1], float("inf"), 2)]
    (project / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows[:4]))
    result = run(table())
    assert [item["text"].rpartition(": ")[2] for item in result.items] == ["3", "-0.5", "true"]
    assert [r["detail"] for r in result.rejects] == ["reply is list instead of a text"]
    pq.write_table(pa.table({"question": ["How many?", "And now?"], "answer": [3.0, None]}), project / "t.parquet")
    texts = [item["text"] for item in run(table("t.parquet")).items]
    assert texts == ["user: How many?\n\nassistant: 3.0", "user: And now?"]


def test_the_input_of_an_instruction_is_part_of_the_prompt(project, run):
    jsonl(
        project,
        {"instruction": "Translate.", "input": "Hallo", "output": "Hello", "system": ""},
        {"instruction": "Count.", "input": "", "output": "1 2 3", "system": None},
    )
    assert [item["text"] for item in run(table()).items] == [
        "user: Translate.\nHallo\n\nassistant: Hello",
        "user: Count.\n\nassistant: 1 2 3",
    ]


def test_map_names_the_columns(project, run):
    jsonl(project, {"q": "Why?", "text": "a title", "a": "So.", "who": "m", "chat": 3})
    (item,) = run(table(map={"prompt": "q", "reply": "a", "model": "who"})).items
    assert item["text"] == "user: Why?\n\nassistant: So."
    chat = {"roles": ["user", "assistant"], "turns": 2, "model": "m"}
    assert json.loads(item["meta"]) == {"chat": chat, "chat_": 3, "text": "a title"}


@pytest.mark.parametrize("beside", ["text", "image"])
def test_without_a_map_a_text_or_an_image_comes_first(project, run, beside):
    (project / "1.png").touch()
    jsonl(project, {beside: "x", "messages": OPENAI, "model": "m"})
    result = run(table())
    assert [item["modality"] for item in result.items] == (["text"] if beside == "text" else [])
    assert all(json.loads(item["meta"]) == {"messages": OPENAI, "model": "m"} for item in result.items)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["conversations", "id"], {"messages": "conversations"}),
        (["prompt", "messages", "prompt_id"], {"messages": "messages"}),
        (["messages", "conversations"], {}),
        (["prompt", "response"], {"prompt": "prompt", "reply": "response"}),
        (["prompt", "question", "answer"], {}),
        (["prompt", "response", "output"], {}),
        (["question", "input", "answer"], {"prompt": "question", "reply": "answer"}),
        (["prompt", "chosen", "rejected"], {}),
        (["model", "time"], {}),
    ],
)
def test_usual_columns(there, found):
    assert usual_columns(there) == found


@pytest.mark.parametrize(
    "mapping",
    [
        {"prompt": "q"},
        {"reply": "a"},
        {"model": "m", "text": "t"},
        {"messages": "m", "text": "t"},
        {"messages": "m", "image": "i"},
        {"messages": "m", "prompt": "p", "reply": "r"},
        {"messages": "m", "input": "i"},
        {"system": "s", "input": "i"},
    ],
)
def test_a_map_that_is_no_chat_is_refused(mapping):
    with pytest.raises(ValueError, match="a chat is messages, or prompt and reply, and neither text nor image"):
        table(map=mapping)


def test_a_table_without_a_pair_has_no_chats(project):
    jsonl(project, {"prompt": "x", "chosen": "y"})
    assert [item.text for item in preview("s", table(), project)] == ['{"chosen":"y","prompt":"x"}']


def said(messages, **more):
    return read_chat({"messages": messages, **more}, 1000)


def test_parts_that_are_no_text_are_marked_and_kept():
    def question(url):
        parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
        return [{"role": "user", "content": parts}]

    (cat, meta), (dog, _) = said(question("cat.png")), said(question("dog.png"))
    assert cat.startswith("user: What is this?\n[image_url ")
    assert cat != dog
    assert meta == {"roles": ["user"], "turns": 1, "messages": question("cat.png")}


def test_calls_of_tools_and_their_results():
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "add"}}]}
    messages = [OPENAI[1], call, {"role": "tool", "tool_call_id": "c1", "content": "4"}, OPENAI[2]]
    text, meta = said(messages)
    assert [role for role, _ in turns(text)] == ["user", "assistant", "tool", "assistant"]
    assert "assistant: [tool_calls " in text
    assert meta["messages"] == messages


def test_nulls_that_parquet_fills_in_change_nothing():
    parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "x"}}]
    full = [parts[0] | {"image_url": None}, parts[1] | {"text": None}]
    assert said([{"role": "user", "content": parts}])[0] == said([{"role": "user", "content": full, "name": None}])[0]


def test_roles_of_other_dialects_and_unknown_ones():
    roles = ["developer", "Human", " USER ", "model", "observation", "Narrator"]
    text, meta = said([{"from": role, "value": "x"} for role in roles])
    assert meta["roles"] == ["system", "user", "assistant", "tool", "Narrator"]
    assert "\n\n@Narrator: x" in text


def test_an_empty_system_message_is_none_and_other_empty_turns_stay():
    messages = [{"role": "system", "content": " "}, {"role": "user", "content": "hi"}]
    assert said([*messages, {"role": "assistant", "content": ""}])[0] == "user: hi\n\nassistant: "


def test_times_are_as_json_holds_them():
    cell = {"prompt": "a", "reply": "b", "time": datetime.datetime(2024, 5, 1, 12), "session": ""}
    assert read_chat(cell, 99)[1] == {"roles": ["user", "assistant"], "turns": 2, "time": "2024-05-01 12:00:00"}


BAD = [
    (None, "empty", "no messages"),
    ([], "empty", "no messages"),
    ("", "empty", "no messages"),
    ({"role": "user", "content": "x"}, "invalid-row", "messages is dict instead of a list of turns"),
    ("3", "invalid-row", "messages is int instead of a list of turns"),
    ("[", "invalid-json", ""),
    ('[{"role": "user", "content": "\\ud800"}]', "invalid-unicode", "half of a surrogate pair"),
    ("[" * 100_000, "invalid-json", "nested too deeply"),
    (["hi"], "invalid-row", "turn 1 is str instead of role and content"),
    ([OPENAI[0], {"content": "x"}], "invalid-row", "turn 2 has no role that is a short line of text"),
    ([{"role": ["user"], "content": "x"}], "invalid-row", "turn 1 has no role that is a short line of text"),
    ([{"role": "a: b", "content": "x"}], "invalid-row", "turn 1 has no role that is a short line of text"),
    ([{"role": "user"}], "invalid-row", "turn 1 has no content"),
    ([{"role": "user", "content": None}], "invalid-row", "turn 1 has no content"),
    ([{"role": "user", "content": 3}], "invalid-row", "turn 1: content is int instead of a text or parts"),
    ([{"role": "user", "content": [3]}], "invalid-row", "turn 1: a part is int instead of a text or an object"),
    ([{"role": "user", "content": " "}], "empty", "no turn of the chat says anything"),
    ([{"role": "user", "content": "x" * 2000}], "too-large", "2006 characters; ingest.max_text_chars is 1000"),
]


@pytest.mark.parametrize(("messages", "reason", "detail"), BAD)
def test_what_is_no_chat_is_a_reject(messages, reason, detail):
    with pytest.raises(UnitError) as error:
        said(messages)
    assert error.value.reason == reason
    assert error.value.detail.startswith(detail)


def test_rejects_are_one_line_each_and_the_run_goes_on(project, run):
    deep = []
    for _ in range(200):
        deep = [deep]
    rows = [m for m, *_ in BAD[:-1]] + [[{"role": "user", "content": [{"type": "x", "x": deep}]}], OPENAI]
    jsonl(project, *({"messages": messages} for messages in rows))
    result = run(table())
    assert [item["text"] for item in result.items] == [TEXT]
    assert [r["reason"] for r in result.rejects] == [reason for _, reason, _ in BAD[:-1]] + ["invalid-row"]
    jsonl(project, {"prompt": 3, "reply": "x"}, {"prompt": "", "reply": " "}, {"prompt": "x" * 99, "reply": "y"})
    result = run(table(), IngestParams(max_text_chars=50))
    assert [r["reason"] for r in result.rejects] == ["invalid-row", "empty", "too-large"]
    assert result.rejects[0]["detail"] == "prompt is int instead of a text"


WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
CHATS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": WORDS}),
    min_size=1,
    max_size=5,
).filter(lambda messages: any(m["content"].strip() for m in messages))


@given(CHATS)
def test_dialects_give_equal_texts(messages):
    in_parts = [{"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in messages]
    texts = {said(given)[0] for given in (messages, sharegpt(messages), in_parts, json.dumps(messages))}
    assert len(texts) == 1
    spoken = [(m["role"], m["content"]) for m in messages if m["role"] != "system" or m["content"].strip()]
    assert turns(texts.pop()) == spoken


@given(WORDS, WORDS, WORDS)
def test_a_pair_of_columns_is_its_messages(system, prompt, reply):
    said_by = {"system": system, "user": prompt, "assistant": reply}
    spoken = {role: words for role, words in said_by.items() if words.strip()}
    if spoken:
        messages = [{"role": role, "content": words} for role, words in spoken.items()]
        assert read_chat({"prompt": prompt, "reply": reply, "system": system}, 1000) == said(messages)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "from", "content", "value", "type", "text", "tool_calls"]), inner)
    ),
    max_leaves=20,
)


@given(
    st.one_of(JSON, st.lists(st.fixed_dictionaries({"role": WORDS, "content": JSON}), max_size=3), JSON.map(json.dumps))
)
def test_any_value_is_a_chat_or_one_reject(value):
    try:
        text, meta = said(value)
    except UnitError:
        return
    assert meta["turns"] == len(turns(text)) > 0
    json.dumps(meta, allow_nan=False)
