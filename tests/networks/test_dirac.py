"""The Dirac-GAN's two networks and the gradients that its paper derives."""

import pytest
import torch
from torch.nn.functional import softplus

from gan_lightning.networks.dirac import DiracGenerator, LinearDiscriminator


def test_the_generator_makes_one_point():
    generator = DiracGenerator(3, (1,), theta=-0.7)
    samples = generator(torch.randn(4, 3))
    assert samples.shape == (4, 1)
    assert samples.flatten().tolist() == pytest.approx([-0.7] * 4)
    assert [parameter.shape for parameter in generator.parameters()] == [(1,)]
    assert generator.latent_dim == 3


def test_samples_stay_when_the_point_moves():
    generator = DiracGenerator(1, (2,))
    samples = generator(torch.zeros(2, 1))
    with torch.no_grad():
        generator.theta.add_(1)
    assert samples.tolist() == [[1, 1], [1, 1]]


def test_the_discriminator_is_linear():
    discriminator = LinearDiscriminator((2,), psi=0.5)
    assert discriminator(torch.tensor([[1.0, 2.0], [-3.0, 0.0]])).tolist() == [1.5, -1.5]
    assert discriminator(torch.zeros(1, 2)).item() == 0
    assert [tuple(parameter.shape) for parameter in discriminator.parameters()] == [(1, 2)]


def test_defaults():
    assert DiracGenerator(1, [1])(torch.zeros(1, 1)).item() == 1
    assert LinearDiscriminator([1])(torch.tensor([[3.0]])).item() == 3


def test_images_packs_and_labels():
    assert DiracGenerator(1, (2, 3, 3))(torch.zeros(5, 1)).shape == (5, 2, 3, 3)
    discriminator = LinearDiscriminator((1,), psi=2.0, packing=2, classes=3, label_input="concat")
    logits = discriminator(torch.tensor([[0.5, 1.0], [0.0, -1.0]]), torch.tensor([[0, 1], [2, 2]]))
    assert logits.tolist() == [2 * (1.5 + 2), 2 * (-1 + 2)]


@pytest.mark.parametrize(("theta", "psi"), [(1.0, 1.0), (-0.5, 2.0)])
def test_gradients_are_the_papers(theta, psi):
    """Those of f(theta psi) with f(t) = -log(1 + exp(-t)): psi f'(theta psi) and theta f'(theta psi) (section 2)."""
    generator, discriminator = DiracGenerator(1, (1,), theta), LinearDiscriminator((1,), psi)
    value = -softplus(-discriminator(generator(torch.zeros(3, 1)))).mean()
    value.backward()
    slope = 1 / (1 + torch.tensor(theta * psi).exp().item())
    assert generator.theta.grad.item() == pytest.approx(psi * slope, rel=1e-5)
    assert discriminator.head.weight.grad.item() == pytest.approx(theta * slope, rel=1e-5)
