import pytest

from gendata.ingest.globs import matcher


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.txt", "a.txt", True),
        ("*.txt", "deep/er/a.txt", True),
        ("*.txt", "a.txt.md", False),
        ("sub/*.txt", "sub/a.txt", True),
        ("sub/*.txt", "sub/x/a.txt", False),
        ("sub/*.txt", "x/sub/a.txt", False),
        ("sub/**", "sub/x/y", True),
        ("sub/**", "subway", False),
        ("**/x/*.md", "x/a.md", True),
        ("**/x/*.md", "a/b/x/a.md", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[!a-c]x", "bx", False),
        ("[^a]x", "^x", True),
        ("a.b", "aXb", False),
        ("a\nb*", "a\nbc\nd", True),
        ("?", "😀", True),
        ("(", "(", True),
        ("[", "[", True),
    ],
)
def test_globs(glob, path, expected):
    assert matcher([glob])(path.encode()) is expected


def test_undecodable_names_can_be_matched():
    assert matcher(["*.txt"])(b"\xff\xfe.txt")


def test_no_glob_matches_nothing():
    assert not matcher([])(b"a")
