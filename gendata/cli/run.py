"""gendata run."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from gendata.cli._shared import expected_errors, note, project, short

if TYPE_CHECKING:
    from gendata.repro import Model, Summary

_FIGURES = ("frechet", "label_accuracy", "bits_per_byte", "training_copies", "overlap_mean")
"""What a family is judged by at a glance; stage compare has the rest."""

_BESIDE = ("floor", "baseline", "unigram", "bigram")
"""What a figure is read against: ``frechet_floor`` beside ``frechet``."""


def _stage_names(context: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """No name that DVC would take for an option of its own."""
    for name in value:
        if name.startswith("-"):
            raise click.BadParameter(f"{name!r} is no stage")
    return value


@click.command()
@click.argument("stages", metavar="[STAGE]...", nargs=-1, callback=_stage_names)
@click.option("--force", is_flag=True, help="Run the stages even if nothing changed.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1), help="Model families trained at a time (default: one per core, at most 4)."
)
@expected_errors
def run(stages: tuple[str, ...], force: bool, jobs: int | None) -> None:
    """Bring everything, or the named stages, up to date: `dvc repro` with a summary.

    \b
    gendata run                  all stages that are stale
    gendata run ingest@notes     one source
    gendata run dedup --force    once more, whatever DVC thinks
    gendata run train@gan        one model family
    """
    from gendata import repro

    here, start = project(), time.monotonic()
    ran = [stage for stage in repro.run(here, stages, force=force, jobs=jobs or 0, say=note) if stage != "scan"]
    done = f"ran {len(ran)} stages" if ran else "nothing to do"
    note(f"{done}, {time.monotonic() - start:.1f} s\n")
    if not stages or "store" in ran or any("@" in stage and not stage.startswith("ingest@") for stage in ran):
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
  kept     {summary.kept}{_alike(summary)}
{_tables(summary)}where      {stores or "no items kept"}; Parquet of every stage in artifacts/
{_models(summary)}
try next
  gendata search "open a file for reading"
  gendata sql "SELECT source, split, count(*) FROM items GROUP BY ALL"
  gendata duplicates{_next(summary)}"""


def _tables(summary: "Summary") -> str:
    """A line for each table that brings tags or vectors, with what was not used of it."""
    lines = [f"{t['used']} of {t['rows']} rows of {n}{_reasons(t['rejected'])}" for n, t in summary.tables.items()]
    return "".join(f"{'brought' if not at else '':<11}{line}\n" for at, line in enumerate(lines))


def _alike(summary: "Summary") -> str:
    """How many of what was kept is similar."""
    return f" ({summary.similar} like another: gendata duplicates --similar)" if summary.similar else ""


def _models(summary: "Summary") -> str:
    """A line per family, and more for its figures."""
    lines = ["", "models"] if summary.models else []
    for model in summary.models:
        if model.skipped:
            lines.append(f"  {model.family:12} skipped: {model.skipped}")
            continue
        lines.append(f"  {model.family:12} checkpoint {short(model.checkpoint_id)}")
        lines += [f"  {'':12} {line}" for line in _figures(model)]
    return "\n".join([*lines, ""])


def _figures(model: "Model") -> list[str]:
    found = model.figures
    lines = []
    if model.modality == "text" and "valid/loss" in found:
        beside = [f"{name} {found[key]:.2f}" for name in _BESIDE if (key := f"valid/{name}") in found]
        lines.append(f"valid loss {found['valid/loss']:.2f} nats/token{_bracket(beside)}")
    for name in _FIGURES:
        if name in found:
            beside = [f"{other} {found[key]:.4g}" for other in _BESIDE if (key := f"{name}_{other}") in found]
            lines.append(f"{name.replace('_', ' ')} {found[name]:.4g}{_bracket(beside)}")
    return lines


def _next(summary: "Summary") -> str:
    """What to try with the models; with none trained, nothing."""
    if summary.example is None:
        return ""
    made = {m.modality: m.family for m in reversed(summary.models) if not m.skipped}
    lines = [
        'gendata search "open a file for reading" --origin generated',
        f"gendata show {short(summary.example)} --chain",
    ]
    if "image" in made:
        lines.append(f"gendata generate {made['image']} -n 60 --grid samples.png")
    if "text" in made:
        lines.append(f'gendata generate {made["text"]} -n 3 --prompt "Return the "')
    return "".join(f"\n  {line}" for line in [*lines, "open artifacts/compare/table.md"])


def _reasons(counts: Mapping[str, int]) -> str:
    return _bracket([f"{n} {reason}" for reason, n in counts.items() if n])


def _bracket(parts: Sequence[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""
