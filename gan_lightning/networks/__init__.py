"""Generators and discriminators. torch and jaxtyping alone."""

from typing import TYPE_CHECKING

from gan_lightning import namespace

if TYPE_CHECKING:
    from gan_lightning.networks.autoencoder import *
    from gan_lightning.networks.conv1d import *
    from gan_lightning.networks.course import *
    from gan_lightning.networks.dcgan import *
    from gan_lightning.networks.dirac import *
    from gan_lightning.networks.discriminator import *
    from gan_lightning.networks.generator import *
    from gan_lightning.networks.layers import *
    from gan_lightning.networks.mlp import *
    from gan_lightning.networks.plain import *
    from gan_lightning.networks.r3gan import *
    from gan_lightning.networks.resnet import *
    from gan_lightning.networks.resolution import *

__getattr__, __dir__ = namespace.of(__name__)
