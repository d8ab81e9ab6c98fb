"""Objectives, heads, regularizers and augmentations: functions of logits and of a callable critic.

They import torch and jaxtyping alone.
"""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.losses.augmentations import *
    from gan_lightning.losses.heads import *
    from gan_lightning.losses.objectives import *
    from gan_lightning.losses.piecewise import *
    from gan_lightning.losses.regularizers import *

__getattr__, __dir__ = namespace.of(__name__)
