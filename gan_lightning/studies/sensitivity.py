"""Which of the settings that were swept a number depends on."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any

import numpy as np
from scipy.stats import chi2, rankdata

from gan_lightning.studies.comparisons import holm
from gan_lightning.studies.statistics import Floats, Summary, as_floats, summarise

MOST_LEVELS = 8  # of numbers that stand for themselves; more are parted into QUARTERS
QUARTERS = 4
Setting = Mapping[str, Any]  # a run's value of each swept key


@dataclass(frozen=True)
class Level:
    """A value of a key, or a range of them, and the numbers of the runs that had it, whatever else they had."""

    name: str
    summary: Summary


@dataclass(frozen=True)
class Sensitivity:
    """How a number depends on one key, by the ranks of the runs, so that one gone astray weighs no more than others.

    - `share`: the part of the ranks' variance that the key's levels explain, 0 to 1: epsilon squared of Kruskal and
      Wallis, (H - k + 1) / (n - k), no less than 0. In a balanced grid the shares of all keys and of what they do
      together come to 1, but for chance. None if there are as many levels as runs.
    - `p` of Kruskal and Wallis's test (1952), by the chi-square distribution, and `adjusted` by Holm over the keys.
    - `slope`: Spearman's correlation of key and number if the key is `numeric`; positive if the number rises with it.
    - `balanced`: whether each level met the same values of the other keys equally often. If not, their effects are in
      this one's too.
    """

    key: str
    numeric: bool
    levels: tuple[Level, ...]
    share: float | None
    p: float | None
    slope: float | None
    balanced: bool
    adjusted: float | None = None


def sensitivity(
    settings: Sequence[Setting], numbers: Iterable[float | None], higher_is_better: bool | None
) -> list[Sensitivity]:
    """Of each key with several values in the runs' settings (n,), those first that explain most of the numbers (n,).

    A key that a run lacks has the value None there. Failed runs (None, NaN, infinite) share the worst rank, since a
    setting that makes runs fail is the worst one; without a direction they are left out. Raises ValueError unless there
    is a number for each setting.
    """
    values = as_floats(numbers)
    if len(values) != len(settings):
        raise ValueError(f"there must be a number for each of {len(settings)} settings, got {len(values)}")
    keys = list(dict.fromkeys(key for setting in settings for key in setting))
    columns = {key: _levels([setting.get(key) for setting in settings]) for key in keys}
    columns = {key: levels for key, levels in columns.items() if len(set(levels)) > 1}
    there = np.isfinite(values)
    scores = np.where(there, values, nan if higher_is_better is None else -inf if higher_is_better else inf)
    found = [_of_key(key, [setting.get(key) for setting in settings], columns, values, scores) for key in columns]
    adjusted = iter(holm([each.p for each in found if each.p is not None]))
    found = [each if each.p is None else replace(each, adjusted=next(adjusted)) for each in found]
    return sorted(found, key=lambda each: -1.0 if each.share is None else each.share, reverse=True)


def _of_key(
    key: str, given: Sequence[Any], columns: Mapping[str, Sequence[str]], values: Floats, scores: Floats
) -> Sensitivity:
    levels = columns[key]
    kept = ~np.isnan(scores)
    ranks = rankdata(scores[kept])
    share, p = kruskal(ranks, [level for level, keep in zip(levels, kept, strict=True) if keep])
    numeric = all(map(_is_number, given))
    order = _in_order(given, levels)
    return Sensitivity(
        key=key,
        numeric=numeric,
        levels=tuple(Level(name, summarise(values[[level == name for level in levels]].tolist())) for name in order),
        share=share,
        p=p,
        slope=correlation(rankdata(np.array(given, dtype=np.float64)[kept]), ranks) if numeric else None,
        balanced=_is_balanced(levels, [column for other, column in columns.items() if other != key]),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _levels(given: Sequence[Any]) -> list[str]:
    """The name of each run's level: its value, or of more than eight numbers a quarter of the runs, by its ends."""
    if not all(map(_is_number, given)) or len(set(given)) <= MOST_LEVELS:
        return [str(value) for value in given]
    numbers = np.array(given, dtype=np.float64)
    inner = np.quantile(numbers, np.arange(1, QUARTERS) / QUARTERS)
    places = np.searchsorted(inner, numbers)
    ends = [(numbers[places == place].min(), numbers[places == place].max()) for place in places]
    return [f"{low:g} to {high:g}" for low, high in ends]


def _in_order(given: Sequence[Any], levels: Sequence[str]) -> list[str]:
    """The levels' names, numbers in their order, others in that of the runs."""
    pairs = list(zip(given, levels, strict=True))
    return list(dict.fromkeys(level for _, level in (sorted(pairs) if all(map(_is_number, given)) else pairs)))


def _is_balanced(levels: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    met: dict[str, Counter[tuple[str, ...]]] = {}
    for level, *rest in zip(levels, *others, strict=True):
        met.setdefault(level, Counter())[tuple(rest)] += 1
    counts = list(met.values())
    return all(each == counts[0] for each in counts)


def kruskal(ranks: Floats, levels: Sequence[str]) -> tuple[float | None, float | None]:
    """The share of the ranks' (n,) variance that levels explain, and the p of Kruskal and Wallis's test.

    H is (n - 1) times the sum of squares between levels by that in all, which has the correction for ties in it. None
    for both with one level or as many as ranks; where all ranks are tied nothing is explained, and p is 1.
    """
    names = np.array(levels, dtype=object)
    groups = [ranks[names == name] for name in dict.fromkeys(levels)]
    count, freedom = len(ranks), len(groups) - 1
    if freedom < 1 or count <= len(groups):
        return None, None
    total = float(((ranks - ranks.mean()) ** 2).sum())
    if total == 0:
        return 0.0, 1.0
    between = sum(len(group) * float(group.mean() - ranks.mean()) ** 2 for group in groups)
    statistic = (count - 1) * between / total
    return max(0.0, (statistic - freedom) / (count - len(groups))), float(chi2.sf(statistic, freedom))


def correlation(one: Floats, other: Floats) -> float | None:
    """Pearson's correlation of two arrays (n,); None if either is constant."""
    left, right = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((left @ left) * (right @ right)))
    return float(left @ right) / scale if scale > 0 else None
