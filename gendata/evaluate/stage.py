"""The stage: outputs, checkpoint and held-out data to figures and pictures."""

import shutil
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendata import files
from gendata.errors import StoreError
from gendata.evaluate import EvaluateParams, ImageFigures
from gendata.evaluate.scores import score_rows, write_scores
from gendata.items import OUTPUT_SCHEMA
from gendata.models import needs
from gendata.models.checkpoint import Checkpoint
from gendata.records.manifest import Manifest
from gendata.select.contents import Contents
from gendata.train.data import ImageData, load_data


def evaluate(
    checkpoint: Checkpoint, contents: Contents, generated: Path, params: EvaluateParams, out: Path, scored: Path
) -> dict[str, Any]:
    """Measure the outputs of a checkpoint; into ``out`` go figures.json and what DVC plots.

    That is the curves of the training, a table of what was copied and, of images, pictures of that and of the latent.

    Args:
        checkpoint: the model.
        contents: of its manifest.
        generated: ``items/*.parquet`` of stage generate.
        params: of the stage.
        out: replaced as a whole.
        scored: replaced as a whole: the rows of table ``scores``, none of a family that scores nothing.

    Returns:
        The figures (``ImageFigures`` or ``TextFigures``), rounded to six digits.

    Raises:
        StoreError: the checkpoint was trained on another manifest, or the outputs are of another checkpoint.
    """
    if contents.manifest.id != checkpoint.card["manifest_id"]:
        raise StoreError(
            f"{checkpoint.folder}: trained on manifest {checkpoint.card['manifest_id'][:12]}, not on this one"
        )
    config: Any = checkpoint.config()
    data = load_data(contents, needs(checkpoint.card["family"]).modality, config)
    outputs = _outputs(generated, checkpoint.id)
    rows: Iterable[dict[str, Any]] = ()
    with files.output(out) as work, files.output(scored) as scores_work:
        if isinstance(data, ImageData):
            from gendata.evaluate import images

            found: Any = images.report(outputs, contents.manifest, data, params, work)
            found, rows = _with_latent(found, checkpoint, contents.manifest, data, work)
        else:
            from gendata.evaluate import prose

            found = prose.report(outputs, checkpoint.model(), config, data, work)
        write_scores(scores_work, rows)
        figures = {name: round(v, 6) if isinstance(v, float) else v for name, v in asdict(found).items()}
        files.write_json(work / "figures.json", figures)
        shutil.copyfile(checkpoint.folder / "history.csv", work / "curves.csv")
    return figures


def _with_latent(
    figures: ImageFigures, checkpoint: Checkpoint, manifest: Manifest, data: ImageData, out: Path
) -> tuple[ImageFigures, Iterable[dict[str, Any]]]:
    """The figures, and the scores of real images, of a family that has a latent; its pictures go into ``out``."""
    from gendata.evaluate import latents
    from gendata.models.family import LatentModel

    model = checkpoint.model()
    if not isinstance(model, LatentModel):
        return figures, ()
    found = latents.report(model, manifest, data, out)
    rows = score_rows(checkpoint.card["family"], checkpoint.id, model.score_name, found.ids, found.values)
    return replace(figures, score=found.median, score_wrong_label=found.wrong_label), rows


def _outputs(folder: Path, checkpoint_id: str) -> pa.Table:
    """What was generated; as much of it as one request of the pipeline asks for is in memory."""
    columns = ["id", "label", "text", "data", "checkpoint_id"]
    table = pa.concat_tables([files.read_table(path, columns) for path in files.shards(folder)])
    if set(table["checkpoint_id"].to_pylist()) != {checkpoint_id}:
        raise StoreError(f"{folder}: outputs of another checkpoint than {checkpoint_id[:12]}: generate again")
    return table.cast(pa.schema([OUTPUT_SCHEMA.field(name) for name in columns]))
