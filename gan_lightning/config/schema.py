"""What a configuration may hold beside nodes with a `_target_`, which their constructors' signatures describe.

A field without a default has to be there. One with a default is a key of some options only: what their nodes take
from it by interpolation. A group may have further keys of the user's own if something in the configuration reads them.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from gan_lightning.schedules import Scheduled
from gan_lightning.types import (
    Count,
    FilePath,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Seed,
)

Threads = Annotated[int, Range(low=1, high=1024)]


class Node:
    """A node with a `_target_`, of a kind that another place says."""


class Factory:
    """The same with `_partial_: true`: what it builds needs more than the configuration."""


class Builds:
    """Says in an annotation what a node is to build: the dotted path of a class that it derives from.

    `within` are the packages that the class may come from, beside plug-ins; () are all that may be named at all.
    """

    def __init__(self, kind: str, *within: str) -> None:
        self.kind, self.within = kind, within


@dataclass(frozen=True)
class Dataset:
    """The keys of conf/dataset/."""

    name: str
    source: Annotated[Node, Builds("gan_lightning.data.Source")]
    held_out: NonNegativeFloat | Annotated[Node, Builds("gan_lightning.data.Source")]
    classes: NonNegativeInt
    sample_shape: list[PositiveInt]
    batch_size: PositiveInt
    iterations: PositiveInt
    memory_gib: NonNegativeFloat
    channels: PositiveInt | None = None
    image_size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    fit: Literal["crop", "pad", "stretch"] | None = None
    range: Literal["data", "standard"] | tuple[float, float] | None = None
    class_order: Literal["natural", "text"] | None = None
    key: str | None = None
    labels: FilePath | None = None
    label_column: str | None = None
    conditions: list[str] | None = None
    stack: list[str] | None = None
    columns: list[str] | None = None
    header: bool | None = None
    root: FilePath | None = None
    cache_dir: FilePath | None = None
    cache_gib: NonNegativeFloat | None = None
    skip_corrupt: bool | None = None
    changed: Literal["refuse", "accept"] | None = None
    seen: dict[str, Any] | None = None


@dataclass(frozen=True)
class Network:
    """The keys of conf/network/."""

    name: str
    latent_dim: PositiveInt
    threads: Threads | None
    # Of any module, plain ones too: latents in and samples out; samples in and a logit each out.
    generator: Annotated[
        Node,
        Builds("torch.nn.Module", "gan_lightning.networks", "torch.nn", "torchvision.ops", "torchvision.models"),
    ]
    discriminator: Annotated[
        Node,
        Builds("torch.nn.Module", "gan_lightning.networks", "torch.nn", "torchvision.ops", "torchvision.models"),
    ]
    embedding_dim: PositiveInt | None = None


@dataclass(frozen=True)
class Conditioning:
    """The keys of conf/conditioning/: how labels reach the networks."""

    name: str
    classes: NonNegativeInt
    generator: str
    discriminator: str


@dataclass(frozen=True)
class Optimizers:
    """The optimizer of each network."""

    generator: Annotated[Factory, Builds("torch.optim.Optimizer")]
    discriminator: Annotated[Factory, Builds("torch.optim.Optimizer")]


@dataclass(frozen=True)
class Loss:
    """The keys of conf/loss/, and what conf/train.yaml says of every loss."""

    name: str
    n_critic: Count | Scheduled
    packing: PositiveInt
    weights: dict[str, NonNegativeFloat | Scheduled]
    discriminator_norm: str | None
    reconstruction_error: str | None
    outputs: PositiveInt
    critic_updates: Annotated[Node, Builds("gan_lightning.training.CriticUpdates")]
    objective: Annotated[Node, Builds("gan_lightning.losses.Objective")]
    optimizer: Optimizers
    label_smoothing: Fraction | None = None
    saturating: bool | None = None


@dataclass(frozen=True)
class Sweep:
    """What a sweep (-m) is told, beside its jobs."""

    resume: FilePath | None
    fail_fast: bool


@dataclass(frozen=True)
class Study:
    """The keys of conf/study/."""

    seeds: PositiveInt | None = None
    discriminator_updates: PositiveInt | None = None
    draws: PositiveInt | None = None
    lr: PositiveFloat | None = None
    beta1: Fraction | None = None


@dataclass(frozen=True)
class Speed:
    """The keys of conf/speed/."""

    name: str
    bfloat16: bool | Literal["auto"]
    compile: bool | Literal["auto"]


@dataclass(frozen=True)
class Training:
    """The keys of conf/train.yaml."""

    seed: Seed
    plugins: list[str]
    compatibility_warnings: bool
    resume: str | None
    init_from: FilePath | None
    init_strict: bool
    sweep: Sweep
    optimize: str | list[str] | None
    threads: Threads | None
    matmul: Literal["auto", "highest", "high", "medium"]
    speed: Speed
    dataset: Dataset
    network: Network
    conditioning: Conditioning
    loss: Loss
    regularizer: dict[
        str,
        Annotated[Node, Builds("gan_lightning.losses.Penalty")]
        | Annotated[Node, Builds("gan_lightning.losses.WeightPenalty")]
        | Annotated[Node, Builds("gan_lightning.losses.Projection")]
        | Annotated[Node, Builds("gan_lightning.losses.Transformation")],
    ]
    heads: dict[str, Annotated[Node, Builds("gan_lightning.losses.Head")]]
    latents: Annotated[Node, Builds("gan_lightning.sampling.Prior")]
    trainer: Annotated[Factory, Builds("pytorch_lightning.Trainer")]
    ema: Annotated[Node, Builds("gan_lightning.training.EMA")]
    checkpoint: Annotated[Factory, Builds("gan_lightning.training.RunCheckpoint")]
    samples: Annotated[Factory, Builds("gan_lightning.watching.SampleGrids")]
    metric: dict[str, Annotated[Node, Builds("gan_lightning.metrics.Metric")]]
    extractor: Annotated[Node, Builds("gan_lightning.metrics.Extractor")]
    evaluation: Annotated[Factory, Builds("gan_lightning.watching.Evaluation")]
    health: Annotated[Factory, Builds("gan_lightning.watching.HealthCheck")]
    dashboard: Annotated[Factory, Builds("gan_lightning.watching.Dashboard")]
    logger: dict[
        str,
        Annotated[
            Factory, Builds("pytorch_lightning.loggers.Logger", "pytorch_lightning.loggers", "gan_lightning.watching")
        ],
    ]
    callbacks: dict[
        str,
        Annotated[Node, Builds("pytorch_lightning.Callback", "pytorch_lightning.callbacks", "gan_lightning.watching")],
    ]
    model: Annotated[Node, Builds("gan_lightning.training.GAN")]
    data: Annotated[Node, Builds("gan_lightning.data.GANDataModule")]
    study: Study | None = None


@dataclass(frozen=True)
class Evaluated:
    """What the command `evaluate` builds, some of it out of a run's folder."""

    data: Annotated[Node, Builds("gan_lightning.data.GANDataModule")]
    extractor: Annotated[Node, Builds("gan_lightning.metrics.Extractor")]
    metric: dict[str, Annotated[Node, Builds("gan_lightning.metrics.Metric")]]


TRAINING, EVALUATED = (f"{__name__}.{each.__name__}" for each in (Training, Evaluated))
