"""gan_lightning: a laboratory for generative adversarial networks.

from gan_lightning import train, load_generator

run = train("loss=wgan_gp", "trainer.max_steps=500")
images = load_generator(run.folder).sample(64, seed=0)  # (64, C, H, W) in [-1, 1]

Losses, networks and so on are public names of the rooms: `gan_lightning.losses.Wasserstein`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "EMA",
    "GAN",
    "CriticUpdates",
    "GANDataModule",
    "Run",
    "Sampler",
    "UserError",
    "load_generator",
    "train",
]

if TYPE_CHECKING:
    from gan_lightning.commands.train import train
    from gan_lightning.data.datamodule import GANDataModule
    from gan_lightning.errors import UserError
    from gan_lightning.runs.results import Run
    from gan_lightning.sampling.sampler import Sampler, load_generator
    from gan_lightning.training.critic_updates import CriticUpdates
    from gan_lightning.training.ema import EMA
    from gan_lightning.training.gan import GAN

# Imported when they are asked for: torch takes seconds, Lightning and Hydra more, and neither a config mistake on the
# command line nor a generator has a use for all of them.
PLACES = {
    "CriticUpdates": "gan_lightning.training.critic_updates",
    "EMA": "gan_lightning.training.ema",
    "GAN": "gan_lightning.training.gan",
    "GANDataModule": "gan_lightning.data.datamodule",
    "Run": "gan_lightning.runs.results",
    "Sampler": "gan_lightning.sampling.sampler",
    "UserError": "gan_lightning.errors",
    "load_generator": "gan_lightning.sampling.sampler",
    "train": "gan_lightning.commands.train",
}


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
