"""What a configuration may hold beside nodes with a `_target_`, which their constructors' signatures describe.

A field without a default has to be there. One with a default is a key of some options only: what their nodes take
from it by interpolation. A group may have further keys of the user's own if something in the configuration reads them.
"""

from dataclasses import dataclass

from gan_lightning.schedules import Scheduled
from gan_lightning.types import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, Seed


class Node:
    """A node with a `_target_`."""


@dataclass(frozen=True)
class Dataset:
    """The keys of conf/dataset/."""

    name: str
    source: Node
    held_out: NonNegativeFloat | Node
    classes: NonNegativeInt
    sample_shape: list[PositiveInt]
    batch_size: PositiveInt
    iterations: PositiveInt
    memory_gib: NonNegativeFloat
    channels: PositiveInt | None = None
    image_size: PositiveInt | None = None
    root: str | None = None
    cache_dir: str | None = None
    skip_corrupt: bool | None = None


@dataclass(frozen=True)
class Network:
    """The keys of conf/network/."""

    name: str
    latent_dim: PositiveInt
    threads: PositiveInt | None
    generator: Node
    discriminator: Node
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

    generator: Node
    discriminator: Node


@dataclass(frozen=True)
class Loss:
    """The keys of conf/loss/, and what conf/train.yaml says of every loss."""

    name: str
    n_critic: PositiveInt | Scheduled
    packing: PositiveInt
    weights: dict[str, NonNegativeFloat | Scheduled]
    discriminator_norm: str | None
    reconstruction_error: str | None
    outputs: PositiveInt
    critic_updates: Node
    objective: Node
    optimizer: Optimizers
    label_smoothing: Fraction | None = None
    saturating: bool | None = None


@dataclass(frozen=True)
class Training:
    """The keys of conf/train.yaml."""

    seed: Seed
    compatibility_warnings: bool
    resume: str | None
    threads: PositiveInt | None
    dataset: Dataset
    network: Network
    conditioning: Conditioning
    loss: Loss
    regularizer: dict[str, Node]
    heads: dict[str, Node]
    latents: Node
    trainer: Node
    ema: Node
    checkpoint: Node
    samples: Node
    metric: dict[str, Node]
    extractor: Node
    evaluation: Node
    health: Node
    dashboard: Node
    logger: dict[str, Node]
    model: Node
    data: Node
