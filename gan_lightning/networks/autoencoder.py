"""Auto-encoders as discriminators, which give samples an energy: how badly they are reconstructed.

EBGAN (Zhao et al. 2017, arXiv:1609.03126, section 2.3) takes the mean squared error, BEGAN (Berthelot et al. 2017,
arXiv:1703.10717, equation 1 with eta 1) the absolute one, which is averaged here too, so that neither depends on the
number of pixels. The papers' embeddings differ: a map of activations in EBGAN, a vector in BEGAN and here.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import Labels
from gan_lightning.types import PositiveInt

Error = Literal["l1", "l2"]


class AutoEncoder(Discriminator):
    """Samples (N, ...) -> logits (N,): minus the reconstruction error, averaged over each sample's dimensions.

    `error` is the mean absolute (`l1`) or the mean squared (`l2`) difference, so logits are never above zero. `encoder`
    is a discriminator whose outputs, two or more, are the embedding; `decoder` an unconditional generator that takes
    embeddings (N, E) for latents and gives samples like those encoded. With `outputs` 1 + E the logit is followed by
    the embedding: (N, 1 + E).

    Labels reach an encoder whose label_input is `concat`, and are not reconstructed. Raises ValueError for an encoder
    that projects labels (it has no logit to add to) or packs, for networks that don't fit, and for other `outputs`; and
    from forward if the reconstructions have another shape than the samples.
    """

    energy: ClassVar[bool] = True

    def __init__(
        self, encoder: Discriminator, decoder: Generator, error: Error = "l2", outputs: PositiveInt = 1
    ) -> None:
        embedding = encoder.outputs
        if error not in ("l1", "l2"):
            raise ValueError(f"error is {error!r}; there are l1, l2")
        if embedding < 2:
            raise ValueError(f"an auto-encoder embeds samples in at least 2 numbers; its encoder has {embedding}")
        if decoder.latent_dim != embedding:
            raise ValueError(f"the encoder gives {embedding} numbers, but the decoder takes {decoder.latent_dim}")
        if decoder.classes:
            raise ValueError("the decoder of an auto-encoder takes no labels")
        if encoder.label_input == "projection":
            raise ValueError(
                "an auto-encoder has no features to project labels on; use conditioning.discriminator=concat"
            )
        if encoder.packing != 1:
            raise ValueError(f"an auto-encoder scores single samples; use loss.packing=1, not {encoder.packing}")
        if outputs not in (1, 1 + embedding):
            both = f"1, its logit, or {1 + embedding}, with its embedding"
            raise ValueError(f"an auto-encoder's outputs are {both}; got outputs={outputs}")
        channels, *size = encoder.input_shape
        planes = encoder.classes if encoder.label_input == "concat" else 0
        super().__init__((channels - planes, *size), outputs, 1, encoder.classes, encoder.label_input)
        self.error = error
        # The decoder first: what is registered last counts as a network's end (see `ends_in_sigmoid`).
        self.decoder = decoder
        self.encoder = encoder

    def forward(
        self, samples: Float[Tensor, "n ..."], labels: Labels | None = None
    ) -> Float[Tensor, " n"] | Float[Tensor, "n {self.outputs}"]:
        embedding: Tensor = self.encoder(samples, labels)
        reconstructions = self.reconstruct(embedding, samples)
        # In float32 also under autocast, as every discriminator's logit.
        difference = reconstructions.to(torch.promote_types(reconstructions.dtype, torch.float32)) - samples
        errors = difference.abs() if self.error == "l1" else difference.square()
        logits = -errors.flatten(1).mean(1)
        return logits if self.outputs == 1 else torch.cat([logits[:, None], embedding], dim=1)

    def reconstruct(
        self, embedding: Float[Tensor, "n e"], samples: Float[Tensor, " n *shape"]
    ) -> Float[Tensor, " n *shape"]:
        """The decoder's samples for embeddings (N, E), of the shape of those that were embedded."""
        reconstructions: Tensor = self.decoder(embedding)
        if reconstructions.shape != samples.shape:
            got, wanted = tuple(reconstructions.shape[1:]), tuple(samples.shape[1:])
            raise ValueError(f"the decoder makes samples of shape {got}, but is to reconstruct {wanted}")
        return reconstructions
