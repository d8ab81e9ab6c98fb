"""Choices that all networks share: normalisation and the generator's last activation."""

from typing import Literal, get_args

from torch import nn

Norm = Literal["none", "batch", "layer", "instance"]
OutputActivation = Literal["tanh", "sigmoid", "none"]


def norm_1d(norm: Norm, width: int) -> nn.Module:
    """Normalisation of activations (N, width)."""
    if norm == "batch":
        return nn.BatchNorm1d(width)
    if norm == "layer":
        return nn.LayerNorm(width)
    if norm == "none":
        return nn.Identity()
    raise ValueError(f"norm={norm} needs images with height and width; a perceptron has none, batch or layer")


def norm_2d(norm: Norm, channels: int) -> nn.Module:
    """Normalisation of activations (N, channels, H, W); `layer` is over C, H and W together, as in the WGAN-GP code."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if norm == "layer":
        return nn.GroupNorm(1, channels)
    if norm == "none":
        return nn.Identity()
    raise ValueError(f"norm is {norm!r}; there are {', '.join(get_args(Norm))}")


def output_activation_layer(name: OutputActivation) -> nn.Module:
    """The generator's last layer; images are to lie in [-1, 1], which of these only tanh ensures."""
    layers = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "none": nn.Identity}
    if name not in layers:
        raise ValueError(f"output_activation is {name!r}; there are {', '.join(layers)}")
    return layers[name]()


def uses_batch_statistics(network: nn.Module) -> bool:
    """Whether a sample's output in train mode depends on the other samples of its batch."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
