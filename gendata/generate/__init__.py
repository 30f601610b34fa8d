"""Stage generate, and ``gendata generate``: a checkpoint and a request become items of origin generated.

The same checkpoint, request and seed give the same bytes, and item i is the same however many are asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendata import files, params
from gendata.engine import Progress
from gendata.errors import ParamsError, QueryError
from gendata.items import OUTPUT_SCHEMA, Item, canonical_json, content_id
from gendata.models import needs
from gendata.models.request import ImageRequest, TextRequest

if TYPE_CHECKING:
    from gendata.models.checkpoint import Checkpoint

BATCH = 50
"""Items sampled at once, always: an item must not depend on how many are sampled beside it."""

SPLIT = "generated"
"""What stands in the column split of an output: it belongs to none of the splits of the data."""

_REQUESTS = {"image": ImageRequest, "text": TextRequest}

_DEFAULT_N = {"image": 500, "text": 100}
"""Images are cheaper than texts, and their figures need more of them."""


@dataclass(frozen=True, kw_only=True)
class GenerateParams:
    """Section ``generate.<family>`` of params.yaml: how many, with which seed, and what is asked."""

    n: int
    seed: int
    request: ImageRequest | TextRequest

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n: must be at least 1, not {self.n}")
        if not 0 <= self.seed < 1 << 62:
            raise ValueError(f"seed: must be between 0 and 2**62, not {self.seed}")


def load_generate(family: str, given: object, where: str) -> GenerateParams:
    """``n`` (by default 500 images or 100 texts), ``seed`` (0), and the keys of the request. Raises ParamsError."""
    if not isinstance(given, Mapping):
        raise ParamsError(f"{where}: must be a mapping, not {given!r}")
    rest = dict(given)
    n, seed = rest.pop("n", _DEFAULT_N[needs(family).modality]), rest.pop("seed", 0)
    for name, value in (("n", n), ("seed", seed)):
        if type(value) is not int:
            raise ParamsError(f"{where}.{name}: must be a whole number, not {value!r}")
    kind = _REQUESTS[needs(family).modality]
    known = [f.name for f in fields(kind)]
    if unknown := [key for key in rest if key not in known]:
        raise ParamsError(f"{where}: unknown key {unknown[0]!r}; allowed: n, seed, {', '.join(known)}")
    try:
        return GenerateParams(n=n, seed=seed, request=params.build(kind, rest, where))
    except ValueError as error:
        raise ParamsError(f"{where}: {error}") from None


def generate(
    checkpoint: "Checkpoint", asked: GenerateParams, created_at: str | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of OUTPUT_SCHEMA, one after the other.

    Args:
        checkpoint: the model.
        asked: what is asked of it.
        created_at: UTC, of ad-hoc outputs.

    Raises:
        QueryError: the label is none of the model's classes, or the prompt longer than it sees.
        StoreError: the weights are not those of the card.
    """
    family = str(checkpoint.card["family"])
    classes, label = checkpoint.data.classes, asked.request.label
    if label is not None and label not in classes:
        known = ", ".join(classes) or f"it has none without `conditional: true` in train.{family}"
        raise QueryError(f"label {label!r} is none that {family} knows: {known}")
    if isinstance(asked.request, ImageRequest):
        from gendata.generate.images import sample_images

        found = sample_images(checkpoint, asked.n, asked.seed, asked.request)
    else:
        from gendata.generate.texts import sample_texts

        found = sample_texts(checkpoint, asked.n, asked.seed, asked.request)
    request = asdict(asked.request)
    made = {"model": family, "checkpoint_id": checkpoint.id, "manifest_id": checkpoint.card["manifest_id"]}
    base = f"{checkpoint.id[:12]}/{content_id(canonical_json(request))[:8]}-{asked.seed}"
    with Progress(f"generate {family}", asked.n, "items") as progress:
        for index, item in enumerate(found):
            row = item.row(family, "generated", None)
            asked_for = canonical_json(request | {"index": index})
            yield (
                row
                | made
                | {
                    "uri": f"{base}/{index:06d}{item.uri}",
                    "seed": asked.seed,
                    "request": asked_for,
                    "created_at": created_at,
                }
            )
            progress.add()


def output_item(modality: str, suffix: str, media_type: str, **content: Any) -> Item:
    """An output before it has a place; ``suffix`` ends its uri."""
    return Item(modality=modality, uri=suffix, media_type=media_type, origin="generated", source_split=SPLIT, **content)


def write_outputs(folder: Path, rows: Iterator[dict[str, Any]]) -> dict[str, int]:
    """Rows to ``folder/00000.parquet`` and on; counts of items and of different ids."""
    writer, ids, count = files.ShardWriter(folder, OUTPUT_SCHEMA), set(), 0
    for row in rows:
        writer.write(row)
        ids.add(row["id"])
        count += 1
    writer.close()
    return {"items": count, "distinct": len(ids)}
