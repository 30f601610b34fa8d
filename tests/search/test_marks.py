"""What stands out in a hit: the words that the index matched, by stem, and phrases whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.cli._hits import snippet
from gendata.cli._shared import cell_width
from gendata.search.marks import Marker, stem


def found(query, text):
    return [text[mark.start : mark.end] for mark in Marker.of(query).find(text)]


def shown(text, width, query):
    return snippet(text, width, marker=Marker.of(query), style=lambda part: f"[{part}]")


@pytest.mark.parametrize(
    "family",
    [
        "read reads reading Reading",
        "line lines lined lining",
        "run runs running",
        "class classes",
        "box boxes boxed boxing",
        "query queries queried querying",
        "parse parses parsed parsing",
        "fill fills filled filling",
        "use uses used using",
        "need needs needed needing",
    ],
)
def test_words_of_one_stem(family):
    assert len({stem(word) for word in family.split()}) == 1


@pytest.mark.parametrize("pair", ["file fill", "string str", "line linux", "class clay", "the these"])
def test_words_of_different_stems(pair):
    one, other = pair.split()
    assert stem(one) != stem(other)


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("read a line", "Reads a file, line by line. A readline reader", ["Reads", "line", "line"]),
        ("read_file", "to read the file, or read_files", ["read", "file", "read", "files"]),
        ('parse "command line"', "parsing the COMMAND  line; line of commands", ["parsing", "COMMAND  line"]),
        ('"C++" code', "code in C++ or C", ["code", "C++"]),
        ('lines "line"', "lines and a line", ["lines", "line"]),
        ("bees -wasps", "bees, no wasps", ["bees"]),
        ("the of", "the end of it", []),
        ("größe Straße", "Die GRÖSSE der Straße, die Größe", ["Straße", "Größe"]),
        ("***", "no words *** at all", []),
    ],
)
def test_what_is_found(query, text, expected):
    assert found(query, text) == expected


TEXT = "The beginning says little. Further on, a parser reads every token twice; the end says nothing more at all."


@pytest.mark.parametrize(
    ("text", "width", "query", "expected"),
    [
        ("parse it", 20, "parse", "[parse] it            "),
        (TEXT, 30, "begin little", "The [beginning] says [little]. Fu…"),
        (TEXT, 30, "token read", "…[reads] every [token] twice; the…"),
        (TEXT, 30, "nothing", "…end says [nothing] more at all."),
        (TEXT, 30, "all", "…says nothing more at [all].    "),
        (TEXT, 30, "absent", "The beginning says little. Fu…"),
        (TEXT, 8, '"every token twice"', "…[every ]…"),
        ("字" * 30 + " token " + "字" * 30, 20, "token", "…[token] 字字字字字字…"),
    ],
)
def test_the_snippet_is_around_the_matches(text, width, query, expected):
    assert shown(text, width, query) == expected


@given(st.text(alphabet="ab é字\u0301", max_size=60), st.text(alphabet='ab "', max_size=6), st.integers(2, 30))
def test_a_snippet_is_as_wide_as_it_is_asked_to_be(text, query, width):
    marker = Marker.of(query)
    assert cell_width(snippet(text, width, marker=marker, style=str)) == width
    parts = []
    snippet(text, width, marker=marker, style=lambda part: parts.append(part) or part)
    assert all(parts)
