"""Shapes, ranges and structure of the networks, for sizes that halve evenly and sizes that don't."""

import pytest
import torch
from torch import nn

from gan_lightning.networks.dcgan import DCGANDiscriminator, DCGANGenerator, stages
from gan_lightning.networks.layers import norm_1d, norm_2d, output_activation_layer, uses_batch_statistics
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator

IMAGES = [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 30, 31), (3, 64, 64)]
SMALL = {"mlp": {"hidden_dim": 16}, "dcgan": {"width": 8}}
CASES = [("dcgan", shape) for shape in IMAGES] + [("mlp", shape) for shape in [*IMAGES, (2,)]]
LATENT = 7


def build_generator(family, shape, **options):
    torch.manual_seed(1)
    kind = {"mlp": MLPGenerator, "dcgan": DCGANGenerator}[family]
    return kind(LATENT, shape, **{**SMALL[family], **options})


def build_discriminator(family, shape, **options):
    torch.manual_seed(2)
    kind = {"mlp": MLPDiscriminator, "dcgan": DCGANDiscriminator}[family]
    return kind(shape, **{**SMALL[family], **options})


def latents(count):
    return torch.randn(count, LATENT, generator=torch.Generator().manual_seed(3))


def images(count, shape):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(4)) * 2 - 1


def amplify(generator, factor=1e4):
    """Makes the last layer's outputs so large that an activation that is missing shows."""
    last = [module for module in generator.modules() if isinstance(module, nn.Linear | nn.ConvTranspose2d)][-1]
    with torch.no_grad():
        last.weight.mul_(factor)
    return generator


def count(network, *kinds):
    return sum(isinstance(module, kinds) for module in network.modules())


def convolutions(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm)


@pytest.mark.parametrize(("family", "shape"), CASES)
class TestShapes:
    def test_samples(self, family, shape):
        generator = build_generator(family, shape)
        samples = generator(latents(5))
        assert samples.shape == (5, *shape)
        assert samples.dtype == torch.float32
        assert samples.isfinite().all()
        assert samples.abs().max() <= 1
        assert samples.flatten(1).std(0).min() > 0  # every pixel depends on the latents

    def test_last_activation(self, family, shape):
        extremes = {}
        for activation in ("tanh", "sigmoid", "none"):
            values = amplify(build_generator(family, shape, output_activation=activation))(latents(5)).detach()
            extremes[activation] = (values.min().item(), values.max().item())
        assert extremes["tanh"] == pytest.approx((-1, 1), abs=1e-3)
        assert extremes["sigmoid"] == pytest.approx((0, 1), abs=1e-3)
        assert extremes["none"][0] < -2
        assert extremes["none"][1] > 2

    def test_one_sample_in_evaluation(self, family, shape):
        generator, discriminator = build_generator(family, shape).eval(), build_discriminator(family, shape).eval()
        assert generator(latents(1)).shape == (1, *shape)
        assert discriminator(images(1, shape)).shape == (1,)

    def test_logits(self, family, shape):
        logits = build_discriminator(family, shape)(images(5, shape))
        assert logits.shape == (5,)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()
        assert len(logits.unique()) == 5

    def test_gradients_reach_every_pixel_and_every_parameter(self, family, shape):
        generator = build_generator(family, shape, norm="none")
        discriminator = build_discriminator(family, shape, norm="none")
        samples = generator(latents(5))
        samples.retain_grad()
        discriminator(samples).sum().backward()
        assert (samples.grad != 0).any(0).all()
        for network in (generator, discriminator):
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name
                assert parameter.grad.abs().max() > 0, name

    def test_generator_knows_its_latents(self, family, shape):
        generator = build_generator(family, shape)
        assert generator.latent_dim == LATENT
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            generator(torch.zeros(2, LATENT + 1))


class TestMLP:
    def test_default_widths_of_the_generator(self):
        network = MLPGenerator(10, (1, 28, 28))
        linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
        assert [layer.in_features for layer in linear] == [10, 128, 256, 512, 1024]
        assert [layer.out_features for layer in linear] == [128, 256, 512, 1024, 784]
        assert count(network, nn.BatchNorm1d) == count(network, *NORMS) == 4
        assert count(network, nn.ReLU) == 4
        assert count(network, nn.Tanh) == 1

    def test_default_widths_of_the_discriminator(self):
        network = MLPDiscriminator((1, 28, 28))
        linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
        assert [layer.in_features for layer in linear] == [784, 512, 256, 128]
        assert [layer.out_features for layer in linear] == [512, 256, 128, 1]
        assert count(network, *NORMS) == 0
        slopes = [module.negative_slope for module in network.modules() if isinstance(module, nn.LeakyReLU)]
        assert slopes == [0.2] * 3

    def test_other_widths(self):
        networks = MLPGenerator(3, (2,), hidden_dim=5, blocks=2), MLPDiscriminator((2,), hidden_dim=5, blocks=2)
        widths = [
            [module.out_features for module in network.modules() if isinstance(module, nn.Linear)]
            for network in networks
        ]
        assert widths == [[5, 10, 2], [10, 5, 1]]


class TestDCGAN:
    @pytest.mark.parametrize(
        ("height", "width", "expected"),
        [(8, 8, 1), (15, 99, 1), (16, 16, 2), (28, 28, 2), (31, 30, 2), (32, 32, 3), (64, 64, 4), (64, 28, 2)],
    )
    def test_stages(self, height, width, expected):
        assert stages(height, width) == stages(width, height) == expected
        generator = build_generator("dcgan", (3, height, width))
        discriminator = build_discriminator("dcgan", (3, height, width))
        assert count(generator, nn.ConvTranspose2d) == count(discriminator, nn.Conv2d) == expected

    def test_channels(self):
        up = convolutions(DCGANGenerator(100, (3, 64, 64)), nn.ConvTranspose2d)
        down = convolutions(DCGANDiscriminator((3, 64, 64)), nn.Conv2d)
        assert [layer.in_channels for layer in up] == [512, 256, 128, 64]
        assert [layer.out_channels for layer in up] == [256, 128, 64, 3]
        assert [layer.in_channels for layer in down] == [3, 64, 128, 256]
        assert [layer.out_channels for layer in down] == [64, 128, 256, 512]

    def test_channels_of_large_images_stay_at_eight_times_the_width(self):
        up = convolutions(DCGANGenerator(100, (1, 256, 256), width=2), nn.ConvTranspose2d)
        down = convolutions(DCGANDiscriminator((1, 256, 256), width=2), nn.Conv2d)
        assert [layer.in_channels for layer in up] == [16, 16, 16, 8, 4, 2]
        assert [layer.out_channels for layer in down] == [2, 4, 8, 16, 16, 16]

    @pytest.mark.parametrize("shape", [(1, 7, 8), (3, 8, 7), (3, 4, 64)])
    def test_smaller_images_are_refused(self, shape):
        message = rf"at least 8x8 pixels, got {shape[1]}x{shape[2]}"
        with pytest.raises(ValueError, match=message):
            DCGANGenerator(LATENT, shape)
        with pytest.raises(ValueError, match=message):
            DCGANDiscriminator(shape)

    def test_overshoot_is_cropped_in_the_middle(self):
        generator = build_generator("dcgan", (3, 29, 31)).eval()
        whole = generator.layers(generator.unflatten(generator.project(latents(2))))
        assert whole.shape == (2, 3, 32, 32)
        assert torch.equal(generator(latents(2)), whole[:, :, 1:30, 0:31])

    def test_initial_weights(self):
        for network in (DCGANGenerator(100, (3, 64, 64)), DCGANDiscriminator((3, 64, 64))):
            gains = []
            for module in network.modules():
                if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                    # The smallest layer has 3,072 weights: 10 % are seven standard errors of its deviation.
                    assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
                    assert module.weight.mean().item() == pytest.approx(0, abs=0.002)
                elif isinstance(module, nn.BatchNorm2d):
                    gains.append(module.weight.detach())
                if getattr(module, "bias", None) is not None:
                    assert module.bias.abs().max() == 0
            gains = torch.cat(gains)  # 896 at least
            assert gains.mean().item() == pytest.approx(1, abs=0.005)
            assert gains.std().item() == pytest.approx(0.02, rel=0.2)

    @pytest.mark.parametrize("norm", ["none", "batch", "layer", "instance"])
    def test_norm(self, norm):
        kind = {"batch": nn.BatchNorm2d, "layer": nn.GroupNorm, "instance": nn.InstanceNorm2d}.get(norm)
        generator = build_generator("dcgan", (3, 64, 64), norm=norm)
        discriminator = build_discriminator("dcgan", (3, 64, 64), norm=norm)
        assert count(generator, *NORMS) == (4 if kind else 0)
        assert count(discriminator, *NORMS) == (3 if kind else 0)  # none after the first convolution
        if kind:
            assert count(generator, kind) == 4
            assert count(discriminator, kind) == 3
        first, second = discriminator.layers[:2]
        assert isinstance(first, nn.Conv2d)
        assert isinstance(second, nn.LeakyReLU)
        assert second.negative_slope == 0.2
        assert generator(latents(3)).shape == (3, 3, 64, 64)
        assert discriminator(images(3, (3, 64, 64))).shape == (3,)


class TestNorms:
    def test_of_vectors(self):
        assert type(norm_1d("none", 6)) is nn.Identity
        batch, layer = norm_1d("batch", 6), norm_1d("layer", 6)
        assert type(batch) is nn.BatchNorm1d
        assert batch.num_features == 6
        assert type(layer) is nn.LayerNorm
        assert layer.normalized_shape == (6,)

    def test_of_images(self):
        assert type(norm_2d("none", 6)) is nn.Identity
        batch, instance, layer = (norm_2d(norm, 6) for norm in ("batch", "instance", "layer"))
        assert type(batch) is nn.BatchNorm2d
        assert batch.num_features == 6
        assert type(instance) is nn.InstanceNorm2d
        assert instance.num_features == 6
        assert instance.affine
        assert type(layer) is nn.GroupNorm

    def test_layer_norm_is_over_channels_height_and_width(self):
        values = images(3, (4, 5, 6)) * torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1, 1)
        values[:, 1] += 7
        normed = norm_2d("layer", 4)(values).detach()
        torch.testing.assert_close(normed.flatten(1).mean(1), torch.zeros(3), rtol=0, atol=1e-5)
        torch.testing.assert_close(normed.flatten(1).std(1, correction=0), torch.ones(3), rtol=0, atol=1e-3)
        assert normed[0].mean((1, 2)).abs().max() > 0.5  # and not within each channel

    @pytest.mark.parametrize("norm", ["instance", "spectral"])
    def test_of_vectors_refuses_what_it_lacks(self, norm):
        for build in (
            lambda: norm_1d(norm, 6),
            lambda: MLPGenerator(LATENT, (2,), norm=norm),
            lambda: MLPDiscriminator((2,), norm=norm),
        ):
            with pytest.raises(ValueError, match=f"norm={norm}"):
                build()

    def test_output_activations(self):
        values = torch.tensor([-0.5, 2.0])
        assert output_activation_layer("tanh")(values).tolist() == pytest.approx([-0.46211716, 0.96402758], rel=1e-6)
        assert output_activation_layer("sigmoid")(values).tolist() == pytest.approx([0.37754067, 0.88079708], rel=1e-6)
        assert output_activation_layer("none")(values).tolist() == [-0.5, 2.0]


@pytest.mark.parametrize(
    ("family", "shape", "norm"),
    [("mlp", (1, 8, 8), norm) for norm in ("none", "layer", "batch")]
    + [("dcgan", (3, 30, 31), norm) for norm in ("none", "layer", "instance", "batch")],
)
class TestBatchStatistics:
    def test_of_the_discriminator(self, family, shape, norm):
        """With batch norm alone a logit depends on the other samples, and `uses_batch_statistics` says just that."""
        discriminator = build_discriminator(family, shape, norm=norm).train()
        batch = images(6, shape)
        others = batch.clone()
        others[1:] = 3 * others[1:] + 1
        logit = discriminator(batch)[0].item()
        with_others = discriminator(others)[0].item()
        assert uses_batch_statistics(discriminator) is (norm == "batch")
        if norm == "batch":
            assert abs(with_others - logit) > 1e-2 * abs(logit)
        else:
            assert with_others == pytest.approx(logit, rel=1e-4, abs=1e-7)
            for size in (1, 3):
                assert discriminator(batch[:size])[0].item() == pytest.approx(logit, rel=1e-4, abs=1e-7)

    def test_of_the_generator(self, family, shape, norm):
        generator = build_generator(family, shape, norm=norm).train()
        z = latents(6)
        others = torch.cat([z[:1], 3 * z[1:] + 1])
        difference = (generator(z)[0] - generator(others)[0]).abs().max().item()
        assert uses_batch_statistics(generator) is (norm == "batch")
        assert difference > 1e-2 if norm == "batch" else difference < 1e-5
