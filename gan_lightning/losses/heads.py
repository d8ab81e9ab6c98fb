"""Heads: losses on the discriminator's outputs beside its logit (class logits, code posteriors, an embedding).

A head is a frozen dataclass. It works with any objective, which never hears of it:

    outputs                                               how many columns of the discriminator's output are its own
    discriminator(real, fake, real_labels, drawn) -> Terms    added to the discriminator's loss
    generator(fake, drawn)                        -> Terms    added to the generator's loss

`real` and `fake` are its columns, (N, outputs), a row a sample or a pack; labels are those of samples. `drawn` is what
the fakes were made from. Weights are included in the terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from gan_lightning.losses.objectives import Terms
from gan_lightning.precision import without_autocast
from gan_lightning.ranks import rows_of_ranks
from gan_lightning.types import NonNegativeFloat, NonNegativeInt, PositiveInt, check_ranges


class Drawn(NamedTuple):
    """What a batch of fakes was made from: latents (N, latent_dim), and labels if the generator takes any.

    These are classes (N,), or conditions (N, K).
    """

    latents: Tensor
    labels: Tensor | None


class Head(Protocol):
    """The interface above.

    `per_sample` says that it needs outputs for single samples, not for packs of them; `needs_labels` that it needs
    labels of the data that are classes, and a generator that is told them.
    """

    per_sample: ClassVar[bool]
    needs_labels: ClassVar[bool]

    @property
    def outputs(self) -> int: ...

    def discriminator(
        self,
        real: Float[Tensor, "n {self.outputs}"],
        fake: Float[Tensor, "m {self.outputs}"],
        real_labels: Int[Tensor, " samples"] | Float[Tensor, "samples conditions"] | None,
        drawn: Drawn,
    ) -> Terms: ...

    def generator(self, fake: Float[Tensor, "m {self.outputs}"], drawn: Drawn) -> Terms: ...


@dataclass(frozen=True)
class Classification:
    """AC-GAN (Odena et al. 2017, arXiv:1610.09585), equation 3: a classifier beside the discriminator.

    Its columns are logits of `outputs` classes. The discriminator minimises their cross-entropy on real samples and,
    `on_fakes`, on generated ones with the labels these were made from (the paper's sum of both); the generator does so
    on its fakes. WGAN-GP's official code (igul222/improved_wgan_training, gan_cifar_resnet.py) has its critic
    classify real samples only, and weighs 1 for the critic and 0.1 for the generator.

    Raises ValueError where labels are missing.
    """

    outputs: PositiveInt
    discriminator_weight: NonNegativeFloat = 1.0
    generator_weight: NonNegativeFloat = 1.0
    on_fakes: bool = True
    per_sample: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def discriminator(
        self,
        real: Float[Tensor, "n {self.outputs}"],
        fake: Float[Tensor, "m {self.outputs}"],
        real_labels: Int[Tensor, " n"] | None,
        drawn: Drawn,
    ) -> Terms:
        if real_labels is None:
            raise ValueError("a classification head needs a data set with labels")
        terms = {"classification_real": self.discriminator_weight * cross_entropy(real, real_labels)}
        if self.on_fakes:
            terms["classification_fake"] = self.discriminator_weight * cross_entropy(fake, _labels(drawn))
        return terms

    def generator(self, fake: Float[Tensor, "m {self.outputs}"], drawn: Drawn) -> Terms:
        return {"classification_fake": self.generator_weight * cross_entropy(fake, _labels(drawn))}


def _labels(drawn: Drawn) -> Int[Tensor, " n"]:
    """The labels (N,) of fakes."""
    if drawn.labels is None:
        raise ValueError("a classification head needs a generator that takes labels")
    return drawn.labels


@dataclass(frozen=True)
class MutualInformation:
    """InfoGAN (Chen et al. 2016, arXiv:1606.03657), equation 5: both networks help to recover the codes from the fakes.

    The columns are, for each entry K of `categorical`, the logits of K classes, and then the means of the `continuous`
    codes' posteriors, Gaussians with variance 1 as in the official code (openai/InfoGAN, fix_std). The codes are the
    last columns of the latents, in the same order (gan_lightning.sampling.Coded). Each network minimises `weight` times
    -E log Q(c | G(z, c)): the sum of the categorical codes' cross-entropies, and of the continuous codes' halved mean
    squared errors. That is minus the paper's lower bound of the mutual information but for what has no gradient, the
    codes' entropies and ln(2 pi) / 2 a continuous code, so that either term is zero when all codes are recovered.

    Raises ValueError if `outputs` is not the number of columns that the codes take.
    """

    outputs: PositiveInt
    categorical: Sequence[PositiveInt] = (10,)
    continuous: NonNegativeInt = 2
    weight: NonNegativeFloat = 1.0
    per_sample: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self)
        width = sum(self.categorical) + self.continuous
        if self.outputs != width:
            raise ValueError(f"outputs must be {width}, the columns that the codes take, got {self.outputs}")

    def discriminator(
        self,
        real: Float[Tensor, "n {self.outputs}"],
        fake: Float[Tensor, "m {self.outputs}"],
        real_labels: Int[Tensor, " n"] | Float[Tensor, "n conditions"] | None,
        drawn: Drawn,
    ) -> Terms:
        return self.generator(fake, drawn)

    def generator(self, fake: Float[Tensor, "m {self.outputs}"], drawn: Drawn) -> Terms:
        sizes = [*self.categorical, self.continuous]
        *logits, means = fake.split(sizes, dim=1)
        *hot, codes = drawn.latents[:, -self.outputs :].split(sizes, dim=1)
        terms = {}
        if logits:
            losses = [cross_entropy(scores, code.argmax(1)) for scores, code in zip(logits, hot, strict=True)]
            terms["categorical_codes"] = self.weight * torch.stack(losses).sum()
        if self.continuous:
            terms["continuous_codes"] = self.weight * (means - codes).square().sum(1).mean() / 2
        return terms


@dataclass(frozen=True)
class PullingAway:
    """EBGAN's repelling regularizer (Zhao et al. 2016, arXiv:1609.03126, section 2.4): fakes shall point apart.

    The columns are an embedding of `outputs` numbers, in the paper the auto-encoder's code. The generator minimises
    `weight` times the mean squared cosine between the embeddings of two different fakes, over all pairs of the
    minibatch, on whichever devices; the discriminator's loss stays as it is. The paper's weight is 0.1. An embedding of
    zero is orthogonal to every other. Computed in float32 at least, also under autocast.

    Raises ValueError for a minibatch of one, which has no pairs.
    """

    outputs: PositiveInt
    weight: NonNegativeFloat = 0.1
    per_sample: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def discriminator(
        self,
        real: Float[Tensor, "n {self.outputs}"],
        fake: Float[Tensor, "m {self.outputs}"],
        real_labels: Int[Tensor, " samples"] | Float[Tensor, "samples conditions"] | None,
        drawn: Drawn,
    ) -> Terms:
        return {}

    def generator(self, fake: Float[Tensor, "m {self.outputs}"], drawn: Drawn) -> Terms:
        with without_autocast(fake.device):
            own = normalize(fake.to(torch.promote_types(fake.dtype, torch.float32)), dim=1)
            directions = rows_of_ranks(own)
            count = len(directions)
            if count < 2:
                raise ValueError("the pulling-away term needs at least two samples")
            cosines = directions @ directions.T  # (N, N), each pair once above the diagonal
            return {"pulling_away": self.weight * cosines.triu(1).square().sum() / (count * (count - 1) / 2)}
