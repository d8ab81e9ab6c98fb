"""The course's networks: their layers and their first weights, and weights of the course's own classes in them."""

import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm
from typechecking import unchecked

from gan_lightning.networks.course import CourseDiscriminator, CourseGenerator
from gan_lightning.networks.layers import RescaledSigmoid, uses_batch_statistics, uses_spectral_norm
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.sampling.foreign import adopt
from gan_lightning.testing import check_discriminator, check_generator

SHAPE = (1, 28, 28)


def leaves(network):
    return [module for module in network.modules() if not list(module.children())]


def names(network):
    return [type(module).__name__ for module in leaves(network)]


def sizes(network):
    """Channels, kernel, stride and padding of its convolutions, in order."""
    kinds = nn.Conv2d | nn.ConvTranspose2d
    return [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0], layer.padding[0])
        for layer in leaves(network)
        if isinstance(layer, kinds)
    ]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def latents(number, size=64):
    return torch.randn(number, size, generator=torch.Generator().manual_seed(3))


def images(number):
    return torch.rand(number, *SHAPE, generator=torch.Generator().manual_seed(4)) * 2 - 1


# What the notebooks define, written out again: week 2 has `disc` and its week 3 `crit`.


def foreign_generator(latent_dim, width=64):
    def block(now, after, kernel=3, stride=2):
        return nn.Sequential(nn.ConvTranspose2d(now, after, kernel, stride), nn.BatchNorm2d(after), nn.ReLU())

    network = nn.Module()
    network.gen = nn.Sequential(
        block(latent_dim, 4 * width),
        block(4 * width, 2 * width, 4, 1),
        block(2 * width, width),
        nn.Sequential(nn.ConvTranspose2d(width, 1, 4, 2), nn.Tanh()),
    )
    return network


def foreign_discriminator(name, width, constrain=lambda layer: layer, channels=1):
    def convolution(now, after):
        return constrain(nn.Conv2d(now, after, 4, 2))

    def block(now, after):
        return nn.Sequential(convolution(now, after), nn.BatchNorm2d(after), nn.LeakyReLU(0.2))

    network = nn.Module()
    body = nn.Sequential(block(channels, width), block(width, 2 * width), nn.Sequential(convolution(2 * width, 1)))
    network.add_module(name, body)
    return network


def trained(network):
    """The network with other statistics than it began with, as training leaves them."""
    torch.manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


class TestLayers:
    def test_generator(self):
        generator = CourseGenerator(64, SHAPE)
        block = ["ConvTranspose2d", "BatchNorm2d", "ReLU"]
        assert names(generator) == [*block, *block, *block, "ConvTranspose2d", "Tanh"]
        assert sizes(generator) == [(64, 256, 3, 2, 0), (256, 128, 4, 1, 0), (128, 64, 3, 2, 0), (64, 1, 4, 2, 0)]
        assert count(generator) == count(foreign_generator(64)) == 747_841
        z, sides = latents(2)[:, :, None, None], []
        for layer in generator.layers:
            z = layer(z)
            sides.append(z.shape[-1])
        assert sides == [3, 6, 13, 28]

    @pytest.mark.parametrize(("width", "parameters"), [(16, 9_105), (64, 134_721)])
    def test_discriminator(self, width, parameters):
        discriminator = CourseDiscriminator(SHAPE, width)
        block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
        assert names(discriminator) == [*block, *block, "Flatten", "Unflatten", "Conv2d", "Flatten"]
        assert sizes(discriminator) == [(1, width, 4, 2, 0), (width, 2 * width, 4, 2, 0), (2 * width, 1, 4, 2, 0)]
        assert {layer.negative_slope for layer in leaves(discriminator) if isinstance(layer, nn.LeakyReLU)} == {0.2}
        assert count(discriminator) == count(foreign_discriminator("disc", width)) == parameters

    def test_the_critic_of_week_3_has_no_batch_statistics(self):
        critic = CourseDiscriminator(SHAPE, norm="none").eval()
        assert not uses_batch_statistics(critic)
        assert not uses_spectral_norm(critic)

    def test_spectral_normalisation_is_beside_that_of_the_batch(self):
        discriminator = CourseDiscriminator(SHAPE, 16, spectral=True)
        assert uses_batch_statistics(discriminator)
        constrained = [layer for layer in leaves(discriminator) if type(layer).__name__ == "_SpectralNorm"]
        assert len(constrained) == 3
        assert not uses_batch_statistics(CourseDiscriminator(SHAPE, 16, norm="spectral"))
        assert uses_spectral_norm(CourseDiscriminator(SHAPE, 16, norm="spectral"))

    def test_labels_are_channels(self):
        generator = CourseGenerator(64, SHAPE, classes=10, label_input="concat")
        discriminator = CourseDiscriminator(SHAPE, classes=10, label_input="concat")
        assert sizes(generator)[0][0] == 64 + 10
        assert sizes(discriminator)[0][0] == 1 + 10


class TestInitialisation:
    @pytest.mark.parametrize("network", [CourseGenerator(64, SHAPE), CourseDiscriminator(SHAPE)])
    def test_weights_and_gains(self, network):
        for layer in leaves(network):
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
                weight = layer.weight.detach()
                assert weight.mean().item() == pytest.approx(0, abs=5 * 0.02 / weight.numel() ** 0.5)
                assert weight.std().item() == pytest.approx(0.02, rel=4 / weight.numel() ** 0.5)
            if isinstance(layer, nn.BatchNorm2d):
                assert not layer.bias.any()

    def test_biases_of_convolutions_are_torchs(self):
        bound = (128 * 16) ** -0.5  # of its 128 outputs, which is what torch counts
        bias = CourseGenerator(64, SHAPE).layers[1][0].bias.detach()
        assert 0.9 * bound < bias.abs().max().item() <= bound
        assert bias.std().item() == pytest.approx(bound / 3**0.5, rel=0.15)


class TestForeignWeights:
    def test_of_the_generator(self):
        foreign = trained(foreign_generator(64, width=8))
        ours = CourseGenerator(64, SHAPE, width=8).eval()
        adopt(ours, foreign.state_dict())
        assert torch.equal(ours(latents(5)), foreign.gen(latents(5)[:, :, None, None]))

    @pytest.mark.parametrize("name", ["disc", "crit"])
    def test_of_the_discriminator(self, name):
        foreign = trained(foreign_discriminator(name, 8))
        ours = CourseDiscriminator(SHAPE, 8).eval()
        adopt(ours, foreign.state_dict())
        logits = getattr(foreign, name)(images(5)).flatten()
        assert torch.equal(ours(images(5)), logits)
        assert len(logits.unique()) == 5

    def test_with_spectral_normalisation(self):
        foreign = foreign_discriminator("disc", 8, spectral_norm)
        for _ in range(3):
            foreign.disc(images(5))
        ours = CourseDiscriminator(SHAPE, 8, spectral=True)
        adopt(ours, trained(foreign).state_dict())
        torch.testing.assert_close(ours.eval()(images(5)), foreign.disc(images(5)).flatten(), rtol=1e-5, atol=1e-6)

    def test_of_the_conditional_ones(self):
        """One-hot labels follow the latents, and the image as channels."""
        foreign = trained(foreign_generator(7 + 3, width=8))
        labels = torch.tensor([2, 0, 1])
        ours = CourseGenerator(7, SHAPE, width=8, classes=3, label_input="concat").eval()
        adopt(ours, foreign.state_dict())
        told = torch.cat([latents(3, 7), nn.functional.one_hot(labels, 3).float()], dim=1)
        assert torch.equal(ours(latents(3, 7), labels), foreign.gen(told[:, :, None, None]))
        judge = trained(foreign_discriminator("disc", 8, channels=1 + 3))
        discriminator = CourseDiscriminator(SHAPE, 8, classes=3, label_input="concat").eval()
        adopt(discriminator, judge.state_dict())
        planes = nn.functional.one_hot(labels, 3).float()[:, :, None, None].expand(-1, -1, 28, 28)
        expected = judge.disc(torch.cat([images(3), planes], dim=1)).flatten()
        assert torch.equal(discriminator(images(3), labels), expected)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 27, 28), (3, 32, 32)])
def test_other_sizes_are_refused(shape):
    told = f"images of 28x28 pixels, got {shape[1]}x{shape[2]}; use dataset.image_size=28, or network=dcgan"
    for build in (lambda: CourseGenerator(7, shape), lambda: CourseDiscriminator(shape)):
        with pytest.raises(ValueError, match=told):
            build()


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"got samples of shape \(2,\); use network=mlp"):
        CourseDiscriminator((2,))


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group", "instance", "spectral"])
def test_the_contract_with_every_norm(norm):
    way = "concat" if norm in ("none", "spectral") else "norm"
    check_generator(CourseGenerator(7, (2, 28, 28), 8, norm, classes=3, label_input=way), (2, 28, 28))
    options = {"outputs": 3, "packing": 2, "classes": 3, "label_input": "projection"}
    check_discriminator(CourseDiscriminator((2, 28, 28), 8, norm, **options), (2, 28, 28))


# Week 1, whose pixels lie in [0, 1].


def test_a_rescaled_sigmoid_is_a_sigmoid_on_our_scale():
    x = torch.linspace(-9, 9, 50)
    torch.testing.assert_close((RescaledSigmoid()(x) + 1) / 2, torch.sigmoid(x), rtol=1e-6, atol=1e-7)


def test_the_perceptrons_of_week_1_see_and_make_what_the_courses_do():
    foreign = nn.Sequential(nn.Linear(784, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    ours = MLPDiscriminator(SHAPE, 8, blocks=1, unit_interval=True)
    ours.load_state_dict(
        {"layers.1.weight": foreign[0].weight, "layers.1.bias": foreign[0].bias}
        | {"head.weight": foreign[2].weight, "head.bias": foreign[2].bias}
    )
    pixels = (images(5) + 1) / 2
    torch.testing.assert_close(ours(images(5)), foreign(pixels.flatten(1)).flatten())
    generator = MLPGenerator(7, SHAPE, 8, blocks=1, output_activation="rescaled_sigmoid").eval()
    made = torch.sigmoid(generator.layers[:-1](latents(5, 7)))  # as the course's do
    torch.testing.assert_close((generator(latents(5, 7)).flatten(1) + 1) / 2, made)
    assert (made > 0).all()
    assert (made < 1).all()


def test_labels_beside_pixels_stay_as_they_are():
    discriminator = MLPDiscriminator(SHAPE, 8, classes=3, label_input="concat", unit_interval=True)
    seen = []
    discriminator.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    discriminator(images(2), torch.tensor([2, 0]))
    assert torch.equal(seen[0][:, :1], (images(2) + 1) / 2)
    assert torch.equal(seen[0][:, 1:, 0, 0], torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    with unchecked(), pytest.raises(ValueError, match="needs labels"):
        discriminator(images(2))
