"""R3GAN's blocks, resampling and initial weights."""

from math import sqrt

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate, leaky_relu

from gan_lightning.networks.r3gan import Block, R3GANDiscriminator, R3GANGenerator, Resample, stage_widths

SMALL = {"width": 8, "group_width": 4}


def activations(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def blocks(network):
    return [module for module in network.modules() if isinstance(module, Block)]


def test_block():
    block = Block(6, expansion=2, group_width=4, depth=1)
    first, _, second, _, last = block.residual
    biases = [nn.init.normal_(block.residual[place].bias) for place in (1, 3)]
    nn.init.normal_(last.weight)
    x = activations(2, 6, 4, 5)
    inside = leaky_relu(conv2d(x, first.weight) + biases[0][:, None, None], 0.2)
    inside = conv2d(inside, second.weight, padding=1, groups=3)
    inside = leaky_relu(inside + biases[1][:, None, None], 0.2)
    torch.testing.assert_close(block(x), x + conv2d(inside, last.weight))
    assert [layer.bias for layer in (first, second, last)] == [None] * 3


def test_channels_that_do_not_group_are_refused():
    with pytest.raises(ValueError, match="12 channels, 2 times 6, don't make groups of 5"):
        Block(6, expansion=2, group_width=5, depth=1)


@pytest.mark.parametrize(("group_width", "groups"), [(4, 3), (12, 1), (16, 1)])
def test_groups(group_width, groups):
    assert Block(6, expansion=2, group_width=group_width, depth=1).residual[2].groups == groups


class TestResample:
    def test_doubling_is_bilinear(self):
        x = activations(2, 3, 5, 6)
        doubled = Resample(up=True)(x)
        expected = interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        assert doubled.shape == expected.shape == (2, 3, 10, 12)
        torch.testing.assert_close(doubled[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])

    def test_halving_is_the_mean_by_the_filter(self):
        x = activations(1, 2, 8, 8)
        taps = torch.tensor([1.0, 3, 3, 1]) / 8
        halved = Resample(up=False)(x)
        assert halved.shape == (1, 2, 4, 4)
        expected = taps @ x[0, 1, 1:5, 3:7] @ taps
        assert halved[0, 1, 1, 2].item() == pytest.approx(expected.item(), rel=1e-5)

    @pytest.mark.parametrize("up", [True, False])
    def test_keeps_the_mean_inside(self, up):
        resampled = Resample(up)(torch.full((1, 3, 8, 8), 0.7))
        torch.testing.assert_close(resampled[..., 1:-1, 1:-1], torch.full_like(resampled[..., 1:-1, 1:-1], 0.7))

    def test_the_filter_is_no_weight(self):
        assert not list(Resample(True).parameters())
        assert not Resample(True).state_dict()


class TestPlans:
    @pytest.mark.parametrize(
        ("count", "expected"),
        [(1, [768] * 2), (3, [768] * 4), (4, [768] * 4 + [384]), (6, [768, 768, 768, 768, 384, 192, 96])],
    )
    def test_widths_are_the_presets(self, count, expected):
        assert stage_widths(768, count) == expected

    def test_widths_that_can_not_be_halved_are_refused(self):
        with pytest.raises(ValueError, match="width=6 can't be halved 2 times"):
            stage_widths(6, 5)

    @pytest.mark.parametrize(("side", "base", "stages"), [(8, 4, 2), (28, 7, 3), (32, 4, 4), (64, 4, 5)])
    def test_stages(self, side, base, stages):
        generator = R3GANGenerator(5, (1, side, side), blocks=3, **SMALL)
        discriminator = R3GANDiscriminator((1, side, side), blocks=3, **SMALL)
        assert generator.basis.shape == (8, base, base)
        assert discriminator.layers[-2].kernel_size == (base, base)
        assert discriminator.layers[-2].groups == 8
        assert len(blocks(generator)) == len(blocks(discriminator)) == 3 * stages


class TestStart:
    """Fix-up: the residual branches are zero at first, and the networks linear."""

    def test_blocks_are_identities(self):
        x = activations(2, 8, 4, 4)
        for network in (R3GANGenerator(5, (1, 16, 16), **SMALL), R3GANDiscriminator((1, 16, 16), **SMALL)):
            assert all(torch.equal(block(x), x) for block in blocks(network))

    def test_the_generator_is_linear(self):
        generator = R3GANGenerator(5, (3, 28, 28), **SMALL)
        one, other = activations(2, 5)
        images = generator(torch.stack([one, other, 2 * one - 3 * other]))
        torch.testing.assert_close(images[2], 2 * images[0] - 3 * images[1], rtol=1e-4, atol=1e-5)
        assert (generator(torch.zeros(1, 5)) == 0).all()

    def test_the_discriminator_is_linear(self):
        discriminator = R3GANDiscriminator((3, 28, 28), **SMALL)
        one, other = activations(2, 3, 28, 28)
        logits = discriminator(torch.stack([one, other, 2 * one - 3 * other]))
        assert logits[0].abs() > 1e-4
        assert logits[2].item() == pytest.approx((2 * logits[0] - 3 * logits[1]).item(), rel=1e-3, abs=1e-5)

    def test_weights(self):
        generator = R3GANGenerator(40, (3, 64, 64), width=64, blocks=2)
        discriminator = R3GANDiscriminator((3, 64, 64), width=64, blocks=2, classes=20, label_input="projection")
        assert discriminator.embedding.weight.std().item() == pytest.approx(1 / sqrt(64 * 20), rel=0.1)
        for network in (generator, discriminator):
            assert len(blocks(network)) == 10
            inside = {id(layer) for block in blocks(network) for layer in block.residual}
            for layer in network.modules():
                if not isinstance(layer, nn.Conv2d | nn.Linear):
                    continue
                gain = sqrt(2 / 1.04) * 10**-0.25 if id(layer) in inside else 1
                if any(layer is block.residual[-1] for block in blocks(network)):
                    gain = 0
                expected = gain / sqrt(layer.weight[0].numel())
                # The smallest, 64 numbers, has a deviation of 9 %.
                assert layer.weight.std().item() == pytest.approx(expected, rel=0.3)
                assert layer.bias is None

    def test_no_last_activation(self):
        generator = R3GANGenerator(5, (1, 8, 8), **SMALL)
        assert generator(100 * activations(4, 5)).abs().max() > 10


def test_labels_of_the_generator_need_no_argument_beside_classes():
    assert R3GANGenerator(5, (1, 8, 8), classes=3, **SMALL).label_input == "concat"
    assert R3GANGenerator(5, (1, 8, 8), **SMALL).label_input == "none"
