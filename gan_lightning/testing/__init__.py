"""Contract tests for parts: what this package asks of its own objectives, regularizers, networks, metrics and sources.

    from gan_lightning.testing import check_objective

    def test_my_objective():
        check_objective(MyObjective())

A check returns nothing, or raises AssertionError with one sentence: the class, what was expected, what was got. It
needs no pytest, takes a fraction of a second on the CPU, and leaves the part and torch's random numbers as they were.
It tells what breaks training, not whether the formula is the paper's. torch, jaxtyping and the protocols of the rooms
alone.
"""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.testing.metrics import *
    from gan_lightning.testing.networks import *
    from gan_lightning.testing.objectives import *
    from gan_lightning.testing.regularizers import *
    from gan_lightning.testing.sources import *

__getattr__, __dir__ = namespace.of(__name__)
