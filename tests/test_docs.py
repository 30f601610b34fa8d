"""The documents against the commands."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gendata.cli import cli

REPO = Path(__file__).parent.parent


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_has_help_with_an_example_and_is_in_the_readme(name):
    result = CliRunner().invoke(cli, [name, "--help"], prog_name="gendata")
    assert result.exit_code == 0
    assert len(re.findall(rf"^ +gendata {name}", result.output, re.MULTILINE)) >= 1
    assert f"gendata {name}" in (REPO / "README.md").read_text()


def test_every_option_has_a_help_text():
    nested = [c for group in cli.commands.values() for c in getattr(group, "commands", {}).values()]
    for command in [*cli.commands.values(), *nested]:
        for option in command.params:
            if isinstance(option, click.Option) and not isinstance(option.type, click.Choice):
                assert option.help, f"{command.name} {option.opts}"


def test_the_readme_names_only_commands_options_and_files_that_exist():
    readme = (REPO / "README.md").read_text()
    code = "\n".join(re.findall(r"^```\w*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL))
    commands = re.findall(r"^(?:\$ )?gendata (\w+)([^\n]*)", code, re.MULTILINE)
    assert len(commands) > 10
    for command, rest in commands:
        assert command in cli.commands, command
        found = [cli.commands[command], *getattr(cli.commands[command], "commands", {}).values()]
        known = {o for c in found for p in c.params for o in p.opts}
        used = re.findall(r"(?<=\s)--[a-z-]+", rest)
        assert set(used) <= known | {"--help"}, f"{command}: {used}"
    for name in re.findall(r"\]\(([A-Z]+\.md)\)", readme):
        assert (REPO / name).is_file()


def test_the_unreleased_changes_come_first():
    headings = re.findall(r"^## \[(.+?)\]", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"


def test_architecture_names_every_module_at_the_top():
    text = (REPO / "ARCHITECTURE.md").read_text()
    for path in (REPO / "gendata").iterdir():
        if path.name not in {"__init__.py", "__main__.py", "__pycache__", "py.typed", "_template"}:
            assert path.name in text or f"{path.name}/" in text, path.name
