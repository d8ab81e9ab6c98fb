"""Runs and scripts that are resumed on several devices, and ranks that have come apart.

Run as a script, `python test_resumed_ranks.py FOLDER`, this file does what takes two ranks.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from trained import RunFolder, tiny_overrides

from gan_lightning import GAN, CriticUpdates, train
from gan_lightning.losses.objectives import Vanilla
from gan_lightning.runs import run as run_module
from gan_lightning.runs.hardware import DISTRIBUTED, silence
from gan_lightning.training.checkpoint import RunCheckpoint

# Without batch statistics, which each rank has of its own share.
RUN = ("loss=dragan", "loss.n_critic=2", "network.generator.norm=none", "trainer.log_every_n_steps=1")
RANKS = (0, 1)


def overrides(*more: str) -> list[str]:
    return tiny_overrides([*RUN, *more])


class Comes(Callback):
    """Changes one process's weights, once so many iterations are complete."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *others: Any) -> None:
        assert isinstance(pl_module, GAN)
        if trainer.global_rank == 1 and trainer.global_step == 3:
            with torch.no_grad():
                next(pl_module.discriminator.parameters()).view(-1)[0] += 1


def script(folder: Path, epochs: int, resumed: Path | None = None) -> dict[str, Any]:
    """A loader that serves single minibatches, of which an epoch has no whole number of iterations' worth."""
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.05)
    networks = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    model = GAN(*networks, Vanilla(), sgd, sgd, CriticUpdates(2))
    points = torch.linspace(-1, 1, 40).view(20, 2)
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=DISTRIBUTED,
        max_epochs=epochs,
        callbacks=[RunCheckpoint(folder, every=1)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(TensorDataset(points), batch_size=2)  # 5 minibatches of each rank's an epoch
    trainer.fit(model, loader, ckpt_path=resumed, weights_only=True)
    trainer.save_checkpoint(folder / "end.ckpt")
    return {"waiting": [minibatch.samples for minibatch in model.gathered.waiting], "end": model.state_dict()}


def with_callback(*callbacks: Callback) -> None:
    """Adds callbacks to the runs that start from now on."""
    build_trainer = run_module.build_trainer

    def build(config: Any, factory: Any, present: Any, *others: Any) -> Trainer:
        return build_trainer(config, factory, [*present, *callbacks], *others)

    run_module.build_trainer = build  # type: ignore[assignment]  # with a callback more


def main(folder: Path) -> None:
    """What takes two ranks. The last run fails, and Lightning ends the second process then."""
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    train(f"resume={folder / 'run'}", "trainer.max_steps=4", "trainer.devices=2")
    silence()
    recorded = {
        "first": script(folder / "first", 1),
        "resumed": script(folder / "resumed", 2, folder / "first" / "end.ckpt"),
        "whole": script(folder / "whole", 2),
    }
    torch.save(recorded, folder / f"{rank}.pt")
    with_callback(Comes())
    apart = overrides("trainer.max_steps=6", "trainer.devices=2", "checkpoint.every=2")
    train(*apart, f"hydra.run.dir={folder / 'apart'}")


def weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = RunFolder(folder).checkpoint()["state_dict"]
    return state


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that `main` leaves after a run was begun there in one process, and what it prints."""
    folder = tmp_path_factory.mktemp("ranks")
    train(*overrides("trainer.max_steps=2"), f"hydra.run.dir={folder / 'run'}")
    environment = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "RANK")}
    tests = Path(__file__).resolve().parents[1]
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    command = [sys.executable, str(Path(__file__).resolve()), str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1, done.stdout + done.stderr
    return folder, done.stderr


def test_a_run_goes_on_with_another_number_of_devices(two_ranks, tmp_path):
    """From one process to two and back, as if it had been one all the time; with the recipe's own optimizer."""
    folder, _ = two_ranks
    assert RunFolder(folder / "run").checkpoint()["global_step"] == 4
    train(f"resume={folder / 'run'}", "trainer.max_steps=6", "trainer.devices=1")
    train(*overrides("trainer.max_steps=6"), f"hydra.run.dir={tmp_path / 'whole'}")

    resumed, whole = weights(folder / "run"), weights(tmp_path / "whole")

    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=1e-6)
    assert RunFolder(folder / "run").iterations() == RunFolder(tmp_path / "whole").iterations() == [1, 2, 3, 4, 5, 6]


def test_no_checkpoint_is_made_of_ranks_that_have_come_apart(two_ranks):
    folder, error = two_ranks
    assert "RuntimeError: discriminator." in error
    assert "is not the same in all processes at iteration 4: " in error
    assert RunFolder(folder / "apart").checkpoint()["global_step"] == 2


def test_each_rank_of_a_script_goes_on_with_its_own_waiting_minibatches(two_ranks):
    folder, _ = two_ranks
    recorded = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in RANKS]
    checkpoint = torch.load(folder / "first" / "end.ckpt", weights_only=True)
    saved = [[samples for samples, _ in state] for state in checkpoint["gathered_by_rank"]]
    assert [len(waiting) for waiting in saved] == [1, 1]
    assert not torch.equal(saved[0][0], saved[1][0])
    for rank in RANKS:
        assert torch.equal(saved[rank][0], recorded[rank]["first"]["waiting"][0])
        resumed, whole = (recorded[rank][name]["end"] for name in ("resumed", "whole"))
        assert resumed.keys() == whole.keys()
        assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    assert torch.equal(checkpoint["gathered"][0][0], saved[0][0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
