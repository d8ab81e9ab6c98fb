"""What the module hands to which part: labels, packs, altered samples, penalties, heads and an objective's state."""

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gan_lightning.losses.augmentations import InstanceNoise
from gan_lightning.losses.heads import Classification, Drawn, MutualInformation, PullingAway
from gan_lightning.losses.objectives import BEGAN, Hinge, RelativisticPaired, Vanilla, Wasserstein
from gan_lightning.losses.regularizers import (
    DRAGAN,
    R1,
    R2,
    Consistency,
    GradientPenalty,
    LipschitzPenalty,
    OrthogonalRegularization,
    ZeroCenteredPenalty,
)
from gan_lightning.networks.autoencoder import AutoEncoder
from gan_lightning.networks.discriminator import pack
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.sampling.latents import Coded
from gan_lightning.schedules import Clock, Linear
from gan_lightning.training.gan import GAN
from gan_lightning.training.timetable import START

SHAPE = (2, 3, 3)
CLASSES = 5
LATENT = 3
SGD = partial(torch.optim.SGD, lr=0.01)
GeneratorMLP = partial(MLPGenerator, LATENT, SHAPE, hidden_dim=6, blocks=1)
DiscriminatorMLP = partial(MLPDiscriminator, SHAPE, hidden_dim=6, blocks=1)


class Steps(GAN):
    """The module without a trainer."""

    def both(
        self, real: Tensor, labels: Tensor | None = None, number: int = 0, clock: Clock = START
    ) -> dict[str, float]:
        """A step of each network on one minibatch, and what it would log."""
        optimizers = self.configure_optimizers()
        regularizers = self.timetable.at(clock).regularizers
        real_mean = self.discriminator_step(real, optimizers[1], labels, number=number, regularizers=regularizers)
        self.generator_step(real, optimizers[0], labels, regularizers=regularizers, real_mean=real_mean)
        return self.means.take()


class Spy:
    """Keeps the arguments and the results of a network's calls."""

    def __init__(self, network: nn.Module) -> None:
        self.inputs: list[Tensor] = []
        self.labels: list[Tensor | None] = []
        self.outputs: list[Tensor] = []
        network.register_forward_hook(self.keep)

    def keep(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        self.inputs.append(arguments[0])
        self.labels.append(arguments[1] if len(arguments) > 1 else None)
        self.outputs.append(output)


def samples(count: int = 6) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(7)) * 2 - 1


LABELS = torch.tensor([3, 0, 4, 1, 1, 2])


# Labels


@pytest.mark.parametrize("norm", ["none", "batch"], ids=["one pass", "two passes"])
@pytest.mark.parametrize(
    ("of_generator", "of_discriminator"),
    [("none", "none"), *itertools.product(("concat", "norm"), ("none", "concat", "projection"))],
)
def test_labels_go_to_the_networks_that_take_any(of_generator, of_discriminator, norm):
    torch.manual_seed(1)
    generator = GeneratorMLP(classes=0 if of_generator == "none" else CLASSES, label_input=of_generator)
    classes = 0 if of_discriminator == "none" else CLASSES
    discriminator = DiscriminatorMLP(norm=norm, classes=classes, label_input=of_discriminator)
    model = Steps(generator, discriminator, Vanilla(), SGD, SGD)
    made, shown = Spy(generator), Spy(discriminator)

    model.both(samples(), LABELS)

    # Once for the discriminator's step and once for the generator's: the minibatch's own labels.
    expected = [None] * 2 if of_generator == "none" else [LABELS.tolist()] * 2
    assert [None if labels is None else labels.tolist() for labels in made.labels] == expected
    told = torch.cat([torch.zeros(0, dtype=torch.int64), *(labels for labels in shown.labels if labels is not None)])
    # Reals, fakes of the discriminator's step and fakes of the generator's.
    assert told.tolist() == ([] if of_discriminator == "none" else LABELS.tolist() * 3)
    assert sum(len(inputs) for inputs in shown.inputs) == 18
    assert len(shown.inputs) == (3 if norm == "batch" else 2)


def test_fakes_are_shown_with_the_labels_they_were_made_from():
    torch.manual_seed(1)
    generator = GeneratorMLP(classes=CLASSES, label_input="concat", norm="none")
    discriminator = DiscriminatorMLP(classes=CLASSES, label_input="concat")
    model = Steps(generator, discriminator, Hinge(), SGD, SGD)
    made, shown = Spy(generator), Spy(discriminator)
    model.discriminator_step(samples(), model.configure_optimizers()[1], LABELS)
    real, fake = shown.inputs[0].chunk(2)
    assert torch.equal(real, samples())
    assert torch.equal(fake, made.outputs[0])
    assert torch.equal(shown.labels[0], torch.cat([LABELS, LABELS]))
    alone = generator(made.inputs[0], LABELS)
    assert torch.equal(fake, alone)
    assert not torch.equal(fake, generator(made.inputs[0], LABELS.flip(0)))


def test_a_generator_without_labels_ignores_those_of_the_data():
    model = Steps(GeneratorMLP(), DiscriminatorMLP(), Vanilla(), SGD, SGD)
    assert model.drawn(6, LABELS).labels is None
    assert model.both(samples(), LABELS).keys() == model.both(samples(), None).keys()


def test_a_penalty_hears_of_no_labels():
    """Its critic is the discriminator at the minibatch's labels."""
    torch.manual_seed(1)
    discriminator = DiscriminatorMLP(classes=CLASSES, label_input="projection")
    spied: list[Tensor] = []

    @dataclass(frozen=True)
    class Look(R1):
        def penalty(self, critic, real, fake):
            spied.append(critic(real))
            return super().penalty(critic, real, fake)

    generator = GeneratorMLP(classes=CLASSES, label_input="concat")
    model = Steps(generator, discriminator, Vanilla(), SGD, SGD, regularizers={"r1": Look(2.0)})
    expected = discriminator(samples(), LABELS)
    assert not torch.allclose(expected, discriminator(samples(), LABELS.flip(0)))
    model.both(samples(), LABELS)
    torch.testing.assert_close(spied[0], expected)


# Packs


@pytest.mark.parametrize("uses_real", [False, True])
def test_the_discriminator_is_shown_packs(uses_real):
    torch.manual_seed(1)
    generator = GeneratorMLP(classes=CLASSES, label_input="concat")
    discriminator = DiscriminatorMLP(packing=3, classes=CLASSES, label_input="projection")
    objective = RelativisticPaired() if uses_real else Vanilla()
    model = Steps(generator, discriminator, objective, SGD, SGD, regularizers={"r1": R1(2.0)})
    made, shown = Spy(generator), Spy(discriminator)

    model.both(samples(), LABELS)

    # Both steps make six fakes. The discriminator sees two packs of reals and two of fakes, R1 those of reals again.
    assert [len(made_samples) for made_samples in made.outputs] == [6, 6]
    counts = [4, 2, 4 if uses_real else 2]
    assert [tuple(inputs.shape) for inputs in shown.inputs] == [(count, 6, 3, 3) for count in counts]
    assert [tuple(labels.shape) for labels in shown.labels] == [(count, 3) for count in counts]
    assert [tuple(logits.shape) for logits in shown.outputs] == [(count,) for count in counts]
    assert torch.equal(shown.inputs[0][:2], pack(samples(), 3))
    assert torch.equal(shown.inputs[0][0, 2:4], samples()[1])
    assert torch.equal(shown.inputs[0][2:], pack(made.outputs[0], 3))
    assert shown.labels[1].tolist() == LABELS.view(2, 3).tolist()


# Transformations


@dataclass(frozen=True)
class Scale:
    """Multiplies samples, and keeps what it was given."""

    factor: float
    seen: list[Tensor]
    needs_images: ClassVar[bool] = False

    def transform(self, samples: Tensor) -> Tensor:
        self.seen.append(samples)
        return samples * self.factor


@pytest.mark.parametrize("uses_real", [False, True])
def test_all_that_the_discriminator_sees_is_transformed(uses_real):
    torch.manual_seed(1)
    generator, discriminator = GeneratorMLP(), DiscriminatorMLP(packing=2)
    first, second = Scale(-2.0, []), Scale(0.25, [])
    regularizers = {"first": first, "r1": R1(1.0), "second": second}
    objective = RelativisticPaired() if uses_real else Vanilla()
    model = Steps(generator, discriminator, objective, SGD, SGD, regularizers=regularizers)
    made, shown = Spy(generator), Spy(discriminator)

    model.both(samples())

    # Real, then fake, then real for the penalty in the discriminator's step; in the generator's the reals only if its
    # loss looks at them.
    in_order = [samples(), made.outputs[0], samples(), *([samples()] if uses_real else []), made.outputs[1]]
    assert len(first.seen) == len(second.seen) == len(in_order)
    for given, then, sample in zip(first.seen, second.seen, in_order, strict=True):
        assert torch.equal(given, sample)
        assert torch.equal(then, sample * -2)  # in the order of the configuration, before samples are packed
    both = torch.cat([pack(samples() * -0.5, 2), pack(made.outputs[0] * -0.5, 2)])
    assert torch.equal(shown.inputs[0], both)
    assert torch.equal(shown.inputs[1], pack(samples() * -0.5, 2))  # of the penalty
    assert torch.equal(shown.inputs[-1][-3:], pack(made.outputs[1] * -0.5, 2))


def test_the_generator_learns_through_a_transformation():
    gradients = []
    for factor in (1.0, -3.0):
        torch.manual_seed(1)
        generator, discriminator = GeneratorMLP(norm="none"), DiscriminatorMLP()
        nn.init.zeros_(discriminator.layers[1].bias)  # the critic is linear where its one hidden layer is
        discriminator.layers[3] = nn.Identity()
        model = Steps(generator, discriminator, Wasserstein(), SGD, SGD, regularizers={"scale": Scale(factor, [])})
        torch.manual_seed(2)
        model.generator_step(samples(), model.configure_optimizers()[0])
        gradients.append(generator.layers[0].weight.grad.clone())
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients[1], -3 * gradients[0])


def test_r1_beside_an_augmentation_is_of_the_gradient_through_it():
    linear = nn.Linear(18, 1)
    discriminator = nn.Sequential(nn.Flatten(), linear, nn.Flatten(0))
    regularizers = {"r1": R1(3.0), "twice": Scale(2.0, [])}
    model = Steps(GeneratorMLP(), discriminator, Vanilla(), SGD, SGD, regularizers=regularizers)
    slope = linear.weight.detach().clone()
    terms = model.both(samples())
    # The gradient of f(2 x) is 2 w: 3 / 2 times its square.
    assert terms["loss/discriminator/r1"] == pytest.approx(1.5 * 4 * float(slope.square().sum()))


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize(
    "penalty", [R1(), R2(), GradientPenalty(), LipschitzPenalty(), ZeroCenteredPenalty(), DRAGAN()], ids=repr
)
def test_gradients_are_those_in_samples_before_an_augmentation(penalty, packing):
    norms = []
    for factor in (1.0, 2.0):
        torch.manual_seed(1)
        generator, discriminator = GeneratorMLP(), DiscriminatorMLP(packing=packing)
        for layer in discriminator.modules():  # without biases, a multiple of a point has the point's gradient
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
        regularizers = {"penalty": penalty, "scale": Scale(factor, [])}
        model = Steps(generator, discriminator, Vanilla(), SGD, SGD, regularizers=regularizers)
        torch.manual_seed(2)
        norms.append(model.both(samples())["regularizer/penalty/gradient_norm"])
    assert norms[1] == pytest.approx(2 * norms[0], rel=1e-5)


def test_consistency_alters_what_is_already_augmented():
    own: list[Tensor] = []
    consistency = Consistency(transformation=Scale(-1.0, own))
    regularizers = {"scale": Scale(2.0, []), "consistency": consistency}
    discriminator = DiscriminatorMLP()
    shown = Spy(discriminator)
    Steps(GeneratorMLP(), discriminator, Vanilla(), SGD, SGD, regularizers=regularizers).both(samples())
    assert torch.equal(own[0], samples() * 2)
    assert torch.equal(shown.inputs[1], samples() * 2)
    assert torch.equal(shown.inputs[2], samples() * -2)


def test_no_gradient_reaches_the_generator_in_the_discriminators_step():
    generator = GeneratorMLP()
    model = Steps(generator, DiscriminatorMLP(), Vanilla(), SGD, SGD, regularizers={"noise": InstanceNoise(0.5)})
    model.discriminator_step(samples(), model.configure_optimizers()[1])
    assert all(parameter.grad is None for parameter in generator.parameters())


# Lazy penalties


def test_lazy_penalties_are_due_at_each_so_many_discriminator_steps(tiny, monkeypatch):
    """The count goes on over iterations, whose numbers of steps are 4, 2, 2, 4, 2, …"""
    numbers, due = [], {"r1": [], "orthogonal": []}
    step, penalty, weights = GAN.discriminator_step, R1.penalty, OrthogonalRegularization.weight_penalty

    def count(self, *arguments, **options):
        numbers.append(len(numbers))
        return step(self, *arguments, **options)

    def spy(name, original):
        def call(self, *arguments):
            due[name].append(numbers[-1])
            return original(self, *arguments)

        return call

    monkeypatch.setattr(GAN, "discriminator_step", count)
    monkeypatch.setattr(R1, "penalty", spy("r1", penalty))
    monkeypatch.setattr(OrthogonalRegularization, "weight_penalty", spy("orthogonal", weights))
    every = ["regularizer.r1.every=3", "regularizer.orthogonal.every=4"]
    boosts = [
        "loss.n_critic=2",
        "loss.critic_updates.boost=4",
        "loss.critic_updates.boost_first=0",
        "loss.critic_updates.boost_every=3",
    ]
    trained = tiny("run", "regularizer=[r1,orthogonal]", *every, *boosts, "trainer.max_steps=5")
    assert len(numbers) == 14
    assert due == {"r1": [0, 3, 6, 9, 12], "orthogonal": [0, 4, 8, 12]}
    assert {"loss/discriminator/r1", "regularizer/r1/gradient_norm"} <= trained.run.metrics.keys()


def test_a_lazy_penalty_counts_as_often_as_it_is_left_out():
    def terms(every, number):
        torch.manual_seed(1)
        regularizers = {"r1": R1(2.0, every=every)}
        model = Steps(GeneratorMLP(), DiscriminatorMLP(), Vanilla(), SGD, SGD, regularizers=regularizers)
        return model.both(samples(), number=number)

    always, due, not_due = terms(1, 6), terms(3, 6), terms(3, 7)
    assert due["loss/discriminator/r1"] == pytest.approx(3 * always["loss/discriminator/r1"], rel=1e-6)
    assert due["loss/discriminator/r1"] > 0
    assert "loss/discriminator/r1" not in not_due
    assert not_due["loss/discriminator"] == pytest.approx(not_due["loss/discriminator/adversarial"], rel=1e-6)
    assert due["loss/discriminator"] == pytest.approx(
        due["loss/discriminator/adversarial"] + due["loss/discriminator/r1"], rel=1e-6
    )


def test_a_scheduled_penalty_has_its_value_at_the_time():
    def term(weight, clock=START):
        torch.manual_seed(1)
        regularizers = {"r1": R1(weight)}
        model = Steps(GeneratorMLP(), DiscriminatorMLP(), Vanilla(), SGD, SGD, regularizers=regularizers)
        return model.both(samples(), clock=clock)["loss/discriminator/r1"]

    assert term(Linear(8.0, 0.0), Clock(3, 0, 4, 0)) == pytest.approx(term(2.0), rel=1e-6)
    assert term(2.0) > 0


# Heads


def test_the_terms_of_heads_are_in_both_losses():
    torch.manual_seed(1)
    generator = GeneratorMLP(classes=CLASSES, label_input="concat", norm="none")
    heads = {"classification": Classification(CLASSES, 0.5, 2.0), "pulling_away": PullingAway(4, 0.25)}
    discriminator = DiscriminatorMLP(outputs=1 + CLASSES + 4)
    model = Steps(generator, discriminator, Vanilla(), SGD, SGD, heads=heads)
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    made, shown = Spy(generator), Spy(discriminator)

    logged = model.both(samples(), LABELS)

    real, fake = shown.outputs[0].chunk(2)
    terms = {
        "adversarial": Vanilla().discriminator(real[:, 0], fake[:, 0])["adversarial"],
        "classification_real": 0.5 * cross_entropy(real[:, 1:6], LABELS),
        "classification_fake": 0.5 * cross_entropy(fake[:, 1:6], LABELS),
    }
    of_generator = {
        "adversarial": Vanilla().generator(shown.outputs[1][:, 0])["adversarial"],
        "classification_fake": 2.0 * cross_entropy(shown.outputs[1][:, 1:6], LABELS),
        **PullingAway(4, 0.25).generator(shown.outputs[1][:, 6:], Drawn(made.inputs[1], LABELS)),
    }
    for network, expected in (("discriminator", terms), ("generator", of_generator)):
        for name, term in expected.items():
            assert logged[f"loss/{network}/{name}"] == pytest.approx(term.item(), rel=1e-5)
        assert {name.rpartition("/")[2] for name in logged if name.startswith(f"loss/{network}/")} == expected.keys()
        assert logged[f"loss/{network}"] == pytest.approx(sum(term.item() for term in expected.values()), rel=1e-5)
    # The step went down the sum: the classes' rows of the last layer have moved.
    moved = (discriminator.head.weight - before["head.weight"]).abs().sum(1)
    assert moved[:6].min() > 0
    assert moved[6:].max() == 0  # the pulling-away term is the generator's alone


def test_codes_are_read_from_the_latents_of_the_fakes():
    torch.manual_seed(1)
    head = MutualInformation(5, [3], 2)
    generator = partial(MLPGenerator, 7, SHAPE, hidden_dim=6, blocks=1)()
    prior = Coded([3], 2)
    model = Steps(generator, DiscriminatorMLP(outputs=6), Vanilla(), SGD, SGD, heads={"info": head}, latents=prior)
    made, shown = Spy(generator), Spy(model.discriminator)

    logged = model.both(samples())

    for number, network in enumerate(("discriminator", "generator")):
        latents, columns = made.inputs[number], shown.outputs[number][-6:, 1:]
        codes = cross_entropy(columns[:, :3], latents[:, 2:5].argmax(1))
        means = (columns[:, 3:] - latents[:, 5:]).square().sum(1).mean() / 2
        assert logged[f"loss/{network}/categorical_codes"] == pytest.approx(codes.item(), rel=1e-5)
        assert logged[f"loss/{network}/continuous_codes"] == pytest.approx(means.item(), rel=1e-5)
    assert not torch.equal(made.inputs[0], made.inputs[1])


def test_a_penalty_differentiates_the_logit_alone():
    def gradient_norm(outputs):
        torch.manual_seed(1)
        heads = {"pulling_away": PullingAway(3)} if outputs > 1 else {}
        discriminator = DiscriminatorMLP(outputs=4)
        if outputs == 1:
            wide = discriminator
            discriminator = DiscriminatorMLP()
            discriminator.layers.load_state_dict(wide.layers.state_dict())
            discriminator.head.load_state_dict({"weight": wide.head.weight[:1], "bias": wide.head.bias[:1]})
        generator = GeneratorMLP()
        model = Steps(generator, discriminator, Vanilla(), SGD, SGD, regularizers={"r1": R1(2.0)}, heads=heads)
        return model.both(samples())["regularizer/r1/gradient_norm"]

    assert gradient_norm(4) == pytest.approx(gradient_norm(1), rel=1e-5)


# An objective's state


def test_began_moves_k_after_the_generators_step():
    torch.manual_seed(1)
    encoder = DiscriminatorMLP(outputs=2)
    discriminator = AutoEncoder(encoder, MLPGenerator(2, SHAPE, hidden_dim=6, blocks=1, norm="none"), "l1")
    objective = BEGAN(gamma=0.75, k_rate=0.5)
    objective.k.fill_(0.25)
    model = Steps(GeneratorMLP(), discriminator, objective, SGD, SGD)
    optimizers, shown = model.configure_optimizers(), Spy(discriminator)

    model.discriminator_step(samples(), optimizers[1])
    assert objective.k.item() == 0.25
    real_mean = model.discriminator_step(samples().flip(0) / 2, optimizers[1])
    assert objective.k.item() == 0.25
    model.generator_step(samples(), optimizers[0], real_mean=real_mean)

    # The reals of the last discriminator step; the fakes of the generator's.
    real, fake = -shown.outputs[1][:6].mean().item(), -shown.outputs[2].mean().item()
    assert objective.k.item() == pytest.approx(min(max(0.25 + 0.5 * (0.75 * real - fake), 0), 1), rel=1e-5)
    assert 0 < objective.k.item() != 0.25
    first, second = model.means.take(), shown.outputs[0]
    losses = [0.25 * outputs[6:].mean().item() - outputs[:6].mean().item() for outputs in (second, shown.outputs[1])]
    assert first["loss/discriminator/adversarial"] == pytest.approx(sum(losses) / 2, rel=1e-5)
    assert first["discriminator/k"] == pytest.approx(0.25)


def test_began_keeps_its_k(tiny, resume, same):
    overrides = ("loss=began", "loss.objective.k_rate=0.1", "loss.objective.gamma=0.9", "checkpoint.keep_every=2")
    lr = [f"loss.optimizer.{network}.lr=1e-3" for network in ("generator", "discriminator")]
    whole = tiny("whole", *overrides, *lr, "trainer.max_steps=5", "trainer.log_every_n_steps=1")
    ks = [float(row["discriminator/k"]) for row in whole.rows()]
    assert ks[0] == 0
    assert len(set(ks)) > 2
    assert whole.checkpoint("iteration=00000002")["state_dict"]["objective.k"] == pytest.approx(ks[2], rel=1e-4)

    stopped = tiny("stopped", *overrides, *lr, "trainer.max_steps=3")
    resumed = resume(stopped.path, "trainer.max_steps=5")
    same(resumed.checkpoint()["state_dict"], whole.checkpoint()["state_dict"])
    assert whole.checkpoint()["state_dict"]["objective.k"] > 0
