"""Penalties against closed forms and finite differences; projections value by value."""

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest
import torch
from jaxtyping import TypeCheckError
from own_parts import own_parts
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_lightning.losses import regularizers
from gan_lightning.losses.augmentations import InstanceNoise
from gan_lightning.losses.regularizers import (
    DRAGAN,
    R1,
    R2,
    Consistency,
    GradientPenalty,
    LipschitzPenalty,
    OrthogonalRegularization,
    Penalty,
    Projection,
    Regularizers,
    WeightClipping,
    WeightPenalty,
    ZeroCenteredPenalty,
    by_kind,
    gradient_norms,
    input_gradients,
    interpolate,
    perturb,
)
from gan_lightning.schedules import Clock, Cosine, Linear, part_at
from gan_lightning.testing import check_regularizer

# Weights of a linear critic with a norm that is exact: sqrt(36 + 9 + 4) = 7, spread over channels, rows and columns.
IMAGE_WEIGHTS = torch.zeros(2, 2, 3)
IMAGE_WEIGHTS[0, 0, 2], IMAGE_WEIGHTS[0, 1, 0], IMAGE_WEIGHTS[1, 1, 1] = 6.0, -3.0, 2.0


@dataclass(frozen=True)
class Doubled:
    """A transformation whose effect is exact."""

    needs_images = False

    def transform(self, samples):
        return 2 * samples


GRADIENT_PENALTIES = [GradientPenalty, LipschitzPenalty, ZeroCenteredPenalty, R1, R2, DRAGAN]
PENALTIES = [
    GradientPenalty(3.0),
    GradientPenalty(3.0, target=0.25),
    LipschitzPenalty(3.0),
    ZeroCenteredPenalty(3.0),
    R1(3.0),
    R2(3.0),
    DRAGAN(3.0),
    DRAGAN(3.0, scale=2.0, target=0.0),
    Consistency(3.0, transformation=InstanceNoise(0.5)),
    Consistency(3.0, transformation=Doubled(), fake_weight=2.0),
]
WEIGHT_PENALTIES = [OrthogonalRegularization(3.0), OrthogonalRegularization(3.0, diagonal=True)]


def linear_critic(weights, bias=0.7):
    return lambda samples: (samples * weights).flatten(1).sum(1) + bias


def quadratic_critic(samples):
    """|x|^2 / 2, whose gradient is x."""
    return samples.square().flatten(1).sum(1) / 2


def batches(*shape, dtype=torch.float32):
    """Unlike real and fake samples."""
    generator = torch.Generator().manual_seed(3)
    real = torch.rand(shape, generator=generator, dtype=dtype)
    return real, -2 * torch.rand(shape, generator=generator, dtype=dtype)


def watched(critic):
    """The critic, and a list of what it was called with."""
    seen = []

    def watch(samples):
        seen.append(samples.detach().clone())
        return critic(samples)

    return watch, seen


def check_gradient(network, loss):
    """Compares the weights' gradients of `loss`, a function without arguments, with finite differences."""
    loss().backward()
    step, largest = 1e-6, 0.0
    for name, parameter in network.named_parameters():
        numeric = torch.zeros_like(parameter)
        for index in range(parameter.numel()):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.view(-1)[index] += sign * step
                values.append(loss().item())
                with torch.no_grad():
                    parameter.view(-1)[index] -= sign * step
            numeric.view(-1)[index] = (values[0] - values[1]) / (2 * step)
        analytic = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(
            analytic, numeric, rtol=1e-6, atol=2e-8, msg=lambda text, name=name: f"{name}: {text}"
        )
        largest = max(largest, analytic.abs().max().item())
    assert largest > 0.1  # so that the tolerances above mean something


@pytest.mark.parametrize("part", [*PENALTIES, *WEIGHT_PENALTIES, WeightClipping(0.3)], ids=repr)
def test_keep_the_contract(part):
    check_regularizer(part)


def test_all_are_there():
    kinds = ("penalty", "weight_penalty", "project")
    of_room = {part for kind in kinds for part in own_parts("losses", kind)}
    assert {type(part) for part in (*PENALTIES, *WEIGHT_PENALTIES, WeightClipping())} == of_room


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
class TestEveryPenalty:
    def test_gradient_is_that_of_finite_differences(self, penalty):
        torch.manual_seed(5)
        critic = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
        with torch.no_grad():
            critic[0].weight *= 4  # steep enough for one-sided penalties
        real, fake = batches(4, 3, dtype=torch.float64)

        def loss():
            torch.manual_seed(6)  # the same points each time
            return penalty.penalty(critic, real, fake)[0]

        check_gradient(critic, loss)

    @pytest.mark.parametrize(
        ("given", "used"),
        [
            (torch.bfloat16, torch.float32),
            (torch.float16, torch.float32),
            (torch.float32, torch.float32),
            (torch.float64, torch.float64),
        ],
    )
    def test_precision_is_at_least_single(self, penalty, given, used):
        critic, seen = watched(quadratic_critic)
        real, fake = (batch.to(given) for batch in batches(4, 3))
        value, _ = penalty.penalty(critic, real, fake)
        assert {samples.dtype for samples in seen} == {used}
        assert value.dtype == used

    def test_critic_may_return_a_column(self, penalty):
        real, fake = batches(5, 3)
        values = []
        for critic in (quadratic_critic, lambda x: quadratic_critic(x).unsqueeze(1)):
            torch.manual_seed(7)
            values.append(penalty.penalty(critic, real, fake)[0].item())
        assert values[0] == pytest.approx(values[1], rel=1e-6)
        assert values[0] > 0

    def test_weight_of_a_schedule(self, penalty):
        real, fake = batches(5, 3)
        scheduled = replace(penalty, weight=Linear(3.0, 1.0, over=8))
        with pytest.raises(TypeError, match="has a value only at a point of the clock"):
            scheduled.penalty(quadratic_critic, real, fake)
        assert part_at(scheduled, Clock(0)) == penalty
        assert part_at(scheduled, Clock(6)) == replace(penalty, weight=1.5)

    def test_has_its_role_alone(self, penalty):
        assert isinstance(penalty, Penalty)
        assert not isinstance(penalty, Projection | WeightPenalty)
        assert penalty.per_sample is not isinstance(penalty, Consistency)


@pytest.mark.parametrize("penalty", [*PENALTIES, *WEIGHT_PENALTIES], ids=repr)
class TestEveryWeight:
    @pytest.mark.parametrize("weight", [-1.0, -1e-9, float("nan"), Linear(1, -1), Cosine(-1, 1)])
    def test_is_not_negative(self, penalty, weight):
        with pytest.raises(ValueError, match=r"^weight must be at least 0"):
            replace(penalty, weight=weight)

    @pytest.mark.parametrize("every", [0, -1])
    def test_interval_is_at_least_one(self, penalty, every):
        with pytest.raises(ValueError, match=r"^every must be at least 1"):
            replace(penalty, every=every)

    def test_may_be_zero_or_scheduled(self, penalty):
        assert replace(penalty, weight=0.0).weight == 0
        assert replace(penalty, weight=Linear(2, 0)).weight == Linear(2, 0)


def test_weights_are_those_of_the_papers_by_default():
    penalties = {kind: kind().weight for kind in (*GRADIENT_PENALTIES, OrthogonalRegularization)}
    assert penalties == {
        GradientPenalty: 10,
        LipschitzPenalty: 10,
        ZeroCenteredPenalty: 100,
        R1: 10,
        R2: 10,
        DRAGAN: 10,
        OrthogonalRegularization: 1e-4,
    }
    assert GradientPenalty().target == DRAGAN().target == 1
    assert DRAGAN().scale == 0.5
    consistency = Consistency(transformation=Doubled())
    assert (consistency.weight, consistency.fake_weight) == (10, 0)
    assert OrthogonalRegularization().diagonal is False


class TestOfALinearCritic:
    """Its gradient is the same everywhere, so that where a penalty is taken does not matter."""

    @pytest.mark.parametrize(
        ("weights", "shape", "norm"),
        [
            (IMAGE_WEIGHTS, (5, 2, 2, 3), 7.0),
            (torch.tensor([3.0, -4.0]), (5, 2), 5.0),
            (torch.tensor([0.3, -0.4]), (5, 2), 0.5),
            (torch.tensor([0.6, -0.8]), (5, 2), 1.0),
            (torch.tensor([3.0, -4.0]), (1, 2), 5.0),
        ],
    )
    @pytest.mark.parametrize(
        ("penalty", "closed_form"),
        [
            (GradientPenalty(10.0), lambda norm: 10 * (norm - 1) ** 2),  # norms below 1 are penalised too
            (GradientPenalty(0.5), lambda norm: 0.5 * (norm - 1) ** 2),
            (GradientPenalty(2.0, target=3.0), lambda norm: 2 * (norm - 3) ** 2),
            (LipschitzPenalty(10.0), lambda norm: 10 * max(0, norm - 1) ** 2),  # and here they are not
            (ZeroCenteredPenalty(0.25), lambda norm: 0.25 * norm**2),
            (R1(3.0), lambda norm: 1.5 * norm**2),
            (R2(3.0), lambda norm: 1.5 * norm**2),
            (DRAGAN(10.0), lambda norm: 10 * (norm - 1) ** 2),
            (DRAGAN(2.0, scale=1.5, target=3.0), lambda norm: 2 * (norm - 3) ** 2),
        ],
        ids=lambda value: "" if callable(value) else repr(value),
    )
    def test_value(self, weights, shape, norm, penalty, closed_form):
        value, details = penalty.penalty(linear_critic(weights), *batches(*shape))
        assert value.item() == pytest.approx(closed_form(norm), rel=1e-5, abs=1e-5)
        assert list(details) == ["gradient_norm"]
        assert details["gradient_norm"].item() == pytest.approx(norm, rel=1e-6)

    @pytest.mark.parametrize("kind", GRADIENT_PENALTIES)
    def test_without_slope_all_is_finite(self, kind):
        weights = torch.zeros(2, 2, 3, requires_grad=True)
        value, details = kind(4.0).penalty(linear_critic(weights), *batches(5, 2, 2, 3))
        value.backward()
        assert value.item() == (4 if kind in (GradientPenalty, DRAGAN) else 0)
        assert details["gradient_norm"].item() == 0
        assert torch.equal(weights.grad, torch.zeros(2, 2, 3))


class TestOfAQuadraticCritic:
    """Its gradient at x is x, of which these have the norms 0.5, 2 and 3: penalties see each sample's own."""

    SAMPLES = torch.tensor([[0.3, 0.4], [0.0, -2.0], [3.0, 0.0]])
    OTHERS = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])

    @pytest.mark.parametrize(
        ("penalty", "real", "fake", "value"),
        [
            # Mean squares of norm - 1: (1/4 + 1 + 4) / 3; of what exceeds 1: 5 / 3; of norms: 13.25 / 3 and 2 / 3.
            (GradientPenalty(2.0), SAMPLES, SAMPLES, 10.5 / 3),
            (LipschitzPenalty(2.0), SAMPLES, SAMPLES, 10 / 3),
            (ZeroCenteredPenalty(2.0), SAMPLES, SAMPLES, 26.5 / 3),
            (R1(2.0), SAMPLES, OTHERS, 13.25 / 3),
            (R1(2.0), OTHERS, SAMPLES, 2 / 3),
            (R2(2.0), OTHERS, SAMPLES, 13.25 / 3),
            (R2(2.0), SAMPLES, OTHERS, 2 / 3),
            (DRAGAN(2.0, scale=1e-9), SAMPLES, OTHERS, 10.5 / 3),
        ],
        ids=repr,
    )
    def test_value(self, penalty, real, fake, value):
        result, details = penalty.penalty(quadratic_critic, real, fake.clone())
        assert result.item() == pytest.approx(value, rel=1e-5)
        norms = 5.5 / 3 if value > 1 else 2 / 3
        assert details["gradient_norm"].item() == pytest.approx(norms, rel=1e-6)

    @pytest.mark.parametrize(
        ("kind", "points"),
        [
            (GradientPenalty, interpolate),
            (LipschitzPenalty, interpolate),
            (ZeroCenteredPenalty, interpolate),
            (R1, lambda real, fake: real),
            (R2, lambda real, fake: fake),
            (DRAGAN, lambda real, fake: perturb(real, 0.5)),
        ],
    )
    def test_points(self, kind, points):
        real, fake = batches(6, 2, 2, 3)
        critic, seen = watched(quadratic_critic)
        torch.manual_seed(4)
        kind().penalty(critic, real, fake)
        torch.manual_seed(4)
        assert len(seen) == 1
        assert torch.equal(seen[0], points(real, fake))

    def test_scale_is_that_of_the_noise(self):
        real, fake = batches(6, 2, 2, 3)
        critic, seen = watched(quadratic_critic)
        torch.manual_seed(4)
        DRAGAN(scale=3.0).penalty(critic, real, fake)
        torch.manual_seed(4)
        assert torch.equal(seen[0], perturb(real, 3.0))


@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan")])
def test_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match=r"^scale must be above 0"):
        DRAGAN(scale=scale)


@pytest.mark.parametrize("kind", [GradientPenalty, DRAGAN])
def test_target_is_not_negative(kind):
    with pytest.raises(ValueError, match=r"^target must be at least 0"):
        kind(target=-1.0)


class TestPerturb:
    def test_moves_by_shares_of_the_batchs_deviation(self, monkeypatch):
        # Entries 0, 2, 2, 4 have the mean 2 and the (population) variance 2; the sample variance would be 8/3.
        real = torch.tensor([[0.0, 2.0], [2.0, 4.0]], dtype=torch.float64)
        entries = torch.tensor([[0.0, 1.0], [0.5, 0.25]], dtype=torch.float64)
        queue = iter([entries, torch.tensor([[0.5], [1.0]], dtype=torch.float64)])
        monkeypatch.setattr(regularizers, "drawn_like", lambda samples, fill: next(queue))
        moved = perturb(real, 3.0) - real
        expected = 3 * 2**0.5 * torch.tensor([[0.0, 0.5], [0.5, 0.25]], dtype=torch.float64)
        torch.testing.assert_close(moved, expected, rtol=1e-12, atol=1e-12)

    def test_share_is_uniform_of_each_sample_and_of_each_entry(self):
        real = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(2000, 500)  # of deviation 1
        torch.manual_seed(5)
        shares = (perturb(real, 0.5) - real) / 0.5
        # a * u with a, u uniform on [0, 1]: a sample's mean is a / 2, and u = share / a.
        a = 2 * shares.mean(1)
        assert a.mean().item() == pytest.approx(1 / 2, abs=5 * (1 / 12 / 2000) ** 0.5)
        assert a.var().item() == pytest.approx(1 / 12, abs=0.0084)  # five standard errors
        u = shares / a.unsqueeze(1)
        assert u.mean().item() == pytest.approx(1 / 2, abs=1e-6)
        assert u.var().item() == pytest.approx(1 / 12, rel=0.01)
        assert shares.mean().item() == pytest.approx(1 / 4, abs=5 * (1 / 48 / 2000) ** 0.5)
        assert shares.min() >= 0
        assert shares.max() <= 1

    def test_deviation_is_of_the_whole_batch(self):
        real = torch.zeros(3, 2, 2, 2)
        real[0] = 4.0  # deviation sqrt(16 * 2/9) over the batch, and none within a sample
        torch.manual_seed(6)
        moved = perturb(real, 0.5) - real
        assert (moved.flatten(1).std(1) > 0).all()
        assert moved.max() <= 0.5 * (32 / 9) ** 0.5


class TestConsistency:
    # From x to 2x the quadratic critic gains 3/2 |x|^2, which squared is 9/4 |x|^4; |x|^2 is 1/4, 4, 9 and 1, 1, 0.
    SAMPLES = TestOfAQuadraticCritic.SAMPLES
    OTHERS = TestOfAQuadraticCritic.OTHERS
    ON_SAMPLES, ON_OTHERS = 9 / 4 * (1 / 16 + 16 + 81) / 3, 9 / 4 * 2 / 3

    def test_is_of_real_samples(self):
        penalty = Consistency(0.5, transformation=Doubled())
        critic, seen = watched(quadratic_critic)
        value, details = penalty.penalty(critic, self.SAMPLES, self.OTHERS)
        assert value.item() == pytest.approx(0.5 * self.ON_SAMPLES, rel=1e-6)
        assert {name: detail.item() for name, detail in details.items()} == {
            "consistency_real": pytest.approx(self.ON_SAMPLES, rel=1e-6)
        }
        assert len(seen) == 2
        assert torch.equal(seen[0], self.SAMPLES)
        assert torch.equal(seen[1], 2 * self.SAMPLES)

    def test_of_fakes_too(self):
        penalty = Consistency(0.5, transformation=Doubled(), fake_weight=4.0, every=3)
        value, details = penalty.penalty(quadratic_critic, self.SAMPLES, self.OTHERS)
        assert value.item() == pytest.approx(1.5 * self.ON_SAMPLES + 12 * self.ON_OTHERS, rel=1e-6)
        assert {name: detail.item() for name, detail in details.items()} == {
            "consistency_real": pytest.approx(self.ON_SAMPLES, rel=1e-6),
            "consistency_fake": pytest.approx(self.ON_OTHERS, rel=1e-6),
        }

    def test_is_the_squared_difference_of_a_linear_critic(self):
        # w.(x + n) - w.x = w.n, whose square is std^2 |w|^2 in the mean: 0.01 * 25, give or take five standard errors.
        torch.manual_seed(9)
        real = torch.zeros(20_000, 2)
        penalty = Consistency(1.0, transformation=InstanceNoise(0.1))
        value, _ = penalty.penalty(linear_critic(torch.tensor([3.0, -4.0])), real, real)
        assert value.item() == pytest.approx(0.25, abs=0.25 * 5 * (2 / 20_000) ** 0.5)

    def test_any_fake_weight_above_zero_counts(self):
        penalty = Consistency(0.0, transformation=Doubled(), fake_weight=0.5)
        value, _ = penalty.penalty(quadratic_critic, self.SAMPLES, self.OTHERS)
        assert value.item() == pytest.approx(0.5 * self.ON_OTHERS, rel=1e-6)

    def test_takes_no_second_argument_by_position(self):
        with pytest.raises(TypeError):
            Consistency(1.0, 0.5, transformation=Doubled())

    @pytest.mark.parametrize("fake_weight", [-1.0, float("nan"), Linear(1, -1)])
    def test_fake_weight_is_not_negative(self, fake_weight):
        with pytest.raises(ValueError, match=r"^fake_weight must be at least 0"):
            Consistency(transformation=Doubled(), fake_weight=fake_weight)

    def test_fake_weight_of_a_schedule(self):
        penalty = Consistency(0.5, transformation=Doubled(), fake_weight=Linear(0.0, 8.0, over=4))
        with pytest.raises(TypeError, match="has a value only at a point of the clock"):
            penalty.penalty(quadratic_critic, self.SAMPLES, self.OTHERS)
        assert part_at(penalty, Clock(1)) == Consistency(0.5, transformation=penalty.transformation, fake_weight=2.0)

    def test_transformation_holds_no_schedule(self):
        with pytest.raises(ValueError, match=r"transformation \(std\)$"):
            Consistency(transformation=InstanceNoise(Linear(0.1, 0)))


class TestOrthogonalRegularization:
    # W W^T is [[5, 8], [8, 13]] for the layer and [[1, 3], [3, 25]] for the convolution.
    LAYER = torch.tensor([[1.0, 2.0], [2.0, 3.0]])
    CONVOLUTION = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]], [[[3.0, 0.0]], [[4.0, 0.0]]]])

    def network(self):
        network = nn.Sequential(nn.Conv2d(2, 2, (1, 2)), nn.BatchNorm2d(2), nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
        with torch.no_grad():
            network[0].weight.copy_(self.CONVOLUTION)
            network[2][1].weight.copy_(self.LAYER)
        return network

    @pytest.mark.parametrize(
        ("diagonal", "distance"),
        [
            (False, 2 * 64 + 2 * 9),
            (True, 16 + 2 * 64 + 144 + 0 + 2 * 9 + 576),
        ],
    )
    def test_value(self, diagonal, distance):
        penalty = OrthogonalRegularization(0.5, diagonal=diagonal)
        value, details = penalty.weight_penalty(self.network())
        assert value.shape == ()
        assert value.item() == pytest.approx(0.5 * distance, rel=1e-6)
        assert list(details) == ["orthogonality"]
        assert details["orthogonality"].item() == pytest.approx(distance, rel=1e-6)
        assert not details["orthogonality"].requires_grad

    def test_is_zero_for_orthogonal_filters(self):
        layer = nn.Linear(7, 3)
        nn.init.orthogonal_(layer.weight)
        with torch.no_grad():
            layer.weight *= 3
        assert OrthogonalRegularization(1.0).weight_penalty(layer)[0].item() == pytest.approx(0, abs=1e-8)
        # Lengths of 3: three times (9 - 1)^2.
        value, _ = OrthogonalRegularization(1.0, diagonal=True).weight_penalty(layer)
        assert value.item() == pytest.approx(192, rel=1e-5)

    @pytest.mark.parametrize("penalty", WEIGHT_PENALTIES, ids=repr)
    def test_gradient_is_that_of_finite_differences(self, penalty):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        check_gradient(network, lambda: penalty.weight_penalty(network)[0])

    def test_a_normalised_layer_counts_by_the_weight_it_applies(self):
        torch.manual_seed(2)
        layer = spectral_norm(nn.Linear(3, 3)).eval()
        expected = (layer.weight @ layer.weight.T - torch.eye(3)).square().sum().item()
        value, _ = OrthogonalRegularization(1.0, diagonal=True).weight_penalty(layer)
        assert value.item() == pytest.approx(expected, rel=1e-5)
        value.backward()
        assert layer.parametrizations.weight.original.grad.abs().max() > 0

    def test_precision_is_at_least_single(self):
        half = OrthogonalRegularization(1.0).weight_penalty(nn.Linear(5, 4).bfloat16())[0]
        assert half.dtype == torch.float32
        assert OrthogonalRegularization(1.0).weight_penalty(nn.Linear(5, 4).double())[0].dtype == torch.float64

    def test_weight_of_a_schedule(self):
        with pytest.raises(TypeError, match="has a value only at a point of the clock"):
            OrthogonalRegularization(Linear(1, 0)).weight_penalty(self.network())

    def test_needs_a_matrix(self):
        with pytest.raises(ValueError, match="no layer whose weight is a matrix"):
            OrthogonalRegularization().weight_penalty(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()))

    def test_has_its_role_alone(self):
        assert isinstance(OrthogonalRegularization(), WeightPenalty)
        assert not isinstance(OrthogonalRegularization(), Penalty | Projection)


def test_interval_is_named():
    assert GradientPenalty(3.0, 0.25) == GradientPenalty(weight=3.0, target=0.25, every=1)


class TestGradientNorms:
    def test_gradients_are_of_each_entry(self):
        samples = torch.tensor([[[[0.3, 0.4]]], [[[0.0, -2.0]]], [[[3.0, 0.0]]]])
        assert torch.equal(input_gradients(quadratic_critic, samples), samples.flatten(1))

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

    def test_bound_is_that_of_the_paper_by_default(self):
        layer = nn.Linear(1, 1)
        nn.init.ones_(layer.weight)
        WeightClipping().project(layer)
        assert layer.weight.item() == pytest.approx(0.01, rel=1e-6)

    @pytest.mark.parametrize("bound", [0.0, -0.01, float("nan")])
    def test_bound_must_be_positive(self, bound):
        with pytest.raises(ValueError, match=r"^bound must be above 0"):
            WeightClipping(bound)

    def test_has_its_role_alone(self):
        assert isinstance(WeightClipping(), Projection)
        assert not isinstance(WeightClipping(), Penalty | WeightPenalty)


class TestByKind:
    NOISE, FEWER = InstanceNoise(0.5), InstanceNoise(0.25)
    ORTHOGONAL, CLIPPING = OrthogonalRegularization(), WeightClipping(0.5)

    def test_each_is_where_it_belongs_and_keeps_its_place(self):
        sorted_ = by_kind(
            {
                "r2": R2(2.0),
                "noise": self.NOISE,
                "orthogonal": self.ORTHOGONAL,
                "clip": self.CLIPPING,
                "r1": R1(1.0),
                "fewer": self.FEWER,
            }
        )
        assert list(sorted_.penalties.items()) == [("r2", R2(2.0)), ("r1", R1(1.0))]
        assert sorted_.weight_penalties == {"orthogonal": self.ORTHOGONAL}
        assert sorted_.projections == {"clip": self.CLIPPING}
        assert list(sorted_.transformations.items()) == [("noise", self.NOISE), ("fewer", self.FEWER)]

    @pytest.mark.parametrize("part", [R1(1.0), ORTHOGONAL, CLIPPING, NOISE], ids=lambda part: type(part).__name__)
    def test_of_one_alone(self, part):
        sorted_ = by_kind({"only": part})
        found = [kind for kind in vars(sorted_).values() if kind]
        assert found == [{"only": part}]
        with pytest.raises(FrozenInstanceError):
            sorted_.penalties = {}

    def test_of_none(self):
        assert by_kind({}) == Regularizers({}, {}, {}, {})

    def test_what_is_none_is_refused_while_tests_run(self):
        with pytest.raises(TypeCheckError):
            by_kind({"linear": nn.Linear(1, 1)})
