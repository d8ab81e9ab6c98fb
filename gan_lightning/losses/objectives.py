"""Objectives: what the discriminator and the generator minimise, as functions of the discriminator's logits.

An objective is a frozen dataclass whose fields are its hyper-parameters. It owns no network, optimizer or logging:

    discriminator(real_logits, fake_logits) -> Terms     minimised by the discriminator
    generator(fake_logits, real_logits)     -> Terms     minimised by the generator
    score(logits)                           -> Tensor    what the paper calls D(x): a probability, the critic's value,
                                                         or an energy
    diagnostics(real_logits, fake_logits)   -> Terms     what else is worth logging
    boundary()                              -> float     the logit between what counts as real and what as fake, or None
                                                         where only differences of logits have a meaning

Logits have shape (N,) or (N, 1) and any real value; with every objective, higher means more real. `Terms` maps a
term's name to a scalar; whoever trains adds them up and logs them apart. `uses_real` says whether the generator's loss
looks at `real_logits`; when it does not, None is given and the discriminator's pass over the real images is spared.
`needs_energy` asks for a discriminator whose logits are minus an energy, such as an auto-encoder's reconstruction
error; `needs_lipschitz` says that the critic's loss has no lower bound unless something keeps the critic Lipschitz;
`is_probability` says that the score is the logit's sigmoid, which saturates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_lightning.ranks import mean_of_ranks
from gan_lightning.types import Fraction, PositiveFloat, check_ranges

# "_" stands for any number: there may be more real logits than fake ones.
Logits = Float[Tensor, " _"] | Float[Tensor, "_ 1"]
Terms = dict[str, Float[Tensor, ""]]


class Objective(Protocol):
    """The interface above; any class with these members is an objective."""

    uses_real: ClassVar[bool]
    needs_energy: ClassVar[bool]
    needs_lipschitz: ClassVar[bool]
    is_probability: ClassVar[bool]

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms: ...

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms: ...

    def score(self, logits: Logits) -> Logits: ...

    def diagnostics(self, real_logits: Logits, fake_logits: Logits) -> Terms: ...

    def boundary(self) -> float | None: ...


@runtime_checkable
class Stateful(Protocol):
    """An objective with a state, a torch module whose buffers hold it, that moves on after each generator step.

    `advance` is given two scalars: the mean logit of the last discriminator minibatch's real samples and that of the
    generator step's fakes, each averaged over all processes.
    """

    def advance(self, real_mean: Float[Tensor, ""], fake_mean: Float[Tensor, ""]) -> None: ...


class ObjectiveDefaults:
    """What most objectives share: they ask nothing of the discriminator, and its score is its logit, unbounded."""

    uses_real: ClassVar[bool] = False
    needs_energy: ClassVar[bool] = False
    needs_lipschitz: ClassVar[bool] = False
    is_probability: ClassVar[bool] = False

    def score(self, logits: Logits) -> Logits:
        """The critic's value."""
        return logits

    def diagnostics(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        return {}

    def boundary(self) -> float | None:
        return None


@dataclass(frozen=True)
class Vanilla(ObjectiveDefaults):
    """Goodfellow et al. 2014 (arXiv:1406.2661): binary cross-entropy on logits.

    Discriminator: -E log D(x) - E log(1 - D(G(z))) with D = sigmoid(logit), the sum of the paper's two expectations
    (equation 1 with its sign turned); many codes halve it. Generator, non-saturating (the paper's section 3, default):
    -E log D(G(z)). Saturating (equation 1): E log(1 - D(G(z))), whose gradient vanishes once D rejects every fake.
    All four logarithms are computed as softplus of a logit, so no logit overflows or loses its gradient to rounding.

    `label_smoothing` lowers the target of real samples, and theirs alone, from 1 by that much (Salimans et al. 2016,
    arXiv:1606.03498, section 3.4): smoothed targets for fakes would reward D for staying undecided about them.
    """

    saturating: bool = False
    label_smoothing: Fraction = 0.0
    is_probability: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        # Cross-entropy with the target 1 - s: (1 - s) softplus(-l) + s softplus(l), and softplus(l) - softplus(-l) = l.
        real = softplus(-real_logits)
        if self.label_smoothing:
            real = real + self.label_smoothing * real_logits
        return {"adversarial": real.mean() + softplus(fake_logits).mean()}

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms:
        loss = -softplus(fake_logits).mean() if self.saturating else softplus(-fake_logits).mean()
        return {"adversarial": loss}

    def score(self, logits: Logits) -> Logits:
        """D(x) in [0, 1]: the probability that x is real."""
        return torch.sigmoid(logits)

    def boundary(self) -> float:
        """Log-odds of even chances."""
        return 0.0


@dataclass(frozen=True)
class LeastSquares(ObjectiveDefaults):
    """Mao et al. 2017 (arXiv:1611.04076), equation 2, with its factors 1/2: the discriminator regresses on labels.

    Discriminator: E (D(x) - b)^2 / 2 + E (D(G(z)) - a)^2 / 2; generator: E (D(G(z)) - c)^2 / 2. The defaults are the
    paper's equation 9 (a = 0, b = c = 1); its equation 8, a Pearson chi-squared divergence, is a = -1, b = 1, c = 0.
    """

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        return {"adversarial": ((real_logits - self.b).square().mean() + (fake_logits - self.a).square().mean()) / 2}

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms:
        return {"adversarial": (fake_logits - self.c).square().mean() / 2}

    def boundary(self) -> float:
        """As far from the label of real samples as from that of fakes."""
        return (self.a + self.b) / 2


@dataclass(frozen=True)
class Hinge(ObjectiveDefaults):
    """Lim and Ye 2017 (arXiv:1705.02894), as in SNGAN (Miyato et al. 2018, arXiv:1802.05957, equations 16 and 17).

    Discriminator: E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), which stops at samples beyond the margin of 1; generator:
    -E D(G(z)), without a margin.
    """

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        return {"adversarial": torch.relu(1 - real_logits).mean() + torch.relu(1 + fake_logits).mean()}

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms:
        return {"adversarial": -fake_logits.mean()}

    def boundary(self) -> float:
        """Halfway between the margins."""
        return 0.0


@dataclass(frozen=True)
class Wasserstein(ObjectiveDefaults):
    """Arjovsky et al. 2017 (arXiv:1701.07875), equations 2 and 3: the critic f maximises E f(x) - E f(G(z)).

    The critic minimises the negative of that; the generator minimises -E f(G(z)). Only with a critic that is kept
    Lipschitz (by weight clipping or a gradient penalty) does the gap estimate a multiple of the Wasserstein-1 distance.
    """

    needs_lipschitz: ClassVar[bool] = True

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        return {"adversarial": fake_logits.mean() - real_logits.mean()}

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms:
        return {"adversarial": -fake_logits.mean()}

    def diagnostics(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        """The critic's estimate of the distance, up to its Lipschitz constant."""
        return {"wasserstein_estimate": real_logits.mean() - fake_logits.mean()}


Inner = Literal["softplus", "least_squares", "hinge"]

# What the winner of a comparison has to pay, given by how much it leads.
INNER: dict[Inner, Callable[[Tensor], Tensor]] = {
    "softplus": lambda lead: softplus(-lead),
    "least_squares": lambda lead: (lead - 1).square(),
    "hinge": lambda lead: torch.relu(1 - lead),
}


@dataclass(frozen=True)
class Relativistic(ObjectiveDefaults):
    """What both kinds share: the networks' losses are one function, `contest`, of the two sides' logits, exchanged.

    Its score is the critic's value C(x); a sample has a probability of being real only beside others.
    """

    inner: Inner = "softplus"
    uses_real: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.inner not in INNER:
            raise ValueError(f"inner is {self.inner!r}; there are {', '.join(INNER)}")

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        return {"adversarial": self.contest(real_logits, fake_logits)}

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms:
        """Raises ValueError without the logits of real samples."""
        if real_logits is None:
            raise ValueError("a relativistic generator's loss needs the logits of real samples too")
        return {"adversarial": self.contest(fake_logits, real_logits)}

    def contest(self, winner: Logits, loser: Logits) -> Float[Tensor, ""]:
        """A scalar, the lower the farther `winner` lies above `loser`."""
        raise NotImplementedError


@dataclass(frozen=True)
class RelativisticPaired(Relativistic):
    """Jolicoeur-Martineau 2018 (arXiv:1807.00734): each real sample is compared with one fake.

    With the critic's values C and the inner loss f, softplus(-d), (d - 1)^2 or max(0, 1 - d), the discriminator
    minimises E f(C(x) - C(G(z))) and the generator E f(C(G(z)) - C(x)), without a factor in front. `softplus` is the
    paper's RSGAN and the loss of R3GAN (Huang et al. 2024, arXiv:2501.05441). Raises ValueError if there
    are not as many real samples as fakes.
    """

    def contest(self, winner: Logits, loser: Logits) -> Float[Tensor, ""]:
        if winner.numel() != loser.numel():
            raise ValueError(f"pairs need as many real as fake samples, not {winner.numel()} and {loser.numel()}")
        return INNER[self.inner](winner.flatten() - loser.flatten()).mean()


@dataclass(frozen=True)
class RelativisticAverage(Relativistic):
    """Jolicoeur-Martineau 2018 (arXiv:1807.00734): each sample is compared with the other side's average.

    With the inner loss f of `RelativisticPaired`, the discriminator minimises E f(C(x) - E C(G(z))) +
    E f(E C(x) - C(G(z))), and the generator the same with real and fake exchanged: RaSGAN, RaLSGAN and RaHingeGAN. This
    is the sum of the paper's two expectations, as in `Vanilla`; the official code (AlexiaJM/RelativisticGAN) halves it,
    so that a penalty's weight taken from there is to be doubled. Averages are of the whole minibatch, on whichever
    devices, and gradients flow through them.
    """

    def contest(self, winner: Logits, loser: Logits) -> Float[Tensor, ""]:
        pay = INNER[self.inner]
        winners, losers = mean_of_ranks(torch.stack([winner.mean(), loser.mean()]))
        return pay(winner - losers).mean() + pay(winners - loser).mean()


@dataclass(frozen=True)
class EnergyBased(ObjectiveDefaults):
    """EBGAN (Zhao et al. 2016, arXiv:1609.03126), equations 1 and 2, with energies that are minus the logits.

    The discriminator, an auto-encoder whose energy D(x) is its reconstruction error, minimises
    E D(x) + E max(0, margin - D(G(z))); the generator E D(G(z)). `margin` is in the energy's unit: the paper searches
    it, and a mean of squared errors asks for a smaller one than a sum.
    """

    margin: PositiveFloat
    needs_energy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        return {"adversarial": -real_logits.mean() + torch.relu(self.margin + fake_logits).mean()}

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms:
        return {"adversarial": -fake_logits.mean()}

    def score(self, logits: Logits) -> Logits:
        """The energy D(x): low for what looks real."""
        return -logits


class BEGAN(ObjectiveDefaults, nn.Module):
    """Berthelot et al. 2017 (arXiv:1703.10717), section 3.4, with reconstruction errors L that are minus the logits.

    The discriminator minimises E L(x) - k E L(G(z)), the generator E L(G(z)). The buffer `k`, 0 at first, holds the two
    errors at the ratio `gamma` = E L(G(z)) / E L(x): after each iteration `advance` adds
    k_rate * (gamma E L(x) - E L(G(z))) and clamps to [0, 1]. Low `gamma` means sharp and alike samples, high `gamma`
    diverse ones; the paper uses 0.3 to 0.7, with k_rate = 0.001. In the paper one minibatch of fakes is in both losses
    and in `k`; here each network's step has its own, and `k` follows the generator's.
    """

    gamma: Fraction
    k_rate: PositiveFloat
    k: Tensor
    needs_energy: ClassVar[bool] = True

    def __init__(self, gamma: Fraction = 0.5, k_rate: PositiveFloat = 0.001) -> None:
        super().__init__()
        self.gamma = gamma
        self.k_rate = k_rate
        check_ranges(self)
        self.register_buffer("k", torch.zeros(()))

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        return {"adversarial": self.k * fake_logits.mean() - real_logits.mean()}

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms:
        return {"adversarial": -fake_logits.mean()}

    def score(self, logits: Logits) -> Logits:
        """The reconstruction error L(x): low for what looks real."""
        return -logits

    def diagnostics(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        """The paper's global measure of convergence (section 3.4.1), E L(x) + |gamma E L(x) - E L(G(z))|, and k."""
        real, fake = -mean_of_ranks(torch.stack([real_logits.mean(), fake_logits.mean()]))
        return {"convergence": real + (self.gamma * real - fake).abs(), "k": self.k.clone()}

    @torch.no_grad()
    def advance(self, real_mean: Float[Tensor, ""], fake_mean: Float[Tensor, ""]) -> None:
        """Moves k in place; the arguments are those of `Stateful`."""
        self.k.add_(self.k_rate * (fake_mean - self.gamma * real_mean)).clamp_(0, 1)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}, k_rate={self.k_rate}"
