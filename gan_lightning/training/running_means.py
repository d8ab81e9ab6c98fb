"""Means of scalars between two log points, kept on the device so that training never waits for a value."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


class RunningMeans:
    """Collects scalars by name; `take` returns their means and starts anew.

    Names that are added together in one call stay together: a group costs one stack and one addition a call, and the
    whole of `take` one transfer from the device.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, scalars: Mapping[str, Tensor]) -> None:
        if not scalars:
            return
        names = tuple(scalars)
        with torch.no_grad():
            values = torch.stack(tuple(scalars.values())).float()
        if names in self._sums:
            self._sums[names] += values
            self._counts[names] += 1
        else:
            self._sums[names] = values
            self._counts[names] = 1

    def state_dict(self) -> list[tuple[list[str], list[float], int]]:
        """Names, sums and count of each group: a run that stops between two log points goes on with them."""
        return [(list(names), total.tolist(), self._counts[names]) for names, total in self._sums.items()]

    def load_state_dict(self, state: list[tuple[list[str], list[float], int]], device: torch.device) -> None:
        """Takes up what `state_dict` gave."""
        self._sums = {tuple(names): torch.tensor(total, device=device) for names, total, _ in state}
        self._counts = {tuple(names): count for names, _, count in state}

    def take(self, reduce: Callable[[Tensor], Tensor] = lambda values: values) -> dict[str, float]:
        """The means by name; `reduce` may average the vector of them over ranks before it leaves the device."""
        means = self.so_far(reduce)
        self._sums, self._counts = {}, {}
        return means

    def so_far(self, reduce: Callable[[Tensor], Tensor] = lambda values: values) -> dict[str, float]:
        """The same, while the means go on."""
        if not self._sums:
            return {}
        means = torch.cat([total / self._counts[names] for names, total in self._sums.items()])
        values = iter(reduce(means).tolist())
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, count in self._counts.items():
            for name in names:
                totals[name] = totals.get(name, 0.0) + count * next(values)
                counts[name] = counts.get(name, 0) + count
        return {name: total / counts[name] for name, total in totals.items()}
