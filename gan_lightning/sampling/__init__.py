"""Latents, drawing, and generators out of and into files. torch, safetensors and jaxtyping alone."""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.sampling.checkpoints import *
    from gan_lightning.sampling.conditions import *
    from gan_lightning.sampling.drawing import *
    from gan_lightning.sampling.files import *
    from gan_lightning.sampling.foreign import *
    from gan_lightning.sampling.latents import *
    from gan_lightning.sampling.sampler import *
    from gan_lightning.sampling.sizes import *
    from gan_lightning.sampling.whole import *

__getattr__, __dir__ = namespace.of(__name__)
