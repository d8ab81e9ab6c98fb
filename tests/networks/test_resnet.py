"""The residual networks against their papers' plans, blocks and initial weights."""

from math import sqrt

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, relu
from typechecking import unchecked

from gan_lightning.networks.resnet import (
    DownBlock,
    ResNetDiscriminator,
    ResNetGenerator,
    UpBlock,
    discriminator_blocks,
    first_block,
    generator_widths,
    later_block,
)


def activations(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


class TestPlans:
    @pytest.mark.parametrize(
        ("count", "expected"),
        [
            (1, [64, 64]),
            (3, [64, 64, 64, 64]),  # 32x32
            (4, [1024, 512, 256, 128, 64]),  # SNGAN 64x64
            (5, [1024, 1024, 512, 256, 128, 64]),  # SNGAN 128x128
        ],
    )
    def test_of_the_generator(self, count, expected):
        assert generator_widths(64, count) == expected

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ((8, 8), "64p 64 64"),
            ((16, 16), "64p 64 64"),
            ((28, 28), "64p 64p 64 64"),
            ((32, 32), "64p 64p 64 64"),
            ((48, 60), "64p 64p 64p 64 64"),
            ((64, 64), "64p 128p 256p 512p 1024p"),
            ((128, 128), "64p 128p 256p 512p 1024p 1024"),
            ((256, 256), "64p 128p 256p 512p 1024p 1024p 1024"),
        ],
    )
    def test_of_the_discriminator(self, size, expected):
        plan = [(int(word.rstrip("p")), word.endswith("p")) for word in expected.split()]
        assert discriminator_blocks(64, *size) == plan

    def test_of_wgan_gp(self):
        generator, discriminator = ResNetGenerator(128, (3, 32, 32)), ResNetDiscriminator((3, 32, 32))
        assert generator.project.out_features == 128 * 4 * 4
        assert sum(isinstance(module, UpBlock) for module in generator.modules()) == 3
        assert sum(isinstance(module, nn.BatchNorm2d) for module in generator.modules()) == 7
        assert sum(isinstance(module, DownBlock) for module in discriminator.modules()) == 4
        assert discriminator.layers(activations(2, 3, 32, 32)).shape == (2, 128, 8, 8)
        assert discriminator.head.in_features == 128
        assert discriminator.pooling == "mean"

    @pytest.mark.parametrize(("side", "left"), [(8, 4), (16, 8), (28, 7), (31, 8), (64, 2), (128, 4)])
    def test_what_the_discriminator_leaves(self, side, left):
        layers = ResNetDiscriminator((1, side, side), width=1).layers
        assert layers(activations(1, 1, side, side)).shape[2:] == (left, left)

    def test_overshoot_is_cropped_in_the_middle(self):
        generator = ResNetGenerator(5, (3, 29, 31), width=4).eval()
        latents = activations(2, 5)
        whole = generator.layers(generator.unflatten(generator.project(latents)))
        assert whole.shape == (2, 3, 32, 32)
        assert torch.equal(generator(latents), whole[:, :, 1:30, 0:31])


def apply(layer, x):
    return conv2d(x, layer.weight, layer.bias, padding=layer.padding)


class TestBlocks:
    """Against the formulas of the official codes, with the 1x1 convolutions where those have them."""

    def test_up(self):
        block = UpBlock(3, 5, "none")
        (first, second), (shortcut,) = convolutions(block.residual), convolutions(block.shortcut)
        x = activations(2, 3, 4, 5)
        doubled = interpolate(x, scale_factor=2, mode="nearest")
        residual = apply(second, relu(apply(first, interpolate(relu(x), scale_factor=2, mode="nearest"))))
        torch.testing.assert_close(block(x), residual + apply(shortcut, doubled))

    def test_up_normalises_in_front_of_both_activations(self):
        block = UpBlock(3, 5, "batch")
        kinds = [type(module).__name__ for module in block.residual]
        assert kinds == ["BatchNorm2d", "ReLU", "Upsample", "Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]
        assert [module.num_features for module in block.residual if isinstance(module, nn.BatchNorm2d)] == [3, 5]

    def test_down(self):
        block = later_block(3, 5, "none", pool=True)
        first, second = convolutions(block.residual)
        assert (first.out_channels, second.out_channels) == (3, 5)
        x = activations(2, 3, 4, 6)
        residual = avg_pool2d(apply(second, relu(apply(first, relu(x)))), 2)
        torch.testing.assert_close(block(x), residual + avg_pool2d(apply(block.shortcut, x), 2))

    def test_plain(self):
        block = later_block(3, 3, "none", pool=False)
        first, second = convolutions(block)
        x = activations(2, 3, 4, 6)
        torch.testing.assert_close(block(x), apply(second, relu(apply(first, relu(x)))) + x)

    def test_first(self):
        block = first_block(2, 5)
        first, second = convolutions(block.residual)
        x = activations(2, 2, 4, 6)
        residual = avg_pool2d(apply(second, relu(apply(first, x))), 2)
        torch.testing.assert_close(block(x), residual + apply(block.shortcut, avg_pool2d(x, 2)))

    def test_odd_sizes_are_rounded_up(self):
        block = later_block(3, 3, "none", pool=True)
        assert block(activations(1, 3, 7, 5)).shape == (1, 3, 4, 3)

    @pytest.mark.parametrize("block", [UpBlock(3, 3, "none"), later_block(3, 3, "none", pool=False)])
    def test_the_shortcut_reads_what_came_in(self, block):
        """An activation in place would change it, without a normalisation in front."""
        x = activations(2, 3, 4, 4)
        before = x.clone()
        block(x)
        assert torch.equal(x, before)


@pytest.mark.parametrize(("pooling", "factor"), [("mean", 1), ("sum", 64)])
def test_pooling(pooling, factor):
    torch.manual_seed(0)
    discriminator = ResNetDiscriminator((1, 32, 32), width=4, pooling=pooling)
    images = activations(2, 1, 32, 32)
    maps = relu(discriminator.layers(images))
    assert maps.shape == (2, 4, 8, 8)
    torch.testing.assert_close(discriminator.features(images), factor * maps.flatten(2).mean(2))


def test_other_pooling_is_refused():
    with unchecked(), pytest.raises(ValueError, match="pooling is 'max'; there are mean, sum"):
        ResNetDiscriminator((1, 8, 8), pooling="max")


def test_the_last_normalisation_knows_no_class():
    generator = ResNetGenerator(5, (1, 16, 16), width=8, classes=3, label_input="norm")
    gains = [name for name, parameter in generator.named_parameters() if name.endswith(".gain")]
    assert len(gains) == 4
    assert type(generator.layers[2]) is nn.BatchNorm2d
    assert generator.layers[2].affine


@pytest.mark.parametrize("network", [ResNetGenerator(64, (3, 32, 32), 32), ResNetDiscriminator((3, 32, 32), 32)])
def test_initial_weights(network):
    """Glorot's uniform, with gain sqrt(2) for 3x3 convolutions inside blocks; the largest weight is near its bound."""
    inside = {
        id(module)
        for block in network.modules()
        if isinstance(block, UpBlock | DownBlock)
        for module in convolutions(block.residual)
    }
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert 0 < len(inside) < len(layers)
    for layer in layers:
        area = layer.weight[0, 0].numel()
        fans = (layer.weight.shape[0] + layer.weight.shape[1]) * area
        bound = sqrt(6 / fans) * (sqrt(2) if id(layer) in inside else 1)
        assert 0.85 * bound < layer.weight.abs().max().item() <= bound * (1 + 1e-6)
        assert layer.bias is None or (layer.bias == 0).all()
