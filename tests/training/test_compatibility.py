"""Each refusal and each warning: what triggers it and it alone, and the nearest thing that doesn't."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from gan_lightning.losses.augmentations import InstanceNoise
from gan_lightning.losses.heads import Classification, MutualInformation, PullingAway
from gan_lightning.losses.objectives import BEGAN, EnergyBased, Hinge, RelativisticPaired, Vanilla, Wasserstein
from gan_lightning.losses.regularizers import (
    DRAGAN,
    R1,
    Consistency,
    GradientPenalty,
    OrthogonalRegularization,
    WeightClipping,
)
from gan_lightning.networks.autoencoder import AutoEncoder
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.sampling.latents import Coded, Normal
from gan_lightning.training.compatibility import Circumstances, Parts, cautions, momentum_of, refusals, refuse_data
from gan_lightning.training.gan import GAN

SHAPE = (1, 4, 4)
G = partial(MLPGenerator, 3, SHAPE, hidden_dim=4, blocks=1)
D = partial(MLPDiscriminator, SHAPE, hidden_dim=4, blocks=1)
SGD = partial(torch.optim.SGD, lr=0.01)
CONDITIONAL = {"classes": 5, "label_input": "concat"}
CONSISTENCY = Consistency(transformation=InstanceNoise())


def autoencoder(outputs: int = 1) -> AutoEncoder:
    return AutoEncoder(D(outputs=3), MLPGenerator(3, SHAPE, hidden_dim=4, blocks=1), outputs=outputs)


def sigmoid(network: Any) -> Any:
    """The network, ending in a sigmoid."""
    network.last = nn.Sigmoid()
    return network


# (generator, discriminator, objective, regularizers, heads), and some words of the one reason, or None.
COMBINATIONS: dict[str, tuple[Any, Any, Any, dict[str, Any], dict[str, Any], str | None]] = {
    "outputs": (G(), D(outputs=2), Vanilla(), {}, {}, r"gives 2 numbers .* reads 1: .*outputs=1"),
    "outputs of heads": (
        G(**CONDITIONAL),
        D(outputs=6),
        Vanilla(),
        {},
        {"classification": Classification(5), "apart": PullingAway(4)},
        r"gives 6 .* reads 10: its logit and 5 for classification and 4 for apart; .*outputs=10",
    ),
    "outputs that fit": (
        G(**CONDITIONAL),
        D(outputs=10),
        Vanilla(),
        {},
        {"classification": Classification(5), "apart": PullingAway(4)},
        None,
    ),
    "energy": (G(), D(), EnergyBased(1.0), {}, {}, r"EnergyBased needs .* minus an energy.*network=mlp_autoencoder"),
    "energy of BEGAN": (G(), D(), BEGAN(), {}, {}, r"BEGAN needs .* minus an energy"),
    "an energy": (G(), autoencoder(), BEGAN(), {}, {}, None),
    "no need of an energy": (G(), autoencoder(), Vanilla(), {}, {}, None),
    "sigmoid critic": (
        G(),
        sigmoid(D()),
        Wasserstein(),
        {"c": WeightClipping()},
        {},
        r"Wasserstein needs a critic of any real value.*sigmoid",
    ),
    "sigmoid, of which there is a caution": (G(), sigmoid(D()), Vanilla(), {}, {}, None),
    "batch statistics": (G(), D(norm="batch"), Vanilla(), {"gp": GradientPenalty()}, {}, r"^gp penalises .*norm=none"),
    "batch statistics and R1": (G(), D(norm="batch"), Vanilla(), {"r1": R1()}, {}, r"^r1 penalises"),
    "batch statistics and no gradient": (
        G(),
        D(norm="batch"),
        Vanilla(),
        {"c": CONSISTENCY, "o": OrthogonalRegularization(), "w": WeightClipping()},
        {},
        None,
    ),
    "layer statistics": (G(), D(norm="layer"), Vanilla(), {"gp": GradientPenalty()}, {}, None),
    "clipped and spectral": (
        G(),
        D(norm="spectral"),
        Wasserstein(),
        {"clip": WeightClipping()},
        {},
        r"^clip clips weights that spectral",
    ),
    "clipped alone": (G(), D(), Wasserstein(), {"clip": WeightClipping()}, {}, None),
    "penalised and spectral": (G(), D(norm="spectral"), Wasserstein(), {"gp": GradientPenalty()}, {}, None),
    "packs and classes": (
        G(**CONDITIONAL),
        D(outputs=6, packing=2),
        Vanilla(),
        {},
        {"classes": Classification(5)},
        r"^classes scores single samples, but loss\.packing=2",
    ),
    "packs and codes": (
        G(),
        D(outputs=3, packing=2),
        Vanilla(),
        {},
        {"codes": MutualInformation(2, [2], 0)},
        r"^codes scores single samples",
    ),
    "packs and embeddings": (G(), D(outputs=5, packing=2), Vanilla(), {}, {"apart": PullingAway(4)}, None),
    "classes without labels": (
        G(),
        D(outputs=6),
        Vanilla(),
        {},
        {"classes": Classification(5)},
        r"^classes names the labels of samples, but this generator is told none; use conditioning=auxiliary",
    ),
    "labels of the discriminator alone": (
        G(),
        D(classes=5, label_input="projection"),
        Vanilla(),
        {},
        {},
        r"^the discriminator is told labels, but this generator takes none",
    ),
    "labels of the generator alone": (G(**CONDITIONAL), D(), Vanilla(), {}, {}, None),
    "other classes": (
        G(**CONDITIONAL),
        D(outputs=5),
        Vanilla(),
        {},
        {"classes": Classification(4)},
        r"^classes tells 4 classes apart, but the generator takes 5; set heads\.classes\.outputs=5",
    ),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_refusals(name):
    *parts, reason = COMBINATIONS[name]
    found = list(refusals(Parts(*parts, Normal())))
    assert len(found) == (0 if reason is None else 1)
    generator, discriminator, objective, regularizers, heads = parts
    build = partial(GAN, generator, discriminator, objective, SGD, SGD, regularizers=regularizers, heads=heads)
    if reason is None:
        build()
    else:
        with pytest.raises(ValueError, match=reason) as refusal:
            build()
        assert str(refusal.value) == found[0]


@pytest.mark.parametrize(
    ("generator", "discriminator", "latents", "shape", "reason"),
    [
        (G(), D(), None, SHAPE, None),
        (G(), D(packing=2), None, SHAPE, None),
        (
            MLPGenerator(3, (1, 4, 5), 4, 1),
            D(),
            None,
            SHAPE,
            r"generator makes samples of shape \(1, 4, 5\), but those of the data set have \(1, 4, 4\)",
        ),
        (G(), D(), Coded([4], 1), SHAPE, r"latents of 3 numbers have no room for codes of 5; use a larger network"),
        (G(), nn.Sequential(nn.Flatten(), nn.Linear(16, 1)), None, SHAPE, r"output for 4 inputs has shape \(4, 1\)"),
    ],
)
def test_data_that_does_not_fit(generator, discriminator, latents, shape, reason):
    if not isinstance(discriminator, MLPDiscriminator):
        inner = discriminator
        discriminator = D()
        discriminator.forward = lambda samples, labels=None: inner(samples)
    model = GAN(generator, discriminator, Vanilla(), SGD, SGD, latents=latents)
    statistics = {name: value.clone() for name, value in model.state_dict().items()}
    if reason is None:
        refuse_data(model.parts, model.adapter(), torch.rand(4, *shape))
    else:
        with pytest.raises(ValueError, match=reason):
            refuse_data(model.parts, model.adapter(), torch.rand(4, *shape))
    assert all(torch.equal(value, statistics[name]) for name, value in model.state_dict().items())
    assert generator.training
    assert discriminator.training


def cautioned(
    objective: Any = None,
    discriminator: Any = None,
    generator: Any = None,
    real: Any = None,
    precision: str = "32-true",
    optimizer: Any = SGD,
    asked_norm: str | None = None,
    **regularizers: Any,
) -> list[str]:
    real = torch.rand(4, *SHAPE) if real is None else real
    model = GAN(
        generator or G(), discriminator or D(), objective or Vanilla(), SGD, optimizer, regularizers=regularizers
    )
    given = Circumstances(model.configure_optimizers()[1], precision, real, asked_norm)
    return list(cautions(model.parts, given))


ADAM, RMSPROP = partial(torch.optim.Adam, lr=1e-3), partial(torch.optim.RMSprop, lr=1e-3)
POINTS = partial(MLPGenerator, 3, (2,), hidden_dim=4, blocks=1)


def signals(low, **options):
    """Networks for signals, and two from `low` up to 0.5."""
    generator = MLPGenerator(3, (1, 4), hidden_dim=4, blocks=1, **options)
    real = torch.tensor([[[low, 0.0, 0.0, 0.5]]] * 2)
    return {"generator": generator, "discriminator": MLPDiscriminator((1, 4), 4, 1), "real": real}


CAUTIONS: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    # Clipping with momentum
    ({"clip": WeightClipping(), "optimizer": ADAM}, r"^clip with momentum \(Adam, 0\.9\).*use RMSprop"),
    ({"clip": WeightClipping(), "optimizer": partial(SGD, momentum=0.5)}, r"^clip with momentum \(SGD, 0\.5\)"),
    ({"clip": WeightClipping(), "optimizer": partial(ADAM, betas=[0.0, 0.9])}, None),
    ({"clip": WeightClipping(), "optimizer": RMSPROP}, None),
    ({"gp": GradientPenalty(), "optimizer": ADAM}, None),
    # Nothing keeps the critic Lipschitz
    ({"objective": Wasserstein()}, r"^Wasserstein with a critic that nothing keeps Lipschitz.*gradient_penalty"),
    ({"objective": Wasserstein(), "c": CONSISTENCY}, r"nothing keeps Lipschitz"),
    ({"objective": Wasserstein(), "o": OrthogonalRegularization()}, r"nothing keeps Lipschitz"),
    ({"objective": Wasserstein(), "n": InstanceNoise()}, r"nothing keeps Lipschitz"),
    ({"objective": Wasserstein(), "gp": GradientPenalty()}, None),
    ({"objective": Wasserstein(), "d": DRAGAN()}, None),
    ({"objective": Wasserstein(), "clip": WeightClipping()}, None),
    ({"objective": Wasserstein(), "discriminator": D(norm="spectral")}, None),
    ({"objective": Hinge()}, None),
    # A sigmoid
    ({"discriminator": sigmoid(D())}, r"^the discriminator ends in a sigmoid, but losses take logits"),
    ({"discriminator": sigmoid(D()), "objective": RelativisticPaired()}, r"^the discriminator ends in a sigmoid"),
    # A recipe's spectral normalisation
    ({"objective": Hinge(), "asked_norm": "spectral"}, r"^the loss's recipe asks for a spectrally normalised"),
    ({"objective": Hinge(), "asked_norm": "spectral", "discriminator": D(norm="spectral")}, None),
    ({"objective": Hinge(), "asked_norm": "none"}, None),
    # Half precision
    ({"precision": "16-mixed", "r1": R1()}, r"^trainer\.precision=16-mixed with r1.*bf16-mixed"),
    ({"precision": "16-mixed"}, None),
    ({"precision": "16-mixed", "c": CONSISTENCY}, None),
    ({"precision": "16-mixed", "clip": WeightClipping()}, None),
    ({"precision": "bf16-mixed", "r1": R1()}, None),
    # The range of samples
    ({"generator": G(output_activation="sigmoid")}, r"^the generator ends in a sigmoid.*output_activation=tanh"),
    ({"generator": G(output_activation="none")}, None),
    (signals(-1.0, output_activation="sigmoid"), r"^the generator ends in a sigmoid.* by the negative ones; use"),
    (signals(0.0, output_activation="sigmoid"), None),
    (signals(-1.0), None),
    (signals(-1.25), r"^the generator ends in tanh.* reach 1\.25; use network\.generator\.output_activation=none"),
    (signals(-1 - 1e-7), None),
    (
        {"generator": POINTS(), "discriminator": MLPDiscriminator((2,), 4, 1), "real": torch.tensor([[0.0, -1.25]])},
        r"^the generator ends in tanh.* reach 1\.25; use network\.generator\.output_activation=none",
    ),
    ({"generator": POINTS(), "discriminator": MLPDiscriminator((2,), 4, 1), "real": torch.tensor([[1.0, -1]])}, None),
    (
        {
            "generator": POINTS(output_activation="none"),
            "discriminator": MLPDiscriminator((2,), 4, 1),
            "real": torch.tensor([[0.0, -1.25]]),
        },
        None,
    ),
]


@pytest.mark.parametrize(("parts", "reason"), CAUTIONS)
def test_cautions(parts, reason):
    found = cautioned(**parts)
    assert len(found) == (0 if reason is None else 1), found
    if reason is not None:
        with pytest.raises(ValueError, match=reason):
            raise ValueError(found[0])


@pytest.mark.parametrize(
    ("factory", "momentum"),
    [
        (SGD, 0.0),
        (partial(SGD, momentum=0.25), 0.25),
        (RMSPROP, 0.0),
        (partial(RMSPROP, momentum=0.5), 0.5),
        (ADAM, 0.9),
        (partial(torch.optim.AdamW, betas=(0.125, 0.9)), 0.125),
        (torch.optim.Adagrad, 0.0),
    ],
)
def test_momentum(factory, momentum):
    assert momentum_of(factory([nn.Parameter(torch.zeros(1))])) == momentum
