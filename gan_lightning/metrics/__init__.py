"""Metrics: pure functions of samples and their features, and the networks that features come from."""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.metrics.backbone import *
    from gan_lightning.metrics.classes import *
    from gan_lightning.metrics.classifier import *
    from gan_lightning.metrics.extractor import *
    from gan_lightning.metrics.frechet import *
    from gan_lightning.metrics.identity import *
    from gan_lightning.metrics.inception import *
    from gan_lightning.metrics.kernel import *
    from gan_lightning.metrics.manifold import *
    from gan_lightning.metrics.matrices import *
    from gan_lightning.metrics.memorisation import *
    from gan_lightning.metrics.modes import *
    from gan_lightning.metrics.neighbours import *
    from gan_lightning.metrics.observed import *
    from gan_lightning.metrics.score import *
    from gan_lightning.metrics.statistics import *
    from gan_lightning.metrics.wasserstein import *
    from gan_lightning.metrics.weights import *

__getattr__, __dir__ = namespace.of(__name__)
