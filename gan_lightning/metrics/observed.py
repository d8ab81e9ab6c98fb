"""What every metric is given, and what it gives: sets of samples with their features, and named numbers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

SUBSETS_AT_ONCE = 64  # subsets, each of which takes memory
Kept = TypeVar("Kept")


class Mixture(NamedTuple):
    """A known mixture of equal Gaussians: `centres` (K, d) and the standard deviation of each, in every direction."""

    centres: Tensor
    std: float


@dataclass(frozen=True)
class Observed:
    """A set of N samples as metrics see it, on the CPU.

    | field | what it is |
    | --- | --- |
    | `samples` | images, uint8 (N, C, H, W) in 0 to 255, signals, float32 (N, C, L), or vectors, float32 (N, d) |
    | `features` | an extractor's, (N, D), float32 |
    | `logits` | an extractor's, of classes, (N, K); None without any |
    | `labels` | int64 (N,): the true classes of real samples; those that generated ones were asked for; or None |
    | `own_classes` | whether the logits are of the labels' classes, and not of another data set's |
    | `mixture` | the mixture that real vectors were drawn from, if it is known |
    | `unseen` | real samples that were not trained on |
    | `is_whole` | whether these are all samples that were trained on |

    What a metric computes of one set alone is kept for the next comparison; see `once`.
    """

    samples: Tensor
    features: Tensor
    logits: Tensor | None = None
    labels: Tensor | None = None
    mixture: Mixture | None = None
    unseen: "Observed | None" = None
    own_classes: bool = True
    is_whole: bool = True
    kept: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.samples)

    def once(self, key: object, compute: Callable[[], Kept]) -> Kept:
        """What `compute` gives, computed at the first call with this key."""
        if key not in self.kept:
            self.kept[key] = compute()
        kept: Kept = self.kept[key]
        return kept

    def subset(self, indices: Int[Tensor, " m"]) -> "Observed":
        """The samples at `indices` (M,), with all that is known of each."""
        logits, labels = (None if rows is None else rows[indices] for rows in (self.logits, self.labels))
        return replace(
            self, samples=self.samples[indices], features=self.features[indices], logits=logits, labels=labels
        )


@runtime_checkable
class Metric(Protocol):
    """A frozen dataclass of plain values that compares a generated set with a real one.

    `higher_is_better` has an entry for each number that `measure` gives, in the order of a table's columns; None where
    neither way is better. `slow` metrics take too long to be measured again and again on subsets of the samples. Where
    there is an attribute `spreads`, it names those of the numbers that are standard deviations over parts of the
    samples: they have no interval (metrics/statistics.py).
    """

    higher_is_better: ClassVar[Mapping[str, bool | None]]
    slow: ClassVar[bool]

    def missing(self, real: Observed, fake: Observed) -> str | None:
        """What the metric needs and the two sets don't have, as the end of a sentence ('labels'); None: nothing."""
        ...

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        """The numbers named in `higher_is_better`. The same sets and seed give the same numbers."""
        ...


class SubsetMetric(ABC):
    """What is shared by metrics that measure many subsets of the generated samples at once, in less time."""

    @abstractmethod
    def measure_subsets(
        self, real: Observed, fake: Observed, subsets: Sequence[Int64[Tensor, " _"]], seed: int = 0
    ) -> list[dict[str, float]]:
        """The numbers of the generated samples at each of some lists of indices."""

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        return self.measure_subsets(real, fake, [torch.arange(len(fake))], seed)[0]


def membership(subsets: Sequence[Int64[Tensor, " _"]], count: int) -> Bool[Tensor, "s {count}"]:
    """Which of `count` samples are in each of S subsets, which are lists of indices: (S, count)."""
    inside = torch.zeros(len(subsets), count, dtype=torch.bool)
    for row, indices in zip(inside, subsets, strict=True):
        row[indices] = True
    return inside


def measure_subsets(
    metric: Metric, real: Observed, fake: Observed, subsets: Sequence[Int64[Tensor, " _"]], seed: int = 0
) -> list[dict[str, float]]:
    """The metric's numbers of the generated samples at each of some lists of indices."""
    if not isinstance(metric, SubsetMetric):
        return [metric.measure(real, fake.subset(indices), seed) for indices in subsets]
    found = []
    for first in range(0, len(subsets), SUBSETS_AT_ONCE):
        found += metric.measure_subsets(real, fake, subsets[first : first + SUBSETS_AT_ONCE], seed)
    return found


def spreads(metric: Metric) -> tuple[str, ...]:
    """The numbers of a metric that are spreads themselves."""
    declared: tuple[str, ...] = getattr(metric, "spreads", ())
    return declared


def numbers(metrics: Mapping[str, Metric]) -> dict[str, bool | None]:
    """The names of all numbers of some metrics, in a table's order, each with whether higher is better."""
    return {name: higher for metric in metrics.values() for name, higher in metric.higher_is_better.items()}
