"""Activations as products: values, derivatives of both orders, and what travels back."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gan_lightning.losses import regularizers
from gan_lightning.losses.piecewise import AsProducts
from gan_lightning.losses.regularizers import GradientPenalty

ACTIVATIONS = {
    "LeakyReLU": nn.LeakyReLU(0.2),
    "LeakyReLU in place": nn.LeakyReLU(0.3, inplace=True),
    "ReLU": nn.ReLU(),
    "ReLU in place": nn.ReLU(inplace=True),
    "functional.leaky_relu": functional.leaky_relu,
    "functional.relu": functional.relu,
    "torch.relu": torch.relu,
    "Tensor.relu": torch.Tensor.relu,
    "Tensor.relu_": torch.Tensor.relu_,
}


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, inputs):
        return self.function(inputs)


def critic_of(activation, dtype):
    torch.manual_seed(0)
    layers = nn.Linear(6, 5), Applied(activation), nn.Linear(5, 4), Applied(activation), nn.Linear(4, 1), nn.Flatten(0)
    return nn.Sequential(*layers).to(dtype)


def gradients(critic, dtype, with_loss):
    torch.manual_seed(1)
    real, fake = torch.randn(2, 8, 6, dtype=dtype)
    loss, _ = GradientPenalty().penalty(critic, real, fake)
    (loss + critic(real).mean() if with_loss else loss).backward()
    return [loss.detach(), *(weight.grad for weight in critic.parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_products_change_no_bit_of_a_penalty_or_its_gradients(name, dtype, monkeypatch):
    ours = gradients(critic_of(ACTIVATIONS[name], dtype), dtype, with_loss=True)
    monkeypatch.setattr(regularizers, "AsProducts", nullcontext)
    theirs = gradients(critic_of(ACTIVATIONS[name], dtype), dtype, with_loss=True)
    assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_zeros_travel_back_through_the_layers(name):
    _, *grads = gradients(critic_of(ACTIVATIONS[name], torch.float32), torch.float32, with_loss=False)
    weights, biases = grads[::2], grads[1::2]
    assert all(grad is not None for grad in weights)
    assert all(grad is None for grad in biases)  # a gradient in the samples doesn't depend on them


class Checkpointed(nn.Module):
    """A network whose activations are computed again on the way back."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, inputs):
        return checkpoint(self.network, inputs, use_reentrant=False)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_checkpointed_critic_has_the_same_gradients(name):
    """What is computed again is outside of the block, and is torch's."""
    whole = critic_of(ACTIVATIONS[name], torch.float32)
    ours = gradients(Checkpointed(whole), torch.float32, with_loss=True)
    theirs = gradients(critic_of(ACTIVATIONS[name], torch.float32), torch.float32, with_loss=True)
    assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))


def test_integers_stay_integers():
    with AsProducts():
        assert torch.relu(torch.tensor([-1, 2])).tolist() == [0, 2]
        assert torch.relu(torch.tensor([-1, 2])).dtype == torch.int64
