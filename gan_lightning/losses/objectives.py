"""Objectives: what the discriminator and the generator minimise, as functions of the discriminator's logits.

An objective is a frozen dataclass whose fields are its hyper-parameters. It owns no network, optimizer or logging:

    discriminator(real_logits, fake_logits) -> Terms     minimised by the discriminator
    generator(fake_logits, real_logits)     -> Terms     minimised by the generator
    score(logits)                           -> Tensor    what the paper calls D(x): a probability, or the critic's value

Logits have shape (N,) or (N, 1) and any real value. `Terms` maps a term's name to a scalar; whoever trains adds them up
and logs them apart. `uses_real` says whether the generator's loss looks at `real_logits`; when it does not, None is
given and the discriminator's pass over the real images is spared.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

Terms = dict[str, Tensor]


class Objective(Protocol):
    """The interface above; any class with these four members is an objective."""

    uses_real: ClassVar[bool]

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Terms: ...

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Terms: ...

    def score(self, logits: Tensor) -> Tensor: ...

    def diagnostics(self, real_logits: Tensor, fake_logits: Tensor) -> Terms: ...


@dataclass(frozen=True)
class Vanilla:
    """Goodfellow et al. 2014 (arXiv:1406.2661): binary cross-entropy on logits.

    Discriminator: -E log D(x) - E log(1 - D(G(z))) with D = sigmoid(logit), the sum of the paper's two expectations
    (equation 1 with its sign turned); many codes halve it. Generator, non-saturating (the paper's section 3, default):
    -E log D(G(z)). Saturating (equation 1): E log(1 - D(G(z))), whose gradient vanishes once D rejects every fake.
    All four logarithms are computed as softplus of a logit, so no logit overflows or loses its gradient to rounding.
    """

    saturating: bool = False
    uses_real: ClassVar[bool] = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Terms:
        return {"adversarial": softplus(-real_logits).mean() + softplus(fake_logits).mean()}

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Terms:
        loss = -softplus(fake_logits).mean() if self.saturating else softplus(-fake_logits).mean()
        return {"adversarial": loss}

    def score(self, logits: Tensor) -> Tensor:
        """D(x) in [0, 1]: the probability that x is real."""
        return torch.sigmoid(logits)

    def diagnostics(self, real_logits: Tensor, fake_logits: Tensor) -> Terms:
        return {}


@dataclass(frozen=True)
class Wasserstein:
    """Arjovsky et al. 2017 (arXiv:1701.07875), equations 2 and 3: the critic f maximises E f(x) - E f(G(z)).

    The critic minimises the negative of that; the generator minimises -E f(G(z)). Only with a critic that is kept
    Lipschitz (by weight clipping or a gradient penalty) does the gap estimate a multiple of the Wasserstein-1 distance.
    """

    uses_real: ClassVar[bool] = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Terms:
        return {"adversarial": fake_logits.mean() - real_logits.mean()}

    def generator(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Terms:
        return {"adversarial": -fake_logits.mean()}

    def score(self, logits: Tensor) -> Tensor:
        """The critic's value, unbounded."""
        return logits

    def diagnostics(self, real_logits: Tensor, fake_logits: Tensor) -> Terms:
        """The critic's estimate of the distance, up to its Lipschitz constant."""
        return {"wasserstein_estimate": real_logits.mean() - fake_logits.mean()}
