"""What is commonly said about generative models, and which experiment measures it.

The statements are those of introductions to the field, in our own words; ids are fixed: reports are read by them.
"""

from typing import NamedTuple


class Statement(NamedTuple):
    """One statement; ``experiment`` is a name in EXPERIMENTS, or empty where ``reason`` says why none is there."""

    text: str
    experiment: str = ""
    reason: str = ""


STATEMENTS = {
    "G1": Statement("A GAN draws sharper and more realistic images than a VAE, whose images are blurred", "samples"),
    "G2": Statement("A GAN may collapse to a few modes", "samples"),
    "G3": Statement("The latent of a VAE is the better controlled one", "latents"),
    "G4": Statement("A VAE covers varied data better", "samples"),
    "G5": Statement("The training of a GAN is the less stable one, most of all at its beginning", "stability"),
    "G6": Statement("A VAE finds anomalies", "anomalies"),
    "G7": Statement("A VAE compresses data", "compression"),
    "G8": Statement("Images of a GAN help to train a classifier on few real ones", "augmentation"),
    "G9": Statement("A VAE learns to reconstruct while its latent takes the shape of the prior", "latents"),
    "T1": Statement("A transformer reaches further back than a recurrent network", "recall"),
    "T2": Statement("A transformer computes all tokens at once, so that it trains faster", "speed"),
    "T3": Statement("A transformer takes less time to train", "race"),
    "T4": Statement("A recurrent network is slow on long sequences", "speed"),
    "T5": Statement("The gradients of a recurrent network vanish", "gradients"),
    "T6": Statement("A recurrent network is of use where data are few or sequences simple", "scarcity"),
    "T7": Statement("LSTM and GRU relieve the vanishing gradient, and do not cure it", "recall"),
    "T8": Statement("Text is made token by token, each read before the next", "drawing"),
    "X1": Statement("An image has many more dimensions than a text", "dimensions"),
    "X2": Statement("Models of images are the more complex ones", "architecture"),
    "N1": Statement("Every family learns to make data like those it was trained on", "likeness"),
    "N2": Statement("Fine-tuning a trained model beats a fresh start", "transfer"),
    "N3": Statement(
        "One model can join text and images", reason="no family here is trained on texts and images together"
    ),
    "S1": Statement("A transformer needs labelled data, a GAN does not", "architecture"),
    "S2": Statement("A transformer minimises its error of prediction, a GAN plays a game of two sides", "stability"),
    "S3": Statement("A transformer is trained by cross-entropy, a GAN by an adversarial loss", "stability"),
    "S4": Statement("A transformer is a stack of equal layers, a GAN a deep convolutional network", "architecture"),
    "S5": Statement("A direction in its latent steers a GAN, and nothing of the kind a transformer", "steering"),
    "S6": Statement("The training of a transformer is stable", "stability"),
    "S7": Statement("What a transformer does is easier to explain than what a GAN does", "explanations"),
    "D1": Statement("Without copies in its training data a model generalises better and is less biased", "copies"),
    "D2": Statement(
        "Searching by words and by meaning together finds more that is relevant",
        reason="nobody judged which items of this project answer which query; where the judged collections of "
        "GENDATA_EVAL_DATA are, `python -m benchmarks.search` gives the nDCG of words, of meaning and of both",
    ),
    "D3": Statement(
        "Retrieval makes what is generated more accurate",
        reason="no model here generates from what a search found",
    ),
}
"""By id, in the order of the report."""
