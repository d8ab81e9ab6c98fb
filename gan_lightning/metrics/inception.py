"""Inception v3 of the Fréchet Inception distance: TensorFlow's weights of 2015, with 1,008 outputs.

Heusel et al. 2017, arXiv:1706.08500, and Salimans et al. 2016, arXiv:1606.03498, take their numbers from this network
and no other; torchvision's of the same name has other weights and other pooling. The weights are those that
mseitzer/pytorch-fid converted.

Images are resized as Parmar et al. 2022, arXiv:2104.11222 (clean-fid) do. TensorFlow's own resizing, that of the
official code, skips pixels: numbers are to be compared with those of clean-fid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float32, Num, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception

from gan_lightning.errors import UserError
from gan_lightning.metrics.extractor import FeatureNetwork
from gan_lightning.metrics.weights import AT_ONCE, file_hash, fill, in_colour, require_pictures, weights_file
from gan_lightning.samples import SampleSet
from gan_lightning.types import FilePath

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIZE = 299
NAMES: Mapping[str, str] = {
    "frechet_distance": "fid",
    "kernel_distance": "kid",
    "kernel_distance_std": "kid_std",
    "classifier_score": "inception_score",
    "classifier_score_std": "inception_score_std",
}


class _Repooled(nn.Module):
    """A block of torchvision's with another pooling in its last branch, which is computed twice: 4 % more work."""

    _forward: Callable[[Tensor], list[Tensor]]
    branch_pool: nn.Module

    @staticmethod
    def pool(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n after h w"]:
        *others, _ = self._forward(x)
        return torch.cat([*others, self.branch_pool(self.pool(x))], dim=1)


class _A(_Repooled, inception.InceptionA):  # type: ignore[misc]  # torchvision has no types
    pass


class _C(_Repooled, inception.InceptionC):  # type: ignore[misc]  # torchvision has no types
    pass


class _E(_Repooled, inception.InceptionE):  # type: ignore[misc]  # torchvision has no types
    pass


class _LastE(_E):
    @staticmethod
    def pool(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return F.max_pool2d(x, kernel_size=3, stride=1, padding=1)


def build_inception() -> nn.Module:
    """TensorFlow's network of 2015 in torchvision's, without values: tensors are on torch's meta device.

    Its average pooling does not count the padding, and the last block takes maxima instead.
    """
    blocks = [inception.BasicConv2d, _A, inception.InceptionB, _C, inception.InceptionD, _E, inception.InceptionAux]
    with torch.device("meta"):
        network: nn.Module = inception.Inception3(1008, aux_logits=False, inception_blocks=blocks, init_weights=False)
        network.Mixed_7c = _LastE(2048)
    return network


def resize(images: Num[Tensor, "n c h w"]) -> Float32[Tensor, "n c 299 299"]:
    """Pixels (N, C, H, W), 0 to 255 -> float32 (N, C, 299, 299), 0 to 255, not rounded: clean-fid's resizing.

    Bicubic as Pillow's on floats: the filter widens where an image shrinks, and what overshoots is clipped.
    """
    resized = F.interpolate(images.float(), (SIZE, SIZE), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 255)


class InceptionNetwork(nn.Module):
    """Images, uint8 (N, 1 or 3, H, W) -> the last pooling's features (N, 2048) and logits (N, 1008).

    The logits have no bias, as in the official code of the Inception score.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        assert isinstance(network.fc, nn.Linear)
        self.classes = network.fc.weight
        network.fc = nn.Identity()
        self.network = network

    def forward(self, samples: UInt8[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n 2048"], Float[Tensor, "n 1008"]]:
        features = self.network((in_colour(resize(samples)) - 128) / 128)
        return features, features @ self.classes.T


@dataclass(frozen=True)
class Inception:
    """Inception v3 with the weights in the file `weights`, by default that of `URL`'s name in gan_lightning/weights in
    $XDG_CACHE_HOME or ~/.cache, whose SHA-256 must be `sha256`.
    """

    learns: ClassVar[bool] = False
    weights: FilePath | None = None
    sha256: str = SHA256

    def open(self, training: SampleSet, held_out: SampleSet, device: torch.device | str = "cpu") -> FeatureNetwork:
        """Raises UserError for samples that are not pictures, a file that isn't there, or one that is another."""
        require_pictures(training.samples, "inception")
        file = weights_file(self.weights, URL)
        found = file_hash(file)
        if found != self.sha256:
            raise UserError(
                f"{file} is not the Inception v3 of the Fréchet Inception distance, or not all of it: its SHA-256 is"
                f" {found} instead of {self.sha256}. The file is at {URL}."
            )
        network = build_inception()
        fill(network, file)
        module = InceptionNetwork(network).eval().requires_grad_(False).to(device)
        how = "299x299, bicubic, antialiased, not rounded (clean-fid)"
        return FeatureNetwork("inception_v3_2015", module, found, resize=how, known_as=NAMES, at_once=AT_ONCE)
