"""G1, G2, G4: the images of GAN and VAE, by the figures of stage evaluate."""

import math
from collections.abc import Sequence

import numpy as np

from gendata.compare import sample, stats
from gendata.compare.evidence import Evidence, MissingError, findings
from gendata.compare.finding import COUNTED, Effect, Finding, Plot
from gendata.evaluate.sharpness import detail
from gendata.train.decode import decode_image

READS = ("gan", "vae")
_REAL = 1000
"""Real images that the sharpness of samples is measured by."""


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """Findings of G1, G2 and G4."""
    return findings(
        {"G1": lambda: _sharper(evidence), "G2": lambda: _collapsed(evidence), "G4": lambda: _covers(evidence)}
    )


def _sharper(evidence: Evidence) -> Finding:
    """Energy of the Laplacian of every sample; above that of real images it is noise, so nearness to it counts."""
    train, other = (evidence.images(name).pixels["train"] for name in READS)
    if train.shape[1:] != other.shape[1:]:
        raise MissingError("gan and vae draw images of different sizes")
    shape, real = train.shape[1:], _details(train[sample.some(len(train), _REAL)])
    found = {}
    for name in READS:
        rows = evidence.outputs(name).to_pylist()
        found[name] = _details(np.stack([decode_image(row["id"], row["data"], shape) for row in rows]))

    def nearer(gan: np.ndarray, vae: np.ndarray, original: np.ndarray) -> float:
        gan_off, vae_off = (abs(math.log(side.mean() / original.mean())) for side in (gan, vae))
        return vae_off - gan_off

    sharpness = Effect(
        "energy of the Laplacian over that of real images; effect: how much nearer to 1 the GAN's is (logarithm)",
        {name: float(values.mean() / real.mean()) for name, values in found.items()},
        stats.bootstrap(nearer, found["gan"], found["vae"], real),
        f"bootstrap over {len(found['gan'])} and {len(found['vae'])} samples",
    )
    apart = {name: evidence.figure(name, "frechet") for name in READS}
    what = "Fréchet distance from held-out images; effect: the VAE's less the GAN's"
    nearness = Effect(what, apart, stats.exact(apart["vae"] - apart["gan"]), "one training")
    n = [int(evidence.figure(name, "samples")) for name in READS]
    realism = _shares(evidence, "precision", "samples that lie among real images", n)
    lines = {name: _histogram(values, real) for name, values in {**found, "real": real}.items()}
    plot = Plot("sharpness of single images", "energy of the Laplacian", "share of images", lines)
    return Finding((sharpness, realism, nearness), plot=plot)


def _details(images: np.ndarray) -> np.ndarray:
    return np.array([detail(image[None]) for image in images])


def _histogram(values: np.ndarray, real: np.ndarray) -> list[tuple[float, float]]:
    heights, edges = np.histogram(values, bins=12, range=(0.0, float(2 * real.mean())))
    return [(float(a + b) / 2, float(h) / len(values)) for h, a, b in zip(heights, edges, edges[1:], strict=False)]


def _shares(evidence: Evidence, key: str, what: str, n: list[int]) -> Effect:
    gan, vae = (evidence.figure(name, key) for name in READS)
    more = stats.shares(gan, n[0], vae, n[1])
    sides = {"gan": gan, "vae": vae, "real": evidence.figure("gan", f"{key}_floor")}
    return Effect(f"share of {what}", sides, more, f"Agresti-Caffo interval over {n[0]} and {n[1]}")


def _collapsed(evidence: Evidence) -> Finding:
    """Near-duplicates among samples above those among real images, and classes that are missing; a VAE beside."""
    n = int(evidence.figure("gan", "samples"))
    gan, real = (evidence.figure("gan", key) for key in ("near_duplicates", "near_duplicates_floor"))
    sides, note = {"gan": gan, "real": real}, ""
    try:
        sides["vae"] = evidence.figure("vae", "near_duplicates")
    except MissingError as error:
        note = str(error)
    more = stats.shares(gan, n, real, n)
    copies = Effect("share of samples that have a near-copy", sides, more, f"Agresti-Caffo interval over {n}")
    covered, classes = (evidence.figure("gan", key) for key in ("classes_covered", "classes"))
    sides = {"classes covered": covered, "classes": classes}
    gap = stats.exact(classes - covered)
    return Finding((copies, Effect("classes that no sample shows", sides, gap, COUNTED)), note)


def _covers(evidence: Evidence) -> Finding:
    """Recall and coverage: shares of held-out images, so the statement wants the VAE's to be higher."""
    n = [int(evidence.figure(name, "held_out")) for name in READS]
    effects = []
    for key in ("recall", "coverage"):
        found = _shares(evidence, key, f"held-out images that samples reach ({key})", n)
        effects.append(Effect(found.what, found.sides, -found.interval, found.test))
    return Finding(tuple(effects))
