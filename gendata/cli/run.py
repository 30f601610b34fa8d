"""gendata run."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from gendata.cli._shared import expected_errors, note, project

if TYPE_CHECKING:
    from gendata.repro import Summary


def _stage_names(context: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """No name that DVC would take for an option of its own."""
    for name in value:
        if name.startswith("-"):
            raise click.BadParameter(f"{name!r} is no stage")
    return value


@click.command()
@click.argument("stages", metavar="[STAGE]...", nargs=-1, callback=_stage_names)
@click.option("--force", is_flag=True, help="Run the stages even if nothing changed.")
@expected_errors
def run(stages: tuple[str, ...], force: bool) -> None:
    """Bring everything, or the named stages, up to date: `dvc repro` with a summary.

    \b
    gendata run                  all stages that are stale
    gendata run ingest@notes     one source
    gendata run dedup --force    once more, whatever DVC thinks
    """
    from gendata import repro

    here, start = project(), time.monotonic()
    ran = [stage for stage in repro.run(here, stages, force=force, say=note) if stage != "scan"]
    done = f"ran {len(ran)} stages" if ran else "nothing to do"
    note(f"{done}, {time.monotonic() - start:.1f} s\n")
    if not stages or "store" in ran:
        click.echo(report(repro.summary(here)))


def report(summary: "Summary") -> str:
    """The counts of a run and what to try next."""
    if not summary.enumerated:
        return "nothing to read yet; add data with `gendata add PATH --origin real`"
    stores = ", ".join(f"{n} in artifacts/store/{name}" for name, n in summary.stores.items() if n)
    rejected, dropped = sum(summary.rejected.values()), sum(summary.dropped.values())
    return f"""\
units      {summary.enumerated}
  read     {summary.read}
  rejected {rejected}{_reasons(summary.rejected)}
items
  dropped  {dropped}{_reasons(summary.dropped)}
  kept     {summary.kept}
where      {stores or "no items kept"}; Parquet of every stage in artifacts/

try next
  gendata search "open a file for reading"
  gendata sql "SELECT source, split, count(*) FROM items GROUP BY ALL"
  gendata duplicates"""


def _reasons(counts: Mapping[str, int]) -> str:
    listed = ", ".join(f"{n} {reason}" for reason, n in counts.items() if n)
    return f" ({listed})" if listed else ""
