"""Control of a trained generator: its latents moved towards an attribute, along directions, or to a given picture."""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.editing.ascent import *
    from gan_lightning.editing.attributes import *
    from gan_lightning.editing.directions import *
    from gan_lightning.editing.inversion import *
    from gan_lightning.editing.means import *
    from gan_lightning.editing.scene import *
    from gan_lightning.editing.shapes import *

__getattr__, __dir__ = namespace.of(__name__)
