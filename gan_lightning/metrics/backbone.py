"""Any classifier of torchvision's as a source of features."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchvision import models

from gan_lightning.errors import UserError
from gan_lightning.metrics.extractor import FeatureNetwork
from gan_lightning.metrics.weights import AT_ONCE, file_hash, fill, in_colour, require_pictures, weights_file
from gan_lightning.samples import SampleSet
from gan_lightning.suggest import did_you_mean
from gan_lightning.types import FilePath


def build_classifier(model: str) -> nn.Module:
    """torchvision's classifier of that name, as it is with its default weights, but without them.

    torch's random state stays as it was. Raises UserError for a name it doesn't have.
    """
    names = models.list_models(module=models)
    if model not in names:
        raise UserError(
            f"extractor.model={model} is none of torchvision's classifiers, such as resnet50 or convnext_tiny."
            f"{did_you_mean(model, names)}"
        )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore", category=FutureWarning):
        network: nn.Module = models.get_model(model, weights=None)
    if hasattr(network, "transform_input"):
        # GoogLeNet and Inception: torchvision sets it where it loads their weights itself.
        network.transform_input = True  # type: ignore[assignment]  # a plain attribute, no module
    return network


class Backbone(nn.Module):
    """Images, uint8 (N, 1 or 3, H, W) -> the inputs of a network's last linear layer (N, D), and its logits (N, K)."""

    def __init__(self, network: nn.Module, transforms: nn.Module) -> None:
        super().__init__()
        name, self.head = [(name, each) for name, each in network.named_modules() if isinstance(each, nn.Linear)][-1]
        network.set_submodule(name, nn.Identity())
        self.network = network
        self.transforms = transforms

    def forward(self, samples: UInt8[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"]]:
        features = self.network(self.transforms(in_colour(samples)))
        return features, self.head(features)


@dataclass(frozen=True)
class Torchvision:
    """torchvision's classifier `model` with the state dict in the file `weights`, by default that of the name it is
    published by, in gan_lightning/weights in $XDG_CACHE_HOME or ~/.cache. Images are prepared as for torchvision's
    default weights. SqueezeNets are refused: their last layer is no linear one.
    """

    learns: ClassVar[bool] = False
    model: str = "resnet50"
    weights: FilePath | None = None

    def open(self, training: SampleSet, held_out: SampleSet, device: torch.device | str = "cpu") -> FeatureNetwork:
        """Raises UserError for samples that are not pictures, an unknown model, and a file that isn't its."""
        require_pictures(training.samples, "torchvision")
        network = build_classifier(self.model)
        if not any(isinstance(each, nn.Linear) for each in network.modules()):
            raise UserError(f"extractor.model={self.model} has no linear layer whose inputs could be the features.")
        published = models.get_model_weights(self.model).DEFAULT
        file = weights_file(self.weights, published.url)
        fill(network, file)
        transforms = published.transforms()
        module = Backbone(network, transforms).eval().requires_grad_(False).to(device, torch.float32)
        how = (
            f"{transforms.resize_size[0]} pixels the shorter side, {transforms.interpolation.value}, antialiased;"
            f" the middle {transforms.crop_size[0]}x{transforms.crop_size[0]}"
        )
        return FeatureNetwork(self.model, module, file_hash(file), resize=how, at_once=AT_ONCE)
