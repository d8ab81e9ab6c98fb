"""All that is scheduled in a training, and the values that it has at a point of the clock."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytorch_lightning.core.optimizer import LightningOptimizer
from torch.optim import Optimizer

from gan_lightning.losses.regularizers import Regularizer, Regularizers, by_kind
from gan_lightning.schedules import Clock, is_scheduled, part_at, scheduled_fields, value_at
from gan_lightning.training.ema import EMA

OptimizerFactory = Callable[..., Optimizer]

NETWORKS = ("generator", "discriminator")
START, END = Clock(0, 0, 1, 1), Clock(2**60, 2**60, 2**60, 2**60)  # of a run of any length


@dataclass(frozen=True)
class Moment:
    """The regularizers, the average and the scheduled arguments of both optimizers at a point of the clock.

    `values` are those of all that is scheduled, by the names that they are logged under: `regularizer.NAME.FIELD`,
    `ema.FIELD`, `NETWORK.ARGUMENT`.
    """

    regularizers: Regularizers
    ema: EMA
    arguments: tuple[Mapping[str, Any], Mapping[str, Any]]
    values: Mapping[str, float]

    def set(self, optimizers: Iterable[Optimizer | LightningOptimizer]) -> None:
        """Gives the optimizers of the generator and the discriminator their arguments."""
        for optimizer, arguments in zip(optimizers, self.arguments, strict=True):
            for group in optimizer.param_groups if arguments else ():
                group.update(arguments)


class Timetable:
    """The schedules in the regularizers, the average and the factories of the two optimizers."""

    def __init__(
        self,
        regularizers: Mapping[str, Regularizer],
        ema: EMA,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
    ) -> None:
        self.regularizers = regularizers
        self.ema = ema
        self.factories = (generator_optimizer, discriminator_optimizer)
        self.schedules = tuple(
            {key: value for key, value in getattr(factory, "keywords", {}).items() if is_scheduled(value)}
            for factory in self.factories
        )
        parts = {**{f"regularizer.{name}": part for name, part in regularizers.items()}, "ema": ema}
        self.fields = {name: fields for name, part in parts.items() if (fields := scheduled_fields(part))}
        self.constant = None if self.fields or any(self.schedules) else Moment(by_kind(regularizers), ema, ({}, {}), {})

    def at(self, clock: Clock) -> Moment:
        """Raises ValueError if a schedule lasts to the end of a run that has none."""
        if self.constant is not None:
            return self.constant
        regularizers = {name: part_at(part, clock) for name, part in self.regularizers.items()}
        ema = part_at(self.ema, clock)
        parts = {**{f"regularizer.{name}": part for name, part in regularizers.items()}, "ema": ema}
        scheduled = ((name, field) for name, fields in self.fields.items() for field in fields)
        values = {f"{name}.{field}": getattr(parts[name], field) for name, field in scheduled}
        arguments = tuple({key: value_at(value, clock) for key, value in each.items()} for each in self.schedules)
        for network, each in zip(NETWORKS, arguments, strict=True):
            for key, value in each.items():
                for index, number in enumerate(value if isinstance(value, list | tuple) else [value]):
                    values[f"{network}.{key}{f'.{index}' if index else ''}"] = number
        return Moment(by_kind(regularizers), ema, (arguments[0], arguments[1]), values)

    def optimizers(self, clock: Clock, *parameters: Iterable[Any]) -> list[Optimizer]:
        """New optimizers of the two networks' parameters, with their scheduled arguments as they are then."""
        return [
            factory(own, **{key: value_at(value, clock) for key, value in schedules.items()})
            for factory, schedules, own in zip(self.factories, self.schedules, parameters, strict=True)
        ]
