"""Normalisation of activations and of weights, in closed form; and what networks tell about themselves."""

import pytest
import torch
from torch import nn
from typechecking import unchecked

from gan_lightning.networks.autoencoder import AutoEncoder
from gan_lightning.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_lightning.networks.layers import (
    ConditionalNorm,
    LabelledSequential,
    constrain_weights,
    ends_in_sigmoid,
    group_count,
    norm_1d,
    norm_2d,
    output_activation_layer,
    uses_batch_statistics,
    uses_spectral_norm,
)
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator


def images(count, shape):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(4)) * 2 - 1


class TestNorms:
    def test_of_vectors(self):
        assert type(norm_1d("none", 6)) is nn.Identity
        assert type(norm_1d("spectral", 6)) is nn.Identity
        batch, layer, group = (norm_1d(norm, 24) for norm in ("batch", "layer", "group"))
        assert type(batch) is nn.BatchNorm1d
        assert batch.num_features == 24
        assert type(layer) is nn.LayerNorm
        assert layer.normalized_shape == (24,)
        assert type(group) is nn.GroupNorm
        assert group.num_groups == 6

    def test_of_images(self):
        assert type(norm_2d("none", 6)) is nn.Identity
        assert type(norm_2d("spectral", 6)) is nn.Identity
        batch, instance, layer, group = (norm_2d(norm, 6) for norm in ("batch", "instance", "layer", "group"))
        assert type(batch) is nn.BatchNorm2d
        assert batch.num_features == 6
        assert type(instance) is nn.InstanceNorm2d
        assert instance.num_features == 6
        assert instance.affine
        assert type(layer) is nn.GroupNorm
        assert (layer.num_groups, group.num_groups) == (1, 6)

    @pytest.mark.parametrize(
        ("channels", "least", "expected"),
        [
            (64, 1, 32),
            (96, 1, 32),
            (48, 1, 24),
            (31, 1, 31),
            (37, 1, 1),
            (1, 1, 1),
            (128, 4, 32),
            (64, 4, 16),
            (6, 4, 1),
        ],
    )
    def test_groups(self, channels, least, expected):
        assert group_count(channels, least) == expected

    def test_layer_norm_is_over_channels_height_and_width(self):
        values = images(3, (4, 5, 6)) * torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1, 1)
        values[:, 1] += 7
        normed = norm_2d("layer", 4)(values).detach()
        torch.testing.assert_close(normed.flatten(1).mean(1), torch.zeros(3), rtol=0, atol=1e-5)
        torch.testing.assert_close(normed.flatten(1).std(1, correction=0), torch.ones(3), rtol=0, atol=1e-3)
        assert normed[0].mean((1, 2)).abs().max() > 0.5  # and not within each channel

    def test_group_norm_is_over_the_channels_of_a_group(self):
        values = images(3, (64, 2, 3)) + torch.arange(64.0).view(64, 1, 1)
        groups = norm_2d("group", 64)(values).detach().view(3, 32, -1)
        torch.testing.assert_close(groups.mean(2), torch.zeros(3, 32), rtol=0, atol=1e-4)
        torch.testing.assert_close(groups.std(2, correction=0), torch.ones(3, 32), rtol=0, atol=1e-3)

    @pytest.mark.parametrize("width", [8, 16, 128])
    def test_group_norm_leaves_something_of_vectors(self, width):
        """A group of one unit would be zero whatever the input, and one of two its sign."""
        normed = norm_1d("group", width)(images(2, (width,))).detach().view(2, -1, 4)
        torch.testing.assert_close(normed.mean(2), torch.zeros_like(normed[..., 0]), rtol=0, atol=1e-5)
        assert len(normed.abs().mul(1000).round().unique()) > width

    def test_of_vectors_refuses_what_it_lacks(self):
        for build in (
            lambda: norm_1d("instance", 6),
            lambda: MLPGenerator(3, (2,), norm="instance"),
            lambda: MLPDiscriminator((2,), norm="instance"),
        ):
            with pytest.raises(ValueError, match="norm=instance needs images with height and width"):
                build()

    def test_of_images_refuses_what_there_is_not(self):
        with unchecked(), pytest.raises(ValueError, match="norm is 'bach'; there are none, batch"):
            norm_2d("bach", 6)

    def test_output_activations(self):
        values = torch.tensor([-0.5, 2.0])
        assert output_activation_layer("tanh")(values).tolist() == pytest.approx([-0.46211716, 0.96402758], rel=1e-6)
        assert output_activation_layer("sigmoid")(values).tolist() == pytest.approx([0.37754067, 0.88079708], rel=1e-6)
        assert output_activation_layer("none")(values).tolist() == [-0.5, 2.0]
        with unchecked(), pytest.raises(ValueError, match="is 'relu'; there are tanh, sigmoid, none, rescaled_sigmoid"):
            output_activation_layer("relu")


class TestConditionalNorm:
    @pytest.mark.parametrize(("build", "norms"), [(norm_1d, ("batch", "layer", "group"))])
    def test_of_vectors_starts_as_the_norm(self, build, norms):
        values = images(5, (8,))
        for norm in norms:
            layer = build(norm, 8, classes=3)
            assert type(layer) is ConditionalNorm
            assert [name for name, _ in layer.named_parameters()] == ["gain", "bias"]
            torch.testing.assert_close(layer(values, torch.tensor([0, 2, 1, 1, 0])), build(norm, 8)(values))

    @pytest.mark.parametrize("norm", ["batch", "layer", "group", "instance"])
    def test_scales_and_shifts_by_class(self, norm):
        values, labels = images(4, (8, 2, 3)), torch.tensor([2, 0, 0, 1])
        layer = norm_2d(norm, 8, classes=3)
        gain, bias = torch.randn(3, 8), torch.randn(3, 8)
        layer.load_state_dict({"gain": gain, "bias": bias}, strict=False)
        normed = norm_2d(norm, 8)(values).detach()
        expected = [normed[i] * gain[c][:, None, None] + bias[c][:, None, None] for i, c in enumerate(labels.tolist())]
        torch.testing.assert_close(layer(values, labels).detach(), torch.stack(expected))

    def test_batch_statistics_are_of_all_classes(self):
        layer = norm_2d("batch", 4, classes=3)
        assert uses_batch_statistics(layer)
        assert not uses_batch_statistics(norm_2d("group", 4, classes=3))

    def test_labels_reach_the_layers_that_take_them(self):
        layer = norm_1d("layer", 4, classes=2)
        with torch.no_grad():
            layer.bias[1] = 10
        sequence = LabelledSequential(nn.ReLU(), LabelledSequential(layer), nn.Identity())
        outputs = sequence(images(2, (4,)), torch.tensor([0, 1]))
        torch.testing.assert_close(outputs.mean(1).detach(), torch.tensor([0.0, 10.0]), rtol=0, atol=1e-5)

    def test_nothing_to_condition_is_refused(self):
        for build in (norm_1d, norm_2d):
            for norm in ("none", "spectral"):
                with pytest.raises(ValueError, match=rf"norm is {norm}, .* network\.generator\.norm=batch"):
                    build(norm, 4, classes=3)


class TestConstrainedWeights:
    def test_are_the_weights_over_their_largest_singular_value(self):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Linear(5, 3), nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(2, 4, 3), nn.Embedding(3, 6))
        matrices = [
            layers[0].weight.detach().clone(),
            layers[1].weight.detach().flatten(1).clone(),
            layers[2].weight.detach().transpose(0, 1).flatten(1).clone(),
            layers[3].weight.detach().clone(),
        ]
        biases = [layer.bias.detach().clone() for layer in layers[:3]]
        constrain_weights(layers, "spectral")
        for _ in range(100):
            constrained = [layer.weight.detach() for layer in layers]
        constrained[2] = constrained[2].transpose(0, 1)
        for weight, matrix in zip(constrained, matrices, strict=True):
            torch.testing.assert_close(
                weight.flatten(1), matrix / torch.linalg.matrix_norm(matrix, 2), rtol=1e-3, atol=1e-5
            )
        assert all(torch.equal(layer.bias, bias) for layer, bias in zip(layers, biases, strict=False))

    def test_bound_the_slope_of_a_critic(self):
        torch.manual_seed(0)
        critic = MLPDiscriminator((4,), hidden_dim=16, blocks=2, norm="spectral")
        for _ in range(50):
            critic(images(2, (4,)))
        critic.eval()
        one, other = 5 * images(64, (4,)), 5 * images(64, (4,)).flip(0)
        slopes = (critic(one) - critic(other)).abs() / (one - other).norm(dim=1)
        assert 1e-3 < slopes.max().item() <= 1.01

    @pytest.mark.parametrize("norm", ["none", "batch", "layer", "group", "instance"])
    def test_are_free_with_any_other_norm(self, norm):
        layer = nn.Linear(3, 2)
        constrain_weights(layer, norm)
        assert not uses_spectral_norm(layer)
        assert type(layer) is nn.Linear


class TestEndsInSigmoid:
    def test_of_generators(self):
        for build in (
            lambda a: MLPGenerator(3, (2,), output_activation=a),
            lambda a: DCGANGenerator(3, (1, 8, 8), 4, output_activation=a),
        ):
            assert [ends_in_sigmoid(build(activation)) for activation in ("tanh", "sigmoid", "none")] == [
                False,
                True,
                False,
            ]

    def test_of_plain_networks(self):
        assert ends_in_sigmoid(nn.Sequential(nn.Linear(3, 1), nn.Sequential(nn.Sigmoid())))
        assert not ends_in_sigmoid(nn.Sequential(nn.Sigmoid(), nn.Linear(3, 1)))
        assert ends_in_sigmoid(nn.Sigmoid())

    def test_an_auto_encoder_does_not_though_its_decoder_does(self):
        decoder = MLPGenerator(5, (1, 8, 8), output_activation="sigmoid")
        assert not ends_in_sigmoid(AutoEncoder(MLPDiscriminator((1, 8, 8), outputs=5), decoder))

    def test_discriminators_do_not(self):
        for norm in ("batch", "spectral"):
            assert not ends_in_sigmoid(DCGANDiscriminator((1, 8, 8), 4, norm, classes=2, label_input="projection"))
