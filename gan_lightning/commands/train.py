"""`train`, the default command: from the command line to a run, by way of Hydra. Imports torch only to train.

python -m gan_lightning loss=wgan_gp trainer.accelerator=gpu
python -m gan_lightning -m loss=vanilla,wgan_gp seed=1,2
python -m gan_lightning resume=outputs/2026-01-31/12-00-00_wgan_gp_digits_s0 trainer.max_steps=20000
"""

import json
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from gan_lightning.collecting import uncollected
from gan_lightning.commands.conducting import conduct
from gan_lightning.commands.engines import register_engines
from gan_lightning.commands.flags import hydra_in_a_paragraph, read_flags
from gan_lightning.commands.forking import end_job_servers
from gan_lightning.commands.help import help_text
from gan_lightning.commands.jobs import JOB, do_job, noted
from gan_lightning.commands.launcher import tell_other_ranks
from gan_lightning.commands.resuming import names_folder, resume
from gan_lightning.commands.studies import asks_for_sweep, is_sweep
from gan_lightning.commands.sweep import plan_sweep
from gan_lightning.config.check import ALLOWED
from gan_lightning.config.compose import compose, parse, replacements, with_plugins
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.places import CONF
from gan_lightning.config.resolvers import register_resolvers, resolvers_of_its_own
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import RunFailed, UserError, enough_memory, paragraph
from gan_lightning.paths import one_path, override_value, whole, with_home, with_paths
from gan_lightning.processes import (
    REQUEUES,
    STOPPED,
    Stopped,
    end_with_parent,
    is_first_process,
    leashed,
    requeue,
    stop_if_asked,
)
from gan_lightning.run_folder import find_beginning
from gan_lightning.runs.folders import (
    folder_named,
    holds_run,
    let_go,
    place,
)
from gan_lightning.runs.outcome import Outcome, outcome

if TYPE_CHECKING:
    from gan_lightning.runs.results import Run

RUN = "gan_lightning.runs.run"


def main(arguments: list[str]) -> int:
    """Checks the command line, then lets Hydra run it: once, or once a job of a sweep. Returns the exit status."""
    end_with_parent()
    try:
        with noted_of_a_job():
            return start(arguments)
    except Stopped as stop:
        if stop.number in REQUEUES:
            ask_for_requeue()
        raise
    finally:
        end_job_servers()
        let_go()


def start(arguments: list[str]) -> int:
    """The same, without a care for what is left by an end in the midst of it."""
    arguments = with_home(arguments)
    flags = read_flags(arguments)
    options = list(arguments)
    for text in flags.overrides:
        options.remove(text)
    if flags.shell_completion:
        sources, overrides = sources_of(flags), flags.overrides
    else:
        sources, overrides = with_plugins(sources_of(flags), with_paths(flags.overrides))
    sweep = None
    if flags.help:
        print(help_text(sources.own))
        return 0
    if flags.cfg == "job":
        compose(sources, overrides, TRAINING)  # for the sake of its messages
    if not (flags.hydra_help or flags.cfg or flags.info or flags.shell_completion):
        asked = sources
        sources, overrides, sweep = plan(sources, overrides, flags.multirun)
        if sources != asked:  # a resumed run's config is its own, whatever --config-name and --config-dir say
            options = []
    register_engines()
    arguments = [*options, *overrides]
    return conduct(*sweep, partial(run_by_hydra, sources, arguments)) if sweep else run_by_hydra(sources, arguments)


def run_by_hydra(sources: Sources, arguments: list[str]) -> int:
    """Has Hydra run what was planned. Returns the exit status."""
    program, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        register_resolvers()  # for --cfg with --resolve, which composes nothing before
        with sources.searched(), hydra_in_a_paragraph():
            hydra.main(config_path=str(sources.folder), config_name=sources.name, execution_whitelist=ALLOWED)(task)()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = program
    return 0


def train(*overrides: str, config_dir: str | Path | None = None, plugins: Sequence[str] = ()) -> "Run":
    """Trains as `python -m gan_lightning OVERRIDES…` does, in this process, and returns the run.

    `config_dir` is a folder of options of one's own, and `plugins` are packages whose classes these may name. Relative
    paths are relative to the current folder. It may be called within a program of Hydra's own. Raises UserError for a
    mistake in the overrides, before anything is trained, and RunFailed if training diverges (Diverged, which is a
    FloatingPointError) or the disk is full (WriteFailed, an OSError). A signal that has stopped the run comes again
    once all is saved: so Ctrl-C raises KeyboardInterrupt, and SIGTERM ends the program, unless that handles them.
    """
    from gan_lightning.runs.run import run_experiment

    sources = Sources("train", extra=extra_folders(config_dir))
    named = [f"plugins={json.dumps(list(plugins))}"] if plugins else []
    with resolvers_of_its_own():
        try:
            sources, planned, _ = plan(*with_plugins(sources, [*with_paths(overrides), *named]), multirun=None)
            config = compose(sources, planned, TRAINING)
            run = run_experiment(without_hydra(config), Path(config.hydra.run.dir), overrides)
        except Stopped as stop:
            raise KeyboardInterrupt(*stop.args) from stop
        finally:
            let_go()
    if run.status in STOPPED:
        pass_on(signal.Signals[run.status])
    return run


def pass_on(number: signal.Signals) -> None:
    """Sends a signal that has stopped a run again, unless the run itself has: who waits for a requeue has heard it."""
    if number not in REQUEUES or not callable(signal.getsignal(number)):
        signal.raise_signal(number)


def sources_of(flags: Namespace) -> Sources:
    """Where Hydra's flags say that configs are."""
    folder = Path(flags.config_path).absolute() if flags.config_path else CONF
    require_folder(folder)
    return Sources(flags.config_name or "train", folder, extra_folders(flags.config_dir))


def extra_folders(config_dir: str | Path | None) -> tuple[Path, ...]:
    """The folder of the user's options, if there is one. Raises UserError where it should be and isn't."""
    if config_dir is None or config_dir == "":
        return ()
    folder = whole(config_dir)
    require_folder(folder)
    return (folder,)


def require_folder(path: Path) -> None:
    if not path.is_dir():
        raise UserError(f"There is no folder of configs {path}.")


class Planned(NamedTuple):
    """What Hydra is to compose, and of a sweep its folder, and whether its jobs leave the terminal alone."""

    sources: Sources
    overrides: list[str]
    sweep: tuple[Path, bool] | None = None


def plan(sources: Sources, overrides: list[str], multirun: bool | None) -> Planned:
    """Checks the overrides and fixes the folder: what Hydra is to compose. Raises UserError for a mistake.

    `multirun` says that a sweep is asked for, and None that one can't be.
    """
    with sources.open() as loader:
        parsed = parse(overrides, loader)
    resumed = [override for override in parsed if override.key_or_group == "resume"]
    single = [o.input_line or "" for o in parsed if not o.is_sweep_override() and o not in resumed]
    if multirun or asks_for_sweep(sources, parsed):
        tell_replacements(sources, [] if resumed else single)
        return begin_sweep(sources, parsed, multirun)
    # A run that is named has a config of its own, whose keys the defaults may not have.
    asked = [] if resumed and resumed[-1].value() not in (None, "auto") else single
    with uncollected():  # which a sweep's many configurations are not
        config = compose(sources, asked, TRAINING)
    tell_replacements(sources, asked)
    if is_sweep(config):
        return begin_sweep(sources, parsed, multirun)
    if config.sweep.resume is not None:
        raise UserError(f"sweep.resume is {config.sweep.resume}, which goes on with a sweep; add -m (--multirun).")
    if several := next((o.input_line for o in parsed if o.is_sweep_override()), None):
        raise UserError(f"{several} names several values; to run each of them, add -m (--multirun).{one_path(several)}")
    # It may stand in a configuration of one's own, too.
    which = resumed[-1].value() if resumed else config.resume
    gone_on = None if which is None else resume(sources, config, os.path.expanduser(str(which)), single)
    return Planned(*(gone_on or begin(sources, config, single)))


def begin_sweep(sources: Sources, parsed: Sequence[Override], multirun: bool | None) -> Planned:
    """Plans a sweep, which is no run to go on with, and nothing for whoever wants one run."""
    if multirun is None:
        raise UserError(
            "This configuration asks for several runs, as a study or study.seeds does, and here one is trained;"
            " hydra.mode=RUN leaves it at the one that the overrides name."
        )
    if any(override.key_or_group == "resume" for override in parsed):
        raise UserError("resume goes on with one run; it can't be part of a sweep (-m).")
    overrides, folder, is_quiet = plan_sweep(sources, parsed)
    # Said on the command line too, since Hydra looks for it there and in the primary config alone.
    told = [] if multirun or "hydra.mode=MULTIRUN" in overrides else ["hydra.mode=MULTIRUN"]
    return Planned(sources, [*overrides, *told], (folder, is_quiet))


def tell_replacements(sources: Sources, overrides: Sequence[str]) -> None:
    """Says which of the user's own options are taken in the place of built-in ones."""
    for told in replacements(sources, overrides) if is_first_process() else ():
        print(told, file=sys.stderr)


def begin(sources: Sources, config: DictConfig, overrides: list[str]) -> tuple[Sources, list[str]]:
    """Plans a run in the folder that the user names, where it may have been before, or in a new one."""
    named = names_folder(overrides)
    folder = place(without_hydra(config), folder_named(config, "hydra.run.dir"), named)
    if config.init_from is not None and not holds_run(folder):
        find_beginning(os.path.expanduser(config.init_from))  # raises before torch is imported
    return sources, overrides if named else [*overrides, f"hydra.run.dir={override_value(folder)}"]


def task(config: DictConfig) -> Outcome:
    """One run, inside Hydra: in this process, in the folder that Hydra has made. Returns what a sweeper is told."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        with enough_memory("What this job is to do"):
            return do_job(config, hydra_config)
    try:
        # Once in a process, whose cycles of before would never be collected.
        with uncollected(lasting=RUN not in sys.modules):
            from gan_lightning.runs.run import run_experiment
        tell_other_ranks()
        place = hydra_config.runtime
        with noted_of_a_job(), enough_memory("What this run is to do"):
            run = run_experiment(config, Path(place.output_dir), hydra_config.overrides.task, place.cwd)
    except (UserError, RunFailed) as error:
        if is_first_process():
            print(paragraph(error), file=sys.stderr)
        sys.exit(2 if isinstance(error, UserError) else 1)  # a failure's traceback is in train.log
    except Exception:  # of whichever kind: what a signal has torn fails in its own way
        stop_if_asked()
        raise
    if run.status in STOPPED:
        end_stopped(run.status)
    return outcome(config.optimize, run.folder)


def noted_of_a_job() -> AbstractContextManager[None]:
    """Notes why a job has not finished, in a process that a sweep has started for it."""
    folder = os.environ.get(JOB) if leashed else None
    return noted(Path(folder)) if folder else nullcontext()


def end_stopped(status: str) -> None:
    """Ends the process as the signal that has stopped its run says; asks Slurm to run its job again, if that is so."""
    if status in [number.name for number in REQUEUES]:
        ask_for_requeue()
    sys.exit(STOPPED[status])


def ask_for_requeue() -> None:
    """Asks Slurm to run this job again, if it is one, and says so. Of several processes, the first does it."""
    if is_first_process() and (told := requeue()):
        print(told, file=sys.stderr)
