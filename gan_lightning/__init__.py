"""gan_lightning: a laboratory for generative adversarial networks.

from gan_lightning import train, load_generator

run = train("loss=wgan_gp", "trainer.max_steps=500")
images = load_generator(run.folder).sample(64, seed=0)  # (64, C, H, W) in [-1, 1]
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Run", "UserError", "load_generator", "train"]

if TYPE_CHECKING:
    from gan_lightning.api import Run, load_generator, train
    from gan_lightning.errors import UserError


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds: a config mistake on the command line is answered without it.
    if name in __all__:
        from gan_lightning import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
