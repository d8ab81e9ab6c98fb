"""What comes before a run's first iteration: no import that is not due, and no collection."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from gan_lightning.collecting import uncollected
from gan_lightning.commands import sweep, train
from gan_lightning.config.compose import compose
from gan_lightning.runs.folders import let_go

LATE = ("matplotlib", "sklearn", "scipy")
PROGRAM = f"""
import sys
import pytorch_lightning  # which brings some of it along
before = set(sys.modules)
from gan_lightning.__main__ import main
from gan_lightning.training.gan import GAN
def look(self, *args):
    late = [name for name in set(sys.modules) - before if name.partition(".")[0] in {LATE!r}]
    print("late:", sorted(late))
    sys.stdout.flush()
    sys.exit(0)
GAN.training_step = look
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_nothing_is_imported_before_it_is_due(tmp_path: Path) -> None:
    """In a process of its own, with the default data, metrics and watchers."""
    asked = ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "hydra.run.dir=run"]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *asked], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "late: []" in ended.stdout, ended.stdout + ended.stderr


def test_nothing_is_collected_meanwhile() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    with uncollected(lasting=True):
        lasting = [[]]
    assert gc.get_freeze_count() > frozen
    gc.unfreeze()
    assert lasting == [[]]


def test_a_sweep_collects_while_it_is_planned_and_a_run_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[bool] = []
    monkeypatch.setattr(train, "compose", lambda *given: seen.append(gc.isenabled()) or compose(*given))
    monkeypatch.setattr(sweep, "compose", train.compose)
    monkeypatch.setattr(train, "run_by_hydra", lambda *given: 0)
    assert train.start(["seed=1"]) == 0
    assert seen == [False]
    monkeypatch.setattr(train, "conduct", lambda *given: 0)
    assert train.start(["-m", "seed=1,2"]) == 0
    assert len(seen) > 2
    assert all(seen[1:])
    assert gc.isenabled()
    let_go()
