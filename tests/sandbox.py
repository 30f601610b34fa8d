"""A small corpus, and a project that is driven through the real command line."""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image, ImageDraw
from ruamel.yaml import YAML

from gendata import template
from gendata.cli import cli
from gendata.models import MODELS, load_config, needs


def draw(seed, size=(48, 40)):
    """A distinct PNG with some texture, the same for the same seed."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)).resize(size)
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        box = sorted(rng.integers(0, size[0], 2)), sorted(rng.integers(0, size[1], 2))
        pen.rectangle(
            (int(box[0][0]), int(box[1][0]), int(box[0][1]), int(box[1][1])),
            fill=tuple(map(int, rng.integers(0, 256, 3))),
        )
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


TOPICS = "rivers stones bread trains maps salt clocks bees glass rope ink wool snow lamps doors ships".split()


def write_corpus(folder, texts=20, images=12, start=0):
    """A folder of distinct short texts, and images with captions."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + texts):
        a, b, c = (TOPICS[(i * k + k) % len(TOPICS)] for k in (1, 3, 7))
        lines = [
            f"Note {i} is about {a}, {b} and {c}.",
            f"In the year {1500 + 13 * i} people wrote of {a} and {b}.",
            f"Nobody expected that {c} number {i} would be worth {i * 17} coins.",
        ]
        (folder / f"note-{i:03d}.txt").write_text("\n".join(lines) + "\n")
    for i in range(start, start + images):
        (folder / f"picture-{i:03d}.png").write_bytes(draw(i))
        (folder / f"picture-{i:03d}.caption").write_text(f"a drawing of {TOPICS[i % len(TOPICS)]} on a table")


def write_digits(folder, count=24, labels=("0", "1"), start=0):
    """A folder of small labelled images: distinct PNGs, and a table that gives each its label in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(start, start + count):
        (folder / f"{i:03d}.png").write_bytes(draw(1000 + i, (16, 16)))
        rows.append({"image": f"{i:03d}.png", "label": labels[i % len(labels)]})
    (folder / f"labels-{start}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


CORPUS = {"kind": "folder", "path": "corpus", "origin": "real", "license": "CC0-1.0"}
DIGITS = {"kind": "table", "path": "digits", "origin": "real", "license": "CC0-1.0", "dedup": False}
NOTES = {"kind": "folder", "path": "notes", "origin": "real", "license": "MIT"}

TINY = {"steps": 3, "batch": 4, "every": 2, "warmup": 1, "size": 8, "latent": 4, "context": 16, "layers": 1, "heads": 1}
TINY |= {"width": 8, "embedding": 8}
"""Settings of a training that takes no time, for the families that have them."""


class Sandbox:
    """A project in a folder of its own, driven through the real command line."""

    def __init__(self, root):
        self.root = root

    def environment(self):
        bin_ = str(Path(sys.executable).parent)
        return {**os.environ, "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}

    def gendata(self, *args, code=0):
        """What a command ends with: ``run`` in a process of its own, others in this one, with its imports behind it."""
        if args[0] != "run":
            with contextlib.chdir(self.root):
                result = CliRunner().invoke(cli, [*map(str, args)], prog_name="gendata")
            assert result.exit_code == code, f"{args}: exit {result.exit_code}\n{result.output}\n{result.exception!r}"
            return result
        command = [sys.executable, "-m", "gendata", *map(str, args)]
        result = subprocess.run(command, cwd=self.root, env=self.environment(), capture_output=True, text=True)
        assert result.returncode == code, f"{args}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def json(self, *args):
        """What a command answers with ``--format json``."""
        return json.loads(self.gendata(*args, "--format", "json").stdout)

    @contextlib.contextmanager
    def settings(self):
        """The sections of params.yaml, to be changed inside the block; comments stay."""
        yaml, path = YAML(), self.root / "params.yaml"
        document = yaml.load(path.read_text())
        yield document
        with path.open("w") as stream:
            yaml.dump(document, stream)

    def sources(self, **sources):
        """Replace the sources of params.yaml."""
        with self.settings() as sections:
            sections["sources"] = sources

    def digest(self):
        """Sha256 of every derived file that must be byte-stable, by path."""
        files = [*self.root.glob("artifacts/**/*.parquet"), *self.root.glob("artifacts/**/*.json")]
        stable = [p for p in files if "lance" not in p.parts and not p.name.startswith("HEAD.")]
        return {p.relative_to(self.root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(stable)}


def full_project(root, families=tuple(MODELS), tracking="none"):
    """A project with models of these families, so small that a run trains them in no time.

    Its sources are ``digits`` (24 images of two labels) and ``notes`` (20 texts).
    """
    template.create(root, full=True)
    box = Sandbox(root)
    write_digits(root / "digits")
    write_corpus(root / "notes", images=0)
    box.sources(digits=DIGITS, notes=NOTES)
    with box.settings() as sections:
        for name in MODELS:
            if name not in families:
                del sections["train"][name]
        for name in families:
            known = {field.name for field in fields(load_config(name, {}))}
            sections["train"][name] = {key: value for key, value in TINY.items() if key in known}
            sections["generate"][name] = {"n": 4, **({"max_tokens": 20} if needs(name).modality == "text" else {})}
        sections["evaluate"] |= {"classifier_steps": 2, "shown": 2}
        sections["compare"] = {"seeds": 2, "timed": False, "recall": {"distances": [2], "steps": 2}}
        for name in ("stability", "gradients", "scarcity", "anomalies", "augmentation", "transfer", "copies"):
            sections["compare"][name] = {"steps": 4 if name == "stability" else 2, "batch": 4}
        sections["tracking"]["to"] = tracking
    return box
