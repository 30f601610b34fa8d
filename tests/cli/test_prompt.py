"""`gendata search` on a terminal: matches stand out; without a query a prompt, or the lines of stdin."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from click.testing import CliRunner
from terminal import DEADLINE, Terminal

from gendata.cli import cli

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def gendata(root, *args, lines=""):
    command = ["--project", str(root), "search", *map(str, args)]
    return CliRunner().invoke(cli, command, input=lines, prog_name="gendata")


def hits(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def marked(text):
    """What stands out."""
    return re.findall(r"\x1b\[31m\x1b\[1m(.+?)\x1b\[0m", text)


def terminal(root, *args, **options):
    return Terminal("--project", root, "search", *args, **options)


def test_matches_stand_out_on_a_terminal(built):
    with terminal(built.root, '"worth 17" coin', "--mode", "keyword", "-n", 1) as shown:
        text = shown.until()
    assert shown.process.wait() == 0
    assert marked(text) == ["worth 17", "coins"]
    assert "…" in text  # the end of the passage is shown, and that something is before it
    assert "Note 1" not in text
    lines = COLOUR.sub("", text).splitlines()
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize(("args", "environment"), [([], {"NO_COLOR": "1"}), (["--format", "jsonl"], {})])
def test_nothing_is_coloured_where_it_is_not_wanted(built, args, environment):
    with terminal(built.root, "coins", "--mode", "keyword", "-n", 1, *args, **environment) as shown:
        text = shown.until()
    assert "coins" in text
    assert "\x1b" not in text


def test_nothing_changes_in_a_pipe(built):
    result = gendata(built.root, "coins", "--mode", "keyword", "-n", "1", "--format", "table")
    assert "\x1b" not in result.stdout
    assert "  Note " in result.stdout


@pytest.mark.parametrize("lines", ["", "\n  \n"])
def test_nothing_to_answer_is_a_usage_error(built, lines):
    result = gendata(built.root, lines=lines)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "give a query" in result.stderr


@pytest.mark.parametrize("stdin", ["<&-", "</dev/null"])
def test_no_stdin_is_a_usage_error(built, stdin):
    command = f"{sys.executable} -m gendata --project {built.root} search {stdin}"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert "give a query" in result.stderr


def test_a_page_needs_a_query(built):
    result = gendata(built.root, "--html", "x.html", lines="bees\n")
    assert result.exit_code == 2
    assert "--html needs a query" in result.stderr


def test_lines_of_stdin_are_answered_by_one_encoder(built):
    from gendata.embed.query import _text_encoder

    _text_encoder.cache_clear()
    result = gendata(built.root, "-n", 1, lines="bees\n\n:n 3\n  ships and doors  \n:quit\nropes\n")
    assert result.exit_code == 0
    assert result.stderr == ""
    one, three = hits(gendata(built.root, "bees", "-n", 1)), hits(gendata(built.root, "ships and doors", "-n", 3))
    assert hits(result) == one + three
    assert _text_encoder.cache_info().misses == 1


def test_settings_hold_until_they_are_cleared(built):
    lines = """
:mode keyword
:where uri = 'note-003.txt'
bees coins
:where
:source nowhere
bees coins
:source
:modality image
bees
:modality
:origin generated
bees
:origin
:mode
bees
"""
    result = gendata(built.root, "-n", 1, lines=lines)
    assert result.exit_code == 0, result.stderr
    first, image, last = hits(result)
    assert first["uri"] == "note-003.txt"
    assert image["modality"] == "image"
    assert [last] == hits(gendata(built.root, "bees", "-n", 1))


def test_open_shows_a_hit_of_the_last_results(built):
    result = gendata(built.root, "-n", 2, lines="bees\n:open 2\n")
    _, second, shown = hits(result)
    assert shown["id"] == second["id"]
    assert {"store", "split", "quality", "license"} <= set(shown)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (":open 3", ":open takes the number of a hit; the last search found 2"),
        (":open 0", "the last search found 2"),
        (":open", "the last search found 2"),
        (":open ²", "the last search found 2"),
        (":mode fast", ":mode 'fast' is not one of 'hybrid', 'semantic', 'keyword'"),
        (":n many", ":n 'many' is not a valid integer range"),
        (":n 0", ":n 0 is not in the range 1<=x<=10000"),
        (":origin mine", "is not one of 'real'"),
        (":show 1", ":show is no command; :help lists them"),
        (":where nope = 1\nbees\n:where", "nope"),
        ("-", ""),
    ],
)
def test_errors_are_a_line_and_the_lines_after_them_are_answered(built, line, message):
    result = gendata(built.root, "-n", 2, "--mode", "keyword", lines=f"bees\n{line}\nships\n")
    assert len(hits(result)) == 4
    errors = [text for text in result.stderr.splitlines() if text.startswith("error: ")]
    assert result.exit_code == (1 if message else 0)
    assert len(errors) == result.exit_code
    assert all(message in error for error in errors)


def test_help_names_every_command(built):
    text = gendata(built.root, lines=":help\n").stdout
    assert all(f":{name}" in text for name in ("open", "where", "mode", "n", "origin", "modality", "source", "quit"))


def test_bytes_that_are_no_text_are_words_like_others(built):
    assert len(hits(gendata(built.root, "-n", 1, lines=b"\xff bees\n"))) == 1


def test_stores_are_opened_anew_when_they_were_built_anew(project):
    command = [sys.executable, "-m", "gendata", "search", "--mode", "keyword", "-n", "1"]
    with subprocess.Popen(
        command, cwd=project.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asked:

        def answer(query):
            asked.stdin.write(f"{query}\n")
            asked.stdin.flush()
            return json.loads(asked.stdout.readline())

        before = answer("Note 3 is about")
        (project.root / "corpus" / "note-999.txt").write_text("Kites fly where the wind is strong, over the hills.")
        project.gendata("run")
        after = answer("kites")
        shown = answer(":open 1")
        assert asked.communicate()[1] == ""
    assert before["uri"] != "note-999.txt"
    assert (after["uri"], shown["uri"]) == ("note-999.txt", "note-999.txt")
    assert asked.returncode == 0


def test_a_prompt_answers_and_remembers(project):
    with terminal(project.root, "-n", 2) as prompt:
        prompt.until("search>")
        found = prompt.ask("coin bees")
        assert "bees" in marked(found)
        numbers = re.findall(r"^ *(\d+) ", COLOUR.sub("", found).replace("\r", ""), re.MULTILINE)
        assert numbers == ["1", "2"]
        item = re.search(r"^ *2 +\S+ +([0-9a-f]{12}) ", COLOUR.sub("", found).replace("\r", ""), re.MULTILINE)[1]
        assert item in prompt.ask(":open 2")
        assert "error: :mode 'x'" in prompt.ask(":mode x")
        prompt.type("half a line\x03")
        prompt.until("\x1b[?2004l")  # the end of this line's prompt, which may be painted once more before
        prompt.until("search>")
        prompt.type("\x04")
        prompt.until()
        assert prompt.process.wait() == 0
    history = (project.root / ".gendata" / "search_history").read_text()
    assert [line[1:] for line in history.splitlines() if line.startswith("+")] == ["coin bees", ":open 2", ":mode x"]
    with terminal(project.root) as prompt:
        prompt.until("search>")
        prompt.type("\x1b[A\r")  # the line before
        assert "error: :mode 'x'" in prompt.until("keyword'")
        assert "half a line" not in prompt.ask(":quit_")
        prompt.type(":quit\r")
        prompt.until()
        assert prompt.process.wait() == 0


def test_ctrl_c_breaks_off_a_search(built):
    slow = "quality < (SELECT sum(a.i % (b.i + 1)) FROM range(10000000) a(i), range(10000000) b(i))"
    with terminal(built.root, "--mode", "keyword", "--where", slow) as prompt:
        prompt.until("search>")
        prompt.type("coins\r")
        prompt.until("\x1b[?2004l")
        own, end = psutil.Process(prompt.process.pid), time.monotonic() + DEADLINE
        while not any(child.cpu_times().user > 1 for child in own.children()):  # it computes, and is waited for
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(prompt.process.pid, signal.SIGINT)
        assert "interrupted" in prompt.until("search>")
        assert not own.children()
        prompt.ask(":where")
        assert "coins" in marked(prompt.ask("coins"))


def test_a_prompt_needs_a_store(sandbox):
    with terminal(sandbox.root) as prompt:
        assert prompt.until().startswith("error: store not built")
        assert prompt.process.wait() == 1
