"""What a comparison comes to, in a sentence."""

from collections.abc import Sequence
from math import floor, isfinite, isinf, log10

from gan_lightning.studies.comparisons import Comparison
from gan_lightning.studies.power import ALPHA, FEWEST_SEEDS, MOST_SEEDS

MOST_DECIMALS = 6


def sentence(comparison: Comparison, metric: str) -> str:
    """Which of two configurations is better on a metric, by how much, or that it can't be told.

    No full stop at its end. Numbers are in the metric's unit, with the 95 % interval of the difference.
    """
    if not all(comparison.counts):
        return _missing(comparison, metric)
    if comparison.difference == 0 and comparison.ties == comparison.pairs:
        said = f"{comparison.first} and {comparison.second} are equal on {metric}, {_of_all(comparison)}"
    elif comparison.told:
        said = f"{_verdict(comparison, metric)}, {_score(comparison)}"
    else:
        said = _undecided(comparison, metric)
    return said + _failures(comparison)


def _missing(comparison: Comparison, metric: str) -> str:
    pairs = zip((comparison.first, comparison.second), comparison.counts, strict=True)
    names = " and ".join(name for name, count in pairs if not count)
    return (
        f"{comparison.first} and {comparison.second} can't be compared on {metric}: no number of {names}"
        + _failures(comparison)
    )


def _verdict(comparison: Comparison, metric: str) -> str:
    is_higher = comparison.difference > 0
    amount = _amount(comparison)
    if comparison.higher_is_better is None:
        number, relation, interval = amount.partition(" higher" if is_higher else " lower")
        return f"{comparison.first} is{relation} than {comparison.second} on {metric}, by {number}{interval}"
    relation = "better" if is_higher == comparison.higher_is_better else "worse"
    return f"{comparison.first} is {relation} than {comparison.second} on {metric}: {amount}"


def _amount(comparison: Comparison) -> str:
    """How much the first is higher or lower, with an interval of that."""
    difference, interval = comparison.difference, comparison.interval
    if difference == 0:
        sign, word = 1, " apart"
    else:
        sign, word = (1, " higher") if difference > 0 else (-1, " lower")
    if interval is None:
        return shown([abs(difference)], 0)[0] + word
    ends = sorted(sign * end for end in interval)
    amount, low, high = shown([abs(difference), *ends], ends[1] - ends[0])
    return f"{amount}{word} [{low}, {high}]"


def _score(comparison: Comparison) -> str:
    """How many seeds bear the verdict out, which is about the first being better or worse."""
    is_reversed = (comparison.difference > 0) == (comparison.higher_is_better is False)
    losses = comparison.pairs - comparison.wins - comparison.ties
    wins = losses if is_reversed else comparison.wins
    unit = "seed" if comparison.paired else "pair of seeds"
    ties = f", {_count(comparison.ties, 'tie')}" if comparison.ties else ""
    return f"{wins} of {_count(comparison.pairs, unit)}{ties}"


def _undecided(comparison: Comparison, metric: str) -> str:
    one, other = comparison.used
    seeds = _count(one, "seed") if one == other else f"{one} and {_count(other, 'seed')}"
    chance = ""
    if comparison.p is not None and comparison.p < ALPHA:
        chance = f", which may be chance among {_count(comparison.family, 'comparison')}"
    said = f"{seeds} can't tell {comparison.first} from {comparison.second} on {metric} ({_amount(comparison)}{chance})"
    if min(comparison.used) < FEWEST_SEEDS:
        return f"{said}; it takes {FEWEST_SEEDS} at least"
    if comparison.needed is None:
        return said
    if isinf(comparison.needed):
        return f"{said}; more than {MOST_SEEDS} would be needed"
    return f"{said}; about {comparison.needed:.0f}{'' if comparison.paired else ' of each'} would"


def _of_all(comparison: Comparison) -> str:
    if comparison.pairs == 1:
        return "with 1 seed"
    return f"with each of {_count(comparison.pairs, 'seed' if comparison.paired else 'pair of seeds')}"


def _failures(comparison: Comparison) -> str:
    facts = zip((comparison.first, comparison.second), comparison.failed, comparison.counts, strict=True)
    return "".join(
        f"; {name} failed with {failed} of {_count(failed + count, 'seed')}" for name, failed, count in facts if failed
    )


def _count(number: int, unit: str) -> str:
    """`1 seed`, `2 seeds`, `2 pairs of seeds`."""
    first, _, rest = unit.partition(" ")
    return f"{number} {first}{'' if number == 1 else 's'}{' ' if rest else ''}{rest}"


def shown(numbers: Sequence[float], width: float) -> list[str]:
    """Numbers with as many decimals as an interval of this width deserves, two digits of its half.

    Four digits each where it has no width.
    """
    if not isfinite(width) or width <= 0 or (places := 1 - floor(log10(width / 2))) > MOST_DECIMALS:
        return [f"{number + 0.0:.4g}" for number in numbers]
    rounded = [round(number, places) + 0.0 for number in numbers]  # + 0.0, since -0.0 is nothing to show
    return [f"{number:.{max(places, 0)}f}" for number in rounded]
