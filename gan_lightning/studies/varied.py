"""How a metric depends on each key that a study has varied, over all values of the others."""

from collections.abc import Mapping, Sequence
from math import isfinite

from gan_lightning.studies.figures import Series, shown
from gan_lightning.studies.measured import Dependence, Standing
from gan_lightning.studies.sections import Entry
from gan_lightning.studies.sensitivity import Sensitivity, sensitivity

MOST_LEVELS = 12  # of a key that is no number
APART = "loss"  # what numbers are drawn apart by, where it is varied too
SLOPED = 0.3  # the correlation from which on a number is said to rise or fall
FEWEST = 3  # runs of a search that is worth a curve

Value = float | str | None


def dependences(
    metric: str, better: str | None, entries: Sequence[Entry], standings: Sequence[Standing]
) -> list[Dependence]:
    """One for each key that was varied; none where there is but one, of names: the leaderboard has it."""
    told = {entry.name: entry.configuration.varied for entry in entries}
    keys = list(dict.fromkeys(key for each in told.values() for key in each))
    runs = [(each, seed) for each in standings for seed in each.values]
    settings = [{key: _value(told[each.name].get(key)) for key in keys} for each, _ in runs]
    numbers = [each.values[seed] for each, seed in runs]
    if not any(map(isfinite, numbers)):
        return []
    higher = None if better is None else better == "higher"
    return [
        Dependence(
            found.key,
            _sentence(found, metric),
            _series(found.key, settings, numbers) if found.numeric else (),
            {} if found.numeric else _groups(found, settings, runs),
        )
        for found in sensitivity(settings, numbers, higher)
        if found.numeric or (len(keys) > 1 and len(found.levels) <= MOST_LEVELS)
    ]


def _value(text: str | None) -> Value:
    """A number where it is one, since numbers have an order."""
    try:
        value = float(text or "")
    except ValueError:
        return text
    return value if isfinite(value) else text


def _sentence(found: Sensitivity, metric: str) -> str:
    """How much a key explains, and which way."""
    if found.share is None:
        return f"Too few runs to say what {found.key} does."
    told = f"{found.key} explains {found.share:.0%} of how the runs rank"
    if found.adjusted is not None:
        p = "below 0.001" if found.adjusted < 0.001 else shown(found.adjusted)
        told += f" (p {p} by Kruskal and Wallis, with Holm's correction)"
    if found.slope is not None and abs(found.slope) >= SLOPED:
        told += f"; {metric} {'rises' if found.slope > 0 else 'falls'} with it (rank correlation {shown(found.slope)})"
    unbalanced = "" if found.balanced else " The other keys' values differ among its own, so their effects are in it."
    return f"{told}.{unbalanced}"


def _series(key: str, settings: Sequence[Mapping[str, Value]], numbers: Sequence[float]) -> list[Series]:
    """Points against a number, a series a loss where losses are varied too."""
    groups: dict[str, tuple[list[float], list[float]]] = {}
    for setting, number in zip(settings, numbers, strict=True):
        at = setting[key]
        if isinstance(at, float) and isfinite(number):
            x, y = groups.setdefault(str(setting.get(APART, "all")), ([], []))
            x.append(at)
            y.append(number)
    return [Series(name, x, y, colour=place) for place, (name, (x, y)) in enumerate(groups.items())]


def _groups(
    found: Sensitivity, settings: Sequence[Mapping[str, Value]], runs: Sequence[tuple[Standing, int]]
) -> dict[str, list[tuple[str, float]]]:
    """Every run's number by what the key was."""
    groups: dict[str, list[tuple[str, float]]] = {level.name: [] for level in found.levels}
    for setting, (each, seed) in zip(settings, runs, strict=True):
        if isfinite(each.values[seed]):
            groups[str(setting[found.key])].append((f"{each.name}, seed {seed}", each.values[seed]))
    return groups
