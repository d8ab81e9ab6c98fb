"""A sweep of which a job and then the sweep itself are killed: what is gone on with ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning import train
from gan_lightning.runs.ownership import is_owned
from gan_lightning.studies import endings
from gan_lightning.studies.endings import Ending
from gan_lightning.studies.studied import studied

SHORT = ("trainer.enable_progress_bar=false", "checkpoint.every=20", "trainer.log_every_n_steps=10", "threads=1")


def wait_until(is_true: Callable[[], bool]) -> None:
    """Waits three minutes at most."""
    end = time.monotonic() + 180
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.05)


def saved(folder: Path) -> dict[str, Any]:
    """A run's last checkpoint."""
    content: dict[str, Any] = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return content


@pytest.mark.slow
def test_a_killed_job_and_a_killed_sweep_are_gone_on_with(
    command: Callable[..., Any], tiny: tuple[str, ...], here: Path
) -> None:
    jobs = [here / "S" / f"seed={seed}" for seed in (1, 2)]
    asked = ("-m", *tiny, *SHORT, "seed=1,2")
    endless = ("trainer.max_steps=1000000", "hydra.sweep.dir=S", "hydra.launcher.jobs=2")
    with (here / "output").open("w") as output:
        sweep = subprocess.Popen(
            [sys.executable, "-m", "gan_lightning", *asked, *endless], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: all((job / "checkpoints" / "last.ckpt").exists() for job in jobs))
        os.kill(json.loads((jobs[0] / ".lock").read_text())["pid"], signal.SIGKILL)
        wait_until(lambda: endings.find(jobs[0]) is not None)
        assert studied(jobs[0]).cause == "killed by SIGKILL, perhaps for want of memory"
        assert studied(jobs[1]).status == "running"
    finally:
        sweep.kill()
        sweep.wait()
    wait_until(lambda: not is_owned(jobs[1]))  # it has noticed, and saved
    assert (studied(jobs[1]).status, endings.find(jobs[0]) is None) == ("stopped", False)
    assert endings.find(jobs[0]) == Ending("failed", "killed by SIGKILL, perhaps for want of memory")

    reached = [saved(job)["global_step"] for job in jobs]
    end = f"trainer.max_steps={max(reached) + 5}"
    outcome = command(*asked, end, "hydra/launcher=basic", "sweep.resume=S")
    assert outcome.status == 0, outcome.err
    assert "2 of 2" in outcome.out
    for seed, job in enumerate(jobs, 1):
        whole = train(*tiny, *SHORT, end, f"seed={seed}", f"hydra.run.dir={here / 'whole' / str(seed)}")
        torch.testing.assert_close(saved(job)["state_dict"], saved(whole.folder)["state_dict"], rtol=0, atol=0)
