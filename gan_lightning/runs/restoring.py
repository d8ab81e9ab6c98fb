"""What a run goes on from has to be its own, and to fit the parts that its configuration names."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from gan_lightning.config.build import build
from gan_lightning.errors import UserError, reason
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.plain import as_discriminator, as_generator
from gan_lightning.run_folder import require_places
from gan_lightning.runs.folders import first_difference, identity, shown
from gan_lightning.sampling.checkpoints import read_last
from gan_lightning.sampling.sizes import outline, require_drawable
from gan_lightning.training.gan import GAN


def require_same_run(config: DictConfig, saved: dict[str, Any], path: Path) -> None:
    """Raises UserError if the resolved configuration in a checkpoint is of another run; its data may have moved."""
    mine, other = identity(config, moved=True), identity(saved, moved=True)
    # A key that one of them lacks is of another version of this program, which adds some.
    if key := first_difference(mine, other, "", shared=True):
        was, now = (shown(OmegaConf.create(each), key) for each in (other, mine))
        raise UserError(f"{path} is another run's: {key} is {was} there, and {now} in the configuration.")


def require_networks(config: DictConfig, folder: Path) -> None:
    """Raises UserError if the networks of a saved config fit neither its data nor the checkpoint to go on from, or if
    the folder has something else in the place of a file. The networks take no memory for that.
    """
    require_places(folder)
    path, content, _ = read_last(folder)
    state = content["state_dict"]
    wraps: dict[str, Callable[[nn.Module], nn.Module]] = {
        "generator": partial(as_generator, latent_dim=config.network.latent_dim),
        "discriminator": as_discriminator,
    }
    made = {}
    for name, wrap in wraps.items():
        weights = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        made[name] = outline(partial(wrapped, wrap, config, f"model.{name}"), weights, path)
    generator = made["generator"]
    assert isinstance(generator, Generator)
    prior = build(config, "model.latents", config.plugins)
    shape = require_drawable(generator, prior, path, bool(OmegaConf.select(config, "dataset.conditions")))
    if shape is not None and list(shape) != list(config.data.sample_shape):
        raise UserError(
            f"data.sample_shape is {list(config.data.sample_shape)}, but the generator's samples have shape"
            f" {list(shape)}; the run's folder is damaged."
        )


def wrapped(wrap: Callable[[nn.Module], nn.Module], config: DictConfig, key: str) -> nn.Module:
    """The network of a node as the GAN has it."""
    return wrap(build(config, key, config.plugins))


def require_restorable(model: GAN, checkpoint: dict[str, Any], path: Path) -> object:
    """The end that a checkpoint's run was to have, `trainer.max_steps`. The networks have its weights then.

    Raises UserError if networks and optimizers can't go on with what it has, of which Lightning makes use later.
    """
    try:
        model.load_state_dict(checkpoint["state_dict"])
        for optimizer, state in zip(model.configure_optimizers(), checkpoint["optimizer_states"], strict=True):
            optimizer.load_state_dict(state)
        model.on_load_checkpoint(checkpoint)
        end: object = checkpoint["config"]["trainer"]["max_steps"]
    except Exception as error:  # whatever torch raises for a part that has another shape
        raise UserError(f"The checkpoint {path} is damaged or another run's: {reason(error)}.") from error
    return end
