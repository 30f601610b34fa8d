"""The model card: what a checkpoint is, from facts alone (Mitchell et al. 2019, Model Cards)."""

from collections.abc import Mapping
from typing import Any


def model_card(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    data, by = card["data"], card["data"]["by"]
    lines = [
        f"# {card['family']} {card['checkpoint_id'][:12]}",
        "",
        f"A `{card['family']}` of {card['parameters']:,} parameters, trained by gendata {card['gendata']} "
        f"for {card['steps']:,} steps{_computed(card.get('machine'))}.",
        "",
        "## Training data",
        "",
        f"Manifest `{card['manifest_id']}`: {data['rows']:,} rows, selected by `{data['selection']['where']}`.",
        "",
        *_table("split", by["split"]),
        *_table("origin", by["origin"]),
        *_table("source", by["source"]),
        *_table("license", by["license"]),
    ]
    if allowed := data["selection"].get("allowed"):
        lines += ["**Not only real items**: " + "; ".join(_allowed(o, a) for o, a in allowed.items()), ""]
    if left_out := data["selection"].get("left_out"):
        lines += [f"Left out: {', '.join(f'{k} {v}' for k, v in left_out.items())}", ""]
    if card["classes"]:
        lines += [f"Classes: {', '.join(card['classes'])}", ""]
    lines += ["## Results on held-out data", ""]
    figures = dict(sorted(card["figures"].items()))  # of a resumed training they come in another order
    lines += _table("figure", figures) or ["None while training: stage `evaluate` measures the outputs.", ""]
    lines += ["## Parameters", "", *_table("parameter", card["config"])]
    lines += [
        "## Limits",
        "",
        "What it gives is generated: gendata marks every output with this checkpoint, and trains on none of them",
        "unless a selection allows it. Licences of the training data hold for what is reproduced of it.",
        "",
    ]
    return "\n".join(lines)


def _computed(machine: Mapping[str, Any] | None) -> str:
    if not machine:  # a card of before
        return ""
    processes = f" in {machine['processes']} processes" if machine["processes"] > 1 else ""
    return f" on {machine['device']} in {machine['precision']}{processes}"


def _allowed(origin: str, facts: Mapping[str, Any]) -> str:
    sources = ", ".join(f"{n} from {s}" for s, n in facts["sources"].items())
    return f"{facts['rows']} rows ({facts['share']:.1%}) are {origin} ({sources})"


def _table(name: str, values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {key or 'not stated'} | {_cell(value)} |" for key, value in values.items()]
    return [f"| {name} | |", "|---|---|", *rows, ""] if rows else []


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}"
