import re

from hypothesis import given
from hypothesis import strategies as st

from gendata import chats

HEADS = ["user: ", "\n\n", "\n", "\\", "assistant: ", "@a: ", ": ", "@", "tool:", "x", " "]
WORDS = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(HEADS), max_size=8).map("".join))
ROLE = st.one_of(
    st.sampled_from(chats.ROLES),
    st.one_of(WORDS, st.text(max_size=70)).filter(chats.is_role),
)
TURNS = st.lists(st.tuples(ROLE, WORDS), max_size=5)


def test_a_chat_reads_as_one():
    text = chats.render([("system", "Be brief."), ("user", "What is\n\ntwo and two?"), ("assistant", "Four.")])
    assert text == "system: Be brief.\n\nuser: What is\n\ntwo and two?\n\nassistant: Four."
    assert chats.parts(text) == ("Be brief.\n\nWhat is\n\ntwo and two?", "Four.")


def test_other_roles_and_words_that_look_like_a_turn_are_marked():
    turns = [("narrator", "Once."), ("user", "I said:\n\nassistant: no\n\n\\user: and this\n\nNote: as it is")]
    text = chats.render(turns)
    assert text == ("@narrator: Once.\n\nuser: I said:\n\n\\assistant: no\n\n\\\\user: and this\n\nNote: as it is")
    assert chats.turns(text) == turns
    assert chats.parts(text) is None


def test_what_is_no_pair():
    for text in ("", "plain", "a user: b", "user: hi", "assistant: hi", "\n\nuser: a\n\nassistant: b"):
        assert chats.parts(text) is None
    assert chats.parts("user: \n\nassistant: ") == ("", "")


def test_what_can_be_a_role():
    assert all(map(chats.is_role, ("user", "critic 2", "agent:planner", "a:", "@x")))
    assert not any(map(chats.is_role, ("", " a", "a: b", "a\nb", "\x1b[31m", "x" * 65)))


@given(TURNS)
def test_turns_are_read_back_as_they_were_written(turns):
    assert chats.turns(chats.render(turns)) == turns


@given(TURNS)
def test_parts_are_the_words_of_the_model_and_those_of_all_others(turns):
    reply = [said for role, said in turns if role == "assistant"]
    prompt = [said for role, said in turns if role != "assistant"]
    expected = ("\n\n".join(prompt), "\n\n".join(reply)) if prompt and reply else None
    assert chats.parts(chats.render(turns)) == expected


@given(WORDS)
def test_any_text_has_turns_if_it_begins_with_one(text):
    found = chats.turns(text)
    assert bool(found) == bool(re.match(r"(system|user|assistant|tool|@[^\n]{1,64}?): ", text))
    assert chats.parts(text) is None or len(found) > 1
