"""What is missing of a run that is complete, because it was killed after its last checkpoint or files were lost."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from gan_lightning.config.containers import plain
from gan_lightning.errors import UserError, printable, reason
from gan_lightning.files import unused
from gan_lightning.pictures import save_png
from gan_lightning.run_folder import GENERATOR, LAST, RESULTS, SAMPLES, SUMMARY
from gan_lightning.runs import results
from gan_lightning.runs.overview import draw_overview
from gan_lightning.runs.parts import RunParts
from gan_lightning.runs.results import Health, Results, Run, finite
from gan_lightning.samples import kind_of
from gan_lightning.sampling.checkpoints import Checkpoint
from gan_lightning.sampling.files import read_generator
from gan_lightning.training.checkpoint import save_average
from gan_lightning.training.gan import GAN
from gan_lightning.watching.samples import POINTS, SampleGrids
from gan_lightning.watching.verdicts import Watch

PROTOCOL = (
    "Losses, discriminator outputs and regularizers are means over the iterations since the previous log point,"
    " averaged over ranks; gradient norms are of the last update. Evaluations have protocols of their own."
)


def finish(folder: Path, config: DictConfig, checkpoint: Checkpoint, parts: RunParts) -> Run:
    """Makes what a complete run lacks, from its last checkpoint, whose weights the model has; says what was made.

    Nothing is written where nothing is missing. Of several processes, the first does it.
    """
    now = from_checkpoint(checkpoint, parts.model, config.seed)
    make_missing(folder, config, checkpoint, parts, now)
    metrics = {name: math.nan if value is None else value for name, value in now.metrics.items()}
    return Run(folder, "finished", now.iteration, now.seconds, metrics, parameters=now.parameters)


@rank_zero_only
def make_missing(folder: Path, config: DictConfig, checkpoint: Checkpoint, parts: RunParts, now: Results) -> None:
    """Makes what is missing, and says so."""
    makers: dict[Path, Callable[[], bool]] = {
        GENERATOR: lambda: finish_generator(folder, config, checkpoint, parts),
        SAMPLES / f"{checkpoint.iteration:08d}.png": lambda: finish_samples(folder, config, checkpoint, parts),
        RESULTS: lambda: finish_results(folder, now),
        SUMMARY: lambda: not (folder / SUMMARY).exists() and draw_overview(folder),
    }
    made = [str(name) for name, make in makers.items() if make()]
    told = f"{folder} is complete at iteration {checkpoint.iteration}; "
    told += f"made anew from its checkpoint: {', '.join(made)}; " if made else ""
    print(printable(f"{told}trainer.max_steps=N with a larger N prolongs it."))


def finish_generator(folder: Path, config: DictConfig, checkpoint: Checkpoint, parts: RunParts) -> bool:
    """Writes generator.safetensors unless it is that of the checkpoint."""
    try:
        if read_generator(folder / GENERATOR).iteration == checkpoint.iteration:
            return False
    except UserError:  # missing or damaged
        pass
    loaded = parts.data.loaded
    save_average(parts.model, plain(config), folder, checkpoint.iteration, loaded.classes, loaded.units)
    return True


def finish_samples(folder: Path, config: DictConfig, checkpoint: Checkpoint, parts: RunParts) -> bool:
    """Draws the last picture, unless it is there."""
    path = folder / SAMPLES / f"{checkpoint.iteration:08d}.png"
    if path.is_file():
        return False
    picture = sample_grids(folder, config, parts).picture(parts.model)
    path.parent.mkdir(exist_ok=True)
    save_png(picture, path)
    return True


def finish_results(folder: Path, now: Results) -> bool:
    """Writes results.json, unless it is that of a run that has ended there; what it tells of the machine stays."""
    before = results.find(folder)
    if before is not None and before.iteration == now.iteration and before.status not in ("running", "failed"):
        return False
    if before is not None:
        changed = ("status", "iteration", "seconds", "metrics", "health", "evaluation", "parameters", "origin")
        now = replace(before, **{name: getattr(now, name) for name in changed})
    results.renew(folder, now)
    return True


def from_checkpoint(checkpoint: Checkpoint, model: GAN, seed: int) -> Results:
    """The results of a run that has ended at its checkpoint, without what is known of the machine."""
    callbacks: dict[str, Any] = checkpoint.content["callbacks"]
    try:
        monitor, health, evaluation = (callbacks[name] for name in ("Monitor", "HealthCheck", "Evaluation"))
        watch = Watch()
        watch.load_state_dict(health["watch"])
        told = Health([asdict(verdict) for verdict in watch.verdicts], finite(health["latest"]))
        records, seconds = json.loads(evaluation["records"]), round(float(monitor["seconds"]), 3)
        return Results(
            "finished",
            checkpoint.iteration,
            seconds,
            finite(monitor["latest"]),
            told,
            records,
            seed=seed,
            protocol=PROTOCOL,
            parameters=parameters(model),
            origin=model.origin,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{checkpoint.path} is damaged: its callbacks can't be read ({reason(error)}).") from error


def sample_grids(folder: Path, config: DictConfig, parts: RunParts) -> SampleGrids:
    """What draws a run's pictures."""
    shown = POINTS if kind_of(parts.data.sample_shape) == "vectors" else config.samples.count
    return parts.samples(folder=folder, real=parts.data.first(shown).as_floats(), seed=config.seed)


def parameters(model: GAN) -> dict[str, int]:
    """How many weights each network has; an average has as many."""
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    return {name: sum(each.numel() for each in network.parameters()) for name, network in networks.items()}


def set_aside(folder: Path) -> None:
    """Gives a damaged last.ckpt another name, so that it never takes the place of the one before it."""
    if os.path.lexists(folder / LAST):
        os.replace(folder / LAST, unused(folder / LAST.with_stem("last.damaged")))
