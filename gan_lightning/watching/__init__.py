"""What looks on while a run trains, and what measures it. Training never imports it."""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.watching.dashboard import *
    from gan_lightning.watching.evaluation import *
    from gan_lightning.watching.evaluator import *
    from gan_lightning.watching.health import *
    from gan_lightning.watching.loggers import *
    from gan_lightning.watching.measurements import *
    from gan_lightning.watching.monitor import *
    from gan_lightning.watching.network_summary import *
    from gan_lightning.watching.progress import *
    from gan_lightning.watching.prune import *
    from gan_lightning.watching.samples import *
    from gan_lightning.watching.tables import *
    from gan_lightning.watching.verdicts import *

__getattr__, __dir__ = namespace.of(__name__)
