"""What a person is told once a run has ended."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from gan_lightning.errors import printable
from gan_lightning.paths import shell_word, typed
from gan_lightning.run_folder import SAMPLES, last_saved
from gan_lightning.runs.results import Run

ENDS = {
    "finished": "Finished",
    "SIGINT": "Stopped by Ctrl-C",
    "SIGTERM": "Stopped by SIGTERM",
    "SIGUSR1": "Stopped by SIGUSR1",
    "SIGUSR2": "Stopped by SIGUSR2",
    "max_time": "Stopped by trainer.max_time",
    "no_progress": "Stopped for want of progress, as evaluation.patience asks,",
    "pruned": "Pruned, being worse than other trials of its search were by then,",
}
LOSSES = ("loss/discriminator", "loss/generator")


def summarise(run: Run, plugins: Sequence[str] = ()) -> None:
    """Prints how the run ended, what it has left, and how to go on, with the plug-ins that this takes."""
    alarms = [f"{verdict.kind[0].lower()}{verdict.kind[1:]}" for verdict in run.verdicts]
    ends = ENDS | ({"alarm": f"Stopped by a health alarm: {alarms[-1]}"} if alarms else {})
    losses = [f"{name.partition('/')[2]} {run.metrics[name]:.4f}" for name in LOSSES if name in run.metrics]
    folder = from_here(run.folder)
    logdir = str(folder) if folder.is_absolute() else folder.parts[0]
    logdir = f"./{logdir}" if logdir[0] in "~-" else logdir
    trusted = f" plugins={shell_word(','.join(plugins).join('[]'))}" if plugins else ""
    pictures = sorted((folder / SAMPLES).glob("*.png"))
    rows = {
        "run folder": str(folder),
        "parameters": ", ".join(f"{network} {count:,}" for network, count in run.parameters.items()),
        "losses": ", ".join(losses),
        "health": "; ".join(f"{verdict.kind} at iteration {verdict.iteration}" for verdict in run.verdicts),
        "samples": str(pictures[-1]) if pictures else "",
        "TensorBoard": f"tensorboard --logdir {shell_word(logdir)}",
        "more samples": f"python -m gan_lightning sample {typed('run', folder)} n=64 seed=0 out=grid.png{trusted}",
        "go on": f"python -m gan_lightning {typed('resume', folder)}{trusted}" if run.status != "finished" else "",
    }
    console = Console(highlight=False, soft_wrap=True)
    ended = f"{ends[run.status]} at iteration {run.iteration}, after {run.seconds:.0f} s of training."
    console.print(Text(printable(ended)))
    for name, value in rows.items():
        if value:
            console.print(Text(printable(f"  {name:<13} {value}")))


def at_once(folder: Path, told: str) -> str:
    """What a second Ctrl-C is answered by, or a signal before training; `told` is its own sentence."""
    told = told.rstrip(".").replace("Stopped", "Stopped at once", 1)
    if last_saved(folder) is None:
        return f"{told}, before the first checkpoint."
    command = f"python -m gan_lightning {typed('resume', from_here(folder))}"
    return f"{told}; {command} goes on from the last checkpoint."


def from_here(folder: Path) -> Path:
    """A folder's path, relative to the current one if it lies in there.

    The current folder itself has its whole path: hydra.job.chdir may have gone there, and no shell has.
    """
    path, here = folder.absolute(), Path.cwd()
    return path.relative_to(here) if here in path.parents else path
