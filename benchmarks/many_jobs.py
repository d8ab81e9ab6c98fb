"""What a sweep costs beside its training: seconds of a core and memory of 100, 300 and 1,000 jobs.

python benchmarks/many_jobs.py
python benchmarks/many_jobs.py 1000 --once
python benchmarks/many_jobs.py 100 --profile

Everything is real but for the training: a job composes its configuration, owns its folder and leaves its files, a
metrics.csv of 20 rows among them. All jobs run in one process, by hydra/launcher=basic. `again` is the same command in
the same folder, where all jobs are done. With --once Hydra composes one job, and the others have its configuration with
other values: what is left is this project's.
"""

import argparse
import cProfile
import json
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra._internal.core_plugins.basic_launcher import BasicLauncher as HydraBasicLauncher
from hydra.core.utils import JobReturn, filter_overrides, run_job
from omegaconf import DictConfig, OmegaConf, open_dict

from gan_lightning.__main__ import main as command
from gan_lightning.commands import conducting, train
from gan_lightning.commands.engines import BasicLauncher
from gan_lightning.commands.sweep import plan_sweep
from gan_lightning.config.containers import plain
from gan_lightning.config.trust import as_saved, settled
from gan_lightning.run_folder import CONFIG, GENERATOR, METRICS, OVERRIDES, SAVED
from gan_lightning.runs import results
from gan_lightning.runs.ownership import owned
from gan_lightning.runs.results import Results, Run

COUNTS = (100, 300, 1000)
SEEDS = 10  # of each configuration
ROWS = 20  # of metrics.csv
SLOWEST = 25  # functions of a profile
PHASES = ("plan", "jobs", "table", "again", "report")


def stand_in(config: DictConfig, folder: Path, overrides: Sequence[str] = (), here: str | Path | None = None) -> Run:
    """Leaves what a run leaves that sweeps, tables and reports read, in the place of training."""
    steps, rate = 2, float(config.loss.optimizer.generator.lr)
    chance = random.Random(f"{config.seed} {rate}")
    value = (1 + abs(rate - 1e-3) * 100) * chance.lognormvariate(0, 0.2)
    record = {
        "iteration": steps,
        "protocol": {"samples": 1000, "extractor": "classifier", "split": "train", "weights": "ema"},
        "values": {"frechet_distance": value, "classes_covered": 1 / (1 + value)},
        "better": {"frechet_distance": "lower", "classes_covered": "higher"},
    }
    metrics = {"loss/generator": value, "loss/discriminator": 1 / value}
    found = Results("finished", steps, 0.1, metrics, evaluation={"last": record, "best": record}, seed=config.seed)
    with owned(folder):
        (folder / OVERRIDES).parent.mkdir(exist_ok=True)
        OmegaConf.save(OmegaConf.create(list(overrides)), folder / OVERRIDES)
        (folder / CONFIG).write_text(as_saved(plain(config)), encoding="utf-8")
        (folder / SAVED).write_text(as_saved(settled(config)), encoding="utf-8")
        rows = [f"{at},{value * ROWS / at},{value}" for at in range(1, ROWS + 1)]
        (folder / METRICS).write_text("\n".join(["iteration,evaluation/frechet_distance,loss/generator", *rows, ""]))
        (folder / GENERATOR).touch()
        results.write(folder, found)
    return Run(folder, "finished", steps, 0.1, metrics)


class Quick(HydraBasicLauncher):
    """Hydra's launcher, which composes one job; the others have its configuration with other values. A tenth of it."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        context, master, task = self.hydra_context, self.config, self.task_function
        assert context is not None
        assert master is not None
        assert task is not None
        first = context.config_loader.load_sweep_config(master, list(job_overrides[0]))
        keys = {"job_dir_key": "hydra.sweep.dir", "job_subdir_key": "hydra.sweep.subdir"}
        found = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            config, own = deepcopy(first), filter_overrides(overrides)
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num, config.hydra.overrides.task = str(number), number, own
            for key, _, value in (text.partition("=") for text in own):
                OmegaConf.update(config, key, json.loads(value))
            found.append(run_job(task, config, hydra_context=context, configure_logging=False, **keys))
        return found


def line(jobs: int, folder: Path) -> list[str]:
    """The command of a sweep of so many jobs."""
    rates = ",".join(f"{1e-5 * (1 + number):g}" for number in range(jobs // SEEDS))
    return ["-m", f"hydra.sweep.dir={folder}", "hydra/launcher=basic", *told(rates), f"seed=range(1,{SEEDS + 1})"]


def told(rates: str) -> list[str]:
    return [f"loss.optimizer.generator.lr={rates}", "trainer.max_steps=2"]


def timed(spent: dict[str, float], phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose seconds are added to those of a phase."""

    @wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[phase] = spent.get(phase, 0.0) + time.process_time() - began

    return run


def measure(jobs: int, folder: Path, once: bool = False) -> dict[str, float]:
    """The seconds of each phase of a sweep of so many jobs, of the same command again, and of the report; peak MiB."""
    spent: dict[str, float] = {}
    with (
        patch("gan_lightning.runs.run.run_experiment", stand_in),
        patch.object(BasicLauncher, "of", f"{__name__}.Quick" if once else BasicLauncher.of),
        patch.object(train, "plan_sweep", timed(spent, "plan", plan_sweep)),
        patch.object(train, "run_by_hydra", timed(spent, "jobs", train.run_by_hydra)),
        patch.object(conducting, "conclude", timed(spent, "table", conducting.conclude)),
    ):
        done(line(jobs, folder))
        first = dict(spent)
        timed(first, "again", done)(line(jobs, folder))
    timed(first, "report", done)(["report", f"runs={folder}"])
    return {**first, "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def done(arguments: Sequence[str]) -> None:
    """Runs a command, which is to succeed."""
    if status := command(arguments):
        raise RuntimeError(f"{' '.join(arguments)} has ended with {status}")


def profile(jobs: int) -> None:
    """Prints the functions that take longest."""
    with tempfile.TemporaryDirectory() as place, cProfile.Profile() as found:
        measure(jobs, Path(place) / "sweep")
    pstats.Stats(found, stream=sys.stderr).sort_stats("cumulative").print_stats("gan_lightning", SLOWEST)


def row(jobs: int, once: bool) -> str:
    """A row of the table, measured in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        arguments = [sys.executable, __file__, str(jobs), "--folder", f"{place}/sweep", *["--once"] * once]
        output = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = json.loads(output.splitlines()[-1])
    seconds = " | ".join(f"{found[phase]:.1f}" for phase in PHASES)
    return f"| {jobs:,} | {seconds} | {found['MiB']:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", type=int, default=COUNTS)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--folder", type=Path, help="measures one sweep there, in this process")
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measure(options.jobs[0], options.folder, options.once)))
    elif options.profile:
        list(map(profile, options.jobs))
    else:
        print(f"| jobs | {' | '.join(PHASES)} | peak MiB |")
        print(f"|---|{'---|' * len(PHASES)}---|", flush=True)
        for jobs in options.jobs:
            print(row(jobs, options.once), flush=True)


if __name__ == "__main__":
    main()
