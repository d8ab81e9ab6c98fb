"""What every discriminator is: a body that makes features, a linear head, and ways for labels and packs to enter."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from gan_lightning.networks.layers import encoded
from gan_lightning.precision import without_autocast

DiscriminatorLabels = Literal["none", "concat", "projection"]


class Discriminator(nn.Module):
    """Maps samples, and labels if it is conditional, to logits (N,); with `outputs` above 1 to (N, outputs).

    The first column is the logit (or the critic's value); what the others mean is up to the heads of the loss (class
    logits, code posteriors). `packing` = m makes it score m samples together (PacGAN, Lin et al. 2018,
    arXiv:1712.04086): it is given packs (N, m * C, H, W), or (N, m * d), made by `pack`, and labels (N, m).

    Labels are those of `Generator`: classes (N,), or conditions (N, classes), of packs (N, m * classes). `label_input`:
    `concat` appends them as planes (or numbers, for vectors), classes one-hot, to each sample; `projection` adds the
    inner product of the features with an embedding of the label (Miyato and Koyama 2018, arXiv:1802.05637, equation 3;
    for packs with the sum of their labels' embeddings). That of conditions y is linear, V y, as the paper's
    section 3 has it for a continuous y. What CcGAN (Ding et al. 2021, arXiv:2011.07466) adds for real numbers, noise on
    labels and minibatches of their neighbourhoods, isn't done.

    Subclasses build a body for `input_shape` that `features` applies, and call `build_head` last.
    """

    energy: ClassVar[bool] = False  # whether logits are minus an energy, which is never below zero

    def __init__(
        self,
        sample_shape: Sequence[int],
        outputs: int = 1,
        packing: int = 1,
        classes: int = 0,
        label_input: DiscriminatorLabels = "none",
    ) -> None:
        super().__init__()
        if label_input != "none" and classes == 0:
            raise ValueError(
                f"label_input is {label_input}, which doesn't fit classes=0; without labels, use conditioning=none"
            )
        channels, *size = sample_shape
        self.outputs = outputs
        self.packing = packing
        self.classes = classes
        self.label_input = label_input
        self.input_shape = (packing * (channels + (classes if label_input == "concat" else 0)), *size)

    def build_head(self, head: nn.Module, features: int) -> None:
        """Sets the layer from features (N, features) to outputs, and the embedding of the labels where they project.

        The embedding starts as in SNGAN's projection code: Glorot's uniform (torch's N(0, 1) would drown the logit).
        """
        self.head = head
        if self.label_input == "projection":
            self.embedding = nn.Embedding(self.classes, features)
            nn.init.xavier_uniform_(self.embedding.weight)

    def forward(
        self,
        samples: Float[Tensor, "n ..."],
        labels: Int[Tensor, " n"]
        | Int[Tensor, "n {self.packing}"]
        | Float[Tensor, "n {self.packing*self.classes}"]
        | None = None,
    ) -> Float[Tensor, " n"] | Float[Tensor, "n {self.outputs}"]:
        if self.label_input != "none" and labels is None:
            raise ValueError("a conditional discriminator needs labels")
        if self.label_input == "concat":
            assert labels is not None
            samples = torch.cat([samples, self.planes(labels, samples)], dim=1)
        features = self.features(samples)
        # In float32 also under autocast: losses compare logits, and half precision loses small differences.
        with without_autocast(features.device):
            return self.outputs_of(features.to(torch.promote_types(features.dtype, torch.float32)), labels)

    def outputs_of(
        self,
        features: Float[Tensor, "n features"],
        labels: Int[Tensor, " n"]
        | Int[Tensor, "n {self.packing}"]
        | Float[Tensor, "n {self.packing*self.classes}"]
        | None,
    ) -> Float[Tensor, " n"] | Float[Tensor, "n {self.outputs}"]:
        """The outputs of features (N, F)."""
        outputs: Tensor = self.head(features)
        if self.label_input == "projection":
            assert labels is not None
            if labels.is_floating_point():
                packs = labels.reshape(len(features), self.packing, self.classes)
                embedded = packs.sum(1).to(features.dtype) @ self.embedding.weight  # (N, m, K) -> (N, F)
            else:
                embedded = self.embedding(labels.reshape(len(features), self.packing)).sum(1)  # (N, m, F) -> (N, F)
            projected = (embedded * features).sum(1, keepdim=True)
            outputs = torch.cat([outputs[:, :1] + projected, outputs[:, 1:]], dim=1)
        return outputs.squeeze(1) if self.outputs == 1 else outputs

    def planes(
        self,
        labels: Int[Tensor, " n"] | Int[Tensor, "n {self.packing}"] | Float[Tensor, "n {self.packing*self.classes}"],
        samples: Float[Tensor, "n c *size"],
    ) -> Float[Tensor, "n {self.packing*self.classes} *size"]:
        """Labels as channels beside samples (N, C, ...), classes one-hot: (N, m * classes, ...)."""
        hot = encoded(labels, len(samples), self.classes, samples.dtype, self.packing)
        return hot.view(*hot.shape, *[1] * (samples.ndim - 2)).expand(-1, -1, *samples.shape[2:])

    def features(self, samples: Float[Tensor, "n ..."]) -> Float[Tensor, "n features"]:
        """The body: (N, *input_shape) -> (N, features)."""
        raise NotImplementedError


def pack(samples: Shaped[Tensor, "n ..."], packing: int) -> Shaped[Tensor, "n//{packing} ..."]:
    """Joins each `packing` consecutive samples (N, C, ...) along C: (N / packing, packing * C, ...). Labels too."""
    if packing == 1:
        return samples
    if samples.ndim == 1:
        return samples.reshape(-1, packing)
    return samples.reshape(len(samples) // packing, packing * samples.shape[1], *samples.shape[2:])


def unpack(packs: Shaped[Tensor, "n c ..."], packing: int) -> Shaped[Tensor, "{packing}*n c//{packing} ..."]:
    """The samples (N, C, ...) that packs (N / packing, packing * C, ...) were made of by `pack`."""
    if packing == 1:
        return packs
    return packs.reshape(len(packs) * packing, packs.shape[1] // packing, *packs.shape[2:])
