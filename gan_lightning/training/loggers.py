"""What a run logs to: TensorBoard's events and metrics.csv, both in its folder, both gone on with by a resumed run."""

import csv
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only


class Events(TensorBoardLogger):
    """Lightning's TensorBoard logger with its files directly in the run's folder, and none but event files.

    A run resumed at an iteration hides what the interrupted one had logged after it.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        purge: dict[str, Any] = {} if resumed_at is None else {"purge_step": resumed_at + 1}
        super().__init__(folder, name="", version="", default_hp_metric=False, **purge)

    @rank_zero_only
    def save(self) -> None:
        """Flushes; Lightning's own would write an hparams.yaml beside the run's config.yaml."""
        self.experiment.flush()


class MetricsTable(Logger):
    """Appends a row a log point to `path`: the column `iteration`, then one a metric.

    Lightning's own CSVLogger deletes an existing file, so that a resumed run would lose its first part. Rows after
    `resumed_at` are dropped: the resumed run writes them again. A metric that first appears later adds a column.
    """

    def __init__(self, path: Path, resumed_at: int | None = None) -> None:
        super().__init__()
        self.path = path
        self.columns: list[str] = []
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
        """Goes on with the table that is there, as it was at an iteration."""
        if self.path.is_file():
            with self.path.open(newline="") as file:
                reader = csv.DictReader(file)
                rows = [row for row in reader if int(row["iteration"]) <= iteration]
                self.columns = list(reader.fieldnames or [])
            self._rewrite(rows)

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
            self._rewrite(earlier)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, self.path)
