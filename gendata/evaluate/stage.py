"""The stage: outputs, checkpoint and held-out data to figures and pictures."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendata import files
from gendata.errors import StoreError
from gendata.evaluate import EvaluateParams
from gendata.items import OUTPUT_SCHEMA
from gendata.models import needs
from gendata.models.checkpoint import Checkpoint
from gendata.select.contents import Contents
from gendata.train.data import ImageData, load_data


def evaluate(
    checkpoint: Checkpoint, contents: Contents, generated: Path, params: EvaluateParams, out: Path
) -> dict[str, Any]:
    """Measure the outputs of a checkpoint; into ``out`` go figures.json and what DVC plots.

    That is the curves of the training, a table of what was copied and, of images, pictures of that and of the latent.
    A family that scores real images leaves scores.parquet too.

    Args:
        checkpoint: the model.
        contents: of its manifest.
        generated: ``items/*.parquet`` of stage generate.
        params: of the stage.
        out: replaced as a whole.

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
    with files.output(out) as work:
        if isinstance(data, ImageData):
            from gendata.evaluate import images

            found: Any = images.report(outputs, checkpoint.model(), checkpoint, contents.manifest, data, params, work)
        else:
            from gendata.evaluate import prose

            found = prose.report(outputs, checkpoint.model(), config, data, work)
        figures = {name: round(v, 6) if isinstance(v, float) else v for name, v in asdict(found).items()}
        files.write_json(work / "figures.json", figures)
        shutil.copyfile(checkpoint.folder / "history.csv", work / "curves.csv")
    return figures


def _outputs(folder: Path, checkpoint_id: str) -> pa.Table:
    """What was generated; as much of it as one request of the pipeline asks for is in memory."""
    columns = ["id", "label", "text", "data", "checkpoint_id"]
    table = pa.concat_tables([files.read_table(path, columns) for path in files.shards(folder)])
    if set(table["checkpoint_id"].to_pylist()) != {checkpoint_id}:
        raise StoreError(f"{folder}: outputs of another checkpoint than {checkpoint_id[:12]}: generate again")
    return table.cast(pa.schema([OUTPUT_SCHEMA.field(name) for name in columns]))
