"""All measures of the models, one after the other: texts, images, and on a GPU where there is one.

``python -m benchmarks.train [--share 1.0] [--minutes 10]``: see ``train_text``, ``train_images`` and ``train_gpu``,
each a process of its own, since they set threads for all of it, in the environment that stages have. With the defaults
an hour.
"""

import argparse
import subprocess
import sys

import torch

from gendata.dvc import environment


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", default="1.0", help="of the steps of nanoGPT's recipe")
    parser.add_argument("--minutes", default="10", help="of processor time for each image model")
    asked = parser.parse_args()
    calls = [["train_text", "--share", asked.share], ["train_images", "--minutes", asked.minutes]]
    if torch.cuda.is_available():
        calls.append(["train_gpu"])
    for name, *options in calls:
        print(f"\n{name} {' '.join(options)}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=True, env=environment())
    if not torch.cuda.is_available():
        print("\ntrain_gpu was left out: torch sees no GPU here")


if __name__ == "__main__":
    main()
