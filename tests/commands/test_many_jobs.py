"""A hundred jobs that train nothing: the whole way of a sweep, and the report over it, at a cost that grows with them.

benchmarks/many_jobs.py does the same with a thousand, and measures.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from docs_scripts import script
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from gan_lightning.commands.engines import BasicLauncher
from gan_lightning.runs import results
from gan_lightning.runs.results import Results, Run
from gan_lightning.studies import studied, sweep_folder
from gan_lightning.studies.sweep_folder import Sweep

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
JOBS = 100
RATES = f"loss.optimizer.generator.lr={','.join(f'{rate}e-5' for rate in range(1, 11))}"


def stand_in(config: Any, folder: Path, *others: Any) -> Run:
    """Leaves results alone, in the place of training."""
    value = {"frechet_distance": config.seed + 1e5 * config.loss.optimizer.generator.lr}
    record = {"iteration": 2, "protocol": {}, "values": value, "better": {"frechet_distance": "lower"}}
    results.write(folder, Results("finished", 2, 0.1, evaluation={"last": record}, seed=config.seed))
    return Run(folder, "finished", 2, 0.1, {})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose sweep.json is read, each time."""
    found: list[Path] = []
    read = sweep_folder.read

    def noted(folder: Path) -> Sweep:
        found.append(folder)
        return read(folder)

    monkeypatch.setattr(sweep_folder, "read", noted)
    return found


@pytest.mark.slow
def test_a_hundred_jobs(
    command: Callable[..., Any],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    reads: list[Path],
) -> None:
    composed: list[Sequence[str]] = []
    compose = ConfigLoaderImpl.load_sweep_config

    def counted(self: Any, config: Any, overrides: list[str]) -> Any:
        composed.append(overrides)
        return compose(self, config, overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    monkeypatch.setattr(BasicLauncher, "of", f"{script('many_jobs', BENCHMARKS).__name__}.Quick")
    monkeypatch.setattr("gan_lightning.runs.run.run_experiment", stand_in)
    outcome = command("-m", "hydra/launcher=basic", "hydra.sweep.dir=S", RATES, "seed=range(1,11)")
    assert outcome.status == 0, outcome.err
    assert len(reads) < 10  # and not one for each job
    assert len(composed) == 1  # by the launcher here; Hydra's sweeper would do it for each, to see whether it can
    assert "100 finished; S/table.csv" in outcome.err
    assert outcome.out.count(" 10 of 10 ") == 10
    assert {run.status for run in studied.runs_in(here / "S")} == {"finished"}

    assert command("report", "runs=S").status == 0
    assert (here / "S" / "report.csv").read_text().count("\n") == JOBS + 1
