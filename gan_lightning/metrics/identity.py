"""The samples themselves as features."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from gan_lightning.metrics.extractor import FeatureNetwork
from gan_lightning.samples import SampleSet


class Flattened(nn.Module):
    """Images, uint8 (N, C, H, W) -> (N, C * H * W) in [-1, 1]; signals (N, C, L) -> (N, C * L), and vectors (N, d), as
    they are. No logits.
    """

    def forward(
        self, samples: UInt8[Tensor, "n c h w"] | Float[Tensor, "n c l"] | Float[Tensor, "n d"]
    ) -> tuple[Float[Tensor, "n features"], None]:
        flat = samples.flatten(1)
        return (flat.float() / 127.5 - 1 if flat.dtype == torch.uint8 else flat), None


@dataclass(frozen=True)
class Identity:
    """No network: distances of pixels, steps or points. Apt for points in the plane; blind to what pictures show."""

    learns: ClassVar[bool] = False

    def open(self, training: SampleSet, held_out: SampleSet, device: torch.device | str = "cpu") -> FeatureNetwork:
        return FeatureNetwork("identity", Flattened().eval().to(device))
