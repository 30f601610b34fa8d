"""``gendata search`` without a query: a prompt, or the lines of stdin, with models and stores kept open."""

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import click

from gendata import files
from gendata.cli._session import Session
from gendata.cli._shared import complain, note
from gendata.errors import GendataError
from gendata.project import Project

if TYPE_CHECKING:
    from prompt_toolkit.history import History


def run(project: Project, settings: Mapping[str, Any], format_: str | None, explain: bool) -> None:
    """Answer lines until they end: from a prompt on a terminal, else from stdin.

    Raises:
        UsageError: there is no line to answer.
        SystemExit: a line of stdin could not be answered; those after it were.
    """
    session = Session(project, settings, format_, explain)
    if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        _converse(session, _history(session.project()))
    elif sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("give a query, or an image with --image")
    else:
        _read(session)


def _read(session: Session) -> None:
    asked, failed = False, False
    for data in sys.stdin.buffer:
        line = data.decode("utf-8", "replace").strip()
        if not line:
            continue
        asked = True
        try:
            session.answer(line)
        except GendataError as error:
            complain(error)
            failed = True
        except EOFError:
            break
    if not asked:
        raise click.UsageError("give a query, or an image with --image")
    if failed:
        raise SystemExit(1)


def _converse(session: Session, history: "History") -> None:
    from prompt_toolkit import PromptSession

    prompt: PromptSession[str] = PromptSession(history=history, bottom_toolbar=session.settings)
    with ThreadPoolExecutor(1) as pool:
        # while the user types; in a thread, since an import that Ctrl-C breaks off cannot be taken up again
        warm = pool.submit(session.warm)
        while True:
            line = ""
            try:
                if line := prompt.prompt("search> ").strip():
                    wait([warm])
                    session.answer(line)
            except GendataError as error:
                complain(error)
            except KeyboardInterrupt:
                if line:
                    note("interrupted")
            except EOFError:
                break


def _history(project: Project) -> "History":
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    path = project.root / files.WORK / "search_history"
    try:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    except OSError as error:  # a project that may only be read
        note(f"{path}: {error.strerror}; what you type is remembered for this session alone")
        return InMemoryHistory()
    return FileHistory(str(path))
