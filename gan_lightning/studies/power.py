"""Effect sizes, and how many seeds it takes to see one (Colas et al. 2018, "How Many Random Seeds?")."""

from functools import cache
from math import exp, inf, lgamma

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr
from scipy.stats import chi2
from scipy.stats import t as student

from gan_lightning.studies.statistics import Floats

ALPHA = 0.05
POWER = 0.8
FEWEST_SEEDS = 3  # that tell anything: two differences have one degree of freedom, and no effect can be had of them
MOST_SEEDS = 100
QUANTILES = 400  # that stand for the chi-square distribution; power is exact to 1e-5 with them
HALVINGS = 50


def hedges(freedom: int) -> float:
    """Hedges' factor, by which a standardised difference of so many degrees of freedom is too large: J(m) < 1.

    J(m) = gamma(m / 2) / (sqrt(m / 2) gamma((m - 1) / 2)), Hedges 1981, J. Educ. Stat. 6, equation 6e. With one degree
    of freedom there is no unbiased effect, and J is 0.
    """
    if freedom < 2:
        return 0.0
    return exp(lgamma(freedom / 2) - lgamma((freedom - 1) / 2)) / float(np.sqrt(freedom / 2))


def power(effect: ArrayLike, seeds: ArrayLike, alpha: float = ALPHA, paired: bool = True) -> Floats:
    """The chance that a two-sided t-test at `alpha` tells a standardised difference, by the noncentral t distribution.

    `effect` is the difference by the standard deviation of pairs' differences, or by that within a configuration if
    they are not `paired`; `seeds` are those of each configuration; both broadcast, (...) to (...).

    P(|T| > c) = E[Phi(d - c S) + Phi(-d - c S)] with noncentrality d and S^2 a chi-square by its degrees of freedom: a
    mean over quantiles of S, since scipy's nct stops at large noncentralities.
    """
    scale, critical = _noncentral(np.asarray(seeds, dtype=np.float64), alpha, paired)
    return _found(np.asarray(effect, dtype=np.float64) * scale, critical)


def _noncentral(seeds: Floats, alpha: float, paired: bool) -> tuple[Floats, Floats]:
    """By which factor (...) an effect becomes a noncentrality, and c S (..., 400) for each quantile of S."""
    freedom, scale = (seeds - 1, np.sqrt(seeds)) if paired else (2 * seeds - 2, np.sqrt(seeds / 2))
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES
    spread = np.sqrt(chi2.ppf(places, freedom[..., None]) / freedom[..., None])
    return scale, student.isf(alpha / 2, freedom)[..., None] * spread


def _found(noncentrality: Floats, critical: Floats) -> Floats:
    centre = noncentrality[..., None]
    found: Floats = (ndtr(centre - critical) + ndtr(-centre - critical)).mean(-1)
    return found


@cache
def detectable(alpha: float, paired: bool) -> Floats:
    """The least effects (98,) that 3, 4, ... 100 seeds tell at `alpha` with a power of 0.8; they fall."""
    scale, critical = _noncentral(np.arange(float(FEWEST_SEEDS), MOST_SEEDS + 1), alpha, paired)
    low, high = np.zeros(len(scale)), critical.max(-1) + 1  # at which the power is more than 0.8, whatever S is
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = _found(middle, critical) >= POWER
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    least: Floats = high / scale
    return least


def seeds_needed(effect: float, alpha: float = ALPHA, paired: bool = True) -> float:
    """The fewest seeds of each configuration that tell an effect with a power of 0.8; infinite beyond 100.

    The effect is one that was observed, often with few seeds, and so is this number a guess. Raises ValueError for NaN.
    """
    if np.isnan(effect):
        raise ValueError("an effect that is NaN needs no seeds")
    enough = np.flatnonzero(detectable(alpha, paired) <= abs(effect))
    return float(enough[0] + FEWEST_SEEDS) if len(enough) else inf
