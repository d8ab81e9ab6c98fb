"""`evaluate`: numbers for finished runs, each with its interval and protocol, in a table that compares only the like.

python -m gan_lightning evaluate run=DIR
python -m gan_lightning evaluate run='multirun/2026-01-31/12-00-00/*' split=held_out
"""

import glob
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf

from gan_lightning.commands.run_data import require_fitting, told_where, with_data
from gan_lightning.config.check import check, require_made
from gan_lightning.config.compose import compose, with_plugins
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import EVALUATED, Builds, Node
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError, printable, reason
from gan_lightning.paths import with_paths
from gan_lightning.run_folder import CONFIG, GENERATOR, RESULTS, find_generator
from gan_lightning.runs import results
from gan_lightning.runs.failing import told_in_a_paragraph
from gan_lightning.studies import table
from gan_lightning.studies.studied import runs_in, studied
from gan_lightning.suggest import did_you_mean
from gan_lightning.types import Count, FilePath, Fraction, PositiveInt, Range, Seed

if TYPE_CHECKING:
    from gan_lightning.sampling.sampler import Sampler
    from gan_lightning.watching.evaluator import Evaluator, Record


@dataclass(frozen=True)
class Evaluating:
    """The keys of conf/evaluate.yaml."""

    run: FilePath
    plugins: list[str]
    samples: Count
    reference: Count | None
    split: Literal["train", "held_out"]
    seed: Seed
    weights: Literal["ema", "raw", "best"]
    intervals: Annotated[int, Range(low=0, high=10_000)]
    shares: list[Fraction] | None
    classifiers: Annotated[int, Range(low=2, high=1000)]
    batch_size: PositiveInt
    device: Literal["cpu", "cuda", "mps"] | None
    root: FilePath | None
    extractor: Annotated[Node, Builds("gan_lightning.metrics.Extractor")] | None
    metric: dict[str, Annotated[Node, Builds("gan_lightning.metrics.Metric")]]


def main(arguments: list[str]) -> int:
    """Evaluates the runs that the arguments name and prints the table."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "evaluate.yaml").read_text(), end="")
        return 0
    overrides = with_paths(arguments)
    sources, overrides = with_plugins(Sources("evaluate"), overrides)
    config = without_hydra(compose(sources, overrides, f"{__name__}.{Evaluating.__name__}"))
    if config.intervals == 1:
        raise UserError("intervals is 1, but it takes at least 2 halves to see how they differ; 0 leaves them out.")
    runs = find_runs(str(config.run))  # a number, by an interpolation
    records = evaluate(config, runs)
    show(runs, records)
    return 0


def find_runs(pattern: str) -> list[Path]:
    """The run folders that a path or pattern names. Raises UserError if there is none, or one that isn't whole.

    A folder stands for the runs in it, too. Files that match are passed over, folders aren't; of several runs, those
    without a generator, such as a sweep's jobs that never started, are told and left out.
    """
    # As it stands, before it is a pattern: a sweep's folders may be named regularizer=[r1].
    names = [pattern] if os.path.isdir(pattern) else sorted(glob.glob(pattern, recursive=True))
    folders = [Path(name) for name in names if os.path.isdir(name)]
    if not folders and not glob.has_magic(pattern):
        find_generator(pattern)  # raises the error that fits
        raise UserError(f"run is {pattern}, which is a file; name the run's folder.")
    if not folders:
        parent = Path(os.path.dirname(re.split(r"[*?[]", pattern)[0]) or ".")
        siblings = [str(path) for path in parent.parent.glob("*/")] if parent.parent.is_dir() else []
        hint = "" if parent.is_dir() else f" {parent} does not exist.{did_you_mean(str(parent), siblings)}"
        raise UserError(f"run is {pattern}, which no folder matches.{hint}")
    folders = [each for folder in folders for each in [run.folder for run in runs_in(folder)] or [folder]]
    if len(folders) > 1:
        folders = with_generators(folders, pattern)
    for folder in folders:
        if not (folder / CONFIG).is_file():
            raise UserError(f"run is {pattern}, but {folder} is not a run: it has no {CONFIG}.")
        find_generator(str(folder))
        results.read(folder)
    return folders


def with_generators(folders: Sequence[Path], pattern: str) -> list[Path]:
    """Those of several runs that have come to a generator; the others are told. Raises UserError for none."""
    lacking = {folder: results.find(folder) for folder in folders if not (folder / GENERATOR).is_file()}
    for folder, found in lacking.items():
        status = f"its run is {found.status}" if found else "its run has not started"
        print(printable(f"{folder} is left out: it has no {GENERATOR}; {status}."), file=sys.stderr)
    if len(lacking) == len(folders):
        raise UserError(f"run is {pattern}, of which no run has a {GENERATOR}.")
    return [folder for folder in folders if folder not in lacking]


def evaluate(config: DictConfig, runs: Sequence[Path]) -> "list[Record]":
    """The record of each run, which is also kept in its folder.

    Raises UserError for runs whose numbers can't be compared, and for weights that can't be read.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    from gan_lightning.sampling.sampler import load_generator
    from gan_lightning.watching.evaluator import differences

    config.device = config.device or device_of(runs)
    parts = {run: parts_of(config, run) for run in runs}
    for run in runs:
        # Raises before anything is measured.
        require_fitting(load_generator(run, config.weights, config.device, config.plugins), parts[run], run)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        opened: dict[str, Evaluator] = {}
        evaluators = [evaluator_of(config, each, opened, progress) for each in parts.values()]
        if found := differences([evaluator.fixed for evaluator in evaluators]):
            told = "; ".join(
                f"{name} is {' or '.join(map(str, dict.fromkeys(map(str, values))))}" for name, values in found.items()
            )
            raise UserError(
                f"run is {config.run}, whose runs can't be compared, since their protocols differ ({told});"
                " evaluate those of each data set by a pattern of their own."
            )
        records = []
        for run, evaluator in zip(runs, evaluators, strict=True):
            sampler = load_generator(run, config.weights, config.device, config.plugins)
            advance = partial(progress.advance, progress.add_task(printable(run.name), total=evaluator.work))
            try:
                record = evaluator.measure(sampler.network, sampler.latents, config.weights, config.device, advance)
            except FloatingPointError as error:
                raise UserError(f"{run} can't be measured: {str(error).rstrip('.')}.") from error
            records.append({"iteration": sampler.iteration, **record})
            with kept(run, "its numbers are"):
                write(run, records[-1])
            if config.shares:
                progress.console.print(Text(mixtures(config, run, evaluator, sampler, records[-1])), soft_wrap=True)
    return records


def device_of(runs: Sequence[Path]) -> str:
    """One device for all runs, that of the first one that trained on a GPU, if this machine has such a device."""
    import torch

    for told in (found.device for run in runs if (found := results.find(run)) and found.device):
        kind = told.split(" (")[0] if told.startswith(("cpu (", "mps (")) else "cuda"  # of which the model is told
        if kind != "cpu" and getattr(torch, kind).is_available():
            return kind
    return "cpu"


def parts_of(config: DictConfig, run: Path) -> DictConfig:
    """What a run is to be evaluated by: its data, the extractor and the metrics. Raises UserError for what can't be."""
    saved = with_data(run, config.root)
    extractor = config.extractor if config.extractor is not None else saved.get("extractor")
    if extractor is None:
        raise UserError(f"{run} was trained without evaluations; name an extractor, such as extractor=classifier.")
    parts = OmegaConf.create({"data": saved.get("data"), "extractor": extractor, "metric": config.metric})
    check(parts, EVALUATED, plugins=config.plugins)
    require_made(parts, "data", "extractor")
    return parts


def evaluator_of(config: DictConfig, parts: DictConfig, opened: "dict[str, Evaluator]", progress: Any) -> "Evaluator":
    """The evaluator of a run's data set; runs of one data set share it."""
    from gan_lightning.config.build import build_all
    from gan_lightning.watching.evaluator import Evaluator

    key = json.dumps([OmegaConf.to_container(parts[name]) for name in ("data", "extractor")])
    if key not in opened:
        task = progress.add_task("real samples", total=None)
        with told_where(parts):
            built = build_all(parts, ("data", "extractor", "metric"), config.plugins)
            opened[key] = Evaluator(
                built["data"],
                built["extractor"],
                built["metric"],
                config.samples,
                config.reference,
                config.split,
                config.seed,
                config.intervals,
                config.batch_size,
                config.device,
            )
        progress.remove_task(task)
    return opened[key]


def mixtures(config: DictConfig, run: Path, evaluator: "Evaluator", sampler: "Sampler", record: "Record") -> str:
    """Measures classifiers along mixtures of real and generated samples, and keeps the curve, with the protocol of the
    run's record; returns it for people.
    """
    from gan_lightning.commands import mixture
    from gan_lightning.metrics.classes import ClassifierAccuracy

    fake = evaluator.draw(sampler.network, sampler.latents, config.device, lambda drawn: None)
    lacking = ClassifierAccuracy().missing(evaluator.real, fake)
    if lacking:
        return printable(f"{run}: shares are left out: {lacking}.")
    points = mixture.curve(evaluator.real, fake, config.shares, config.classifiers, config.seed)
    with kept(run, "its mixtures are"):
        mixture.save(points, record, config.classifiers, run)
    return mixture.told(points, run, config.classifiers)


@contextmanager
def kept(run: Path, what: str) -> Iterator[None]:
    """For a block that writes what was measured to a run's folder: where that can't be, it is said, and nothing else
    is lost.
    """
    try:
        with told_in_a_paragraph(run):
            yield
    except OSError as error:
        # Without what would be told of a training that it ends.
        first = error.__cause__ if isinstance(error.__cause__, OSError) else error
        why = first.strerror or reason(first)
        print(printable(f"{run} can't be written to ({why}): {what} not kept."), file=sys.stderr)


def write(run: Path, record: "Record") -> None:
    """Adds a record to the run's results.json, in the place of one of the same protocol, and to its TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    from gan_lightning.watching.evaluation import as_text

    results.add_evaluation(run, record)
    protocol = record["protocol"]
    tag = f"final/{record['weights']}/{protocol['split']}/{protocol['extractor']}"  # one curve isn't to mix them
    with SummaryWriter(str(run)) as writer:
        for name, value in record["values"].items():
            if value is not None:
                writer.add_scalar(f"{tag}/{name}", value, record["iteration"])
        writer.add_text(f"{tag}/protocol", as_text(record), record["iteration"])


def show(runs: Sequence[Path], records: "Sequence[Record]") -> None:
    """Prints a table of the runs' numbers, one of means over seeds where there are several, and how they were made."""
    from rich.console import Console
    from rich.text import Text

    found = [studied(run) for run in runs]
    console = Console(highlight=False)
    over = table.over_seeds(found, records)
    for each in (table.by_run(found, records), *over):
        for part in table.fewest(each, console.width):
            console.print(part)
            console.print()
    protocol = records[0]["protocol"]
    facts = "".join(f", {name} {value:.4g}" for name, value in protocol["extractor_facts"].items())
    told = (
        f"{protocol['samples']} samples of seed {protocol['seed']} ({records[0]['weights']}) against"
        f" {protocol['reference']} real ones ({protocol['split']}), features: {protocol['extractor']}{facts};"
        f" intervals: {protocol['interval']}. {RESULTS} has all of the protocol."
    )
    left_out = {name: lack for record in records for name, lack in record["left_out"].items()}
    marked = [table.NOTE] if over else [table.BEST] if len(runs) > 1 else []
    for line in (told, *marked, *(f"{name} is left out: {lack}." for name, lack in left_out.items())):
        console.print(Text(printable(line)), soft_wrap=True)
