"""The samples themselves as features."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from gan_lightning.metrics.extractor import FeatureNetwork
from gan_lightning.samples import SampleSet


class Flattened(nn.Module):
    """Images, uint8 (N, C, H, W) -> (N, C * H * W) in [-1, 1]; vectors (N, d) as they are. No logits."""

    def forward(
        self, samples: UInt8[Tensor, "n c h w"] | Float[Tensor, "n d"]
    ) -> tuple[Float[Tensor, "n features"], None]:
        return (samples.flatten(1).float() / 127.5 - 1 if samples.dtype == torch.uint8 else samples), None


@dataclass(frozen=True)
class Identity:
    """No network: distances of pixels, or of points. Apt for points in the plane; blind to what pictures show."""

    learns: ClassVar[bool] = False

    def open(self, training: SampleSet, held_out: SampleSet, device: torch.device | str = "cpu") -> FeatureNetwork:
        return FeatureNetwork("identity", Flattened().eval().to(device))
