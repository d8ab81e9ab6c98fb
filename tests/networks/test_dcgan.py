"""DCGAN's structure."""

import pytest
import torch
from torch import nn
from typechecking import unchecked

from gan_lightning.networks.dcgan import DCGANDiscriminator, DCGANGenerator

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm)
LATENT = 7


def of_kind(network, *kinds):
    return [module for module in network.modules() if isinstance(module, kinds)]


def latents(count):
    return torch.randn(count, LATENT, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("size", "expected"), [((8, 8), 1), ((28, 28), 2), ((32, 35), 3), ((64, 64), 4)])
def test_stages(size, expected):
    up = of_kind(DCGANGenerator(LATENT, (3, *size), width=8), nn.ConvTranspose2d)
    down = of_kind(DCGANDiscriminator((3, *size), width=8), nn.Conv2d)
    assert len(up) == len(down) == expected
    assert {(layer.kernel_size, layer.stride, layer.padding) for layer in up + down} == {((4, 4), (2, 2), (1, 1))}


def test_channels():
    up = of_kind(DCGANGenerator(100, (3, 64, 64)), nn.ConvTranspose2d)
    down = of_kind(DCGANDiscriminator((3, 64, 64)), nn.Conv2d)
    assert [layer.in_channels for layer in up] == [512, 256, 128, 64]
    assert [layer.out_channels for layer in up] == [256, 128, 64, 3]
    assert [layer.in_channels for layer in down] == [3, 64, 128, 256]
    assert [layer.out_channels for layer in down] == [64, 128, 256, 512]


def test_channels_of_large_images_stay_at_eight_times_the_width():
    up = of_kind(DCGANGenerator(100, (1, 256, 256), width=2), nn.ConvTranspose2d)
    down = of_kind(DCGANDiscriminator((1, 256, 256), width=2), nn.Conv2d)
    assert [layer.in_channels for layer in up] == [16, 16, 16, 8, 4, 2]
    assert [layer.out_channels for layer in down] == [2, 4, 8, 16, 16, 16]


def test_overshoot_is_cropped_in_the_middle():
    generator = DCGANGenerator(LATENT, (3, 29, 31), width=8).eval()
    whole = generator.layers(generator.unflatten(generator.project(latents(2))))
    assert whole.shape == (2, 3, 32, 32)
    assert torch.equal(generator(latents(2)), whole[:, :, 1:30, 0:31])


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
class TestResizing:
    @pytest.mark.parametrize("shape", [(1, 8, 8), (3, 29, 31), (2, 32, 32)])
    def test_shapes(self, upsampling, shape):
        generator = DCGANGenerator(LATENT, shape, width=8, upsampling=upsampling)
        assert generator(latents(3)).shape == (3, *shape)
        assert not of_kind(generator, nn.ConvTranspose2d)
        resizes, convolutions = of_kind(generator, nn.Upsample), of_kind(generator, nn.Conv2d)
        assert [layer.mode for layer in resizes] == [upsampling] * len(convolutions)
        assert {(layer.kernel_size, layer.stride) for layer in convolutions} == {((3, 3), (1, 1))}

    def test_has_no_checkerboard(self, upsampling):
        """Of constant activations and weights, all pixels but the borders are equal; transposed ones would be too,
        with kernel 4 and stride 2, but for each phase with weights of its own.
        """
        spreads = {}
        for choice in (upsampling, "transposed"):
            torch.manual_seed(0)
            layer = DCGANGenerator(LATENT, (1, 16, 16), width=8, norm="none", upsampling=choice).layers[2:-1]
            with torch.no_grad():
                image = layer(torch.ones(1, 16, 4, 4))[0, 0, 5:-5, 5:-5]
            spreads[choice] = (image.std() / image.abs().max()).item()
        assert spreads[upsampling] < 1e-5
        assert spreads["transposed"] > 0.01


def test_other_upsampling_is_refused():
    with unchecked(), pytest.raises(ValueError, match="upsampling is 'cubic'; there are transposed, nearest, bilinear"):
        DCGANGenerator(LATENT, (1, 8, 8), upsampling="cubic")


@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
def test_initial_weights(upsampling):
    for network in (DCGANGenerator(100, (3, 64, 64), upsampling=upsampling), DCGANDiscriminator((3, 64, 64))):
        gains = []
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                # The smallest layer has 1,728 weights: 10 % are six standard errors of its deviation.
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
                assert module.weight.mean().item() == pytest.approx(0, abs=0.002)
            elif isinstance(module, nn.BatchNorm2d):
                gains.append(module.weight.detach())
            if getattr(module, "bias", None) is not None:
                assert module.bias.abs().max() == 0
        gains = torch.cat(gains)  # 896 at least
        assert gains.mean().item() == pytest.approx(1, abs=0.005)
        assert gains.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group", "instance", "spectral"])
def test_norm(norm):
    kind = {"batch": nn.BatchNorm2d, "layer": nn.GroupNorm, "group": nn.GroupNorm, "instance": nn.InstanceNorm2d}
    generator = DCGANGenerator(LATENT, (3, 64, 64), 8, norm)
    discriminator = DCGANDiscriminator((3, 64, 64), 8, norm)
    assert len(of_kind(generator, *NORMS)) == (4 if norm in kind else 0)
    assert len(of_kind(discriminator, *NORMS)) == (3 if norm in kind else 0)  # none after the first convolution
    if norm in kind:
        assert len(of_kind(generator, kind[norm])) == 4
        assert len(of_kind(discriminator, kind[norm])) == 3
    first, second = discriminator.layers[:2]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.LeakyReLU)
    assert second.negative_slope == 0.2
    biases = [layer.bias is not None for layer in of_kind(generator, nn.Linear, nn.ConvTranspose2d)]
    assert biases == [norm != "batch"] * 4 + [True]


def test_conditional_gains_start_at_one():
    generator = DCGANGenerator(LATENT, (1, 16, 16), 8, classes=3, label_input="norm")
    gains = [parameter for name, parameter in generator.named_parameters() if name.endswith("gain")]
    assert len(gains) == 2
    assert all((gain == 1).all() for gain in gains)
