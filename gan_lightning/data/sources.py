"""Where real samples come from: a source is a frozen dataclass of plain values whose `load()` returns a `SampleSet`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from gan_lightning.samples import SampleSet


class Source(Protocol):
    """What a data module needs of a source."""

    def load(self) -> SampleSet: ...


@runtime_checkable
class ChangeableSource(Source, Protocol):
    """A source whose samples may be others when a run goes on: it tells plain values by which it finds that out."""

    def load_with_facts(self) -> tuple[SampleSet, Mapping[str, Any]]: ...


@dataclass(frozen=True)
class Digits:
    """The 1,797 handwritten digits that scikit-learn brings along: (1797, 1, 8, 8), ten classes, no download."""

    def load(self) -> SampleSet:
        """Returns all pictures, their grey levels 0 to 16 spread over 0 to 255."""
        from sklearn.datasets import load_digits  # slow to import

        digits = load_digits()
        levels = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))
        labels = torch.from_numpy(digits.target.astype(np.int64))
        return SampleSet(levels.unsqueeze(1), labels, tuple(str(name) for name in digits.target_names))
