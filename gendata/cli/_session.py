"""What a line means where `gendata search` takes one after the other: a query, or a command with a colon."""

import re
from collections.abc import Mapping
from typing import Any

import click

from gendata.cli._hits import print_hits
from gendata.cli._shared import note
from gendata.cli.show import print_item
from gendata.errors import QueryError
from gendata.project import Project
from gendata.store import STORES
from gendata.store.head import read_head

SETTINGS = {
    "where": "where",
    "mode": "mode",
    "n": "count",
    "origin": "origin",
    "modality": "modality",
    "source": "source",
}
"""Commands that set an option of ``gendata search``, and its parameter."""

HELP = """\
a line             search for it; "a phrase" must occur, a -word must not
:open N            show hit N of the last results with everything known about it
:where SQL         only items for which this condition over `items` holds
:mode MODE         hybrid, semantic or keyword
:n 20              how many items
:origin ORIGIN     real, generated, unknown or any
:modality KIND     text, image, audio or record
:source NAME       only items of this source
                   each of these without a value: as if it was never given
:help, :quit       this text; the end, as is Ctrl-D (Ctrl-C breaks off a search)"""


class Session:
    """What stays from line to line: the project, the settings, the last hits."""

    def __init__(self, project: Project, settings: Mapping[str, Any], format_: str | None, explain: bool) -> None:
        self._project, self._settings = project, dict(settings)
        self._format, self._explain = format_, explain
        self._last: list[str] = []
        self._context = click.get_current_context()

    def project(self) -> Project:
        """The project, its stores as they are now: one that was built anew since the last line is opened anew."""
        folder = self._project.artifacts / "store"
        heads = {name: head for name in STORES if (head := read_head(folder / name))}
        if heads != {name: store.head for name, store in self._project.stores.items()}:
            self._project = Project(self._project.root)
        return self._project

    def warm(self) -> None:
        """Load what the first search needs."""
        self._project.search("warm", n=1, mode=self._settings["mode"])

    def answer(self, line: str) -> None:
        """Do what a line says. Raises GendataError if that cannot be done, EOFError to end."""
        command = re.fullmatch(r":([^\W\d_]\w*)(?:\s+(.*))?", line)
        name, value = (command[1], command[2] or "") if command else ("", "")
        if command is None:
            self._search(line)
        elif name in SETTINGS:
            self._set(name, value)
        elif name == "open":
            print_item(self.project().show(self._hit(value)), self._format)
        elif name == "help":
            click.echo(HELP)
        elif name == "quit":
            raise EOFError
        else:
            raise QueryError(f":{name} is no command; :help lists them (to search for it, put it in quotes)")

    def settings(self) -> str:
        """What is set, in a line."""
        return "   ".join(f"{name} {self._settings[key]}" for name, key in SETTINGS.items() if self._settings[key])

    def _search(self, query: str) -> None:
        options = {"n" if name == "count" else name: value for name, value in self._settings.items()}
        found = self.project().search(query, **options)
        for message in found.messages:
            note(message)
        self._last = [hit.id for hit in found.hits]
        print_hits(found.hits, query, self._format, explain=self._explain, numbered=True)

    def _set(self, name: str, value: str) -> None:
        """By the option's own rules, so that the prompt takes what the command line takes."""
        option = next(p for p in self._context.command.params if p.name == SETTINGS[name])
        unset = option.default if isinstance(option.default, (str, int)) else None
        try:
            self._settings[SETTINGS[name]] = option.type_cast_value(self._context, value) if value else unset
        except click.BadParameter as error:
            raise QueryError(f":{name} {error.message.rstrip('.')}") from None

    def _hit(self, number: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{0,5}", number) or int(number) > len(self._last):
            raise QueryError(f":open takes the number of a hit; the last search found {len(self._last)}")
        return self._last[int(number) - 1]
