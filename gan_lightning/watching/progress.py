"""The progress bar: iterations, rate, time left and the losses, drawn at most ten times a second."""

import time

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.clock import log_interval
from gan_lightning.training.gan import GAN
from gan_lightning.watching.monitor import Monitor

REDRAW_SECONDS = 0.1
LINE_SECONDS = 10.0


class RateColumn(ProgressColumn):
    """Iterations per second, over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} it/s" if task.speed else "- it/s")


class IterationBar(IterationCallback, ProgressBar):
    """A bar on a terminal; elsewhere (a log file, a notebook's output) a line at the log points, every ten seconds."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__()
        self.monitor = monitor
        self.console = Console(stderr=True)
        self.progress: Progress | None = None
        self._drawn = self._printed = 0.0

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    _enabled = True

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        self._started, self._first = time.monotonic(), trainer.global_step
        self._printed = self._started
        total = trainer.max_steps if trainer.max_steps > 0 else None
        if not self._enabled or not self.console.is_terminal:
            return
        self.progress = Progress(
            TextColumn("iteration"),
            MofNCompleteColumn(),
            BarColumn(),
            RateColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=self.console,
        )
        self._task = self.progress.add_task("", total=total, completed=trainer.global_step, losses="")
        self.progress.start()

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        if self.progress is not None:
            return time.monotonic() - self._drawn > REDRAW_SECONDS or completed == trainer.max_steps
        logs = self._enabled and completed % log_interval(trainer) == 0
        return logs and time.monotonic() - self._printed > LINE_SECONDS

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        now = time.monotonic()
        iteration = trainer.global_step
        if self.progress is not None:
            self._drawn = now
            self.progress.update(self._task, completed=iteration, losses=self.losses())
        else:
            self._printed = now
            rate = (iteration - self._first) / (now - self._started)
            left = f", {(trainer.max_steps - iteration) / rate:.0f} s left" if trainer.max_steps > 0 else ""
            self.console.print(f"iteration {iteration}, {rate:.0f} it/s{left}, {self.losses()}", highlight=False)

    def losses(self) -> str:
        """The latest logged losses, for people."""
        names = {"loss D": "loss/discriminator", "loss G": "loss/generator"}
        return "  ".join(f"{k} {self.monitor.latest[v]:.3f}" for k, v in names.items() if v in self.monitor.latest)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
