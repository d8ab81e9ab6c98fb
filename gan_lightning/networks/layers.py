"""What all networks share: normalisation, how labels reach it, and the generator's last activation."""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, one_hot
from torch.nn.utils.parametrizations import _SpectralNorm, spectral_norm

Norm = Literal["none", "batch", "layer", "group", "instance", "spectral"]
OutputActivation = Literal["tanh", "sigmoid", "none", "rescaled_sigmoid"]
Labels = Int[Tensor, " n"] | Float[Tensor, "n conditions"]  # classes, or conditions: as many numbers as `classes` says

MOST_GROUPS = 32  # Wu and He 2018 (arXiv:1803.08494), section 3.1
LEAST_GROUP = 4  # units: a group of one vector unit would be normalised to zero, and one of two to a sign


def encoded(
    labels: Tensor, count: int, classes: int, dtype: torch.dtype, packing: int = 1
) -> Float[Tensor, "{count} {packing*classes}"]:
    """Labels of `count` packs of m samples as (count, m * classes): classes one-hot, conditions as they are.

    Mirza and Osindero 2014 (arXiv:1411.1784) condition on any y, of which a one-hot class is one.
    """
    if labels.is_floating_point():
        return labels.to(dtype)
    return one_hot(labels.reshape(count, packing), classes).flatten(1).to(dtype)


class TakesLabels(nn.Module):
    """A layer whose forward takes labels, (N,) or (N, K), or None, beside its input."""


class LabelledSequential(TakesLabels, nn.Sequential):
    """A sequence that hands labels to those of its layers that take them."""

    def forward(self, x: Float[Tensor, "n ..."], labels: Labels | None = None) -> Float[Tensor, "n ..."]:
        for module in self:
            x = module(x, labels) if isinstance(module, TakesLabels) else module(x)
        return x


class ConditionalNorm(TakesLabels):
    """Normalisation of (N, channels, ...) with a gain (at first 1) and a bias (0) per class and channel.

    de Vries et al. 2017 (arXiv:1707.00683), in the categorical form of Dumoulin et al. 2017 (arXiv:1610.07629) that
    SNGAN's projection code uses too. Conditions (N, classes) have the gain 1 + y W and the bias y V, as the embeddings
    of BigGAN's code do (Brock et al. 2019, arXiv:1809.11096); W is what the gains differ from 1 by, so that a one-hot y
    is its class. `norm` has no gain and bias of its own.
    """

    def __init__(self, norm: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.gain = nn.Parameter(torch.ones(classes, channels))
        self.bias = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Float[Tensor, "n c *size"], labels: Labels) -> Float[Tensor, "n c *size"]:
        shape = (*x.shape[:2], *[1] * (x.ndim - 2))
        normed: Tensor = self.norm(x)
        if labels.is_floating_point():
            y = labels.to(self.gain.dtype)
            return normed * (1 + y @ (self.gain - 1)).view(shape) + (y @ self.bias).view(shape)
        return normed * embedding(labels, self.gain).view(shape) + embedding(labels, self.bias).view(shape)


def norm_1d(norm: Norm, width: int, classes: int = 0) -> nn.Module:
    """Normalisation of activations (N, width), with a gain and a bias per class where there are `classes`.

    `spectral` normalises weights (see `constrain_weights`) and no activations. Raises ValueError for `instance`, which
    has no meaning without height and width, and where there are classes but nothing to condition.
    """
    layer: nn.Module
    if norm == "batch":
        layer = nn.BatchNorm1d(width, affine=not classes)
    elif norm == "layer":
        layer = nn.LayerNorm(width, elementwise_affine=not classes)
    elif norm == "group":
        layer = nn.GroupNorm(group_count(width, least=LEAST_GROUP), width, affine=not classes)
    elif norm in ("none", "spectral"):
        layer = nn.Identity()
    else:
        others = "none, batch, layer, group or spectral"
        raise ValueError(f"norm={norm} needs images with height and width; a perceptron has {others}")
    return _conditional(layer, norm, width, classes)


def norm_2d(norm: Norm, channels: int, classes: int = 0) -> nn.Module:
    """Normalisation of activations (N, channels, H, W), with a gain and a bias per class where there are `classes`.

    `layer` is over C, H and W together, as in the WGAN-GP code, with one gain and bias a channel; `group` is over as
    many groups of channels as divide them, at most 32; `spectral` normalises weights (see `constrain_weights`) and no
    activations. Raises ValueError where there are classes but nothing to condition.
    """
    return _norm_of_channels(norm, channels, classes, nn.BatchNorm2d, nn.InstanceNorm2d)


def norm_of_signals(norm: Norm, channels: int, classes: int = 0) -> nn.Module:
    """The same for activations (N, channels, L)."""
    return _norm_of_channels(norm, channels, classes, nn.BatchNorm1d, nn.InstanceNorm1d)


def _norm_of_channels(
    norm: Norm,
    channels: int,
    classes: int,
    batch: type[nn.BatchNorm1d | nn.BatchNorm2d],
    instance: type[nn.InstanceNorm1d | nn.InstanceNorm2d],
) -> nn.Module:
    layer: nn.Module
    if norm == "batch":
        layer = batch(channels, affine=not classes)
    elif norm == "instance":
        layer = instance(channels, affine=not classes)
    elif norm == "layer":
        layer = nn.GroupNorm(1, channels, affine=not classes)
    elif norm == "group":
        layer = nn.GroupNorm(group_count(channels), channels, affine=not classes)
    elif norm in ("none", "spectral"):
        layer = nn.Identity()
    else:
        raise ValueError(f"norm is {norm!r}; there are {', '.join(get_args(Norm))}")
    return _conditional(layer, norm, channels, classes)


def _conditional(layer: nn.Module, norm: Norm, channels: int, classes: int) -> nn.Module:
    if not classes:
        return layer
    if isinstance(layer, nn.Identity):
        raise ValueError(
            f"label_input is norm, but norm is {norm}, which leaves nothing to condition; "
            "use conditioning.generator=concat or network.generator.norm=batch"
        )
    return ConditionalNorm(layer, channels, classes)


def group_count(channels: int, least: int = 1) -> int:
    """The largest number of groups, at most 32, that divides the channels with at least `least` in each, or 1."""
    return max(
        (count for count in range(1, MOST_GROUPS + 1) if channels % count == 0 and channels // count >= least),
        default=1,
    )


def constrain_weights(network: nn.Module, norm: Norm) -> None:
    """With norm `spectral`, divides every weight of a network by its largest singular value, and else does nothing.

    Miyato et al. 2018 (arXiv:1802.05957), equation 8, for linear layers, convolutions, transposed convolutions and
    embeddings: the weights as matrices (outputs, inputs * kernel), one power iteration a pass in train mode (their
    algorithm 1). Biases stay free. Call it last in a constructor: the initial weights are the unconstrained ones.
    """
    if norm == "spectral":
        for module in list(network.modules()):
            if isinstance(module, nn.Linear | nn.modules.conv._ConvNd | nn.Embedding):
                spectral_norm(module)


class RescaledSigmoid(nn.Tanh):
    """A sigmoid whose [0, 1] is brought to [-1, 1]: 2 sigmoid(x) - 1, which is tanh(x / 2), and so counts as a tanh."""

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        return torch.tanh(x / 2)


def output_activation_layer(name: OutputActivation) -> nn.Module:
    """The generator's last layer; images are to lie in [-1, 1], which tanh and the rescaled sigmoid ensure."""
    layers = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "none": nn.Identity, "rescaled_sigmoid": RescaledSigmoid}
    if name not in layers:
        raise ValueError(f"output_activation is {name!r}; there are {', '.join(layers)}")
    return layers[name]()


def uses_batch_statistics(network: nn.Module) -> bool:
    """Whether a sample's output in train mode depends on the other samples of its batch."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def uses_spectral_norm(network: nn.Module) -> bool:
    """Whether weights of a network are divided by their largest singular values."""
    return any(isinstance(module, _SpectralNorm) for module in network.modules())


def ends_in_sigmoid(network: nn.Module) -> bool:
    """Whether the layer that a network registers last is a sigmoid, so that it gives probabilities, not logits."""
    *_, last = network.modules()
    return isinstance(last, nn.Sigmoid)
