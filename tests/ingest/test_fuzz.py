"""Readers over mutated bytes: every unit is an item or a reject, never an exception. Seeded."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gendata.ingest import IngestParams, SourceParams, preview
from gendata.items import ITEM_SCHEMA, Item, to_table

P = IngestParams(max_pixels=100_000, max_record_bytes=10_000, workers=1)


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.choice((1, 4, 100))]
            case 2:
                data[at:at] = rng.randbytes(rng.choice((1, 4, 30)))
            case 3:
                data[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b'"""\n'))
            case 4:
                del data[at:]
    return bytes(data)


def seeds(folder, image):
    text = [f"naïve text {i} 😀" for i in range(30)]
    table = pa.table({"text": text, "label": range(30), "image": [image(size=(3, 3))] * 30, "x": [[1.5, None]] * 30})
    pq.write_table(table, folder / "p.parquet", row_group_size=10)
    for name, opener in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        with opener(folder / name, table.schema) as writer:
            writer.write_table(table, 10)
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 3, "maker"
    rows = [{"text": t, "label": i, "split": "train", "origin": "real", "m": {"a": [t]}} for i, t in enumerate(text)]
    return {
        "a.txt": "text with\r\nlines ü".encode(),
        "legacy.txt": "Съешь ещё этих мягких французских булок".encode("cp1251"),
        "marked.txt": "text in UTF-16 ü 😀".encode("utf-16"),
        "a.png": image(size=(30, 20)),
        "a.jpg": image("JPEG", size=(30, 20), exif=exif),
        "progressive.jpg": image("JPEG", size=(30, 20), progressive=True),
        "a.webp": image("WEBP", size=(30, 20), exif=exif),
        "l.webp": image("WEBP", size=(30, 20), lossless=True),
        "t.jsonl": "\n".join(json.dumps(r, ensure_ascii=i % 2 == 0) for i, r in enumerate(rows)).encode(),
        "t.csv": ("text,label,split\n" + "\n".join(f'"{t}, ""q""",{i},val' for i, t in enumerate(text))).encode(),
        "t.json": json.dumps(rows, indent=1).encode(),
        "t.tsv": ("text\tlabel\n" + "\n".join(f"{t}\t{i}" for i, t in enumerate(text))).encode(),
        "t.arrow": (folder / "file").read_bytes(),
        "t.feather": (folder / "stream").read_bytes(),
        "t.parquet": (folder / "p.parquet").read_bytes(),
    }


def fuzz(project, image, rounds, seed):
    rng = random.Random(seed)
    (project / "tables").mkdir()
    for name, content in seeds(project, image).items():
        is_table = name.startswith("t.")
        folder = project / "tables" if is_table else project / f"one-{name}"
        folder.mkdir(exist_ok=True)
        source = (
            SourceParams("table", "real", f"tables/{name}") if is_table else SourceParams("folder", "real", folder.name)
        )
        for _ in range(rounds):
            mutated = mutate(rng, content)
            (folder / name).write_bytes(mutated)
            # without a map a broken header may lose its columns, which is the user's to see
            options = SourceParams("table", "real", source.path, map={}) if is_table else source
            try:
                outcomes = preview("s", options, project, n=1000, params=P)
            except Exception as error:
                if "map names no column" in str(error):
                    continue
                raise AssertionError(f"{name} {mutated!r}") from error
            assert outcomes or is_table
            rows = [o.row("s", "real", None) for o in outcomes if isinstance(o, Item)]
            to_table(rows, ITEM_SCHEMA)  # what is read can be written
            assert all(o.reason and o.detail.isprintable() for o in outcomes if not isinstance(o, Item))


def test_mutated_bytes(project, image):
    fuzz(project, image, rounds=60, seed=7)


@pytest.mark.soak
def test_mutated_bytes_at_length(project, image):
    fuzz(project, image, rounds=5000, seed=random.randrange(2**32))
