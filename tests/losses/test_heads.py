"""Heads against numbers worked out to 40 digits (mpmath, from the papers' formulas) and in their gradients."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from gan_lightning.losses.heads import Classification, Drawn, MutualInformation, PullingAway
from gan_lightning.sampling.latents import Coded

REAL = torch.tensor([[1.0, 0.0, -2.0], [0.5, 2.0, 0.25]], dtype=torch.float64)
FAKE = torch.tensor([[0.0, -1.0, 3.0], [1.0, 1.0, -0.5]], dtype=torch.float64)
REAL_LABELS, FAKE_LABELS = torch.tensor([2, 1]), torch.tensor([0, 2])
LABELLED = Drawn(torch.zeros(2, 5), FAKE_LABELS)
ON_REAL, ON_FAKE = 1.8416353250810413, 2.6824000442995774
# Codes of 3 and of 2 classes, and two numbers, behind two numbers of noise.
CODES = [[9.0, -9.0, 0, 0, 1, 0, 1, 0.5, 0.4], [7.0, 8.0, 0, 1, 0, 1, 0, -1.0, 0.1]]
POSTERIORS = [[0.5, -1.0, 2.0, 1.0, 0.0, 0.3, -0.2], [1.0, 0.0, -2.0, -1.0, 2.0, -0.9, 0.6]]
CODED = Drawn(torch.tensor(CODES, dtype=torch.float64), None)
EMBEDDINGS = [[1.0, 0.0, 0.0], [3.0, 4.0, 0.0], [0.0, 0.0, -2.0], [0.0, 5.0, -5.0]]


def close(terms, **expected):
    assert list(terms) == list(expected)
    for name, value in expected.items():
        assert terms[name].shape == ()
        assert terms[name].item() == pytest.approx(value, rel=1e-12, abs=1e-12)


def posteriors():
    return torch.tensor(POSTERIORS, dtype=torch.float64)


def embeddings():
    return torch.tensor(EMBEDDINGS, dtype=torch.float64)


class TestClassification:
    def test_discriminator(self):
        terms = Classification(3).discriminator(REAL, FAKE, REAL_LABELS, LABELLED)
        close(terms, classification_real=ON_REAL, classification_fake=ON_FAKE)

    def test_generator(self):
        close(Classification(3).generator(FAKE, LABELLED), classification_fake=ON_FAKE)

    def test_weights_are_of_each_network(self):
        head = Classification(3, discriminator_weight=0.5, generator_weight=0.1)
        terms = head.discriminator(REAL, FAKE, REAL_LABELS, LABELLED)
        close(terms, classification_real=0.5 * ON_REAL, classification_fake=0.5 * ON_FAKE)
        close(head.generator(FAKE, LABELLED), classification_fake=0.1 * ON_FAKE)

    def test_of_real_samples_alone(self):
        head = Classification(3, on_fakes=False)
        close(head.discriminator(REAL, FAKE, REAL_LABELS, LABELLED), classification_real=ON_REAL)
        close(head.discriminator(REAL, FAKE, REAL_LABELS, Drawn(LABELLED.latents, None)), classification_real=ON_REAL)
        close(head.generator(FAKE, LABELLED), classification_fake=ON_FAKE)

    def test_labels_are_asked_for(self):
        unlabelled = Drawn(torch.zeros(2, 5), None)
        with pytest.raises(ValueError, match="a data set with labels"):
            Classification(3).discriminator(REAL, FAKE, None, LABELLED)
        with pytest.raises(ValueError, match="a generator that takes labels"):
            Classification(3).discriminator(REAL, FAKE, REAL_LABELS, unlabelled)
        with pytest.raises(ValueError, match="a generator that takes labels"):
            Classification(3).generator(FAKE, unlabelled)

    @pytest.mark.parametrize("field", ["discriminator_weight", "generator_weight"])
    def test_weights_are_not_negative(self, field):
        with pytest.raises(ValueError, match=f"^{field} must be at least 0"):
            Classification(3, **{field: -1.0})


class TestMutualInformation:
    def test_terms(self):
        head = MutualInformation(7, categorical=(3, 2), continuous=2)
        close(head.generator(posteriors(), CODED), categorical_codes=2.9760862762586542, continuous_codes=0.165)

    def test_weight(self):
        head = MutualInformation(7, categorical=[3, 2], continuous=2, weight=0.25)
        close(head.generator(posteriors(), CODED), categorical_codes=0.74402156906466355, continuous_codes=0.04125)

    def test_discriminator_has_the_same_of_the_fakes_alone(self):
        head = MutualInformation(7, categorical=(3, 2), continuous=2)
        real = torch.full((2, 7), float("nan"), dtype=torch.float64)
        assert head.discriminator(real, posteriors(), None, CODED) == head.generator(posteriors(), CODED)

    def test_sums_over_codes_and_averages_over_samples(self):
        # Three samples of two codes, all one away from their posteriors' means: 2 / 2 for each sample.
        drawn = Drawn(torch.zeros(3, 4), None)
        close(MutualInformation(2, (), 2).generator(torch.ones(3, 2), drawn), continuous_codes=1.0)

    def test_of_classes_alone(self):
        head = MutualInformation(5, categorical=(3, 2), continuous=0)
        coded = Drawn(CODED.latents[:, :-2], None)
        close(head.generator(posteriors()[:, :5], coded), categorical_codes=2.9760862762586542)

    def test_of_numbers_alone(self):
        close(MutualInformation(2, (), 2).generator(posteriors()[:, 5:], CODED), continuous_codes=0.165)

    def test_is_zero_when_codes_are_recovered(self):
        head = MutualInformation(7, categorical=(3, 2), continuous=2)
        fake = CODED.latents[:, 2:].clone()
        fake[:, :5] = 1e4 * (fake[:, :5] - 1)
        close(head.generator(fake, CODED), categorical_codes=0, continuous_codes=0)

    def test_reads_the_codes_where_the_prior_puts_them(self):
        prior = Coded((4, 3), 2)
        torch.manual_seed(1)
        latents = prior.draw(50, 20)
        fake = latents[:, -9:].clone()
        fake[:, :7] *= 100
        terms = MutualInformation(9, (4, 3), 2).generator(fake, Drawn(latents, None))
        close(terms, categorical_codes=0, continuous_codes=0)

    def test_defaults_are_the_priors(self):
        head = MutualInformation(12)
        assert (head.categorical, head.continuous, head.weight) == (Coded().categorical, Coded().continuous, 1.0)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((11,), r"^outputs must be 12, the columns that the codes take, got 11$"),
            ((13,), r"^outputs must be 12"),
            ((7, (3, 2), 1), r"^outputs must be 6"),
            ((3, (4, -1), 0), r"^categorical must be at least 1"),
            ((4, (4, 0), 0), r"^categorical must be at least 1"),
            ((2, (4,), -2), r"^continuous must be at least 0"),
            ((12, (10,), 2, -1.0), r"^weight must be at least 0"),
        ],
    )
    def test_refuses(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            MutualInformation(*arguments)

    def test_one_class_is_allowed(self):
        assert MutualInformation(1, (1,), 0).outputs == 1


class TestPullingAway:
    # Squared cosines of the six pairs: 9/25, 0, 0; 0, 16/50; 1/2, together 1.18.
    def test_is_the_mean_over_pairs(self):
        close(PullingAway(3, weight=1.0).generator(embeddings(), CODED), pulling_away=1.18 / 6)

    def test_weight_is_a_tenth_by_default(self):
        close(PullingAway(3).generator(embeddings(), CODED), pulling_away=0.118 / 6)

    def test_discriminator_has_none(self):
        assert PullingAway(3).discriminator(embeddings(), embeddings(), None, CODED) == {}

    def test_columns_may_be_of_packs_and_labels_are_of_samples(self):
        labels = torch.zeros(2 * len(EMBEDDINGS), dtype=torch.int64)
        assert PullingAway(3).discriminator(embeddings(), embeddings(), labels, CODED) == {}

    def test_lengths_and_signs_do_not_matter(self):
        scaled = embeddings() * torch.tensor([[0.01], [-3.0], [7.0], [-1e3]])
        close(PullingAway(3, weight=1.0).generator(scaled, CODED), pulling_away=1.18 / 6)

    @pytest.mark.parametrize(("batch", "value"), [([[1.0, 2.0]] * 3, 1.0), ([[1.0, 0.0], [0.0, -3.0]], 0.0)])
    def test_extremes(self, batch, value):
        fake = torch.tensor(batch, dtype=torch.float64)
        close(PullingAway(2, weight=1.0).generator(fake, CODED), pulling_away=value)

    def test_zero_is_orthogonal_and_its_gradient_finite(self):
        fake = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
        terms = PullingAway(2, weight=1.0).generator(fake, CODED)
        close(terms, pulling_away=1 / 6)
        terms["pulling_away"].backward()
        assert fake.grad.isfinite().all()

    def test_needs_a_pair(self):
        with pytest.raises(ValueError, match="at least two samples"):
            PullingAway(2).generator(torch.ones(1, 2), CODED)
        assert PullingAway(2).generator(torch.ones(2, 2), CODED)["pulling_away"].item() == pytest.approx(0.1)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_runs_in_single_precision_under_autocast(self, dtype):
        fake = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, -3.0, 1.0]], dtype=dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (fake.float() @ fake.float().T).dtype == torch.bfloat16  # autocast is at work
            value = PullingAway(3, weight=1.0).generator(fake, CODED)["pulling_away"]
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx((1 / 2 + 4 / 22 + 1 / 11) / 3, rel=1e-6)

    def test_weight_is_not_negative(self):
        with pytest.raises(ValueError, match=r"^weight must be at least 0"):
            PullingAway(3, weight=-0.1)


@pytest.mark.parametrize("head", [Classification, MutualInformation, PullingAway])
def test_outputs_are_at_least_one(head):
    with pytest.raises(ValueError, match=r"^outputs must be at least 1, got 0"):
        head(0)


@pytest.mark.parametrize("head", [Classification(3), MutualInformation(12), PullingAway(3)])
def test_is_frozen(head):
    with pytest.raises(FrozenInstanceError):
        head.outputs = 4


def test_packs_are_only_for_embeddings():
    assert Classification(3).per_sample is True
    assert MutualInformation(12).per_sample is True
    assert PullingAway(3).per_sample is False


@pytest.mark.parametrize(
    ("head", "fake", "drawn"),
    [
        (Classification(3, 0.5, 0.25), FAKE, LABELLED),
        (MutualInformation(7, (3, 2), 2, 0.5), posteriors(), CODED),
        (PullingAway(3, 0.5), embeddings(), CODED),
    ],
)
def test_gradients_are_those_of_finite_differences(head, fake, drawn):
    def generator(columns):
        return sum(head.generator(columns, drawn).values())

    def discriminator(real, columns):
        return sum(head.discriminator(real, columns, REAL_LABELS, drawn).values())

    fake = fake.clone().requires_grad_()
    assert torch.autograd.gradcheck(generator, fake)
    if isinstance(head, Classification):
        assert torch.autograd.gradcheck(discriminator, (REAL.clone().requires_grad_(), fake))
    if isinstance(head, MutualInformation):
        assert torch.autograd.gradcheck(lambda columns: discriminator(columns.detach(), columns), fake)


def test_only_a_classifier_needs_labels():
    heads = (Classification(3), MutualInformation(12), PullingAway(3))
    assert [head.needs_labels for head in heads] == [True, False, False]
