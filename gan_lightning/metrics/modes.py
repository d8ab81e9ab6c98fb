"""How many modes of a mixture of Gaussians samples reach, and how well, by the rule of VEEGAN and PacGAN.

Samples are (N, d), centres (K, d), in one unit; `std` is each Gaussian's standard deviation, in every direction. A
sample is of high quality if it lies within 3 standard deviations (Euclidean) of its nearest centre: of the mixture's
own samples in the plane, 1 - exp(-4.5) = 98.9 % do. Source: Lin et al. 2018, arXiv:1712.04086, section 4.1, after
Srivastava et al. 2017, arXiv:1705.07761.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gan_lightning.metrics.matrices import as_matrix
from gan_lightning.metrics.observed import Observed

WITHIN = 3.0  # standard deviations


def nearest_modes(
    samples: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """The index (N,) of each sample's nearest centre, and its distance (N,) from it."""
    distances, indices = torch.cdist(samples, centres, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
    return indices, distances


def is_high_quality(samples: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], std: float) -> Bool[Tensor, " n"]:
    """Whether each sample lies within 3 standard deviations of a centre: bool (N,)."""
    return nearest_modes(samples, centres)[1] <= WITHIN * std


def high_quality_share(samples: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], std: float) -> float:
    """The share of samples that are of high quality, 0 to 1."""
    return float(is_high_quality(samples, centres, std).double().mean())


def modes_covered(samples: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], std: float) -> int:
    """How many modes have at least one sample of high quality, 0 to K."""
    return len(nearest_modes(samples, centres)[0][is_high_quality(samples, centres, std)].unique())


def reverse_kl(samples: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]) -> float:
    """KL(generated || real) in nats of the shares of modes, each sample counted for its nearest: 0 to log K.

    The real shares are equal. A mode without samples adds nothing: what makes the divergence grow is that others have
    more than theirs.
    """
    indices, _ = nearest_modes(samples, centres)
    shares = torch.bincount(indices, minlength=len(centres)).double() / len(samples)
    return float(torch.special.xlogy(shares, shares * len(centres)).sum())


@dataclass(frozen=True)
class ModeCoverage:
    """`modes_covered`, `high_quality_share` and `reverse_kl` of samples that should be a known mixture's."""

    higher_is_better: ClassVar[Mapping[str, bool | None]] = {
        "modes_covered": True,
        "high_quality_share": True,
        "reverse_kl": False,
    }
    slow: ClassVar[bool] = False

    def missing(self, real: Observed, fake: Observed) -> str | None:
        return "a known mixture of Gaussians" if real.mixture is None else None

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        assert real.mixture is not None
        samples = as_matrix(fake.samples, "generated samples")
        centres, std = as_matrix(real.mixture.centres, "centres"), real.mixture.std
        return {
            "modes_covered": float(modes_covered(samples, centres, std)),
            "high_quality_share": high_quality_share(samples, centres, std),
            "reverse_kl": reverse_kl(samples, centres),
        }
