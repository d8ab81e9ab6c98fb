"""Penalties against closed forms and finite differences; projections value by value."""

import pytest
import torch
from torch import nn

from gan_lightning.losses.regularizers import (
    GradientPenalty,
    Penalty,
    Projection,
    WeightClipping,
    gradient_norms,
    interpolate,
)

# Weights of a linear critic with a norm that is exact: sqrt(36 + 9 + 4) = 7, spread over channels, rows and columns.
IMAGE_WEIGHTS = torch.zeros(2, 2, 3)
IMAGE_WEIGHTS[0, 0, 2], IMAGE_WEIGHTS[0, 1, 0], IMAGE_WEIGHTS[1, 1, 1] = 6.0, -3.0, 2.0


def linear_critic(weights, bias=0.7):
    return lambda samples: (samples * weights).flatten(1).sum(1) + bias


def batches(*shape, dtype=torch.float32):
    """Unlike real and fake samples."""
    generator = torch.Generator().manual_seed(3)
    real = torch.rand(shape, generator=generator, dtype=dtype)
    return real, -2 * torch.rand(shape, generator=generator, dtype=dtype)


class TestGradientPenalty:
    @pytest.mark.parametrize(
        ("weights", "shape", "weight", "norm", "penalty"),
        [
            (IMAGE_WEIGHTS, (5, 2, 2, 3), 10.0, 7.0, 360.0),
            (IMAGE_WEIGHTS, (5, 2, 2, 3), 0.5, 7.0, 18.0),
            (torch.tensor([3.0, -4.0]), (5, 2), 10.0, 5.0, 160.0),
            (torch.tensor([0.3, -0.4]), (5, 2), 10.0, 0.5, 2.5),  # two-sided: norms below 1 are penalised too
            (torch.tensor([0.6, -0.8]), (5, 2), 10.0, 1.0, 0.0),
            (torch.tensor([3.0, -4.0]), (1, 2), 0.0, 5.0, 0.0),
        ],
    )
    def test_of_a_linear_critic(self, weights, shape, weight, norm, penalty):
        value, details = GradientPenalty(weight).penalty(linear_critic(weights), *batches(*shape))
        assert value.shape == ()
        assert value.item() == pytest.approx(penalty, rel=1e-5, abs=1e-5)
        assert list(details) == ["gradient_norm"]
        assert details["gradient_norm"].item() == pytest.approx(norm, rel=1e-6)

    def test_weight_is_ten_by_default(self):
        assert GradientPenalty().weight == 10

    def test_norms_are_of_each_sample(self):
        # f(x) = |x|^2 / 2 has the gradient x. Norms 0.5, 2 and 3: the mean of (norm - 1)^2 is (1/4 + 1 + 4) / 3 = 1.75.
        samples = torch.tensor([[0.3, 0.4], [0.0, -2.0], [3.0, 0.0]])
        value, details = GradientPenalty(2.0).penalty(lambda x: x.square().sum(1) / 2, samples, samples.clone())
        assert value.item() == pytest.approx(3.5, rel=1e-5)
        assert details["gradient_norm"].item() == pytest.approx(5.5 / 3, rel=1e-6)

    def test_critic_may_return_a_column(self):
        critic = linear_critic(torch.tensor([3.0, -4.0]))
        value, _ = GradientPenalty().penalty(lambda x: critic(x).unsqueeze(1), *batches(5, 2))
        assert value.item() == pytest.approx(160, rel=1e-5)

    def test_is_taken_at_interpolated_points(self, monkeypatch):
        real, fake = batches(6, 2, 2, 3)
        seen = []

        def critic(samples):
            seen.append(samples.detach().clone())
            return samples.square().flatten(1).sum(1)

        torch.manual_seed(4)
        GradientPenalty().penalty(critic, real, fake)
        torch.manual_seed(4)
        assert len(seen) == 1
        assert torch.equal(seen[0], interpolate(real, fake))

    def test_gradient_is_that_of_finite_differences(self):
        torch.manual_seed(5)
        critic = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
        real, fake = batches(4, 3, dtype=torch.float64)

        def penalty():
            torch.manual_seed(6)  # the same points each time
            return GradientPenalty(3.0).penalty(critic, real, fake)[0]

        penalty().backward()
        step, largest = 1e-6, 0.0
        for name, parameter in critic.named_parameters():
            numeric = torch.zeros_like(parameter)
            for index in range(parameter.numel()):
                values = []
                for sign in (1, -1):
                    with torch.no_grad():
                        parameter.view(-1)[index] += sign * step
                    values.append(penalty().item())
                    with torch.no_grad():
                        parameter.view(-1)[index] -= sign * step
                numeric.view(-1)[index] = (values[0] - values[1]) / (2 * step)
            if name == "2.bias":  # a constant, which no gradient with respect to the samples depends on
                assert parameter.grad is None or parameter.grad.abs().max() == 0
            else:
                torch.testing.assert_close(parameter.grad, numeric, rtol=1e-6, atol=1e-8)
                largest = max(largest, parameter.grad.abs().max().item())
        assert largest > 0.1  # so that the tolerances above mean something

    def test_at_zero_gradient_all_is_finite(self):
        weights = torch.zeros(2, 2, 3, requires_grad=True)
        value, details = GradientPenalty(4.0).penalty(linear_critic(weights), *batches(5, 2, 2, 3))
        value.backward()
        assert value.item() == 4
        assert details["gradient_norm"].item() == 0
        assert not details["gradient_norm"].requires_grad
        assert torch.equal(weights.grad, torch.zeros(2, 2, 3))

    def test_samples_get_no_gradient_and_the_critic_does(self):
        real, fake = (batch.requires_grad_() for batch in batches(5, 3))
        critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        GradientPenalty().penalty(critic, real, fake)[0].backward()
        assert real.grad is None
        assert fake.grad is None
        assert critic[0].weight.grad.abs().max() > 0

    def test_runs_in_single_precision_under_autocast(self):
        dtypes = []

        def critic(samples):
            logits = layer(samples)
            dtypes.append((samples.dtype, logits.dtype))
            return logits

        layer = nn.Linear(3, 1)
        real, fake = batches(5, 3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(real).dtype == torch.bfloat16  # autocast is at work
            value, details = GradientPenalty().penalty(critic, real, fake)
        assert dtypes == [(torch.float32, torch.float32)]
        assert value.dtype == details["gradient_norm"].dtype == torch.float32
        norm = layer.weight.detach().norm().item()
        assert value.item() == pytest.approx(10 * (norm - 1) ** 2, rel=1e-4)  # bfloat16 has 3 digits at most
        value.backward()
        assert layer.weight.grad.dtype == torch.float32

    @pytest.mark.parametrize("weight", [-1.0, -1e-9, float("nan")])
    def test_negative_weight_is_refused(self, weight):
        with pytest.raises(ValueError, match=r"^weight must be at least 0"):
            GradientPenalty(weight)


class TestGradientNorms:
    def test_shape_and_values(self):
        samples = torch.tensor([[[[0.3, 0.4]]], [[[0.0, -2.0]]], [[[3.0, 0.0]]]])
        norms = gradient_norms(lambda x: x.square().flatten(1).sum(1) / 2, samples)
        assert norms.shape == (3,)
        torch.testing.assert_close(norms, torch.tensor([0.5, 2.0, 3.0]), rtol=1e-6, atol=0)

    @pytest.mark.parametrize(
        ("given", "used"),
        [
            (torch.bfloat16, torch.float32),
            (torch.float16, torch.float32),
            (torch.float32, torch.float32),
            (torch.float64, torch.float64),
        ],
    )
    def test_precision_is_at_least_single(self, given, used):
        seen = []

        def critic(samples):
            seen.append(samples.dtype)
            return samples.square().sum(1)

        assert gradient_norms(critic, torch.ones(2, 3, dtype=given)).dtype == used
        assert seen == [used]

    def test_leaves_its_argument_alone(self):
        samples = torch.ones(2, 3)
        gradient_norms(lambda x: x.square().sum(1), samples)
        assert not samples.requires_grad
        assert torch.equal(samples, torch.ones(2, 3))


class TestInterpolate:
    @pytest.mark.parametrize("shape", [(9, 3, 4, 5), (9, 2)])
    def test_one_position_a_sample(self, shape):
        torch.manual_seed(7)
        positions = interpolate(torch.ones(shape), torch.zeros(shape)).flatten(1)
        assert torch.equal(positions, positions[:, :1].expand_as(positions))
        assert len(positions[:, 0].unique()) == 9
        assert positions.min() >= 0
        assert positions.max() <= 1

    def test_positions_are_uniform(self):
        torch.manual_seed(8)
        positions = interpolate(torch.ones(20_000, 1), torch.zeros(20_000, 1)).squeeze(1)
        # Five standard errors: of the mean 0.00204, of the variance 0.00053, of a tenth's share 0.0021.
        assert positions.mean().item() == pytest.approx(1 / 2, abs=0.0102)
        assert positions.var().item() == pytest.approx(1 / 12, abs=0.0027)
        shares = torch.histc(positions, 10, 0, 1) / len(positions)
        torch.testing.assert_close(shares, torch.full((10,), 0.1), rtol=0, atol=0.0106)

    def test_points_lie_on_the_lines_from_fake_to_real(self):
        torch.manual_seed(9)
        real, fake = batches(6, 2, 3, dtype=torch.float64)
        points = interpolate(real, fake)
        positions = (points - fake) / (real - fake)
        torch.testing.assert_close(positions, positions[:, :1, :1].expand_as(positions), rtol=1e-9, atol=1e-9)
        assert positions.flatten(1).std(0).min() > 0.1
        assert points.dtype == torch.float64

    def test_draws_anew_each_time(self):
        real, fake = torch.ones(4, 2), torch.zeros(4, 2)
        assert not torch.equal(interpolate(real, fake), interpolate(real, fake))


class TestWeightClipping:
    def test_clamps_every_parameter_in_place_and_no_buffer(self):
        network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        linear, norm = network
        with torch.no_grad():
            linear.weight.copy_(torch.tensor([[-3.0, -0.25], [-0.2, 0.0], [0.1, 4.0]]))
            linear.bias.copy_(torch.tensor([0.25, -0.26, 0.24]))
            norm.weight.fill_(1.0)
            norm.bias.copy_(torch.tensor([-1.0, 0.2, 1.0]))
            norm.running_mean.fill_(5.0)
            norm.running_var.fill_(7.0)
            norm.num_batches_tracked.fill_(9)
        before = dict(network.named_parameters())
        WeightClipping(0.25).project(network)
        inside = torch.tensor([[-0.25, -0.25], [-0.2, 0.0], [0.1, 0.25]])
        assert torch.equal(linear.weight, inside)
        assert torch.equal(linear.bias, torch.tensor([0.25, -0.25, 0.24]))
        assert torch.equal(norm.weight, torch.full((3,), 0.25))
        assert torch.equal(norm.bias, torch.tensor([-0.25, 0.2, 0.25]))
        assert torch.equal(norm.running_mean, torch.full((3,), 5.0))
        assert torch.equal(norm.running_var, torch.full((3,), 7.0))
        assert norm.num_batches_tracked.item() == 9
        for name, parameter in network.named_parameters():
            assert parameter is before[name]
            assert parameter.requires_grad
            assert parameter.is_leaf
        assert torch.is_grad_enabled()

    def test_leaves_gradients_alone(self):
        layer = nn.Linear(2, 1)
        layer(torch.tensor([[3.0, -5.0]])).sum().backward()
        WeightClipping(0.01).project(layer)
        assert layer.weight.grad.tolist() == [[3.0, -5.0]]

    def test_bound_is_that_of_the_paper_by_default(self):
        layer = nn.Linear(1, 1)
        nn.init.ones_(layer.weight)
        WeightClipping().project(layer)
        assert layer.weight.item() == pytest.approx(0.01, rel=1e-6)

    @pytest.mark.parametrize("bound", [0.0, -0.01, float("nan")])
    def test_bound_must_be_positive(self, bound):
        with pytest.raises(ValueError, match=r"^bound must be above 0"):
            WeightClipping(bound)


def test_each_class_has_its_role_alone():
    assert isinstance(GradientPenalty(), Penalty)
    assert not isinstance(GradientPenalty(), Projection)
    assert isinstance(WeightClipping(), Projection)
    assert not isinstance(WeightClipping(), Penalty)
