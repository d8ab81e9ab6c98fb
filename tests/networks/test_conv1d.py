"""WaveGAN's structure."""

import pytest
import torch
from torch import nn
from typechecking import unchecked

from gan_lightning.networks.conv1d import Conv1dDiscriminator, Conv1dGenerator, PhaseShuffle

LATENT = 7


def of_kind(network, *kinds):
    return [module for module in network.modules() if isinstance(module, kinds)]


def test_of_16384_samples_it_is_the_papers():
    """Donahue et al. 2019, tables 3 and 4."""
    with torch.device("meta"):
        generator = Conv1dGenerator(100, (1, 16384), norm="none")
        discriminator = Conv1dDiscriminator((1, 16384))
    assert generator.project.out_features == 16 * 1024
    up, down = of_kind(generator, nn.ConvTranspose1d), of_kind(discriminator, nn.Conv1d)
    assert [layer.in_channels for layer in up] == [1024, 512, 256, 128, 64]
    assert [layer.out_channels for layer in down] == [64, 128, 256, 512, 1024]
    assert {(layer.kernel_size, layer.stride) for layer in up + down} == {((25,), (4,))}
    assert discriminator.head.in_features == 16 * 1024
    kinds = [type(layer) for layer in discriminator.layers if not isinstance(layer, nn.Identity)]
    assert kinds == [nn.Conv1d, nn.LeakyReLU, *[PhaseShuffle, nn.Conv1d, nn.LeakyReLU] * 4, nn.Flatten]
    assert {layer.most for layer in of_kind(discriminator, PhaseShuffle)} == {2}


@pytest.mark.parametrize(("kernel", "stride"), [(25, 4), (5, 2), (9, 8), (3, 3)])
@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
def test_stages_multiply_lengths_by_the_stride(kernel, stride, upsampling):
    options = {"width": 2, "kernel": kernel, "stride": stride}
    generator = Conv1dGenerator(LATENT, (2, 130), upsampling=upsampling, **options).eval()
    whole = generator.layers(generator.unflatten(generator.project(torch.randn(3, LATENT))))
    assert 130 <= whole.shape[2] < 130 + stride ** len(of_kind(generator, nn.Conv1d, nn.ConvTranspose1d))
    assert generator(torch.randn(3, LATENT)).shape == (3, 2, 130)
    assert Conv1dDiscriminator((2, 130), **options)(torch.randn(3, 2, 130)).shape == (3,)


def test_overshoot_is_cropped_in_the_middle():
    generator = Conv1dGenerator(LATENT, (1, 29), width=4).eval()
    latents = torch.randn(2, LATENT)
    whole = generator.layers(generator.unflatten(generator.project(latents)))
    assert whole.shape == (2, 1, 32)
    assert torch.equal(generator(latents), whole[:, :, 1:30])


@pytest.mark.parametrize(("kernel", "stride"), [(24, 4), (3, 4), (3, 1)])
def test_windows_that_leave_steps_out_are_refused(kernel, stride):
    message = f"kernel must be odd, and stride from 2 up to it, got kernel={kernel} and stride={stride}"
    with pytest.raises(ValueError, match=message):
        Conv1dGenerator(LATENT, (1, 64), kernel=kernel, stride=stride)
    with pytest.raises(ValueError, match=message):
        Conv1dDiscriminator((1, 64), kernel=kernel, stride=stride)


def test_other_upsampling_is_refused():
    with unchecked(), pytest.raises(ValueError, match="upsampling is 'cubic'; there are transposed, nearest"):
        Conv1dGenerator(LATENT, (1, 64), upsampling="cubic")


def test_initial_weights():
    """Glorot's uniform bound, within 5 %, and no biases."""
    for network in (Conv1dGenerator(100, (2, 256), norm="none"), Conv1dDiscriminator((2, 256))):
        for module in of_kind(network, nn.Linear, nn.Conv1d, nn.ConvTranspose1d):
            inputs, outputs = nn.init._calculate_fan_in_and_fan_out(module.weight)
            bound = (6 / (inputs + outputs)) ** 0.5
            assert 0.95 * bound < module.weight.abs().max().item() <= bound
            assert module.bias is None or module.bias.abs().max() == 0


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group", "instance", "spectral"])
def test_norm(norm):
    kind = {"batch": nn.BatchNorm1d, "layer": nn.GroupNorm, "group": nn.GroupNorm, "instance": nn.InstanceNorm1d}
    generator, discriminator = (
        Conv1dGenerator(LATENT, (1, 512), 8, norm=norm),
        Conv1dDiscriminator((1, 512), 8, norm=norm),
    )
    expected = kind.get(norm)
    assert len(of_kind(generator, *kind.values())) == (3 if expected else 0)
    assert len(of_kind(discriminator, *kind.values())) == (2 if expected else 0)  # none after the first convolution
    assert expected is None or len(of_kind(generator, expected)) == 3


class TestPhaseShuffle:
    def test_moves_each_sample_by_its_own_steps_and_mirrors_the_ends(self):
        signals = torch.arange(600.0).view(200, 1, 3).expand(-1, 2, -1).contiguous()
        signals = torch.cat([signals, signals + 0.5], 2)  # six steps
        moved = PhaseShuffle(2)(signals)
        counts = dict.fromkeys(range(-2, 3), 0)
        for before, after in zip(signals, moved, strict=True):
            mirrored = torch.nn.functional.pad(before, (2, 2), mode="reflect")
            (move,) = [move for move in counts if torch.equal(after, mirrored[:, 2 - move : 8 - move])]
            counts[move] += 1
        assert min(counts.values()) > 20  # of 200, of 40 expected

    def test_evaluation_leaves_signals_where_they_are(self):
        signals = torch.randn(5, 2, 16)
        assert torch.equal(PhaseShuffle(2).eval()(signals), signals)
        assert torch.equal(PhaseShuffle(0)(signals), signals)
        assert torch.equal(PhaseShuffle(2)(signals[:, :, :1]), signals[:, :, :1])

    def test_reaches_the_logits_in_train_mode_alone(self):
        discriminator, signals = Conv1dDiscriminator((1, 128), width=4), torch.randn(3, 1, 128)
        assert not torch.equal(discriminator(signals), discriminator(signals))
        without = Conv1dDiscriminator((1, 128), width=4, phase_shuffle=0)
        assert torch.equal(without(signals), without(signals))
