"""A sweeper that compares at equal cost: as many random draws for each loss, and the best of them on fresh seeds.

A draw depends on its number, its key and the sweeper's seed alone. So all losses get the same learning rates, a search
that was stopped asks for the same jobs when it is started again, and one of more draws for those and more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from gan_lightning.errors import UserError, printable
from gan_lightning.files import replacing
from gan_lightning.types import PositiveInt, Seed

DIGITS = 3  # significant ones of a number that is drawn, as it stands in the name of its job's folder
MOST_JOBS = 10_000
TRIES = 50  # for each draw, until it is one that hasn't been drawn
FOUND = "optimization_results.yaml"


@dataclass(frozen=True)
class Search:
    """What a search runs: the points by the value that they are for, as overrides, and the seeds of the second batch.

    `seed` is that of the first batch, and `shared` is what nothing differs in.
    """

    points: Mapping[str, Sequence[Sequence[str]]]
    shared: Sequence[str]
    seed: int
    fresh: Sequence[str]

    @property
    def jobs(self) -> list[list[str]]:
        """The first batch."""
        return [[*point, f"seed={self.seed}"] for points in self.points.values() for point in points]

    @property
    def first(self) -> list[list[str]]:
        """One job of each value."""
        return [[*points[0], f"seed={self.seed}"] for points in self.points.values()]


class RandomSearch(Sweeper):
    """Draws points for each value of the key `each`, and runs the best of each again; conf/hydra/sweeper/random.yaml.

    A job that fails, or whose number is NaN, is none of the best; the exit status tells that one has failed.
    """

    def __init__(
        self,
        each: str,
        draws: PositiveInt,
        seed: Seed,
        direction: Literal["minimize", "maximize"],
        params: dict[str, Any] | None = None,
        only: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.each, self.draws, self.seed, self.direction = each, draws, seed, direction
        self.params, self.only = dict(params or {}), {str(value): dict(more) for value, more in (only or {}).items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        assert self.launcher is not None
        assert self.config is not None
        assert self.hydra_context is not None
        search = self.search(OverridesParser.create(self.hydra_context.config_loader), arguments)
        found = self.launcher.launch(search.jobs, initial_job_idx=0)
        best = self.best(search, found)
        self.tell(search, best)
        again = [[*point, f"seed={seed}"] for point, _ in best.values() for seed in search.fresh]
        batches = [found, *([self.launcher.launch(again, initial_job_idx=len(found))] if again else [])]
        for job in (job for batch in batches for job in batch):
            _ = job.return_value  # which raises what has failed
        return batches

    def search(self, parser: OverridesParser, typed: Sequence[str]) -> Search:
        """What is run for the overrides that were typed, which go before `params`. Raises UserError for a mistake."""
        given = {override.key_or_group: override for override in parser.parse_overrides(list(typed))}
        common = self.read(parser, self.params, given) | given
        seeds = listed(common.pop("seed")) if "seed" in common else ()
        if str(self.seed) in seeds:
            raise UserError(
                f"seed has {self.seed}, on which the best is looked for; the seeds on which it is run again must be"
                " others. hydra.sweeper.seed=N looks for it on another."
            )
        values = listed(common[self.each]) if self.each in common else ("",)
        if len(values) * self.draws > MOST_JOBS:
            many = f"hydra.sweeper.draws is {self.draws} for each of {len(values)}"
            raise UserError(f"{many}, but a sweep has at most {MOST_JOBS} jobs.")
        points = {}
        for value in values:
            more = self.read(parser, self.only.get(value, {}), given)
            points[value] = self.drawn({**common, **more}, value)
        shared = [f"{o.get_key_element()}={listed(o)[0]}" for o in common.values() if not o.is_sweep_override()]
        return Search(points, shared, self.seed, seeds)

    @staticmethod
    def read(parser: OverridesParser, params: Mapping[str, Any], given: Mapping[str, Override]) -> dict[str, Override]:
        """Parameters by their keys, without those that are given already."""
        parsed = parser.parse_overrides([f"{key}={value}" for key, value in params.items()])
        return {override.key_or_group: override for override in parsed if override.key_or_group not in given}

    def drawn(self, overrides: Mapping[str, Override], value: str) -> list[list[str]]:
        """As many different points as asked for, or as there are, of one value of the key `each`."""
        points: dict[tuple[str, ...], None] = {}
        values = [override for key, override in overrides.items() if key != self.each]
        has_end = not any(isinstance(override.value(), IntervalSweep) for override in values)
        there_are = math.prod(len(set(listed(override))) for override in values) if has_end else math.inf
        for number in range(self.draws * TRIES):
            point = []
            for key, override in overrides.items():
                chance = Random(f"{self.seed}/{number}/{key}")
                point.append(f"{override.get_key_element()}={value if key == self.each else draw(override, chance)}")
            points[tuple(point)] = None
            if len(points) >= min(self.draws, there_are):
                break
        return [list(point) for point in points]

    def best(self, search: Search, found: Sequence[JobReturn]) -> dict[str, tuple[Sequence[str], float]]:
        """The best point of each value, and its number; without those of which no job has one."""
        best: dict[str, tuple[Sequence[str], float]] = {}
        jobs = iter(found)
        for value, points in search.points.items():
            returned = zip(points, jobs, strict=False)
            told = [(point, number) for point, job in returned if (number := outcome_of(job)) is not None]
            if told:
                choose = min if self.direction == "minimize" else max
                best[value] = choose(told, key=lambda each: each[1])
        return best

    def tell(self, search: Search, best: Mapping[str, tuple[Sequence[str], float]]) -> None:
        """Says which points are the best, and writes them into the sweep's folder."""
        assert self.config is not None
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        records = []
        for value, points in search.points.items():
            of = f"{self.each}={value}: " if value else ""
            if value not in best:
                console.print(Text(printable(f"{of}none of {len(points)} draws has a {self.config.optimize}")))
                continue
            point, number = best[value]
            shown = " ".join(text for text in point if text not in (*search.shared, f"{self.each}={value}"))
            told = f"{of}the best of {len(points)} has {self.config.optimize} {number:.4g}: {shown}"
            console.print(Text(printable(f"{told}; again on {len(search.fresh)} seeds")))
            records.append({"best_value": number, "best_params": list(point), "of": len(points)})
        with replacing(Path(self.config.hydra.sweep.dir) / FOUND) as temporary:
            OmegaConf.save({"name": "random", "optimize": self.config.optimize, "best": records}, temporary)


def outcome_of(job: JobReturn) -> float | None:
    """The number that a job has given, if it has finished with one."""
    number = job.return_value if job.status == JobStatus.COMPLETED else None
    return float(number) if isinstance(number, int | float) and math.isfinite(number) else None


def listed(override: Override) -> tuple[str, ...]:
    """The values of an override, one or several."""
    if override.is_sweep_override():
        return tuple(override.sweep_string_iterator())
    return (override.get_value_element_as_str(),)


def draw(override: Override, chance: Random) -> str:
    """One of its values, or a number of its interval: uniform, or with the tag `log` uniform in the logarithm.

    Raises UserError for an interval that has none.
    """
    interval = override.value()
    if not isinstance(interval, IntervalSweep):
        return chance.choice(listed(override))
    low, high = interval.start, interval.end
    is_log = "log" in interval.tags
    if low is None or high is None or not low < high or (is_log and low <= 0):
        end = "and its logarithm is drawn from above 0" if is_log else "which it must be to draw from it"
        raise UserError(f"{override.input_line} is no interval from a lower to a higher number, {end}.")
    number = math.exp(chance.uniform(math.log(low), math.log(high))) if is_log else chance.uniform(low, high)
    if isinstance(low, int) and isinstance(high, int):
        return str(round(number) if is_log else chance.randint(low, high))
    return f"{min(max(float(f'{number:.{DIGITS}g}'), low), high):g}"
