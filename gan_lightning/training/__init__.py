"""The game of the two networks: the LightningModule, its clock, what is scheduled, the average, checkpoints."""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.training.callback import *
    from gan_lightning.training.checkpoint import *
    from gan_lightning.training.checkpoint_files import *
    from gan_lightning.training.clock import *
    from gan_lightning.training.compatibility import *
    from gan_lightning.training.compiled import *
    from gan_lightning.training.critic_updates import *
    from gan_lightning.training.discriminator_adapter import *
    from gan_lightning.training.ema import *
    from gan_lightning.training.gan import *
    from gan_lightning.training.half import *
    from gan_lightning.training.hooks import *
    from gan_lightning.training.interrupt import *
    from gan_lightning.training.matmul import *
    from gan_lightning.training.minibatches import *
    from gan_lightning.training.ranks import *
    from gan_lightning.training.running_means import *
    from gan_lightning.training.stretches import *
    from gan_lightning.training.terms import *
    from gan_lightning.training.timetable import *

__getattr__, __dir__ = namespace.of(__name__)
