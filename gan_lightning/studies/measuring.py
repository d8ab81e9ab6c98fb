"""From a section's records and curves to what is told of each metric, by the functions of statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from gan_lightning.studies.accounts import Table, Value
from gan_lightning.studies.bands import band
from gan_lightning.studies.budgets import Curve, equalise
from gan_lightning.studies.comparisons import Comparison, compare
from gan_lightning.studies.courses import AXES, EVALUATION, ONE_RUN, Numbers, course
from gan_lightning.studies.figures import COLOURS, Series, shown
from gan_lightning.studies.measured import Measured, Ran, Standing, interval
from gan_lightning.studies.sections import TRAINING, Entry, Section, by_seed
from gan_lightning.studies.sentences import sentence
from gan_lightning.studies.statistics import summarise
from gan_lightning.studies.studied import Configuration
from gan_lightning.studies.trials import best_of
from gan_lightning.studies.varied import APART, FEWEST, dependences

MOST_LINES = COLOURS  # of a chart
MOST_POINTS = 100  # of a line
MOST_COMPARED = 20  # configurations, each with each
MOST_IN_SENTENCES = 4  # of which every pair has a sentence
MOST_SENTENCES = 12
COMPARISON = (
    *("first", "second", "told apart", "difference", "95 % interval", "seeds that agree"),
    *("effect", "P(first beats second)", "95 % interval of P", "p", "p by Holm", "exact p", "seeds needed"),
)


def measure(section: Section, metric: str, ran: Ran) -> Measured:
    """All that is told of a metric of a section."""
    better = section.better.get(metric)
    curves = {entry.name: _curves(entry, metric, ran.budget or "iterations", ran) for entry in section.entries}
    cut, notes = at_budget(curves, ran.budget) if ran.budget and section.how == TRAINING else ({}, [])
    standings = [standing(entry, metric, cut.get(entry.name, {}), place) for place, entry in enumerate(section.entries)]
    ranked = coloured(sorted(standings, key=lambda each: _rank(each, better)))
    entries = {entry.name: entry for entry in section.entries}
    drawn = [(entries[each.name], each.colour) for each in ranked[:MOST_LINES]]
    charts = {axis: courses_of(drawn, metric, axis, ran) for axis in AXES} if section.how == TRAINING else {}
    if len(ranked) > MOST_LINES:
        which = "best" if better else "first"
        notes = [*notes, f"Charts have the {MOST_LINES} {which} of {len(ranked)} configurations; report.csv has all."]
    return Measured(
        metric,
        better,
        ranked,
        0 if better and len(ranked) > 1 and isfinite(ranked[0].mean) else None,
        notes=notes,
        curves={axis: found for axis, found in charts.items() if found},
        dependences=dependences(metric, better, section.entries, ranked),
        trials=searches(section.entries, ranked, better == "higher") if better else (),
        **compared(metric, better, ranked),
    )


def coloured(ranked: Sequence[Standing]) -> list[Standing]:
    """Standings whose colours are those of their lines: each section's own, or their rank's where two lines had one."""
    own = {each.colour % COLOURS for each in ranked[:MOST_LINES]}
    is_clear = len(own) == min(len(ranked), MOST_LINES)
    return list(ranked) if is_clear else [replace(each, colour=place) for place, each in enumerate(ranked)]


def compared(metric: str, better: str | None, ranked: Sequence[Standing]) -> dict[str, Any]:
    """What can be told apart, in sentences and as a table: each with each, of many the best of them.

    Sentences are about the best alone, where there are more pairs than anybody reads.
    """
    some = ranked[:MOST_COMPARED]
    if len(some) < 2:
        return {}
    higher = None if better is None else better == "higher"
    found = compare({each.name: each.values for each in some}, higher)
    if len(some) > MOST_IN_SENTENCES:
        told = [each for each in found if each.first == found[0].first][:MOST_SENTENCES]
    else:
        told = found
    sentences = [f"{sentence(each, metric)}." for each in told]
    if len(found) > len(told):
        sentences.append(f"The table has all {len(found)} comparisons, for whose number Holm's correction allows.")
    if len(some) < len(ranked):
        sentences.append(f"Compared were the first {len(some)} of {len(ranked)} configurations.")
    alike = [each.second for each in found if each.first == some[0].name and not each.told] if better else []
    return {"alike": alike, "sentences": sentences, "comparisons": Table(COMPARISON, [_row(each) for each in found])}


def _row(found: Comparison) -> list[Value]:
    wins = f"{found.wins} of {found.pairs}{' pairs' if not found.paired else ''}"
    more = (found.effect, found.probability, interval(found.probability_interval))
    ends = (found.p, found.adjusted, found.exact_p, found.needed)
    names = (found.first, found.second, "yes" if found.told else "no")
    return [*names, found.difference, interval(found.interval), wins, *more, *ends]


def _rank(standing: Standing, better: str | None) -> tuple[bool, float]:
    if better is None or not isfinite(standing.mean):
        return better is not None, 0.0
    return False, -standing.mean if better == "higher" else standing.mean


def standing(entry: Entry, metric: str, cut: Mapping[int, float], place: int) -> Standing:
    """A configuration's numbers, of which those of a budget, `cut`, go before those of the runs' ends."""
    values = {**entry.values(metric), **cut}
    lacking = {seed: run.status for seed, (run, _) in entry.records.items() if not isfinite(values[seed])}
    runs = {seed: run for seed, (run, _) in entry.records.items()}
    found = summarise(values.values())
    ends = (found.interval, found.iqm_interval)
    return Standing(entry.name, runs, values, lacking, found.mean, ends[0], found.iqm, ends[1], place)


def _curves(entry: Entry, metric: str, axis: str, ran: Ran) -> dict[int, Curve]:
    """A metric's curve of each seed that has any."""
    tag = f"{EVALUATION}{metric}"
    known = {seed: run for seed, (run, record) in entry.records.items() if record is not None}
    found = {seed: ran.courses[run.folder].curve(tag, axis) for seed, run in known.items()}
    return {seed: Curve(x, y) for seed, (x, y) in found.items() if len(x) and (np.diff(x) >= 0).all()}


def at_budget(curves: Mapping[str, Mapping[int, Curve]], budget: str) -> tuple[dict[str, dict[int, float]], list[str]]:
    """Every run's value at its last evaluation within what the one with the least has spent, and how much that is.

    A run without a curve against that budget has none.
    """
    named = {f"{name} {seed}": curve for name, of_seeds in curves.items() for seed, curve in of_seeds.items()}
    if not named:
        return {}, [f"No curves are known against {budget}: budget={budget} changes nothing here."]
    found = equalise(named, "last", None)
    values = {name: {seed: found.values[f"{name} {seed}"] for seed in of_seeds} for name, of_seeds in curves.items()}
    longest = found.budget + max(found.beyond.values())
    told = f"Compared at {shown(found.budget)} {budget}, the least that any run has spent by its last evaluation"
    return values, [f"{told}; the longest run has {shown(longest)}." if found.differ else f"{told}; all have."]


def courses_of(entries: Sequence[tuple[Entry, int]], metric: str, axis: str, ran: Ran) -> list[Series]:
    """The mean curve of each configuration and its 95 % band, at the places of all its runs."""
    found = []
    for entry, colour in entries:
        curves = list(_curves(entry, metric, axis, ran).values())
        if curves:
            each = band(curves)
            found.append(banded(entry.name, each.axis, each.centre, each.low, each.high, colour))
    return found


def searches(entries: Sequence[Entry], standings: Sequence[Standing], higher: bool) -> list[Series]:
    """The best of k trials, as expected: of a loss's trials where more than losses was varied, or else of the seeds."""
    varied = {entry.name: entry.configuration.varied for entry in entries}
    keys = {key for each in varied.values() for key in each}
    groups: dict[str, list[float]] = {}
    for standing in standings:
        name = varied[standing.name].get(APART, "all") if len(keys) > 1 else standing.name
        groups.setdefault(name, []).extend(standing.values.values())
    found: list[Series] = []
    for name, numbers in groups.items():
        if len(numbers) >= FEWEST and any(map(isfinite, numbers)):
            best = best_of(numbers, higher)
            trials = np.arange(1.0, len(numbers) + 1)
            found.append(banded(name, trials, best.expected, best.low, best.high, len(found)))
    return found[:MOST_LINES]


def banded(name: str, x: Numbers, y: Numbers, low: Numbers, high: Numbers, colour: int) -> Series:
    """A thinned curve (n,) and its band, which is left out where there is none at all."""
    columns = [thinned(x, each)[1].tolist() for each in (y, low, high)]
    is_banded = bool(np.isfinite(low).any())
    ends = columns[1:] if is_banded else [(), ()]
    return Series(name, thinned(x, x)[0].tolist(), columns[0], ends[0], ends[1], colour)


def courses_of_one(configuration: Configuration) -> dict[str, list[Series]]:
    """The curves of one configuration's runs, those that belong together in one chart, by its title."""
    charts: dict[str, list[Series]] = {}
    runs = by_seed(configuration.runs)
    for seed, run in runs.items():
        read = course(run, ONE_RUN)
        for tag in read.tags:
            title, _, name = tag.partition("/")
            if title == "loss" and "/" in name:  # a term of it
                continue
            x, y = thinned(*read.curve(tag))
            label = name if len(runs) == 1 else f"{name}, seed {seed}"
            chart = charts.setdefault(title.replace("_", " "), [])
            chart.append(Series(label, x.tolist(), y.tolist(), colour=len(chart)))
    return {title: series[:MOST_LINES] for title, series in charts.items()}


def thinned(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    """Some hundred points of a curve at equal distances, the last among them."""
    every = max(1, -(-len(x) // MOST_POINTS))
    kept = slice((len(x) - 1) % every, None, every)
    return x[kept], y[kept]
