"""Stage compare: what is commonly said about generative models, measured; a table over all families beside.

An experiment is one module with ``READS`` (the families whose checkpoints, data or outputs it reads), and ``run``, a
pure function of its params, seeds and that evidence, which gives a Finding for each statement that it measures.
Importing this package imports no torch.
"""

from dataclasses import dataclass, field

EXPERIMENTS = {
    "samples": "gendata.compare.experiments.samples",
    "latents": "gendata.compare.experiments.latents",
    "stability": "gendata.compare.experiments.stability",
    "anomalies": "gendata.compare.experiments.anomalies",
    "compression": "gendata.compare.experiments.compression",
    "augmentation": "gendata.compare.experiments.augmentation",
    "recall": "gendata.compare.experiments.recall",
    "speed": "gendata.compare.experiments.speed",
    "race": "gendata.compare.experiments.race",
    "gradients": "gendata.compare.experiments.gradients",
    "scarcity": "gendata.compare.experiments.scarcity",
    "drawing": "gendata.compare.experiments.drawing",
    "dimensions": "gendata.compare.experiments.dimensions",
    "architecture": "gendata.compare.experiments.architecture",
    "likeness": "gendata.compare.experiments.likeness",
    "transfer": "gendata.compare.experiments.transfer",
    "steering": "gendata.compare.experiments.steering",
    "explanations": "gendata.compare.experiments.explanations",
    "copies": "gendata.compare.experiments.copies",
}
"""Module of each experiment, imported on use: a change to one re-runs that one alone."""

REPEATED = {
    **dict.fromkeys(("samples", "latents", "compression", "likeness", "steering", "explanations"), "trainings"),
    **dict.fromkeys(("recall", "gradients", "scarcity", "anomalies", "augmentation", "transfer", "copies"), "seeds"),
}
"""What an experiment is repeated over, to join what it finds: the evidence of each training, or each seed."""

WHOLE = frozenset({"stability", "race"})
"""Those that get all seeds at once; the rest gets none."""

TIMED = frozenset({"speed", "race"})
"""Experiments that take the time of steps: what they find differs from run to run. Nothing runs beside them."""

_TREND = 4


def _positive(params: object) -> None:
    """Every number and every list of numbers of an experiment's params is at least 1. Raises ValueError."""
    for name, value in vars(params).items():
        for number in value if isinstance(value, tuple) else (value,):
            if number < 1:
                raise ValueError(f"{name}: must be at least 1, not {number}")
        if value == ():
            raise ValueError(f"{name}: must not be empty")


@dataclass(frozen=True)
class StabilityParams:
    """Of the first steps of the families as params.yaml has them."""

    # steps from the start of each family's training, with its learning rates
    steps: int = 8
    # items (images, windows of text) of a step
    batch: int = 8

    def __post_init__(self) -> None:
        _positive(self)
        if self.steps < _TREND:
            raise ValueError(f"steps: must be at least {_TREND}, not {self.steps}: fewer show no trend")


@dataclass(frozen=True)
class RecallParams:
    """Of a symbol that has to be named after so many others."""

    # symbols between the one to be named and the question
    distances: tuple[int, ...] = (4, 16)
    # training steps of each model
    steps: int = 30

    def __post_init__(self) -> None:
        _positive(self)


@dataclass(frozen=True)
class StepsParams:
    """Of an experiment that trains its models so long."""

    # training steps of each model
    steps: int = 10
    # items (images, windows of text) of a step
    batch: int = 8

    def __post_init__(self) -> None:
        _positive(self)


@dataclass(frozen=True)
class SpeedParams:
    """Of what a step costs."""

    # tokens of a sequence
    lengths: tuple[int, ...] = (32, 64, 128)
    # how often each is timed
    repeats: int = 5

    def __post_init__(self) -> None:
        _positive(self)


@dataclass(frozen=True)
class ScarcityParams:
    """Of a text model that learns from part of the texts."""

    # percent of the training texts
    percents: tuple[int, ...] = (1, 100)
    # training steps of each model
    steps: int = 6
    # windows of text of a step
    batch: int = 4

    def __post_init__(self) -> None:
        _positive(self)


@dataclass(frozen=True)
class AugmentationParams:
    """Of a classifier that learns from few real images, with and without those of a GAN."""

    # real training images
    real: int = 100
    # training steps of the GAN that is trained on them, and of the classifiers
    steps: int = 10
    # images of a step of the GAN
    batch: int = 16

    def __post_init__(self) -> None:
        _positive(self)


@dataclass(frozen=True)
class CompareParams:
    """Section ``compare`` of params.yaml: budgets of the experiments. The defaults are quick and noisy."""

    # seeds of every experiment that trains: each is a training of its own, and fewer than 3 decide nothing
    seeds: int = 3
    # trainings of each family by its recipe, from other seeds, for what is said of what it makes; 1: its checkpoint
    # alone, which decides nothing
    trainings: int = 1
    # false: what takes the time of steps is not measured, so that equal data give the same report, byte for byte
    timed: bool = True
    # processes that train and measure beside each other; 0: one per core. Times are taken alone
    workers: int = 0
    stability: StabilityParams = field(default_factory=StabilityParams)
    recall: RecallParams = field(default_factory=RecallParams)
    gradients: StepsParams = field(default_factory=StepsParams)
    speed: SpeedParams = field(default_factory=SpeedParams)
    race: StepsParams = field(default_factory=StepsParams)
    scarcity: ScarcityParams = field(default_factory=ScarcityParams)
    anomalies: StepsParams = field(default_factory=StepsParams)
    augmentation: AugmentationParams = field(default_factory=AugmentationParams)
    transfer: StepsParams = field(default_factory=StepsParams)
    copies: StepsParams = field(default_factory=StepsParams)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds: must be at least 1, not {self.seeds}")
        if self.trainings < 1:
            raise ValueError(f"trainings: must be at least 1, not {self.trainings}")
        if self.workers < 0:
            raise ValueError(f"workers: must be 0 or more, not {self.workers}")
