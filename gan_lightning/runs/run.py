"""One run: build the parts that a config names, train, and leave a folder that tells everything."""

import logging
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.loggers import Logger

from gan_lightning.config.containers import plain
from gan_lightning.config.mistakes import require_text
from gan_lightning.config.trust import as_saved, settled
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.seen import kept
from gan_lightning.errors import RunFailed, UserError, enough_memory, printable, reason
from gan_lightning.files import replacing
from gan_lightning.paths import READ, WRITTEN, whole
from gan_lightning.processes import Stopped, is_first_process, stop_if_asked
from gan_lightning.run_folder import CONFIG, HYDRAS, METRICS, OVERRIDES, SAVED
from gan_lightning.runs import results
from gan_lightning.runs.failing import told_in_a_paragraph
from gan_lightning.runs.finishing import PROTOCOL, finish, parameters, sample_grids, set_aside
from gan_lightning.runs.folders import discard, goes_on, holds_run, start_over
from gan_lightning.runs.hardware import build_trainer, check_hardware, duration, silence, spare_cuda_lookups
from gan_lightning.runs.multiplying import chosen
from gan_lightning.runs.outcome import require_known
from gan_lightning.runs.overview import draw_overview
from gan_lightning.runs.ownership import owned
from gan_lightning.runs.parts import (
    RunParts,
    build_parts,
    iterations,
    mention_moved_end,
    require_parts,
    require_step,
    require_strategy,
)
from gan_lightning.runs.provenance import compared, hyperparameters, provenance
from gan_lightning.runs.restoring import require_restorable, require_same_run
from gan_lightning.runs.results import Health, Results, Run, finite
from gan_lightning.runs.speeding import RunSize, hasten
from gan_lightning.runs.starting import require_same_meanings, start_from
from gan_lightning.runs.summary import LOSSES, at_once, summarise
from gan_lightning.sampling.checkpoints import Checkpoint, read_last
from gan_lightning.training.interrupt import Interrupt
from gan_lightning.watching.evaluation import Evaluation
from gan_lightning.watching.health import HealthCheck
from gan_lightning.watching.loggers import Events, MetricsTable, close, fenced, open_trackers
from gan_lightning.watching.monitor import Monitor
from gan_lightning.watching.progress import IterationBar
from gan_lightning.watching.prune import Prune

log = logging.getLogger(__name__)

# The columns of TensorBoard's HParams page, after the evaluations'; their values are the scalars' latest.
COMPARED = (*LOSSES, "discriminator/real", "discriminator/fake", "progress/seconds")


class Watchers(NamedTuple):
    """The callbacks that a run's results are read off."""

    monitor: Monitor
    health: HealthCheck
    evaluation: Evaluation
    interrupt: Interrupt


class Prepared(NamedTuple):
    """A run that is ready to train."""

    parts: RunParts
    trainer: Trainer
    watchers: Watchers
    trackers: list[Logger]
    limit: int  # the iteration to stop at, -1 for none
    checkpoint: Checkpoint | None  # that the run goes on from


def run_experiment(
    config: DictConfig, folder: Path, overrides: Sequence[str] = (), here: str | Path | None = None
) -> Run:
    """Trains what `config` says in `folder`, which belongs to this process meanwhile.

    Relative paths are relative to `here`, where the command was typed; by default the current folder.

    It goes on there if `config.resume` is set, or if the folder has a checkpoint of a run of this configuration. Raises
    UserError, with nothing trained and nothing left in the folder, for what the user can mend. RunFailed where the disk
    is full or training diverges.
    """
    with told_in_a_paragraph(folder):
        return experiment(config, folder, overrides, Path(here or Path.cwd()))


def experiment(config: DictConfig, folder: Path, overrides: Sequence[str], here: Path) -> Run:
    """The same, with whatever ends a run raised as it is."""
    silence()
    spare_cuda_lookups()
    fix_paths(config, here)
    try:
        with owned(folder):
            if not config.resume and goes_on(config, folder):
                config.resume = str(folder)
            return run_owned(config, folder, overrides)
    finally:
        discard(folder)


def fix_paths(config: DictConfig, here: Path) -> None:
    """Makes the paths of a configuration whole, so that the run may go on, and be evaluated, from another folder.

    Those of caches stay as they were typed, and mean what they do there; but not where hydra.job.chdir has left `here`.
    """
    keys = [*READ, *(WRITTEN if Path.cwd() != here.absolute() else ())]
    for key in keys:
        value = OmegaConf.select(config, key)
        if isinstance(value, str) and (path := str(whole(value, here))) != value:
            OmegaConf.update(config, key, path)
            require_text(f"{key}={path}")


def run_owned(config: DictConfig, folder: Path, overrides: Sequence[str]) -> Run:
    """Trains in a folder that belongs to this process."""
    with enough_memory("What the configuration asks for"):
        prepared = prepare(config, folder)
    if isinstance(prepared, Run):
        return prepared
    trainer, watchers = prepared.trainer, prepared.watchers
    if trainer.is_global_zero:
        columns = [*(f"evaluation/{name}" for name in watchers.evaluation.higher_is_better), *COMPARED]
        describe(config, folder, overrides, trainer, columns, new=prepared.checkpoint is None)
    status = train(config, folder, prepared)
    run = Run(
        folder,
        status,
        trainer.global_step,
        watchers.monitor.seconds,
        watchers.monitor.latest,
        tuple(watchers.health.verdicts),
        parameters(prepared.parts.model),
    )
    if trainer.is_global_zero:
        draw_overview(folder)
        summarise(run, config.plugins)
    watchers.interrupt.pass_on()
    return run


def prepare(config: DictConfig, folder: Path) -> Prepared | Run:
    """Builds and checks all that it takes to train; a run that is complete already is returned as it is."""
    check_hardware(config.trainer)
    checkpoint = read_last(folder) if config.resume else None
    if checkpoint and checkpoint.instead and is_first_process():
        log.warning("%s", printable(checkpoint.instead))
    resumed_at = checkpoint.iteration if checkpoint else None
    if checkpoint:
        require_same_run(config, checkpoint.content["config"], checkpoint.path)
    seed_everything(config.seed, verbose=False)
    parts = build_parts(config)
    before = require_restorable(parts.model, checkpoint.content, checkpoint.path) if checkpoint else None
    start = start_from(config, parts.model) if checkpoint is None else None
    parts.data.setup()
    if start:
        require_same_meanings(config, start, parts.data)
    parts.model.conditions = parts.data.conditions  # that pictures are drawn with where nothing is left to train
    remember(config, parts.data)
    limit = iterations(config, parts.data)
    if checkpoint:
        mention_moved_end(parts.model, before, config.trainer.max_steps)
    require_parts(config, parts.model, parts.data, limit)
    if checkpoint and 0 < limit <= checkpoint.iteration:
        return finish(folder, config, checkpoint, parts)
    watchers = watch(config, parts)
    require_known(config.optimize, watchers.evaluation.higher_is_better, config.evaluation.every)
    if resumed_at is None and is_first_process() and holds_run(folder):
        start_over(folder)
    present = callbacks(config, folder, parts, watchers)
    loggers = [Events(folder, resumed_at), MetricsTable(folder / METRICS, resumed_at)]
    factory = partial(parts.trainer, default_root_dir=folder)  # where anything of Lightning's own would go
    trainer = build_trainer(config, factory, present, loggers, limit)
    parts.data.require_even(trainer.world_size)
    require_strategy(trainer, parts.model)
    require_step(parts.model, parts.data, trainer.world_size)
    content = checkpoint.content if checkpoint else None
    parts.model.matmul = chosen(config.matmul, trainer, parts.model, parts.data.batch_size, content)
    hasten(config, trainer, parts.model, RunSize(parts.data.batch_size, limit), content)
    trackers = open_trackers(parts.logger, folder)
    trainer.loggers = [*trainer.loggers, *trackers]
    return Prepared(parts, trainer, watchers, trackers, limit, checkpoint)


def remember(config: DictConfig, data: GANDataModule) -> None:
    """Notes in the config what a source tells of its samples, if it asks for that when the run goes on.

    What was accepted once is what the run has seen from now on.
    """
    if "seen" in config.dataset and data.facts:
        config.dataset.seen = kept(data.facts)
        config.dataset.changed = "refuse"


def watch(config: DictConfig, parts: RunParts) -> Watchers:
    """Raises UserError where what evaluates the run can't be had, or names what there isn't."""
    data = parts.data
    health = parts.health(data=data, seed=config.seed)
    try:
        evaluation = parts.evaluation(data=data)
    except ValueError as error:
        raise UserError(f"evaluation.{str(error).rstrip('.')}.") from error
    interrupt = Interrupt(duration(config.trainer.max_time))
    evaluation.is_interrupted = lambda: interrupt.has_come
    return Watchers(Monitor(data.stream.minibatches_per_pass, data.batch_size), health, evaluation, interrupt)


def callbacks(config: DictConfig, folder: Path, parts: RunParts, watchers: Watchers) -> list[Callback]:
    """All that looks on, in the order in which it is asked; Lightning itself puts the checkpoint last."""
    bar = [IterationBar(watchers.monitor)] if config.trainer.enable_progress_bar else []
    return [
        watchers.health,
        watchers.monitor,
        sample_grids(folder, config, parts),
        parts.dashboard(data=parts.data, seed=config.seed, features=watchers.evaluation.features),
        watchers.evaluation,
        parts.checkpoint(
            folder=folder,
            config=plain(config),
            is_best=watchers.evaluation.is_best,
            classes=parts.data.loaded.classes,
            units=parts.data.loaded.units,
        ),
        *bar,
        *parts.callbacks.values(),
        watchers.interrupt,
    ]


def train(config: DictConfig, folder: Path, prepared: Prepared) -> str:
    """Trains to the end or to a stop, with results.json telling how far it is; returns the status."""
    parts, trainer, watchers = prepared.parts, prepared.trainer, prepared.watchers
    stop_if_asked()
    record(folder, "running", config.seed, prepared)
    checkpoint = prepared.checkpoint.path if prepared.checkpoint else None
    if prepared.checkpoint and prepared.checkpoint.instead and trainer.is_global_zero:
        set_aside(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads or threads)
    try:
        with watchers.interrupt.handling_signals():
            trainer.fit(parts.model, parts.data, ckpt_path=checkpoint, weights_only=True)
    except Stopped as stop:
        record(folder, signal.Signals(stop.number).name, config.seed, prepared)
        raise Stopped(stop.number, at_once(folder, str(stop))) from stop
    except BaseException as error:
        with suppress(OSError):  # for which there may be no room
            record(folder, "failed", config.seed, prepared)
        is_unknown = isinstance(error, Exception) and not isinstance(error, UserError | RunFailed)
        if checkpoint is not None and is_unknown and not watchers.monitor.has_begun:
            raise UserError(f"{checkpoint} can't be gone on with ({reason(error)}); it is damaged.") from error
        raise
    finally:
        torch.set_num_threads(threads)
        for tracker in prepared.trackers:
            close(tracker)
    status = ended_by(watchers, parts.callbacks.values())
    if 0 < prepared.limit <= trainer.global_step:
        status = "finished"
    record(folder, status, config.seed, prepared)
    return status


def ended_by(watchers: Watchers, callbacks: Iterable[Callback]) -> str:
    """What has stopped a run before its last iteration, if anything has."""
    if watchers.interrupt.received:
        return watchers.interrupt.received.name
    if watchers.interrupt.is_out_of_time:
        return "max_time"
    if watchers.health.stopped:
        return "alarm"
    if any(isinstance(each, Prune) and each.pruned for each in callbacks):
        return "pruned"
    return "no_progress" if watchers.evaluation.stopped else "finished"


def record(folder: Path, status: str, seed: int, prepared: Prepared) -> None:
    """Writes how far the run is, its last metrics and where they come from to results.json."""
    trainer, watchers = prepared.trainer, prepared.watchers
    if not trainer.is_global_zero:
        return
    verdicts = [asdict(verdict) for verdict in watchers.health.verdicts]
    now = Results(
        status,
        trainer.global_step,
        round(watchers.monitor.seconds, 3),
        finite(watchers.monitor.latest),
        Health(verdicts, finite(watchers.health.latest)),
        watchers.evaluation.records,
        seed=seed,
        protocol=PROTOCOL,
        **provenance(trainer),
        matmul=prepared.parts.model.matmul or torch.get_float32_matmul_precision(),
        bfloat16=prepared.parts.model.rounds,
        compiled=prepared.parts.model.compiles,
        parameters=parameters(prepared.parts.model),
        classes=prepared.parts.data.loaded.classes,
        origin=prepared.parts.model.origin,
    )
    results.renew(folder, now)


def describe(
    config: DictConfig, folder: Path, overrides: Sequence[str], trainer: Trainer, columns: Sequence[str], new: bool
) -> None:
    """Writes down what is about to run: the configuration in files; in TensorBoard, that and the hyper-parameters."""
    resolved = plain(config)
    text, composed = as_saved(resolved), as_saved(settled(config))
    (folder / HYDRAS).parent.mkdir(exist_ok=True)
    # Interpolations are kept in what is composed again, so that a resumed run's overrides reach every use.
    for name, content in ((CONFIG, text), (SAVED, composed), (HYDRAS, composed)):
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    if new:
        OmegaConf.save(OmegaConf.create(list(overrides)), folder / OVERRIDES)
    log.info("run in %s: %s", folder, " ".join(overrides) or "defaults")
    values = hyperparameters(resolved, overrides)
    for tracker in trainer.loggers:
        if not isinstance(tracker, Events | MetricsTable):
            tracker.log_hyperparams(values)
    if not new:
        return
    for logger in trainer.loggers:
        if isinstance(logger, Events):
            logger.experiment.add_text("config", fenced("yaml", text))
            for summary in compared(values, columns):
                logger.experiment._get_file_writer().add_summary(summary)
