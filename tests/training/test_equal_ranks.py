"""Two ranks are one process that has more devices: every recipe ends with the same weights, but for rounding.

Networks are without batch statistics, which each rank has of its own samples. Run as a script, this file trains all
cases on two ranks and writes down how each ends.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from small import small
from torch import Tensor

from gan_lightning.config.build import build
from gan_lightning.config.compose import compose
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.runs.hardware import DISTRIBUTED, silence

ITERATIONS = 3
RECIPES = {path.stem: (f"loss={path.stem}",) for path in sorted((CONF / "loss").glob("*.yaml"))}
OTHERS = {
    "altered": ("regularizer=[diffaugment,instance_noise,consistency]", "loss.n_critic=2"),
    "lazy": ("regularizer=[r1,orthogonal,zero_centered]", "regularizer.r1.every=3", "loss.n_critic=2"),
    "hinged": ("loss=ragan", "loss.objective.inner=hinge"),
}
CASES = {**RECIPES, **OTHERS}
CASES["wgan_clip"] += ("loss.critic_updates.boost_first=1",)  # not 100 critic updates in each iteration
# The bounds of the weights' differences, in float32 and float64. Adam's first steps have the sign of a gradient,
# however small it is, so that the recipes' own optimizers are compared in float64.
SGD = {"32-true": 1e-6, "64-true": 1e-9}
OWN = {"64-true": 1e-9}
Ends = dict[tuple[str, str, bool], tuple[dict[str, Tensor], ...]]


def cases() -> Iterator[tuple[str, str, bool]]:
    """Names of CASES with a precision, and whether by plain SGD or by the recipe's own optimizers."""
    for name in CASES:
        yield from ((name, precision, True) for precision in SGD)
        yield from ((name, precision, False) for precision in OWN)


@cache
def composed(name: str) -> DictConfig:
    """A small run's configuration without batch statistics."""
    config = compose(Sources("train"), [*small(*CASES[name]), "dataset.batch_size=16", "seed=3"], TRAINING)
    for network in (config.network.generator, config.network.discriminator):
        without_batch_norm(network)
    return config


def without_batch_norm(node: DictConfig) -> None:
    for key, value in node.items():
        if isinstance(value, DictConfig):
            without_batch_norm(value)
        elif key == "norm" and value == "batch":
            node[key] = "none"


def trained(name: str, precision: str, by_sgd: bool, ranks: int) -> dict[str, Tensor]:
    """How a case ends: networks, average, and what an objective keeps."""
    silence()
    config = composed(name).copy()
    if by_sgd:
        for network in ("generator", "discriminator"):
            config.loss.optimizer[network] = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.01}
    torch.manual_seed(3)
    model, data = build(config, "model"), build(config, "data")
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    strategy = DISTRIBUTED if ranks > 1 else "auto"
    trainer = Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy=strategy,
        precision=precision,  # type: ignore[arg-type]  # Lightning names them all, one by one
        max_steps=ITERATIONS,
        max_epochs=-1,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **quiet,
    )
    trainer.fit(model, data)
    return {key: value.clone() for key, value in model.state_dict().items()}


def main(folder: Path) -> None:
    """Trains all cases on two ranks; Lightning starts the second as this same script."""
    torch.set_num_threads(1)
    for name, precision, by_sgd in cases():
        final = trained(name, precision, by_sgd, ranks=2)
        torch.save(final, file_of(folder, name, precision, by_sgd, int(os.environ.get("LOCAL_RANK", "0"))))


def file_of(folder: Path, name: str, precision: str, by_sgd: bool, rank: int) -> Path:
    return folder / f"{name} {precision} {'sgd' if by_sgd else 'own'} {rank}.pt"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    """How each case ends in both ranks and in one process, which runs meanwhile."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "RANK")}
    tests = Path(__file__).resolve().parents[1]
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    with (folder / "output").open("w") as output:
        command = [sys.executable, str(Path(__file__).resolve()), str(folder)]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            alone = {case: trained(*case, ranks=1) for case in cases()}
            process.wait(timeout=240)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0, (folder / "output").read_text()
    return {
        case: (end, *(torch.load(file_of(folder, *case, rank), weights_only=True) for rank in (0, 1)))
        for case, end in alone.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("precision", "by_sgd", "bound"),
    [*((precision, True, bound) for precision, bound in SGD.items()), *((p, False, bound) for p, bound in OWN.items())],
)
def test_two_ranks_end_as_one_process_does(both: Ends, name: str, precision: str, by_sgd: bool, bound: float) -> None:
    alone, first, second = both[name, precision, by_sgd]
    assert alone.keys() == first.keys() == second.keys()
    trained = {key.partition(".")[0] for key in alone}
    assert {"generator", "discriminator", "ema_generator"} <= trained
    for key, value in alone.items():
        assert value.dtype == first[key].dtype
        assert torch.equal(first[key], second[key]), key
        assert (value - first[key]).abs().max() <= bound, key


if __name__ == "__main__":
    main(Path(sys.argv[1]))
