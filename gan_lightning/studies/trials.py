"""What a search for hyper-parameters is worth: the best that so many trials are expected to find."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from gan_lightning.studies.statistics import LEVEL, Floats, as_floats, indices

DRAWS = 1000  # of the bootstrap


@dataclass(frozen=True)
class BestOf:
    """The best of k = 1 ... n trials, arrays of (n,), in the number's own unit.

    `expected` is its mean, `deviation` by how much a search of k trials varies about it, and `low` and `high` the 95 %
    interval of the mean, for that the n trials are all that is known. `failed` trials count as the worst of the others.
    """

    expected: Floats
    deviation: Floats
    low: Floats
    high: Floats
    failed: int


def best_of(numbers: Iterable[float | None], higher_is_better: bool) -> BestOf:
    """What to expect of k trials, of the numbers (n,) of n trials whose settings were drawn at random.

    - The mean is that over all subsets of k trials, sum_i v_(i) C(i - 1, k - 1) / C(n, k) with values in rising order:
      unbiased (Tang et al. 2020, "Showing Your Work Doesn't Always Work"), where Dodge et al. 2019 ("Show
      Your Work") draw with replacement, which makes a search look worse than it is.
    - The deviation is Dodge's, with replacement: without it there would be none at k = n, where there is one subset.
    - The interval is a percentile bootstrap of the trials. No resampled trial is better than the best one seen, so it
      is too short where k comes near n: of 20 uniform values it covers 0.95 | 0.88 | 0.81 | 0.61 with k = 1 | 5 | 10 |
      20 of them.

    A trial that failed has cost as much as any, so None, NaN and infinite numbers count as the worst finite one; of
    such alone all is NaN. Raises ValueError for no trials.
    """
    given = as_floats(numbers)
    if not len(given):
        raise ValueError("the best of no trials is not known")
    sign = 1.0 if higher_is_better else -1.0
    finite = np.isfinite(given)
    worst = (sign * given[finite]).min() if finite.any() else np.nan
    values = np.sort(np.where(finite, sign * given, worst))
    count = len(values)
    subsets, redrawn = subset_weights(count), redrawn_weights(count)
    centred = values - values[-1]  # so that squares don't cancel
    variance = redrawn @ centred**2 - (redrawn @ centred) ** 2
    drawn = np.sort(values[indices(count, DRAWS, 0)], axis=0)
    ends = np.sort(sign * np.quantile(subsets @ drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=1), axis=0)
    return BestOf(
        expected=sign * (subsets @ values),
        deviation=np.sqrt(np.maximum(variance, 0)),
        low=ends[0],
        high=ends[1],
        failed=int((~finite).sum()),
    )


def subset_weights(count: int) -> Floats:
    """The chance (n, n) that the i-th lowest of n values is the highest of a subset of k: rows k, columns i from 1."""
    k, i = np.ogrid[1 : count + 1, 1 : count + 1]
    logs = _log_choose(np.maximum(i - 1, k - 1), k - 1) - _log_choose(count, k)
    weights: Floats = np.where(i >= k, np.exp(logs), 0.0)
    return weights


def redrawn_weights(count: int) -> Floats:
    """The same chance (n, n) of k values that are drawn with replacement: (i / n)^k - ((i - 1) / n)^k."""
    k, i = np.ogrid[1 : count + 1, 1 : count + 1]
    weights: Floats = (i / count) ** k - ((i - 1) / count) ** k
    return weights


def _log_choose(of: Floats | int, chosen: Floats) -> Floats:
    logs: Floats = gammaln(np.add(of, 1.0)) - gammaln(np.add(chosen, 1.0)) - gammaln(np.subtract(of, chosen) + 1.0)
    return logs
