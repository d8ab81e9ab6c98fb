"""The auto-encoder's energy by hand, and what it refuses."""

import pytest
import torch
from torch import nn
from typechecking import unchecked

from gan_lightning.networks.autoencoder import AutoEncoder
from gan_lightning.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_lightning.networks.dirac import LinearDiscriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import uses_batch_statistics
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.testing import check_discriminator

SHAPE = (2, 8, 9)


def images(count, shape=SHAPE):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(4)) * 2 - 1


def networks(embedding=4, **options):
    torch.manual_seed(0)
    encoder = DCGANDiscriminator(SHAPE, width=4, norm="none", outputs=embedding, **options)
    return encoder, MLPGenerator(4, SHAPE, hidden_dim=8, blocks=1, norm="none")


class Constant(Generator):
    """Makes one and the same sample of any latents."""

    def __init__(self, latent_dim, sample):
        super().__init__(latent_dim)
        self.register_buffer("sample", sample)

    def decode(self, inputs, labels):
        return self.sample.expand(len(inputs), *self.sample.shape)


@pytest.mark.parametrize(("error", "expected"), [("l1", [-1.5, -2.5]), ("l2", [-2.5, -8.5])])
def test_the_logit_is_minus_the_mean_error(error, expected):
    encoder, decoder = LinearDiscriminator((2,), outputs=2), Constant(2, torch.tensor([1.0, -1.0]))
    samples = torch.tensor([[2.0, 1.0], [5.0, -2.0]])  # 1 and 2 off; 4 and 1 off
    logits = AutoEncoder(encoder, decoder, error)(samples)
    assert logits.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("error", ["l1", "l2"])
def test_of_images_it_is_the_mean_over_all_pixels_and_channels(error):
    encoder, decoder = networks()
    network = AutoEncoder(encoder, decoder, error)
    samples = images(5)
    difference = decoder(encoder(samples)) - samples
    for index, logit in enumerate(network(samples)):
        values = difference[index].abs() if error == "l1" else difference[index] ** 2
        assert logit.item() == pytest.approx(-values.sum().item() / (2 * 8 * 9), rel=1e-5)
    assert network(samples).shape == (5,)
    assert (network(samples) < 0).all()


def test_is_an_energy():
    assert AutoEncoder(*networks()).energy
    assert not MLPDiscriminator((2,)).energy


def test_gives_the_embedding_after_the_logit():
    encoder, decoder = networks()
    samples = images(5)
    both = AutoEncoder(encoder, decoder, outputs=5)(samples)
    assert both.shape == (5, 5)
    assert torch.equal(both[:, 0], AutoEncoder(encoder, decoder)(samples))
    assert torch.equal(both[:, 1:], encoder(samples))


def test_gradients_reach_both_networks_and_the_samples():
    network = AutoEncoder(*networks())
    samples = images(5).requires_grad_()
    network(samples).sum().backward()
    assert (samples.grad != 0).any(0).all()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


def test_knows_what_its_encoder_takes():
    network = AutoEncoder(*networks(classes=3, label_input="concat"))
    assert (network.packing, network.classes, network.label_input) == (1, 3, "concat")
    assert network.input_shape == network.encoder.input_shape == (5, 8, 9)
    assert network.outputs == 1
    auxiliary = AutoEncoder(*networks(classes=3))
    assert (auxiliary.classes, auxiliary.label_input, auxiliary.input_shape) == (3, "none", SHAPE)


def test_labels_reach_the_encoder_and_are_not_reconstructed():
    network = AutoEncoder(*networks(classes=3, label_input="concat")).eval()
    check_discriminator(network, SHAPE)
    with pytest.raises(ValueError, match="needs labels"):
        network(images(4))


def test_finds_batch_statistics_inside():
    encoder = DCGANDiscriminator((1, 16, 16), width=4, norm="none", outputs=6)
    for norm in ("none", "batch"):
        decoder = DCGANGenerator(6, (1, 16, 16), width=4, norm=norm)
        assert uses_batch_statistics(AutoEncoder(encoder, decoder)) is (norm == "batch")


class TestRefusals:
    @pytest.mark.parametrize("outputs", [2, 4, 6])
    def test_other_outputs(self, outputs):
        with pytest.raises(ValueError, match=rf"are 1, its logit, or 5, with its embedding; got outputs={outputs}"):
            AutoEncoder(*networks(), outputs=outputs)

    def test_other_errors(self):
        with unchecked(), pytest.raises(ValueError, match="error is 'l3'; there are l1, l2"):
            AutoEncoder(*networks(), error="l3")

    def test_packs(self):
        with pytest.raises(ValueError, match=r"use loss\.packing=1, not 2"):
            AutoEncoder(*networks(packing=2))

    def test_projection(self):
        with pytest.raises(ValueError, match=r"use conditioning\.discriminator=concat"):
            AutoEncoder(*networks(classes=3, label_input="projection"))

    def test_embeddings_of_one_number(self):
        with pytest.raises(ValueError, match="at least 2 numbers; its encoder has 1"):
            AutoEncoder(*networks(embedding=1))

    def test_a_decoder_of_other_embeddings(self):
        with pytest.raises(ValueError, match="the encoder gives 3 numbers, but the decoder takes 4"):
            AutoEncoder(*networks(embedding=3))

    def test_a_decoder_of_labels(self):
        decoder = MLPGenerator(4, SHAPE, classes=3, label_input="concat")
        with pytest.raises(ValueError, match="takes no labels"):
            AutoEncoder(networks()[0], decoder)

    def test_a_decoder_of_other_samples(self):
        """Which broadcasting would let pass."""
        network = AutoEncoder(networks()[0], MLPGenerator(4, (1, 8, 9), hidden_dim=8, blocks=1))
        with pytest.raises(ValueError, match=r"makes samples of shape \(1, 8, 9\), but is to reconstruct \(2, 8, 9\)"):
            network(images(3))


def test_vectors():
    encoder = MLPDiscriminator((3,), hidden_dim=8, outputs=2)
    decoder = MLPGenerator(2, (3,), hidden_dim=8, norm="none", output_activation="none")
    assert AutoEncoder(encoder, decoder)(images(5, (3,))).shape == (5,)
    assert isinstance(AutoEncoder(encoder, decoder), nn.Module)
