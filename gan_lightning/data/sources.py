"""Where real samples come from: a source is a frozen dataclass of plain values whose `load()` returns a `SampleSet`."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
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
        spec = find_spec("sklearn")  # not imported, which takes longer than all else that is done before training
        assert spec is not None
        assert spec.submodule_search_locations is not None
        file = Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
        table = np.loadtxt(file, delimiter=",")  # 64 levels and the class
        levels = torch.from_numpy(np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8)).reshape(-1, 1, 8, 8)
        return SampleSet(levels, torch.from_numpy(table[:, -1].astype(np.int64)), tuple("0123456789"))
