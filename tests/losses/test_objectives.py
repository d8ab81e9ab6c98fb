"""The objectives against numbers worked out to 40 digits, at extreme logits and in their gradients.

Numbers without a short closed form were computed with mpmath from the papers' formulas, not from this package.
"""

from typing import NamedTuple

import pytest
import torch
from jaxtyping import TypeCheckError
from own_parts import own_parts
from torch.nn.functional import binary_cross_entropy_with_logits
from typechecking import unchecked

from gan_lightning.losses.objectives import (
    BEGAN,
    EnergyBased,
    Hinge,
    LeastSquares,
    Objective,
    ObjectiveDefaults,
    Relativistic,
    RelativisticAverage,
    RelativisticPaired,
    Stateful,
    Vanilla,
    Wasserstein,
)
from gan_lightning.testing import check_objective

# Batches of unequal size and means of unequal size: swapping or pooling the two changes every number below.
REAL = [2.0, -1.0, 0.5]
FAKE = [-3.0, 1.5]
PAIRED_FAKE = [-3.0, 1.5, 0.25]
# Minus energies, of which the second fake one lies within a margin of 2.
REAL_ENERGY = [-0.5, -2.0, -1.0]
FAKE_ENERGY = [-3.0, -1.5]


class Case(NamedTuple):
    """An objective, logits, and what it makes of them: values, and gradients with respect to real and fake logits."""

    objective: Objective
    discriminator: float
    discriminator_real: list[float]
    discriminator_fake: list[float]
    generator: float
    generator_fake: list[float]
    generator_real: list[float] | None = None
    real: list[float] = REAL
    fake: list[float] = FAKE

    def batches(self, shape="(N,)", dtype=torch.float64):
        """Real and fake logits, ready for gradients."""
        values = (torch.tensor(batch, dtype=dtype) for batch in (self.real, self.fake))
        return [(value if shape == "(N,)" else value.unsqueeze(1)).requires_grad_() for value in values]


def began(k, gamma=0.5, k_rate=0.001):
    objective = BEGAN(gamma, k_rate)
    objective.k.fill_(k)
    return objective


NS_FAKE, SATURATING_FAKE = [-0.47628706341121661, -0.091212761903178170], [-0.023712936588783390, -0.40878723809682183]
VANILLA_FAKE = [0.023712936588783390, 0.40878723809682183]
VANILLA_REAL = [-0.039734307340705852, -0.24368619287666827, -0.12584688959938181]
THIRDS, HALVES = [-1 / 3] * 3, [-1 / 2] * 2
CASES = [
    # 0.638088894247... of the real samples and 0.875000314778... of the fake ones: a sum, not its half.
    Case(Vanilla(), 1.5130892090253479, VANILLA_REAL, VANILLA_FAKE, 1.6250003147782471, NS_FAKE),
    Case(
        *(Vanilla(saturating=True), 1.5130892090253479, VANILLA_REAL, VANILLA_FAKE),
        *(-0.87500031477824713, SATURATING_FAKE),
    ),
    Case(
        *(Vanilla(label_smoothing=0.1), 1.5630892090253479),  # targets 0.9 and, still, 0
        [-0.0064009740073725186, -0.21035285954333496, -0.092513556266048478],
        *(VANILLA_FAKE, 1.6250003147782471, NS_FAKE),
    ),
    # D: (1 + 4 + 1/4) / 3 / 2 + (9 + 9/4) / 2 / 2; G: (16 + 1/4) / 2 / 2.
    Case(LeastSquares(), 3.6875, [1 / 3, -2 / 3, -1 / 6], [-1.5, 0.75], 4.0625, [-2.0, 0.25]),
    # D: (0 + 9 + 9/4) / 3 / 2 + (4 + 25/4) / 2 / 2; G: (49/4 + 1) / 2 / 2.
    Case(LeastSquares(a=-1, b=2, c=0.5), 4.4375, [0.0, -1.0, -0.5], [-1.0, 1.25], 3.3125, [-1.75, 0.5]),
    # D: (0 + 2 + 1/2) / 3 + (0 + 5/2) / 2, without gradient beyond the margin; G: -(-3 + 3/2) / 2.
    Case(Hinge(), 2.5 / 3 + 1.25, [0.0, -1 / 3, -1 / 3], [0.0, 0.5], 0.75, HALVES),
    Case(Wasserstein(), -1.25, THIRDS, [0.5, 0.5], 0.75, HALVES),  # D: mean(fake) - mean(real) = -0.75 - 0.5
    Case(
        *(RelativisticPaired(), 1.0538481675535038),
        [-0.0022309503080949519, -0.30804727332625215, -0.14594116637140063],
        [0.0022309503080949519, 0.30804727332625215, 0.14594116637140063],
        1.9705148342201704,
        [-0.33110238302523838, -0.025286060007081184, -0.1873921669619327],
        [0.33110238302523838, 0.025286060007081184, 0.1873921669619327],
        fake=PAIRED_FAKE,
    ),
    # Leads of the real samples: 5, -5/2, 1/4. D: (16 + 49/4 + 9/16) / 3; G: (36 + 9/4 + 25/16) / 3.
    Case(
        *(RelativisticPaired("least_squares"), 28.8125 / 3, [8 / 3, -7 / 3, -0.5], [-8 / 3, 7 / 3, 0.5]),
        *(39.8125 / 3, [-4.0, 1.0, -2.5 / 3], [4.0, -1.0, 2.5 / 3]),
        fake=PAIRED_FAKE,
    ),
    # D: (0 + 7/2 + 3/4) / 3; G: (6 + 0 + 5/4) / 3.
    Case(
        *(RelativisticPaired("hinge"), 4.25 / 3, [0.0, -1 / 3, -1 / 3], [0.0, 1 / 3, 1 / 3]),
        *(7.25 / 3, [-1 / 3, 0.0, -1 / 3], [1 / 3, 0.0, 1 / 3]),
        fake=PAIRED_FAKE,
    ),
    Case(
        RelativisticAverage(),
        1.0514514163045601,
        [-0.14675735162156274, -0.31412063519215957, -0.20096184783866315],
        [0.15548333035653059, 0.50635650429585487],
        3.5514514163045601,
        [-0.84451666964346941, -0.49364349570414513],
        [0.51990931504510393, 0.3525460314745071, 0.46570481882800352],
    ),
    # D: leads 11/4, -1/4, 5/4 of reals over the fakes' mean -3/4, and 7/2, -1 of the reals' mean 1/2 over fakes:
    # (49/16 + 25/16 + 1/16) / 3 + (25/4 + 4) / 2; G: (225/16 + 9/16 + 81/16) / 3 + (81/4 + 0) / 2.
    Case(
        *(RelativisticAverage("least_squares"), 6.6875, [4 / 3, -2 / 3, 1 / 3], [-2.75, 1.75]),
        *(16.6875, [-6.75, -2.25], [4.0, 2.0, 3.0]),
    ),
    # D: leads 23/8, -1/8, 11/8 and 7/2, -3/4: (0 + 9/8 + 0) / 3 + (0 + 7/4) / 2;
    # G: leads -7/2, 3/4 and -23/8, 1/8, -11/8: (9/2 + 1/4) / 2 + (31/8 + 7/8 + 19/8) / 3.
    Case(
        *(RelativisticAverage("hinge"), 1.25, [-1 / 6, -1 / 2, -1 / 6], [1 / 6, 2 / 3]),
        *(4.75, [-1.0, -1.0], [2 / 3, 2 / 3, 2 / 3]),
        fake=[-3.0, 1.25],
    ),
    # D: (1/2 + 2 + 1) / 3 + (0 + 1/2) / 2; G: (3 + 3/2) / 2.
    Case(EnergyBased(margin=2.0), 3.5 / 3 + 0.25, THIRDS, [0.0, 0.5], 2.25, HALVES, None, REAL_ENERGY, FAKE_ENERGY),
    Case(BEGAN(), 3.5 / 3, THIRDS, [0.0, 0.0], 2.25, HALVES, None, REAL_ENERGY, FAKE_ENERGY),
    Case(began(0.25), 3.5 / 3 - 0.5625, THIRDS, [0.125] * 2, 2.25, HALVES, None, REAL_ENERGY, FAKE_ENERGY),
]
RELATIVISTIC = [case for case in CASES if isinstance(case.objective, Relativistic)]


def close(tensor, expected):
    torch.testing.assert_close(
        tensor.detach().flatten(), torch.tensor(expected, dtype=torch.float64).flatten(), rtol=1e-12, atol=1e-12
    )


def adversarial(terms):
    """The one term, a scalar."""
    assert list(terms) == ["adversarial"]
    assert terms["adversarial"].shape == ()
    return terms["adversarial"]


def generator_arguments(objective, real, fake):
    return (fake, real) if objective.uses_real else (fake,)


def name(case):
    return repr(case.objective)


def test_all_are_there():
    objectives = own_parts("losses", "uses_real", "discriminator")
    assert {type(case.objective) for case in CASES} == objectives - {ObjectiveDefaults, Relativistic}


@pytest.mark.parametrize("case", CASES, ids=name)
class TestEvery:
    def test_keeps_the_contract(self, case):
        check_objective(case.objective)

    @pytest.mark.parametrize("shape", ["(N,)", "(N, 1)"])
    def test_discriminator(self, case, shape):
        real, fake = case.batches(shape)
        loss = adversarial(case.objective.discriminator(real, fake))
        close(loss, case.discriminator)
        loss.backward()
        close(real.grad, case.discriminator_real)
        close(fake.grad, case.discriminator_fake)

    @pytest.mark.parametrize("shape", ["(N,)", "(N, 1)"])
    def test_generator(self, case, shape):
        real, fake = case.batches(shape)
        loss = adversarial(case.objective.generator(fake, real))
        close(loss, case.generator)
        loss.backward()
        close(fake.grad, case.generator_fake)
        if case.generator_real is None:
            assert real.grad is None
        else:
            close(real.grad, case.generator_real)

    def test_gradients_are_those_of_finite_differences(self, case):
        batches = case.batches()
        assert torch.autograd.gradcheck(lambda *b: case.objective.discriminator(*b)["adversarial"], batches)
        arguments = generator_arguments(case.objective, *batches)
        assert torch.autograd.gradcheck(lambda *b: case.objective.generator(*b)["adversarial"], arguments)

    def test_needs(self, case):
        assert case.objective.needs_lipschitz is isinstance(case.objective, Wasserstein)
        assert case.objective.needs_energy is isinstance(case.objective, EnergyBased | BEGAN)
        assert case.objective.is_probability is isinstance(case.objective, Vanilla)
        assert isinstance(case.objective, Stateful) is isinstance(case.objective, BEGAN)

    def test_boundary(self, case):
        boundary = case.objective.boundary()
        if isinstance(case.objective, LeastSquares):
            assert boundary == (case.objective.a + case.objective.b) / 2
        else:
            assert boundary == (0.0 if isinstance(case.objective, Vanilla | Hinge) else None)

    def test_score(self, case):
        logits = torch.tensor([[2.0], [-1.0], [0.5]], dtype=torch.float64)
        score = case.objective.score(logits)
        assert score.shape == logits.shape
        expected = -logits if case.objective.needs_energy else logits
        if isinstance(case.objective, Vanilla):
            expected = [0.88079707797788244, 0.26894142136999512, 0.62245933120185456]
        close(score, list(expected))

    def test_diagnostics(self, case):
        diagnostics = case.objective.diagnostics(*case.batches())
        expected = {Wasserstein: ["wasserstein_estimate"], BEGAN: ["convergence", "k"]}
        assert list(diagnostics) == expected.get(type(case.objective), [])


class TestVanilla:
    def test_non_saturating_without_smoothing_is_the_default(self):
        assert Vanilla() == Vanilla(saturating=False, label_smoothing=0.0)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
    def test_is_torchs_binary_cross_entropy_summed_over_real_and_fake(self, smoothing):
        generator = torch.Generator().manual_seed(1)
        real = 5 * torch.randn(37, generator=generator, dtype=torch.float64) + 1
        fake = 5 * torch.randn(23, generator=generator, dtype=torch.float64) - 2
        expected = binary_cross_entropy_with_logits(real, torch.full_like(real, 1 - smoothing))
        expected = expected + binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        objective = Vanilla(label_smoothing=smoothing)
        close(objective.discriminator(real, fake)["adversarial"], expected.item())
        rejected = binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
        close(objective.generator(fake)["adversarial"], rejected.item())

    @pytest.mark.parametrize("smoothing", [-0.1, 1.1, float("nan")])
    def test_smoothing_must_be_a_share(self, smoothing):
        with pytest.raises(ValueError, match=r"^label_smoothing must be at least 0 and at most 1"):
            Vanilla(label_smoothing=smoothing)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
class TestVanillaAtExtremeLogits:
    """Where a logarithm of a rounded sigmoid would be infinite or lose its gradient; 1e4 is exact in float32."""

    @pytest.mark.parametrize(
        ("real", "fake", "loss", "real_gradient", "fake_gradient"),
        [
            ([1e4] * 2, [-1e4] * 4, 0.0, 0.0, 0.0),  # everything told apart
            ([-1e4] * 2, [-1e4] * 4, 1e4, -1 / 2, 0.0),  # every real one rejected
            ([1e4] * 2, [1e4] * 4, 1e4, 0.0, 1 / 4),  # every fake one accepted
            ([-1e4] * 2, [1e4] * 4, 2e4, -1 / 2, 1 / 4),
        ],
    )
    def test_discriminator(self, dtype, real, fake, loss, real_gradient, fake_gradient):
        real, fake = (torch.tensor(values, dtype=dtype, requires_grad=True) for values in (real, fake))
        value = Vanilla().discriminator(real, fake)["adversarial"]
        value.backward()
        assert value.item() == loss
        assert real.grad.tolist() == [real_gradient] * 2
        assert fake.grad.tolist() == [fake_gradient] * 4

    @pytest.mark.parametrize(
        ("saturating", "logit", "loss", "gradient"),
        [
            (False, -1e4, 1e4, -1 / 4),  # all fakes rejected: the full gradient, the reason for this form
            (False, 1e4, 0.0, 0.0),
            (True, -1e4, 0.0, 0.0),  # all fakes rejected: none
            (True, 1e4, -1e4, -1 / 4),
        ],
    )
    def test_generator(self, dtype, saturating, logit, loss, gradient):
        fake = torch.full((4,), logit, dtype=dtype, requires_grad=True)
        value = Vanilla(saturating=saturating).generator(fake)["adversarial"]
        value.backward()
        assert value.item() == loss
        assert fake.grad.tolist() == [gradient] * 4

    def test_score(self, dtype):
        assert Vanilla().score(torch.tensor([-1e4, 0, 1e4], dtype=dtype)).tolist() == [0, 0.5, 1]

    def test_relativistic_softplus_keeps_its_gradient(self, dtype):
        real, fake = torch.full((4,), -1e4, dtype=dtype), torch.full((4,), 1e4, dtype=dtype, requires_grad=True)
        value = RelativisticPaired().discriminator(real, fake)["adversarial"]
        value.backward()
        assert value.item() == 2e4
        assert fake.grad.tolist() == [1 / 4] * 4


class TestLeastSquares:
    def test_is_the_papers_0_1_coding_by_default(self):
        assert LeastSquares() == LeastSquares(a=0.0, b=1.0, c=1.0)

    def test_is_zero_at_its_targets(self):
        objective = LeastSquares(a=-1.5, b=2.0, c=0.5)
        real, fake = torch.full((3,), 2.0), torch.full((2,), -1.5)
        assert objective.discriminator(real, fake)["adversarial"].item() == 0
        assert objective.generator(torch.full((2,), 0.5))["adversarial"].item() == 0


class TestHinge:
    @pytest.mark.parametrize(("real", "fake", "loss"), [(1.0, -1.0, 0.0), (7.0, -3.0, 0.0), (0.75, -0.5, 0.75)])
    def test_is_zero_beyond_the_margin(self, real, fake, loss):
        real, fake = torch.full((3,), real, requires_grad=True), torch.full((2,), fake, requires_grad=True)
        value = Hinge().discriminator(real, fake)["adversarial"]
        value.backward()
        assert value.item() == loss
        assert real.grad.abs().max().item() == pytest.approx(1 / 3 if loss else 0)
        assert fake.grad.abs().max().item() == pytest.approx(1 / 2 if loss else 0)


class TestWasserstein:
    def test_diagnostic_is_the_estimated_distance(self):
        diagnostics = Wasserstein().diagnostics(torch.tensor(REAL).double(), torch.tensor(FAKE).double())
        close(diagnostics["wasserstein_estimate"], 1.25)

    def test_extreme_logits_stay_exact(self):
        real, fake = torch.full((3,), -1e4), torch.full((2,), 1e4)
        assert Wasserstein().discriminator(real, fake)["adversarial"].item() == 2e4
        assert Wasserstein().generator(fake)["adversarial"].item() == -1e4


class TestRelativistic:
    @pytest.mark.parametrize("case", RELATIVISTIC, ids=name)
    def test_a_shift_of_all_logits_changes_nothing(self, case):
        real, fake = (batch.detach() + 7.25 for batch in case.batches())
        close(adversarial(case.objective.discriminator(real, fake)), case.discriminator)
        close(adversarial(case.objective.generator(fake, real)), case.generator)

    @pytest.mark.parametrize("case", RELATIVISTIC, ids=name)
    def test_generator_needs_real_logits(self, case):
        with pytest.raises(ValueError, match="needs the logits of real samples"):
            case.objective.generator(torch.zeros(3))

    def test_what_both_kinds_share_is_no_objective(self):
        with pytest.raises(NotImplementedError):
            Relativistic().discriminator(torch.zeros(2), torch.zeros(2))

    @pytest.mark.parametrize("kind", [RelativisticPaired, RelativisticAverage])
    def test_inner_loss_is_softplus_by_default_and_must_be_known(self, kind):
        assert kind() == kind("softplus")
        with (
            unchecked(),
            pytest.raises(ValueError, match=r"^inner is 'square'; there are softplus, least_squares, hinge$"),
        ):
            kind("square")

    def test_pairs_are_equally_many(self):
        for call in (RelativisticPaired().discriminator, RelativisticPaired().generator):
            with pytest.raises(ValueError, match="as many real as fake samples, not 3 and 2"):
                call(torch.zeros(3), torch.zeros(2))
        with pytest.raises(ValueError, match="not 3 and 1"):
            RelativisticPaired().discriminator(torch.zeros(3), torch.zeros(1))

    def test_a_column_pairs_with_a_row(self):
        case = next(case for case in CASES if case.objective == RelativisticPaired())
        real, fake = case.batches()
        close(adversarial(case.objective.discriminator(real.unsqueeze(1), fake)), case.discriminator)

    @pytest.mark.parametrize("inner", ["softplus", "least_squares", "hinge"])
    def test_average_of_one_pair_is_twice_the_pair(self, inner):
        real, fake = torch.tensor([0.75], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
        paired = RelativisticPaired(inner).discriminator(real, fake)["adversarial"]
        close(RelativisticAverage(inner).discriminator(real, fake)["adversarial"], 2 * paired.item())


class TestEnergyBased:
    @pytest.mark.parametrize(("energy", "loss"), [(1.0, 1.5), (2.5, 0.0), (9.0, 0.0)])
    def test_fakes_beyond_the_margin_cost_nothing(self, energy, loss):
        fake = torch.full((2,), -energy, requires_grad=True)
        value = EnergyBased(margin=2.5).discriminator(torch.zeros(3), fake)["adversarial"]
        value.backward()
        assert value.item() == loss
        assert fake.grad.tolist() == [0.5 if loss else 0.0] * 2

    @pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
    def test_margin_must_be_positive(self, margin):
        with pytest.raises(ValueError, match=r"^margin must be above 0"):
            EnergyBased(margin)


class TestBEGAN:
    def test_defaults_are_the_papers(self):
        objective = BEGAN()
        assert (objective.gamma, objective.k_rate, objective.k.item()) == (0.5, 0.001, 0.0)

    @pytest.mark.parametrize(
        ("fakes", "convergence"),
        [
            ([-3.0, -1.5], 3.5 / 3 + 2.25 - 0.4 * 3.5 / 3),  # gamma L(x) = 0.4666... below L(G(z))
            ([-0.05, -0.15], 3.5 / 3 + 0.4 * 3.5 / 3 - 0.1),  # above
        ],
    )
    def test_measure_of_convergence(self, fakes, convergence):
        real, fake = (torch.tensor(values, dtype=torch.float64) for values in (REAL_ENERGY, fakes))
        diagnostics = began(0.25, gamma=0.4).diagnostics(real, fake)
        close(diagnostics["convergence"], convergence)
        assert diagnostics["k"].item() == 0.25

    def test_logged_k_stays_when_k_moves_on(self):
        objective = began(0.25)
        logged = objective.diagnostics(torch.zeros(2), torch.zeros(2))["k"]
        objective.advance(torch.tensor(-40.0), torch.tensor(-1.0))
        assert logged.item() == 0.25
        assert objective.k.item() != 0.25

    @pytest.mark.parametrize(
        ("k", "real", "fake", "after"),
        [
            (0.0, -4.0, -1.0, 0.06),  # 0.1 * (0.4 * 4 - 1)
            (0.5, -4.0, -1.0, 0.56),
            (0.5, -1.0, -4.0, 0.14),  # 0.5 + 0.1 * (0.4 - 4)
            (0.2, -1.0, -4.0, 0.0),  # clamped
            (0.99, -4.0, -1.0, 1.0),
        ],
    )
    def test_advance(self, k, real, fake, after):
        objective = began(k, gamma=0.4, k_rate=0.1)
        buffer = objective.k
        objective.advance(torch.tensor(real, requires_grad=True), torch.tensor(fake, requires_grad=True))
        assert objective.k is buffer
        assert not buffer.requires_grad
        assert buffer.item() == pytest.approx(after, rel=1e-6, abs=1e-7)

    def test_k_is_saved_and_loaded(self):
        state = began(0.375).state_dict()
        assert list(state) == ["k"]
        fresh = BEGAN()
        fresh.load_state_dict(state)
        assert fresh.k.item() == 0.375
        assert fresh.k.dtype == torch.float32
        assert not list(fresh.parameters())

    def test_is_shown_with_its_settings(self):
        assert repr(BEGAN(0.7, 0.01)) == "BEGAN(gamma=0.7, k_rate=0.01)"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"gamma": -0.1}, r"^gamma must be at least 0 and at most 1"),
            ({"gamma": 1.5}, r"^gamma must be at least 0 and at most 1"),
            ({"k_rate": 0.0}, r"^k_rate must be above 0"),
            ({"k_rate": float("nan")}, r"^k_rate must be above 0"),
        ],
    )
    def test_ranges(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            BEGAN(**arguments)


@pytest.mark.parametrize(("labels", "expected"), [({}, 0.5), ({"a": -1.0, "b": 1.0, "c": 0.0}, 0.0), ({"a": 3.0}, 2.0)])
def test_boundary_of_least_squares_is_between_its_labels(labels, expected):
    assert LeastSquares(**labels).boundary() == expected


def test_shapes_are_checked():
    """In every pure room, while tests run."""
    with pytest.raises(TypeCheckError, match="parameter 'fake_logits'"):
        Wasserstein().discriminator(torch.zeros(3), torch.zeros(3, 2))
