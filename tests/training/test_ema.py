"""The moving average against numbers worked out by hand."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_lightning.schedules import Clock, Linear, part_at
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
        update(ema.decay_at(number))
        assert values(average) == pytest.approx(expected, rel=1e-12)
        assert average.batches.item() == batches


def test_takes_any_update_number():
    network = Network().set([1.0, 10.0], -1.0, 4)
    average = EMA().copy(network)
    EMA(0.75).updater(average, network.set([5.0, 2.0], 3.0, 5))(EMA(0.75).decay_at(1000))
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


@pytest.mark.parametrize(
    ("half_life", "batch_size", "expected"),
    [(256, 256, 0.5), (64, 256, 0.0625), (1000, 1, 0.999307092936), (1e6, 64, 0.999955639567), (0, 64, 0.0)],
)
@pytest.mark.parametrize("update", [0, 3, 10**6])
def test_a_half_life_halves_what_is_left_in_as_many_images(half_life, batch_size, update, expected):
    """In place of the decay, and without its ramp."""
    decay = EMA(0.3, half_life).decay_at(update, batch_size)
    assert decay == pytest.approx(expected, rel=1e-9, abs=0)


def test_a_half_life_does_not_depend_on_the_batch_size():
    ema = EMA(half_life=500)
    decays = [ema.decay_at(update, batch_size) ** (100 // batch_size) for update, batch_size in ((0, 4), (7, 20))]
    assert decays == pytest.approx([0.5 ** (100 / 500)] * 2, rel=1e-12)


@pytest.mark.parametrize("ema", [EMA(Linear(0.0, 1.0)), EMA(half_life=Linear(0.0, 100.0))])
def test_a_scheduled_average_has_a_decay_at_a_time_alone(ema):
    with pytest.raises(TypeError, match="has no decay of its own"):
        ema.decay_at(90)
    assert part_at(EMA(Linear(0.0, 1.0)), Clock(1, 0, 4, 0)).decay_at(90) == 0.25
    at_half = part_at(EMA(half_life=Linear(0.0, 100.0, unit="images")), Clock(0, 30, 0, 60))
    assert at_half.decay_at(0, 25) == pytest.approx(0.5**0.5, rel=1e-12)


def test_singular_vectors_are_copied():
    """Their average would have no unit length; all else of a spectrally normalised network is averaged."""
    torch.manual_seed(1)
    network = nn.Sequential(spectral_norm(nn.Linear(3, 4)), nn.BatchNorm1d(4), spectral_norm(nn.Linear(4, 2)))
    average = EMA().copy(network)
    before = {name: value.clone() for name, value in average.state_dict().items()}
    update = EMA().updater(average, network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    for _ in range(3):
        network(torch.randn(5, 3))
    update(0.75)
    after, now = average.state_dict(), network.state_dict()
    vectors = [name for name in now if name.endswith(("._u", "._v"))]
    assert len(vectors) == 4
    for name, value in now.items():
        is_copied = name in vectors or not value.is_floating_point()
        expected = value if is_copied else 0.75 * before[name] + 0.25 * value
        torch.testing.assert_close(after[name], expected, rtol=0 if is_copied else 1e-6, atol=0 if is_copied else 1e-7)
    assert not any(torch.equal(before[name], now[name]) for name in vectors)


def test_decay_is_0999_by_default():
    assert EMA().half_life is None
    assert EMA().decay == 0.999


def test_without_decay_the_average_is_the_network():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = EMA(0).copy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    network(torch.randn(5, 3))  # moves the running statistics
    EMA(0).updater(average, network)(EMA(0).decay_at(10_000))
    for name, tensor in network.state_dict().items():
        assert torch.equal(average.state_dict()[name], tensor), name


def test_the_network_is_left_alone():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    average = EMA().copy(network)
    with torch.no_grad():
        for tensor in average.state_dict().values():
            tensor.add_(1)
    EMA().updater(average, network)(0.5)
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
        EMA().updater(average, network)(0.5)
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
        update(EMA(0).decay_at(number))
        for name, tensor in network.state_dict().items():
            assert torch.equal(average.state_dict()[name], tensor), name


def test_an_update_is_in_place():
    network = nn.Linear(3, 4)
    average = EMA().copy(network)
    weight = average.weight
    EMA().updater(average, nn.Linear(3, 4))(0.5)
    assert average.weight is weight


def test_networks_of_unlike_structure_are_refused():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        EMA().updater(nn.Linear(3, 4), nn.Linear(3, 4, bias=False))


@pytest.mark.parametrize("decay", [-0.001, 1.001, float("nan")])
def test_decay_is_a_fraction(decay):
    with pytest.raises(ValueError, match=r"^decay must be at least 0 and at most 1"):
        EMA(decay)


@pytest.mark.parametrize("half_life", [-1, Linear(10, -1)])
def test_a_half_life_is_not_negative(half_life):
    with pytest.raises(ValueError, match=r"^half_life must be at least 0, got -1"):
        EMA(half_life=half_life)
