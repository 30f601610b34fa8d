import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gendata.embed.passages import CHARS_PER_TOKEN, split

LIMIT = 16


def words(texts):
    """A toy tokenizer: a token per started five letters, one per other visible character."""
    return [sum(-(-len(m) // 5) if m.isalnum() else 1 for m in re.findall(r"[^\W_]+|\S", t)) for t in texts]


def lumpy(texts):
    """Tokens do not add up: a joined text has more than its parts."""
    return [n + len(t) // 8 for n, t in zip(words(texts), texts, strict=True)]


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(["\n\n", "\n", " ", ". ", "! ", "。", "\t", "\r\n\r\n", "  \n \n", "\u00a0", "\u2028"]),
        st.text(max_size=12),
        st.from_regex(r"[a-z]{1,9}( [a-z]{1,9}){0,30}", fullmatch=True),
        st.integers(1, 900).map(lambda n: "x" * n),
    ),
    max_size=25,
).map("".join)


def check(text, spans, count, limit=LIMIT):
    end = 0
    for start, stop in spans:
        assert end <= start < stop <= len(text)
        assert not text[end:start].strip()
        end = stop
    assert not text[end:].strip()
    passages = [text[a:b] for a, b in spans]
    assert all(p == p.strip() and len(p) <= CHARS_PER_TOKEN * limit for p in passages)
    assert all(n <= limit or len(p) == 1 for n, p in zip(count(passages), passages, strict=True))
    assert bool(spans) == bool(text.strip())


@pytest.mark.parametrize("count", [words, lumpy])
def test_passages_cover_a_text_in_order_and_fit(count):
    @given(TEXTS)
    @settings(max_examples=150, deadline=None)
    def run(text):
        (spans,) = split([text], LIMIT, count)
        check(text, spans, count)
        assert split(["a", text], LIMIT, count) == [[(0, 1)], spans]

    run()


@given(text=TEXTS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_passages_fit_the_real_tokenizer(minilm, text):
    (spans,) = split([text], LIMIT, minilm.count)
    check(text, spans, minilm.count)


def test_a_text_that_fits_is_one_passage_without_its_white_space():
    assert split(["  one two.\n\nthree\n"], LIMIT, words) == [[(2, 17)]]


def test_breaks_at_paragraphs_then_sentences_then_lines_then_words():
    def passages(text):
        return [text[a:b] for a, b in split([text], LIMIT, words)[0]]

    para = "one two three four five six."
    assert passages(f"{para}\n\n{para}\n\n{para} {para}\n\nend") == [
        f"{para}\n\n{para}",
        f"{para} {para}\n\nend",
    ]
    assert passages(f"{para} {para} {para}") == [f"{para} {para}", para]
    line = "one two three four five six"
    assert passages(f"{line}\n{line}\n{line}") == [f"{line}\n{line}", line]
    assert passages("word " * 40) == [" ".join(["word"] * 16), " ".join(["word"] * 16), " ".join(["word"] * 8)]
    assert passages("我们走。" * 8) == ["我们走。" * 8]


def test_offsets_count_code_points():
    text = "🙂 " * 20 + "é" * 3
    spans = split([text], LIMIT, words)[0]
    assert [text[a:b] for a, b in spans] == [" ".join("🙂" * 16), " ".join("🙂" * 4) + " ééé"]


@pytest.mark.parametrize("unit", ["x", "\n", "a\n\n", "。", ".", " \"'", "好", "word "])
def test_a_long_text_of_one_thing_is_cut_well(minilm, unit):
    text = unit * (200_000 // len(unit)) + "end"
    (spans,) = split([text], 254, minilm.count)
    check(text, spans, minilm.count, 254)
