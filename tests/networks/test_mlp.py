"""The widths of the perceptrons."""

import pytest
import torch
from torch import nn

from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm)


def of_kind(network, *kinds):
    return [module for module in network.modules() if isinstance(module, kinds)]


def widths(network):
    return [layer.out_features for layer in of_kind(network, nn.Linear)]


def test_default_widths_of_the_generator():
    network = MLPGenerator(10, (1, 28, 28))
    assert [layer.in_features for layer in of_kind(network, nn.Linear)] == [10, 128, 256, 512, 1024]
    assert widths(network) == [128, 256, 512, 1024, 784]
    assert len(of_kind(network, nn.BatchNorm1d)) == len(of_kind(network, *NORMS)) == 4
    assert len(of_kind(network, nn.ReLU)) == 4
    assert len(of_kind(network, nn.Tanh)) == 1


def test_default_widths_of_the_discriminator():
    network = MLPDiscriminator((1, 28, 28))
    assert [layer.in_features for layer in of_kind(network, nn.Linear)] == [784, 512, 256, 128]
    assert widths(network) == [512, 256, 128, 1]
    assert not of_kind(network, *NORMS)
    assert [layer.negative_slope for layer in of_kind(network, nn.LeakyReLU)] == [0.2] * 3


@pytest.mark.parametrize(
    ("growth", "generator", "discriminator"), [(1, [5, 5, 5, 2], [5, 5, 5, 1]), (3, [5, 15, 45, 2], [45, 15, 5, 1])]
)
def test_other_widths(growth, generator, discriminator):
    options = {"hidden_dim": 5, "blocks": 3, "growth": growth}
    assert widths(MLPGenerator(3, (2,), **options)) == generator
    assert widths(MLPDiscriminator((2,), **options)) == discriminator


def test_inputs_and_outputs():
    network = MLPDiscriminator((1, 4, 5), hidden_dim=3, outputs=7, packing=2, classes=6, label_input="concat")
    first, *_, last = of_kind(network, nn.Linear)
    assert (first.in_features, last.out_features) == (2 * (1 + 6) * 4 * 5, 7)
    assert network(torch.zeros(3, 2, 4, 5), torch.tensor([[0, 1], [2, 3], [4, 5]])).shape == (3, 7)
    assert of_kind(MLPGenerator(3, (2,), classes=6, label_input="concat"), nn.Linear)[0].in_features == 9
