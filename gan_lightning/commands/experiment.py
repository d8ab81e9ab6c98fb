"""One run: build the parts that a config names, train, and leave a folder that tells everything."""

import json
import logging
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer, seed_everything
from rich.console import Console
from torch.utils.tensorboard.summary import hparams

from gan_lightning.commands.hardware import build_trainer, check_hardware, silence, spare_cuda_lookups
from gan_lightning.commands.provenance import hyperparameters, provenance
from gan_lightning.config.build import build
from gan_lightning.config.compose import override_value, plain
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.errors import UserError
from gan_lightning.run_folder import CONFIG, LAST, METRICS, RESULTS, SAMPLES, SAVED
from gan_lightning.scheduled import Clock
from gan_lightning.training.advice import advise, refuse_data
from gan_lightning.training.checkpoint import read_checkpoint
from gan_lightning.training.evaluation import Evaluation
from gan_lightning.training.gan import END, GAN
from gan_lightning.training.health import HealthCheck
from gan_lightning.training.interrupt import Interrupt
from gan_lightning.training.loggers import Events, MetricsTable, close, open_trackers
from gan_lightning.training.monitor import Monitor
from gan_lightning.training.progress import IterationBar
from gan_lightning.training.samples import POINTS
from gan_lightning.training.verdicts import Verdict

log = logging.getLogger(__name__)

# The columns of TensorBoard's HParams page; their values are the scalars' latest.
COMPARED = ("loss/discriminator", "loss/generator", "discriminator/real", "discriminator/fake", "progress/seconds")
PROTOCOL = (
    "Losses, discriminator outputs and regularizers are means over the iterations since the previous log point,"
    " averaged over ranks; gradient norms are of the last update. Evaluations have protocols of their own."
)


@dataclass(frozen=True)
class Run:
    """What became of a run. `status` is finished, SIGINT, SIGTERM or alarm; `metrics` are the last that were logged.

    `verdicts` are those of the health check, in their order.
    """

    folder: Path
    status: str
    iteration: int
    seconds: float
    metrics: dict[str, float]
    verdicts: tuple[Verdict, ...] = ()


def run_experiment(config: DictConfig, folder: Path, overrides: Sequence[str] = ()) -> Run:
    """Trains what `config` says in `folder`, or goes on there if `config.resume` is set.

    Raises UserError, with nothing trained and nothing left in the folder, for what the user can mend.
    """
    silence()
    spare_cuda_lookups()
    if "root" in config.dataset:
        config.dataset.root = str(Path(config.dataset.root).absolute())  # the run may be resumed from elsewhere
    try:
        check_hardware(config.trainer)
        checkpoint = read_checkpoint(folder / LAST) if config.resume else None
        resumed_at = checkpoint["global_step"] if checkpoint else None
        seed_everything(config.seed, verbose=False)
        data: GANDataModule = build(config, "data")
        data.setup()
        model: GAN = build(config, "model")
        limit = iterations(config, data)
        if checkpoint:
            mention_moved_end(model, checkpoint["config"]["trainer"]["max_steps"], config.trainer.max_steps)
        require_parts(config, model, data, limit)
        if resumed_at is not None and 0 < limit <= resumed_at:
            print(f"{folder} is complete at iteration {resumed_at}; trainer.max_steps=N with a larger N prolongs it.")
            return Run(folder, "finished", resumed_at, 0.0, {})
        monitor, interrupt = Monitor(data.stream.minibatches_per_pass, data.batch_size), Interrupt()
        loggers = [Events(folder, resumed_at), MetricsTable(folder / METRICS, resumed_at)]
        health: HealthCheck = build(config, "health")(data=data, seed=config.seed)
        evaluation = open_evaluation(config, data)
        watching = [health, *callbacks(config, folder, data, monitor, evaluation), interrupt]
        trainer = build_trainer(config, watching, loggers, limit)
        data.require_even(trainer.world_size)
        trackers = open_trackers(build(config, "logger"), folder)
        trainer.loggers = [*trainer.loggers, *trackers]
    except UserError:
        discard(folder)
        raise
    if trainer.is_global_zero:
        columns = [*COMPARED, *(f"evaluation/{name}" for name in evaluation.better)]
        describe(config, folder, overrides, trainer, columns, new=resumed_at is None)
    record = Recorder(folder, trainer, monitor, health, evaluation, config.seed)
    record("running")
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads or threads)
    try:
        trainer.fit(model, data, ckpt_path=folder / LAST if resumed_at is not None else None)
    except BaseException:
        record("failed")
        raise
    finally:
        torch.set_num_threads(threads)
        for tracker in trackers:
            close(tracker)
    complete = 0 < limit <= trainer.global_step
    early = "alarm" if health.stopped else "no_progress" if evaluation.stopped else "finished"
    stopped = interrupt.received.name if interrupt.received else early
    status = "finished" if complete else stopped
    record(status)
    run = Run(folder, status, trainer.global_step, monitor.seconds, monitor.latest, tuple(health.verdicts))
    if trainer.is_global_zero:
        summarise(run)
    return run


def open_evaluation(config: DictConfig, data: GANDataModule) -> Evaluation:
    """What evaluates the run. Raises UserError where its parts can't be had, or name what there isn't."""
    try:
        evaluation: Evaluation = build(config, "evaluation")(data=data)
    except ValueError as error:
        raise UserError(f"evaluation.{str(error).rstrip('.')}.") from error
    return evaluation


def callbacks(
    config: DictConfig, folder: Path, data: GANDataModule, monitor: Monitor, evaluation: Evaluation
) -> list[Callback]:
    """What watches a run and writes it down; Lightning itself puts the checkpoint last."""
    samples, checkpoint = build(config, "samples"), build(config, "checkpoint")
    shown = config.samples.count if len(data.image_shape) == 3 else POINTS
    watching: list[Callback] = [
        monitor,
        samples(folder=folder, real=data.real_images(shown), seed=config.seed),
        build(config, "dashboard")(data=data, seed=config.seed, features=evaluation.features),
        evaluation,
        checkpoint(folder=folder, config=plain(config), is_best=evaluation.is_best),
    ]
    return [*watching, IterationBar(monitor)] if config.trainer.enable_progress_bar else watching


def require_parts(config: DictConfig, model: GAN, data: GANDataModule, limit: int) -> None:
    """Raises UserError for parts that fit neither each other nor the data, which otherwise shows within `fit`.

    What is only unwise is said as a warning, unless `advice` is off.
    """
    try:
        optimizers = model.configure_optimizers()
        model.optimizers_at(END)  # where a schedule may lead out of an argument's range
    except ValueError as error:
        raise UserError(f"loss.optimizer: {str(error).rstrip('.')}.") from error
    try:
        model.keep_time(model.clock_at(0, data.batch_size, limit), optimizers)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise UserError(f"{reason}; set trainer.max_steps, or the length too: ${{linear:START,END,OVER}}.") from error
    packing = model.discriminator.packing
    real = data.real_images(packing * (2 if len(data.image_shape) == 3 else -(-POINTS // packing)))
    try:
        refuse_data(model, real)
    except ValueError as error:
        raise UserError(f"{str(error).rstrip('.')}.") from error
    if config.advice == "on":
        asked_norm = config.loss.discriminator_norm
        for advice in advise(model, optimizers[1], str(config.trainer.precision), real, asked_norm):
            log.warning("%s (advice=off silences this)", advice)


def mention_moved_end(model: GAN, before: int, now: int) -> None:
    """Warns where a resumed run has another end, and with it schedules that last to the end of the run."""
    try:
        model.keep_time(Clock(0))
    except ValueError:  # for such a schedule has no value without an end
        if before != now:
            log.warning("Schedules that last to the end of the run now end at iteration %s instead of %s.", now, before)


def iterations(config: DictConfig, data: GANDataModule) -> int:
    """The iteration to stop at, -1 for none: the earlier of `trainer.max_steps` and `trainer.max_epochs`."""
    steps, epochs = config.trainer.max_steps, config.trainer.max_epochs
    if steps == 0 or steps < -1:
        raise UserError(f"trainer.max_steps is {steps}, but it must be at least 1, or -1 for no limit.")
    if epochs is not None and (epochs == 0 or epochs < -1):
        raise UserError(f"trainer.max_epochs is {epochs}, but it must be at least 1, or -1 or null for no limit.")
    if epochs is None or epochs == -1:
        return int(steps)
    in_epochs = data.schedule.iterations(epochs * data.stream.minibatches_per_pass)
    return in_epochs if steps == -1 else min(int(steps), in_epochs)


def describe(
    config: DictConfig, folder: Path, overrides: Sequence[str], trainer: Trainer, columns: Sequence[str], new: bool
) -> None:
    """Writes down what is about to run: config.yaml, and in TensorBoard the config as text and the hyper-parameters."""
    resolved = plain(config)
    text = OmegaConf.to_yaml(OmegaConf.create(resolved))
    (folder / CONFIG).write_text(text)
    (folder / SAVED).parent.mkdir(exist_ok=True)
    OmegaConf.save(config, folder / SAVED)  # interpolations kept, so that a resumed run's overrides reach every use
    log.info("run in %s: %s", folder, " ".join(overrides) or "defaults")
    values = hyperparameters(resolved, overrides)
    for tracker in trainer.loggers:
        if not isinstance(tracker, Events | MetricsTable):
            tracker.log_hyperparams(values)
    if not new:
        return
    for logger in trainer.loggers:
        if isinstance(logger, Events):
            logger.experiment.add_text("config", f"```yaml\n{text}\n```")
            summaries = hparams(values, dict.fromkeys(columns, 0.0))
            for summary in summaries:
                logger.experiment._get_file_writer().add_summary(summary)


class Recorder:
    """Writes results.json: how far the run is, its last metrics and where they come from."""

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        monitor: Monitor,
        health: HealthCheck,
        evaluation: Evaluation,
        seed: int,
    ) -> None:
        self.folder, self.trainer, self.monitor = folder, trainer, monitor
        self.health, self.evaluation = health, evaluation
        self.fixed = {"seed": seed, "protocol": PROTOCOL, **provenance(trainer)}

    def __call__(self, status: str) -> None:
        if not self.trainer.is_global_zero:
            return
        state = {
            "status": status,
            "iteration": self.trainer.global_step,
            "seconds": round(self.monitor.seconds, 3),
            "metrics": finite(self.monitor.latest),
            "health": {
                "verdicts": [asdict(verdict) for verdict in self.health.verdicts],
                "numbers": finite(self.health.latest),
            },
            "evaluation": self.evaluation.records,
            "evaluations": read_results(self.folder).get("evaluations", []),  # of the command `evaluate`
        }
        written = json.dumps(state | self.fixed, indent=2) + "\n"
        temporary = self.folder / f"{RESULTS}.tmp"
        temporary.write_text(written)
        temporary.replace(self.folder / RESULTS)


def read_results(folder: Path) -> dict[str, Any]:
    """What is in a run's results.json; nothing where there is none, or none that can be read."""
    try:
        content = json.loads((folder / RESULTS).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def finite(numbers: dict[str, float]) -> dict[str, float | None]:
    """The numbers for JSON, which has no NaN and no infinity: None in their place."""
    return {name: value if isfinite(value) else None for name, value in numbers.items()}


def discard(folder: Path) -> None:
    """Removes a folder that was made for a run that can't start; one that holds a run stays."""
    if (folder / CONFIG).exists():
        return
    for name in (".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "train.log"):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / ".hydra", folder):
        with suppress(OSError):  # something else is in it
            path.rmdir()


def typed(key: str, path: Path) -> str:
    """KEY=PATH as one types it in a shell, quoted where the shell or Hydra would take it for something else."""
    if re.fullmatch(r"[\w./-]+", str(path)):
        return f"{key}={path}"
    return shlex.quote(f"{key}={override_value(path)}")


def summarise(run: Run) -> None:
    """Tells a person what there is now."""
    alarms = [f"{verdict.kind[0].lower()}{verdict.kind[1:]}" for verdict in run.verdicts]
    ends = {"finished": "Finished", "SIGINT": "Stopped by Ctrl-C", "SIGTERM": "Stopped by SIGTERM"}
    ends["no_progress"] = "Stopped for want of progress, as evaluation.patience asks,"
    ends |= {"alarm": f"Stopped by a health alarm: {alarms[-1]}"} if alarms else {}
    losses = [f"{name.partition('/')[2]} {run.metrics[name]:.4f}" for name in COMPARED[:2] if name in run.metrics]
    folder = run.folder.absolute()
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    logdir = str(folder) if folder.is_absolute() or not folder.parts else folder.parts[0]
    pictures = sorted((folder / SAMPLES).glob("*.png"))
    rows = {
        "run folder": str(folder),
        "losses": ", ".join(losses),
        "health": "; ".join(f"{verdict.kind} at iteration {verdict.iteration}" for verdict in run.verdicts),
        "samples": str(pictures[-1]) if pictures else "",
        "TensorBoard": f"tensorboard --logdir {shlex.quote(logdir)}",
        "more samples": f"python -m gan_lightning sample {typed('run', folder)} n=64 seed=0 out=grid.png",
    }
    if run.status != "finished":
        rows["go on"] = f"python -m gan_lightning {typed('resume', folder)}"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{ends[run.status]} at iteration {run.iteration}, after {run.seconds:.0f} s of training.")
    for name, value in rows.items():
        if value:
            console.print(f"  {name:<13} {value}", markup=False)
