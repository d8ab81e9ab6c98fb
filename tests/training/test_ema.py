"""The moving average against numbers worked out by hand."""

import pytest
import torch
from torch import nn

from gan_lightning.training.ema import EMA


class Network(nn.Module):
    """A parameter, a floating-point buffer, one that is not saved, and an integer one."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("unsaved", torch.zeros(1, dtype=torch.float64), persistent=False)
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def set(self, weight, mean, batches):
        with torch.no_grad():
            self.weight.copy_(torch.tensor(weight))
            self.mean.fill_(mean)
            self.unsaved.fill_(2 * mean)
            self.batches.fill_(batches)
        return self


def values(network):
    return [*network.weight.tolist(), network.mean.item(), network.unsaved.item()]


def test_equals_its_formula():
    network, ema = Network().set([1.0, 10.0], -1.0, 4), EMA(0.2)
    average = ema.copy(network)
    update = ema.updater(average, network)
    # d = 0.1, 2/11 and 0.2 (the ramp gives 0.25): 0.1 * 1 + 0.9 * 3 = 2.8, (2 * 2.8 + 9 * 5) / 11 = 4.6, ...
    for number, (network_values, expected, batches) in enumerate(
        [
            (([3.0, -10.0], 9.0, 5), [2.8, -8.0, 8.0, 16.0], 5),
            (([5.0, 14.0], -3.0, 7), [4.6, 10.0, -1.0, -2.0], 7),
            (([-1.0, 0.0], 4.0, 6), [0.12, 2.0, 3.0, 6.0], 6),
        ]
    ):
        network.set(*network_values)
        update(number)
        assert values(average) == pytest.approx(expected, rel=1e-12)
        assert average.batches.item() == batches


def test_takes_any_update_number():
    network = Network().set([1.0, 10.0], -1.0, 4)
    average = EMA().copy(network)
    EMA(0.75).updater(average, network.set([5.0, 2.0], 3.0, 5))(1000)
    assert values(average) == pytest.approx([2.0, 8.0, 0.0, 0.0], rel=1e-12)


@pytest.mark.parametrize(
    ("decay", "update", "expected"),
    [
        (0.999, 0, 0.1),
        (0.999, 1, 2 / 11),
        (0.999, 8, 0.5),
        (0.999, 90, 0.91),
        (0.999, 8989, 8990 / 8999),
        (0.999, 8991, 0.999),
        (0.999, 10**9, 0.999),
        (0.5, 7, 8 / 17),
        (0.5, 9, 0.5),
        (0.0, 0, 0.0),
        (1.0, 90, 0.91),
    ],
)
def test_decay_ramps_up_to_its_value(decay, update, expected):
    assert EMA(decay).decay_at(update) == pytest.approx(expected, rel=1e-12, abs=0)


def test_decay_is_0999_by_default():
    assert EMA().decay == 0.999


def test_without_decay_the_average_is_the_network():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = EMA(0).copy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    network(torch.randn(5, 3))  # moves the running statistics
    EMA(0).updater(average, network)(10_000)
    for name, tensor in network.state_dict().items():
        assert torch.equal(average.state_dict()[name], tensor), name


def test_the_network_is_left_alone():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    average = EMA().copy(network)
    with torch.no_grad():
        for tensor in average.state_dict().values():
            tensor.add_(1)
    EMA().updater(average, network)(5)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_copy_takes_no_gradients_and_is_in_evaluation_mode():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    average = EMA().copy(network)
    assert type(average) is type(network)
    for _ in range(2):
        assert not any(module.training for module in average.modules())
        assert all(parameter.is_leaf and not parameter.requires_grad for parameter in average.parameters())
        assert not average(torch.ones(2, 3)).requires_grad
        EMA().updater(average, network)(0)
    shared = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert shared.isdisjoint(tensor.data_ptr() for tensor in average.state_dict().values())


def test_an_updater_sees_what_training_does_to_the_network():
    """Steps of an optimizer, the running statistics of forward passes and loaded weights, all after it was made."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    average = EMA(0).copy(network)
    update = EMA(0).updater(average, network)
    optimizer = torch.optim.Adam(network.parameters())
    loaded = {name: torch.full_like(tensor, 3) for name, tensor in network.state_dict().items()}
    for number in range(3):
        optimizer.zero_grad()
        network(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
        if number == 2:
            network.load_state_dict(loaded)
        update(number)
        for name, tensor in network.state_dict().items():
            assert torch.equal(average.state_dict()[name], tensor), name


def test_an_update_is_in_place():
    network = nn.Linear(3, 4)
    average = EMA().copy(network)
    weight = average.weight
    EMA().updater(average, nn.Linear(3, 4))(0)
    assert average.weight is weight


def test_networks_of_unlike_structure_are_refused():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        EMA().updater(nn.Linear(3, 4), nn.Linear(3, 4, bias=False))


@pytest.mark.parametrize("decay", [-0.001, 1.001, float("nan")])
def test_decay_is_a_fraction(decay):
    with pytest.raises(ValueError, match=r"^decay must be at least 0 and at most 1"):
        EMA(decay)
