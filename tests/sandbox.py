"""A small corpus, and a project that is driven through the real command line."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from ruamel.yaml import YAML


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


class Sandbox:
    """A project in a folder of its own, driven through the real command line."""

    def __init__(self, root):
        self.root = root

    def environment(self):
        bin_ = str(Path(sys.executable).parent)
        return {**os.environ, "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}

    def gendata(self, *args, code=0):
        """Run a command; its completed process."""
        command = [sys.executable, "-m", "gendata", *map(str, args)]
        result = subprocess.run(command, cwd=self.root, env=self.environment(), capture_output=True, text=True)
        assert result.returncode == code, f"{args}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def json(self, *args):
        return json.loads(self.gendata(*args, "--format", "json").stdout)

    def sources(self, **sources):
        """Replace the sources of params.yaml."""
        yaml, path = YAML(), self.root / "params.yaml"
        document = yaml.load(path.read_text())
        document["sources"] = sources
        with path.open("w") as stream:
            yaml.dump(document, stream)

    def digest(self):
        """Sha256 of every derived file that must be byte-stable, by path."""
        files = [*self.root.glob("artifacts/**/*.parquet"), *self.root.glob("artifacts/**/*.json")]
        stable = [p for p in files if "lance" not in p.parts and p.name != "HEAD.json"]
        return {p.relative_to(self.root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(stable)}
