"""The objectives against numbers worked out to 40 digits, at extreme logits and in their gradients."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_lightning.losses.objectives import Vanilla, Wasserstein

# Batches of unequal size and means of unequal size: swapping or pooling the two changes every number below.
REAL = [2.0, -1.0, 0.5]
FAKE = [-3.0, 1.5]
ALL = [Vanilla(), Vanilla(saturating=True), Wasserstein()]


@pytest.fixture(params=["(N,)", "(N, 1)"])
def logits(request):
    """REAL and FAKE in double precision, in both shapes that logits may have, ready for gradients."""
    batches = [torch.tensor(values, dtype=torch.float64) for values in (REAL, FAKE)]
    return [(b if request.param == "(N,)" else b.unsqueeze(1)).requires_grad_() for b in batches]


def close(tensor, expected):
    torch.testing.assert_close(
        tensor.detach().flatten(), torch.tensor(expected, dtype=torch.float64).flatten(), rtol=1e-12, atol=1e-12
    )


def adversarial(terms):
    """The one term, a scalar."""
    assert list(terms) == ["adversarial"]
    assert terms["adversarial"].shape == ()
    return terms["adversarial"]


class TestVanilla:
    def test_discriminator(self, logits):
        # 0.638088894247... of the real samples and 0.875000314778... of the fake ones: a sum, not its half.
        loss = adversarial(Vanilla().discriminator(*logits))
        close(loss, 1.5130892090253479)
        loss.backward()
        close(logits[0].grad, [-0.039734307340705852, -0.24368619287666827, -0.12584688959938181])
        close(logits[1].grad, [0.023712936588783390, 0.40878723809682183])

    def test_saturating_is_about_the_generator_only(self, logits):
        close(adversarial(Vanilla(saturating=True).discriminator(*logits)), 1.5130892090253479)

    def test_non_saturating_generator_is_the_default(self, logits):
        loss = adversarial(Vanilla().generator(logits[1]))
        close(loss, 1.6250003147782471)
        loss.backward()
        close(logits[1].grad, [-0.47628706341121661, -0.091212761903178170])

    def test_saturating_generator(self, logits):
        loss = adversarial(Vanilla(saturating=True).generator(logits[1]))
        close(loss, -0.87500031477824713)
        loss.backward()
        close(logits[1].grad, [-0.023712936588783390, -0.40878723809682183])

    def test_score_is_the_probability_of_real(self, logits):
        score = Vanilla().score(logits[0])
        assert score.shape == logits[0].shape
        close(score, [0.88079707797788244, 0.26894142136999512, 0.62245933120185456])

    def test_has_no_diagnostics(self, logits):
        assert Vanilla().diagnostics(*logits) == {}

    def test_is_torchs_binary_cross_entropy_summed_over_real_and_fake(self):
        generator = torch.Generator().manual_seed(1)
        real = 5 * torch.randn(37, generator=generator, dtype=torch.float64) + 1
        fake = 5 * torch.randn(23, generator=generator, dtype=torch.float64) - 2
        expected = binary_cross_entropy_with_logits(real, torch.ones_like(real))
        expected = expected + binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        close(Vanilla().discriminator(real, fake)["adversarial"], expected.item())
        rejected = binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
        close(Vanilla().generator(fake)["adversarial"], rejected.item())


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


class TestWasserstein:
    def test_critic(self, logits):
        loss = adversarial(Wasserstein().discriminator(*logits))
        close(loss, -1.25)  # mean(fake) - mean(real) = -0.75 - 0.5
        loss.backward()
        close(logits[0].grad, [-1 / 3] * 3)
        close(logits[1].grad, [1 / 2] * 2)

    def test_generator(self, logits):
        loss = adversarial(Wasserstein().generator(logits[1]))
        close(loss, 0.75)
        loss.backward()
        close(logits[1].grad, [-1 / 2] * 2)

    def test_score_is_the_critics_value(self, logits):
        assert torch.equal(Wasserstein().score(logits[0]), logits[0])

    def test_diagnostic_is_the_estimated_distance(self, logits):
        diagnostics = Wasserstein().diagnostics(*logits)
        assert list(diagnostics) == ["wasserstein_estimate"]
        close(diagnostics["wasserstein_estimate"], 1.25)

    def test_extreme_logits_stay_exact(self):
        real, fake = torch.full((3,), -1e4), torch.full((2,), 1e4)
        assert Wasserstein().discriminator(real, fake)["adversarial"].item() == 2e4
        assert Wasserstein().generator(fake)["adversarial"].item() == -1e4


@pytest.mark.parametrize("objective", ALL, ids=repr)
class TestEvery:
    def test_generator_does_not_look_at_real_logits(self, objective, logits):
        real, fake = logits
        assert objective.uses_real is False
        assert torch.equal(objective.generator(fake, real)["adversarial"], objective.generator(fake)["adversarial"])

    def test_single_precision_agrees_with_double(self, objective, logits):
        single = [batch.detach().float() for batch in logits]
        for method, double_arguments, arguments in (
            (objective.discriminator, logits, single),
            (objective.generator, logits[1:], single[1:]),
        ):
            value = method(*arguments)["adversarial"]
            assert value.dtype == torch.float32
            assert value.item() == pytest.approx(method(*double_arguments)["adversarial"].item(), rel=1e-6)

    def test_descent_on_the_generators_loss_raises_every_fake_logit(self, objective, logits):
        objective.generator(logits[1])["adversarial"].backward()
        assert (logits[1].grad < 0).all()

    def test_descent_on_the_discriminators_loss_parts_real_from_fake(self, objective, logits):
        objective.discriminator(*logits)["adversarial"].backward()
        assert (logits[0].grad < 0).all()
        assert (logits[1].grad > 0).all()

    def test_is_frozen(self, objective):
        with pytest.raises(FrozenInstanceError):
            objective.saturating = True
