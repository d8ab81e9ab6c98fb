"""Which setting of matrix products a run trains with, and that it goes on with the same."""

import logging
from collections.abc import Mapping
from typing import Any, get_args

from pytorch_lightning import Trainer

from gan_lightning.training.gan import GAN
from gan_lightning.training.matmul import Setting, fastest_exact, is_exact, largest_product

SETTINGS: tuple[Setting, ...] = get_args(Setting)

log = logging.getLogger(__name__)


def chosen(
    asked: str, trainer: Trainer, model: GAN, batch_size: int, checkpoint: Mapping[str, Any] | None
) -> Setting | None:
    """`matmul`, with "auto" resolved; None where torch is left as it is: on devices that are no CPU, and on several.

    A run that goes on has what it began with, unless another is asked for, or this machine would round where the one
    before didn't.
    """
    for setting in SETTINGS:
        if setting == asked:
            return setting
    if trainer.strategy.root_device.type != "cpu" or trainer.world_size > 1:
        return None
    size = largest_product(batch_size, model.generator, model.discriminator)
    if checkpoint is None:
        setting = fastest_exact(size)
    else:
        found = checkpoint.get("matmul")  # which runs that began before there was a choice don't have
        setting = next((each for each in SETTINGS if each == found), "highest")
        if setting != "highest" and (size is None or not is_exact(size)):
            log.warning(
                "The run has multiplied matrices by matmul=%s, which this machine would round; it goes on with highest,"
                " and so not with the same bits.",
                setting,
            )
            setting = "highest"
    log.info("matrices are multiplied by matmul=%s", setting)
    return setting
