"""The discriminator as losses know it: what it is shown of samples and labels, and what its outputs mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gan_lightning.losses.augmentations import Transformation
from gan_lightning.losses.heads import Head
from gan_lightning.networks.discriminator import Discriminator, pack, unpack
from gan_lightning.networks.layers import uses_batch_statistics


class Outputs(NamedTuple):
    """What the discriminator says of N inputs: its logits (N,), and the columns (N, outputs) of each head, by name."""

    logits: Tensor
    columns: Mapping[str, Tensor]


@dataclass(frozen=True)
class DiscriminatorAdapter:
    """Shows samples to a discriminator, and reads its outputs.

    Samples (N, C, ...) go through the `transformations` in their order and are then packed; labels (N,) reach a
    discriminator that takes any. The first column of the outputs is the logit; the others belong to the `heads`.
    """

    discriminator: Discriminator
    heads: Mapping[str, Head]
    transformations: Mapping[str, Transformation]
    # Whether real and fake go through in one call, which is faster: batch statistics of the two must not mix.
    in_one_pass: bool

    def view(self, samples: Tensor) -> Tensor:
        """What the discriminator is shown of samples (N, C, ...): (N / packing, packing * C, ...)."""
        for transformation in self.transformations.values():
            samples = transformation.transform(samples)
        return pack(samples, self.discriminator.packing)

    def packed(self, labels: Tensor | None) -> Tensor | None:
        """Labels (N,) for a discriminator that takes any: (N / packing, packing) if it is shown packs."""
        if labels is None or self.discriminator.label_input == "none":
            return None
        return pack(labels, self.discriminator.packing)

    def outputs(self, views: Tensor, labels: Tensor | None) -> Outputs:
        """What the discriminator says of views, whose labels are packed."""
        return self.split(self.discriminator(views, labels))

    def both_outputs(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Outputs, Outputs]:
        """The same for views of as many real and fake samples, which have the same labels."""
        if not self.in_one_pass:
            return self.outputs(real, labels), self.outputs(fake, labels)
        twice = None if labels is None else torch.cat([labels, labels])
        of_real, of_fake = self.discriminator(torch.cat([real, fake.to(real.dtype)]), twice).chunk(2)
        return self.split(of_real), self.split(of_fake)

    def logits(self, views: Tensor, labels: Tensor | None = None) -> Tensor:
        """The logits (N,) alone: what a penalty differentiates."""
        outputs: Tensor = self.discriminator(views, labels)
        return outputs if outputs.ndim == 1 else outputs[:, 0]

    def logits_through(self, packs: Tensor, labels: Tensor | None = None) -> Tensor:
        """The logits (N / packing,) of packs of samples as they are, which go through the transformations here.

        So a gradient in the samples is one through the transformations. Each call draws these anew.
        """
        return self.logits(self.view(unpack(packs, self.discriminator.packing)), labels)

    def split(self, outputs: Tensor) -> Outputs:
        """The columns of the discriminator's outputs by whom they belong to."""
        if not self.heads:
            return Outputs(outputs, {})
        logits, *columns = outputs.split([1, *(head.outputs for head in self.heads.values())], dim=1)
        return Outputs(logits.squeeze(1), dict(zip(self.heads, columns, strict=True)))


def adapt(
    discriminator: Discriminator,
    heads: Mapping[str, Head] | None = None,
    transformations: Mapping[str, Transformation] | None = None,
) -> DiscriminatorAdapter:
    """The adapter of a discriminator."""
    in_one_pass = not uses_batch_statistics(discriminator)
    return DiscriminatorAdapter(discriminator, heads or {}, transformations or {}, in_one_pass)
