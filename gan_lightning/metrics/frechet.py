"""The Fréchet distance of two sets of features, taken for Gaussian: FID, where the features are Inception's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gan_lightning.metrics.matrices import as_matrix
from gan_lightning.metrics.observed import Observed


class Moments(NamedTuple):
    """The mean (D,) and the covariance (D, D), with N - 1, of features, both float64."""

    mean: Tensor
    covariance: Tensor


def moments(features: Float[Tensor, "n d"]) -> Moments:
    """The moments of features (N, D), N at least 2. Raises ValueError for fewer, and for those that aren't finite."""
    features = as_matrix(features, "features")
    if len(features) < 2:
        raise ValueError("a covariance needs at least 2 samples")
    mean = features.mean(0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (len(features) - 1))


def _root(covariance: Float64[Tensor, "d d"]) -> Float64[Tensor, "d d"]:
    """A matrix (D, D) whose product with its transpose is the covariance."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root


def distance(one: Moments, other: Moments, root: Float64[Tensor, "d d"] | None = None) -> float:
    """|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)), the squared Wasserstein-2 distance of two Gaussians.

    Dowson & Landau 1982; for FID, Heusel et al. 2017, arXiv:1706.08500, equation 6. With S = R R^T by the symmetric
    eigendecomposition, the last trace is the sum of the singular values of R1^T R2. That is real, and right for
    singular covariances, without the official code's (TTUR) small numbers on the diagonal, its discarded imaginary
    parts of scipy's sqrtm, or eigenvalues of S1 S2, which isn't symmetric (torch-fidelity, torchmetrics). `root` is R1,
    if it is at hand.
    """
    root = _root(one.covariance) if root is None else root
    shared = torch.linalg.svdvals(root.T @ _root(other.covariance)).sum()
    traces = one.covariance.trace() + other.covariance.trace()
    return float((one.mean - other.mean).square().sum() + traces - 2 * shared)


def frechet_distance(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"]) -> float:
    """The `distance` of the moments of features (N, D) and (M, D), at least 0 but for rounding.

    In float64 throughout. Biased: it falls as there are more samples, so that only equal numbers of them compare.
    """
    return distance(moments(real), moments(fake))


@dataclass(frozen=True)
class FrechetDistance:
    """`frechet_distance` of features. Fewer samples than it takes for a covariance of full rank are refused."""

    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"frechet_distance": False}
    slow: ClassVar[bool] = False

    def missing(self, real: Observed, fake: Observed) -> str | None:
        features = fake.features.shape[1]
        enough = min(len(real), len(fake)) > features
        return None if enough else f"more samples than features ({features + 1} for {features})"

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        of_real = real.once("moments", lambda: moments(real.features))
        root = real.once("root of the covariance", lambda: _root(of_real.covariance))
        return {"frechet_distance": distance(of_real, moments(fake.features), root)}
