"""Where real samples come from, and the loader that indexes them in memory."""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.data.ahead import *
    from gan_lightning.data.array_files import *
    from gan_lightning.data.arrays import *
    from gan_lightning.data.conditions import *
    from gan_lightning.data.datamodule import *
    from gan_lightning.data.decoding import *
    from gan_lightning.data.decoding_cores import *
    from gan_lightning.data.decoding_process import *
    from gan_lightning.data.derived import *
    from gan_lightning.data.image_folder import *
    from gan_lightning.data.labels import *
    from gan_lightning.data.opening import *
    from gan_lightning.data.packed import *
    from gan_lightning.data.packed_entries import *
    from gan_lightning.data.picture_cache import *
    from gan_lightning.data.picture_files import *
    from gan_lightning.data.places import *
    from gan_lightning.data.rounds import *
    from gan_lightning.data.scaling import *
    from gan_lightning.data.seen import *
    from gan_lightning.data.sources import *
    from gan_lightning.data.table_files import *
    from gan_lightning.data.tables import *
    from gan_lightning.data.torchvision_formats import *
    from gan_lightning.data.torchvision_sets import *
    from gan_lightning.data.toys import *

__getattr__, __dir__ = namespace.of(__name__)
