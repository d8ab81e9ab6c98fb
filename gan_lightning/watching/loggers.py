"""What a run logs to: TensorBoard's events and metrics.csv, which a resumed run goes on with, and trackers beside them.

All lie in the run's folder. Of several processes, the first alone logs.
"""

import csv
import html
import logging
import os
import re
import shutil
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from gan_lightning.errors import UserError, printable, reason
from gan_lightning.files import naming, replacing, unused
from gan_lightning.pictures import as_image
from gan_lightning.watching.tables import read_table


class Events(TensorBoardLogger):
    """Lightning's TensorBoard logger with its files directly in the run's folder, and none but event files.

    A run resumed at an iteration hides what the interrupted one had logged after it.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        purge: dict[str, Any] = {} if resumed_at is None else {"purge_step": resumed_at + 1}
        self.folder = folder.absolute()  # lest a name that begins with ~ is taken for the home folder
        super().__init__(self.folder, name="", version="", default_hp_metric=False, **purge)

    @property
    def log_dir(self) -> str:
        """The run's folder; Lightning's own would put the value of a variable for $NAME in it."""
        return str(self.folder)

    @rank_zero_only
    def save(self) -> None:
        """Flushes; Lightning's own would write an hparams.yaml beside the run's config.yaml."""
        self.experiment.flush()


class MetricsTable(Logger):
    """Writes the table `path`: a row an iteration at which something is logged, a column `iteration` and one a metric.

    A metric that first appears later adds a column. With `resumed_at`, the table that is there is gone on with: rows
    after that iteration are dropped, because the resumed run writes them again. (Lightning's CSVLogger deletes an
    existing file.)
    """

    def __init__(self, path: Path, resumed_at: int | None = None) -> None:
        super().__init__()
        self.path = path
        self.columns: list[str] = []
        self.last: dict[str, Any] = {}  # the last row,
        self.last_at = 0  # and where it begins in the file
        if resumed_at is not None:
            self.resume(resumed_at)

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def resume(self, iteration: int) -> None:
        """Goes on with the table that is there, as it was at an iteration.

        Lines that can't be read are dropped, which is said; the table as it was is kept beside it then.
        """
        if not self.path.exists():
            return
        if not self.path.is_file():
            raise UserError(f"{self.path} is not a file; the run's folder is damaged.")
        try:
            table = read_table(self.path)
        except OSError as error:
            raise UserError(f"{self.path} can't be read ({reason(error)}).") from error
        if table.dropped:
            kept = unused(self.path.with_suffix(".damaged.csv"))
            shutil.copyfile(self.path, kept)
            lines = "a line" if table.dropped == 1 else f"{table.dropped} lines"
            told = f"{self.path} had {lines} that can't be read and is gone on with without; {kept} has all."
            logging.getLogger(__name__).warning("%s", printable(told))
        self.columns = table.columns
        last = table.rows.get(iteration)
        self._rewrite([row for number, row in table.rows.items() if number < iteration])
        if last is not None:  # which is added to where an evaluation is made up for
            self.last_at = self.path.stat().st_size
            self.last = last | {"iteration": iteration}
            self._append(self.last)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Hyper-parameters are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"iteration": step, **metrics}
        if missing := [name for name in row if name not in self.columns]:
            earlier = []
            if self.columns:
                with self.path.open(newline="") as file:
                    earlier = list(csv.DictReader(file))
            self.columns += missing
            self._rewrite(earlier[:-1] if self.last else earlier)
            self.last_at = self.path.stat().st_size
            if self.last:
                self._append(self.last)
        if self.last.get("iteration") == step:
            row = self.last | row
            os.truncate(self.path, self.last_at)
        self.last_at = self.path.stat().st_size
        self._append(row)
        self.last = row

    def _append(self, row: dict[str, Any]) -> None:
        end = self.path.stat().st_size
        try:
            with naming(self.path), self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(row)
        except OSError:  # of a full disk: half a row is no row
            os.truncate(self.path, end)
            raise

    def _rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            if self.columns:
                writer.writeheader()
            writer.writerows(rows)


class WeightsAndBiases(WandbLogger):
    """Lightning's logger for Weights & Biases, with the settings of a run by name: its own takes any."""

    def __init__(
        self,
        save_dir: str,
        name: str | None = None,
        mode: Literal["online", "offline", "disabled"] = "offline",
        project: str = "gan_lightning",
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        log_model: bool = False,
    ) -> None:
        super().__init__(
            name,
            save_dir,
            project=project,
            log_model=log_model,
            mode=mode,
            entity=entity,
            group=group,
            job_type=job_type,
            tags=tags,
            notes=notes,
        )


class MLflow(MLFlowLogger):
    """Lightning's MLflow logger; without the `tracking_uri` of a server, it logs to an SQLite file in `save_dir`.

    MLflow's other local store, of a file a metric, can't hold loss/generator beside loss/generator/adversarial.
    """

    def __init__(
        self,
        save_dir: str,
        experiment_name: str = "gan_lightning",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        tags: dict[str, Any] | None = None,
    ) -> None:
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # it tells of each table that it makes
        logging.getLogger("pytorch_lightning.loggers.mlflow").setLevel(logging.ERROR)  # and Lightning of the experiment
        folder = artifacts = None
        if tracking_uri is None:
            if not find_spec("sqlalchemy"):
                raise ModuleNotFoundError("mlflow-skinny has no SQLAlchemy of its own, which SQLite files need")
            folder = Path(save_dir).absolute()
            tracking_uri, artifacts = f"sqlite:///{folder / 'mlflow.db'}", folder.as_uri()
            folder.mkdir(parents=True, exist_ok=True)
        try:
            super().__init__(experiment_name, run_name, tracking_uri, tags, artifact_location=artifacts)
        except ModuleNotFoundError:
            if folder is not None:
                folder.rmdir()  # nothing has been written to it
            raise


def fenced(language: str, text: str) -> str:
    """Text as a block of code in Markdown, which nothing in it ends."""
    fence = "`" * max(3, *(1 + len(ticks) for ticks in re.findall("`+", text)), 3)
    return f"{fence}{language}\n{text}\n{fence}"


def literal(text: str) -> str:
    """Text as Markdown that is shown as it stands: no links, pictures, tags or emphasis."""
    return re.sub(r"([\\`*_\[\]])", r"\\\1", html.escape(text, quote=False))


def open_trackers(factories: Mapping[str, Callable[..., Logger]], folder: Path) -> list[Logger]:
    """Starts the loggers that the config's group `logger` asks for, each with a folder of its name in the run's.

    Raises UserError for one whose package is missing, or that doesn't start as it is asked to.
    """
    trackers = []
    for name, factory in factories.items():
        try:
            tracker = factory(save_dir=str(folder / name))
            getattr(tracker, "experiment", None)  # asking for it is what starts it
        except ModuleNotFoundError as error:
            raise UserError(f"logger={name} needs the package {name}: pip install 'gan-lightning[{name}]'") from error
        except Exception as error:  # of whichever kind its package has
            raise UserError(f"logger.{name} can't start: {reason(error)}.") from error
        trackers.append(tracker)
    return trackers


@rank_zero_only
def add_picture(logger: Logger, tag: str, picture: Tensor, step: int) -> None:
    """Logs a picture (C, height, width), uint8, with 1 or 3 channels; tables of numbers have no place for any."""
    match logger:
        case TensorBoardLogger():
            logger.experiment.add_image(tag, picture, step)
        case WandbLogger():
            logger.log_image(tag, [as_image(picture)], step)
        case MLFlowLogger():
            logger.experiment.log_image(logger.run_id, as_image(picture), key=tag, step=step)


@rank_zero_only
def close(logger: Logger) -> None:
    """Ends a tracker's run, which W&B's logger would leave open for the process's next one."""
    if isinstance(logger, WandbLogger):
        logger.experiment.finish()
