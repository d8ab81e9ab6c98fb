"""Choices that all networks share: normalisation and the generator's last activation."""

from typing import Literal

from torch import nn

Norm = Literal["none", "batch", "layer", "instance"]
OutputActivation = Literal["tanh", "sigmoid", "none"]


def norm_1d(norm: Norm, width: int) -> nn.Module:
    """Normalisation of activations (N, width)."""
    layers = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
    if norm not in layers:
        raise ValueError(f"norm={norm} needs images with height and width; a perceptron has none, batch or layer")
    return layers[norm](width) if norm != "none" else nn.Identity()


def norm_2d(norm: Norm, channels: int) -> nn.Module:
    """Normalisation of activations (N, channels, H, W); `layer` is over C, H and W together, as in the WGAN-GP code."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if norm == "layer":
        return nn.GroupNorm(1, channels)
    return nn.Identity()


def output_activation_layer(name: OutputActivation) -> nn.Module:
    return {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "none": nn.Identity}[name]()


def uses_batch_statistics(network: nn.Module) -> bool:
    """Whether a sample's output in train mode depends on the other samples of its batch."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
