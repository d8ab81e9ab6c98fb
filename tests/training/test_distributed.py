"""Two ranks on the CPU: one folder, and gradients that are the means of what each rank alone would have.

Run as a script, this file trains with two ranks and writes down what each of them does.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer
from small import small
from torch import Tensor
from torch.nn.functional import softplus

from gan_lightning import load_generator, train
from gan_lightning.config.build import build
from gan_lightning.metrics.classes import ClassCoverage
from gan_lightning.metrics.frechet import FrechetDistance
from gan_lightning.metrics.identity import Identity
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.runs import run as run_module
from gan_lightning.seeds import mix
from gan_lightning.watching.evaluator import Evaluator

SEED = 3
BATCH = 16
LATENT = 4
RATE = 0.1
LOSSES = ("vanilla", "wgan_gp")
OTHERS = ("acgan", "r3gan", "began", "pacgan")  # of which only the ends are compared
RANKS = (0, 1)
MEASURED = ("vanilla", "acgan")
EVALUATED = ("evaluation.every=3", "evaluation.samples=600", "extractor=identity", "metric=[frechet,classes]")


class Record(Callback):
    """Writes down one rank's minibatches, weights, and the gradients of each of its optimizers' steps."""

    def __init__(self, folder: Path, loss: str) -> None:
        self.folder, self.loss = folder, loss
        self.rounds: list[Tensor] = []
        self.steps: list[tuple[str, list[Tensor]]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.initial = {name: value.clone() for name, value in pl_module.state_dict().items()}
        for name, optimizer in zip(("generator", "discriminator"), trainer.optimizers, strict=True):
            optimizer.register_step_pre_hook(lambda optimizer, *_, name=name: self.record(name, optimizer))

    def record(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        gradients = [parameter.grad.clone() for group in optimizer.param_groups for parameter in group["params"]]
        self.steps.append((name, gradients))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.rounds.append(batch.samples.clone())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        content = {"initial": self.initial, "rounds": self.rounds, "steps": self.steps, "final": pl_module.state_dict()}
        torch.save(content, self.folder / f"{self.loss}_{trainer.global_rank}.pt")


def record_and_train(folder: Path, loss: str, *overrides: str) -> None:
    """Trains a loss on two ranks; Lightning starts the second as this same script."""
    build_trainer = run_module.build_trainer
    record = Record(folder, loss)

    def build(config: Any, factory: Any, callbacks: Any, loggers: Any, max_steps: int) -> Trainer:
        return build_trainer(config, factory, [*callbacks, record], loggers, max_steps)

    run_module.build_trainer = build
    train(
        *small(f"loss={loss}", latent_dim=LATENT),
        f"dataset.batch_size={BATCH}",
        "samples.count=4",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        *(EVALUATED if loss in MEASURED else ()),
        *overrides,
        f"seed={SEED}",
        "trainer.devices=2",
        "trainer.max_steps=3",
        "trainer.log_every_n_steps=1",
        f"hydra.run.dir={folder / loss}",
    )
    run_module.build_trainer = build_trainer


def main(folder: Path) -> None:
    """Trains some losses with plain SGD and one update each, and others as their files say."""
    sgd = [
        text
        for network in ("generator", "discriminator")
        for text in (
            f"loss.optimizer.{network}._target_=torch.optim.SGD",
            f"loss.optimizer.{network}.lr={RATE}",
            f"~loss.optimizer.{network}.betas",
            f"~loss.optimizer.{network}.fused",
        )
    ]
    for loss in LOSSES:
        record_and_train(folder, loss, *sgd, "loss.n_critic=1")
    for loss in OTHERS:
        # Faster, and without the batch statistics that digits need, which are each rank's own.
        other = ["~dataset_loss", "loss.objective.k_rate=0.5", "loss.objective.gamma=0.9"] if loss == "began" else []
        record_and_train(folder, loss, *other)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `main` has recorded both ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    run([sys.executable, str(Path(__file__).resolve()), str(folder)], folder)
    return folder


def run(command: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "RANK")}
    tests = Path(__file__).resolve().parents[1]
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("loss", MEASURED)
def test_two_ranks_evaluate_as_one_does(two_ranks: Path, loss: str) -> None:
    """Of 600 samples, made in batches of 256, one rank makes the first and the last."""
    record = json.loads((two_ranks / loss / "results.json").read_text())["evaluation"]["last"]
    config = OmegaConf.load(two_ranks / loss / "config.yaml")
    assert isinstance(config, DictConfig)
    metrics = {"frechet": FrechetDistance(), "classes": ClassCoverage()}
    sampler = load_generator(two_ranks / loss)
    alone = Evaluator(build(config, "data"), Identity(), metrics, 600, 10_000).measure(sampler.network, sampler.latents)
    assert record["iteration"] == 3
    assert record["values"] == pytest.approx(alone["values"], rel=1e-9)
    assert record["left_out"] == alone["left_out"]
    assert {name: value for name, value in record["protocol"].items() if name != "metrics"} == {
        name: value for name, value in alone["protocol"].items() if name != "metrics"
    }


def recorded(folder: Path, loss: str) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{loss}_{rank}.pt", weights_only=True) for rank in RANKS]


def networks(state: dict[str, Tensor]) -> tuple[MLPGenerator, MLPDiscriminator]:
    generator = MLPGenerator(LATENT, (1, 8, 8), hidden_dim=8, blocks=1)
    discriminator = MLPDiscriminator((1, 8, 8), hidden_dim=8, blocks=1)
    for name, network in (("generator", generator), ("discriminator", discriminator)):
        prefix = f"{name}."
        network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    return generator, discriminator


def first_gradients(loss: str, initial: dict[str, Tensor], real: Tensor, rank: int, step: list[Tensor]) -> Any:
    """What one rank alone would have as losses and gradients in iteration 0, from the papers' formulas.

    The discriminator takes the step `step` (its averaged gradients) in between, as it does on all ranks. What is drawn
    are its rows of what a single process draws.
    """
    generator, discriminator = networks(initial)
    torch.manual_seed(mix(SEED, 0, 0))
    own = slice(rank * len(real), (rank + 1) * len(real))
    with torch.no_grad():
        fake = generator(torch.randn(BATCH, LATENT)[own])
    if loss == "vanilla":
        critic_loss = softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()
    else:
        critic_loss = discriminator(fake).mean() - discriminator(real).mean()
        position = torch.rand(BATCH, 1, 1, 1)[own]
        between = (position * real + (1 - position) * fake).requires_grad_(True)
        (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
        critic_loss = critic_loss + 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
    of_critic = torch.autograd.grad(critic_loss, list(discriminator.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(discriminator.parameters(), step, strict=True):
            parameter -= RATE * gradient
    logits = discriminator(generator(torch.randn(BATCH, LATENT)[own]))
    generator_loss = softplus(-logits).mean() if loss == "vanilla" else -logits.mean()
    of_generator = torch.autograd.grad(generator_loss, list(generator.parameters()))
    return {"discriminator": of_critic, "generator": of_generator}, (critic_loss.item(), generator_loss.item())


@pytest.mark.parametrize("loss", LOSSES)
def test_ranks_stay_equal_and_each_has_its_own_share(two_ranks, loss):
    first, second = recorded(two_ranks, loss)

    for (name, gradients), (other_name, others) in zip(first["steps"], second["steps"], strict=True):
        assert name == other_name
        assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))
    assert [name for name, _ in first["steps"]] == ["discriminator", "generator"] * 3
    parameters = [name for name in first["final"] if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(first["final"][name], second["final"][name]) for name in parameters)
    assert not torch.equal(first["final"]["generator.layers.0.weight"], first["initial"]["generator.layers.0.weight"])
    for round_, other in zip(first["rounds"], second["rounds"], strict=True):
        assert round_.shape == other.shape == (1, BATCH // 2, 1, 8, 8)
        assert len({image.numpy().tobytes() for image in torch.cat([round_[0], other[0]])}) == BATCH


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_the_means_of_the_ranks(two_ranks, loss):
    ranks = recorded(two_ranks, loss)
    averaged = dict(ranks[0]["steps"][:2])

    alone = [
        first_gradients(loss, rank["initial"], rank["rounds"][0][0], number, averaged["discriminator"])
        for number, rank in enumerate(ranks)
    ]

    for network in ("discriminator", "generator"):
        own = [gradients[network] for gradients, _ in alone]
        for gradient, *of_ranks in zip(averaged[network], *own, strict=True):
            torch.testing.assert_close(gradient, torch.stack(of_ranks).mean(0), rtol=1e-4, atol=1e-6)
        assert not torch.allclose(own[0][0], own[1][0], rtol=1e-2)
    with (two_ranks / loss / "metrics.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    for column, place in (("loss/discriminator", 0), ("loss/generator", 1)):
        losses = [values[place] for _, values in alone]
        assert float(row[column]) == pytest.approx(sum(losses) / 2, rel=1e-4)


@pytest.mark.parametrize("loss", OTHERS)
def test_ranks_end_equal(two_ranks, loss):
    """Networks, the average and an objective's state, though each rank has minibatches and latents of its own."""
    first, second = recorded(two_ranks, loss)
    assert not torch.equal(first["rounds"][0], second["rounds"][0])
    own = ("running", "num_batches")  # statistics of each rank's own minibatches
    names = [name for name in first["final"] if not any(word in name for word in own)]
    for name in names:
        assert torch.equal(first["final"][name], second["final"][name]), name
    for prefix in ("generator.", "discriminator."):
        changed = [name for name in names if name.startswith(prefix) and first["initial"][name].ndim > 1]
        assert changed
        assert not all(torch.equal(first["final"][name], first["initial"][name]) for name in changed)


def test_k_follows_the_means_of_the_ranks(two_ranks):
    """Of BEGAN: after each iteration by the logits of all ranks, as the averaged logs have them."""
    first, second = recorded(two_ranks, "began")
    assert torch.equal(first["final"]["objective.k"], second["final"]["objective.k"])
    with (two_ranks / "began" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    k = 0.0
    for row in rows:
        assert float(row["discriminator/k"]) == pytest.approx(k, rel=1e-4)
        k = min(max(k + 0.5 * (0.9 * float(row["discriminator/real"]) - float(row["loss/generator"])), 0.0), 1.0)
    assert first["final"]["objective.k"].item() == pytest.approx(k, rel=1e-4)
    assert k not in (0.0, 1.0)


def test_command_line_makes_one_folder(tiny_command, folder, tmp_path):
    command = tiny_command("hardware=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "loss=wgan_gp")
    run([*command, "trainer.max_steps=8", "trainer.log_every_n_steps=4", "checkpoint.keep_every=4"], tmp_path)

    (place,) = tmp_path.glob("outputs/*/*")
    finished = folder(place)
    assert finished.results()["status"] == "finished"
    assert finished.results()["iteration"] == finished.checkpoint()["global_step"] == 8
    assert len(list(place.rglob("events.*"))) == 1
    assert finished.iterations() == [4, 8]
    # The batch size counts both ranks together.
    assert [float(row["progress/images_seen"]) for row in finished.rows()] == [4 * 5 * BATCH, 8 * 5 * BATCH]
    assert sorted(path.name for path in (place / "samples").iterdir()) == ["00000000.png", "00000008.png"]
    assert {path.stem for path in (place / "checkpoints").iterdir()} == {
        "last",
        "previous",
        "iteration=00000004",
        "iteration=00000008",
    }
    assert [event.step for event in finished.events().Scalars("loss/generator")] == [4, 8]
    steps = [
        {int(each["step"]) for each in kept["state"].values()} for kept in finished.checkpoint()["optimizer_states"]
    ]
    assert steps == [{8}, {40}]
    assert json.loads((place / "results.json").read_text())["metrics"].keys() == finished.results()["metrics"].keys()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
