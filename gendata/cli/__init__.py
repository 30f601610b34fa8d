"""The command line. One file per command; each parses, calls one function, prints.

Commands import what they need when they run: ``gendata --help`` loads nothing but click.
"""

import click

from gendata.cli.add import add
from gendata.cli.diff import diff
from gendata.cli.doctor import doctor
from gendata.cli.duplicates import duplicates
from gendata.cli.export import export
from gendata.cli.generate import generate
from gendata.cli.init import init
from gendata.cli.model import model
from gendata.cli.run import run
from gendata.cli.search import search
from gendata.cli.show import show
from gendata.cli.sql import sql
from gendata.cli.stats import stats
from gendata.cli.status import status


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        import gendata

        click.echo(f"gendata {gendata.__version__}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option(
    "--project",
    "root",
    metavar="DIR",
    envvar="GENDATA_PROJECT",
    default=".",
    help="The project (default: here or above).",
)
@click.pass_context
def cli(context: click.Context, root: str) -> None:
    """Know what is in a generative-AI dataset, and where every item came from.

    \b
    gendata init demo && cd demo     a new project with two built-in corpora
    gendata run                      ingest, deduplicate, tag, embed, store
    gendata search "read a file"     by meaning and keyword together
    """
    context.obj = root


for command in (init, add, run, status, search, sql, show, stats, diff, duplicates, export, generate, model, doctor):
    cli.add_command(command)
