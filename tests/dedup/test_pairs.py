"""Prompt and reply of records as data sets write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.dedup.pairs import pair_of
from gendata.items import canonical_json

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Because."},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "And how?"}]},
    {"role": "assistant", "content": "So."},
]


@pytest.mark.parametrize(
    ("record", "pair"),
    [
        ({"prompt": "Why?", "completion": "Because."}, ("Why?", "Because.")),
        ({"prompt": "Why?", "response": "Because.", "score": 3}, ("Why?", "Because.")),
        ({"prompt": "Why?", "reply": "Because."}, ("Why?", "Because.")),
        ({"question": "Why?", "answer": "Because."}, ("Why?", "Because.")),
        ({"instruction": "Add.", "input": "1 2", "output": "3"}, ("Add.\n1 2", "3")),
        ({"instruction": "Add 1 and 2.", "input": "", "output": "3"}, ("Add 1 and 2.", "3")),
        ({"input": "1 2", "output": "3"}, ("1 2", "3")),
        ({"messages": CHAT}, ("Be brief.\nWhy?\nAnd how?", "Because.\nSo.")),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, ("a", "b")),
        ({"messages": CHAT[:2]}, None),
        ({"messages": []}, None),
        ({"messages": [{"role": ["assistant"], "content": 3}]}, None),
        ({"prompt": "Why?"}, None),
        ({"prompt": "Why?", "completion": " "}, None),
        ({"prompt": 3, "completion": "x"}, None),
        ({"input": "a config file"}, None),
        ({}, None),
    ],
)
def test_records(record, pair):
    assert pair_of(canonical_json(record)) == pair
    assert pair_of(json.dumps(record, indent=3), '{"prompt": "x"}') == (pair if record else ("x", "{}"))


@pytest.mark.parametrize(
    ("text", "meta", "pair"),
    [
        ("Because.", {"prompt": "Why?"}, ("Why?", "Because.")),
        ("Why?", {"response": "Because."}, ("Why?", "Because.")),
        ("### Q: Why?\n### A: Because.", {"instruction": "Why?", "output": "Because."}, ("Why?", "Because.")),
        ("The passage that both are about.", {"question": "Why?", "answer": "Because."}, None),
        ("plain", {"topic": "x"}, None),
        ("plain", {"input": "x"}, None),
        (None, {"prompt": "Why?"}, None),
        ("{broken", {"prompt": "Why?"}, ("Why?", "{broken")),
        ("[1]", {}, None),
    ],
)
def test_a_part_in_meta(text, meta, pair):
    assert pair_of(text, canonical_json(meta)) == pair
    assert pair_of(text) is None


def test_deeply_nested_json_is_no_pair():
    assert pair_of('{"a":' * 100_000 + "1" + "}" * 100_000) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["messages", "role", "content", "prompt", "output", "input"]), inner)
    ),
    max_leaves=12,
)


@given(record=st.dictionaries(st.sampled_from(["messages", "conversations", "prompt", "input", "output"]), json_values))
def test_any_record_gives_two_texts_or_none_whatever_the_order_of_its_keys(record):
    pair = pair_of(json.dumps(record))
    assert pair == pair_of(json.dumps(dict(reversed(record.items()))))
    assert pair is None or (len(pair) == 2 and all(part.strip() for part in pair))
