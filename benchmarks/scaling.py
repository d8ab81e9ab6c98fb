"""How an iteration's time grows with the minibatch, the width, the picture's size and n_critic, and what limits it.

    python benchmarks/scaling.py [--seconds 2] [--only width,batch] [--threads 1] [OVERRIDE …]

Trains `wgan_gp` with the MLP and with DCGAN on random pictures, with all that is on by default but evaluations, health
checks and pictures. Operations are counted by torch's formulas over one iteration, forward and backward, of which
products of matrices and convolutions count. Printed beside them is which share of the machine's peak an iteration
reaches: that of a product of two square matrices, 2048 wide, taken in turns with it in the same precision.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Trainer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gan_lightning.config.compose import compose
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.runs.hardware import silence, spare_cuda_lookups
from gan_lightning.runs.run import Prepared, prepare, train
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.training.hooks import callbacks_of

UNWATCHED = (
    "evaluation.every=null",
    "health.every=null",
    "dashboard.every=null",
    "samples.every=null",
    "checkpoint.every=1000000",
)
WARM_UP = 3
SIDE = 2048
ENDLESS = 1_000_000


@dataclass(frozen=True)
class Point:
    """A row of the table: what one axis has moved away from where all begin."""

    network: str = "mlp"
    batch: int = 64
    width: int = 128
    size: int = 28
    channels: int = 1
    n_critic: int = 5
    axis: str = field(default="", compare=False)

    @property
    def overrides(self) -> list[str]:
        widths = {"mlp": "hidden_dim", "dcgan": "width"}[self.network]
        return [
            "loss=wgan_gp",
            f"network={self.network}",
            *(f"network.{each}.{widths}={self.width}" for each in ("generator", "discriminator")),
            f"dataset.batch_size={self.batch}",
            f"loss.critic_updates.n_critic={self.n_critic}",
        ]


MLP, DCGAN = Point(), Point("dcgan", width=64, size=32, channels=3)
AXES = {
    "batch": (16, 64, 256, 1024),
    "width": (32, 64, 128, 256),
    "size": (16, 32, 64),
    "n_critic": (1, 5, 10),
}


def at(start: Point, axis: str, value: int) -> Point:
    """A point, moved along one axis."""
    moved: Any = {axis: value, "axis": axis}
    return replace(start, **moved)


def points(words: Sequence[str]) -> list[Point]:
    """Both networks along each axis."""
    return [
        at(start, axis, value)
        for start in (MLP, DCGAN)
        for axis, values in AXES.items()
        for value in values
        if any(word in axis for word in words) and not (start is DCGAN and value in (1024, 256))
    ]


class Operations(TorchDispatchMode):
    """Counts floating-point operations in its block by torch's formulas, gradients of gradients included.

    torch's own FlopCounterMode, which tells modules apart too, can't be in a call of torch.autograd.grad.
    """

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func.overloadpacket)) is not None:
            self.count += formula(*args, **(kwargs or {}), out_val=result)
        return result


class Measured(IterationCallback):
    """Seconds of iterations and of the product beside them, in turns, until there are enough."""

    def __init__(self, seconds: float, dtype: torch.dtype) -> None:
        self.wanted, self.operations = seconds, 0
        mode: Any = Operations  # whose base is untyped
        self.counter = mode()
        self.factor = torch.randn(SIDE, SIDE).to(dtype)
        self.iterations: list[float] = []
        self.products: list[float] = []

    def before_iteration(self, trainer: Trainer, model: GAN) -> None:
        if trainer.global_step == 1:
            self.counter.__enter__()
        self.started = time.thread_time()

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        taken = time.thread_time() - self.started
        if trainer.global_step == 2:
            self.counter.__exit__(None, None, None)
            self.operations = self.counter.count
        if trainer.global_step <= WARM_UP:
            return
        self.iterations.append(taken)
        if not self.products or sum(self.products) < sum(self.iterations) / 2:
            started = time.thread_time()
            self.factor @ self.factor
            self.products.append(time.thread_time() - started)
        trainer.should_stop = sum(self.iterations) > self.wanted and len(self.iterations) >= 3


def measure(point: Point, options: argparse.Namespace, overrides: Sequence[str]) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        shape = (point.channels, point.size, point.size)
        file = Path(folder) / "pictures.npy"
        np.save(file, np.random.default_rng(0).integers(0, 256, (4096, *shape), dtype=np.uint8))
        data = ["dataset=array", f"dataset.root={file}", f"dataset.sample_shape={list(shape)}"]
        steps = [f"trainer.max_steps={ENDLESS}", "trainer.accelerator=cpu", f"threads={options.threads}"]
        config = compose(Sources("train"), [*data, *point.overrides, *steps, *UNWATCHED, *overrides], TRAINING)
        del config.hydra
        run = Path(folder) / "run"
        run.mkdir()
        prepared = prepare(config, run)
        assert isinstance(prepared, Prepared)
        measured = Measured(options.seconds, torch.bfloat16 if prepared.parts.model.rounds else torch.float32)
        callbacks_of(prepared.trainer).append(measured)
        train(config, run, prepared)
    return measured


def row(point: Point, measured: Measured) -> str:
    seconds = statistics.median(measured.iterations)
    speed = measured.operations / seconds / 1e9
    peak = 2 * SIDE**3 / statistics.median(measured.products) / 1e9
    cells = [point.network, f"{point.axis}={getattr(point, point.axis)}", f"{seconds * 1000:.3g}"]
    return f"| {' | '.join([*cells, f'{measured.operations / 1e9:.3g}', f'{speed:.0f}', f'{speed / peak:.2f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of iterations, for each row")
    parser.add_argument("--only", default="", help="the axes whose names have one of these words")
    parser.add_argument("--threads", type=int, default=1)
    options, overrides = parser.parse_known_args()
    silence()
    spare_cuda_lookups()
    print("| network | | ms | GFLOP | GFLOP/s | of peak |\n| --- | --- | --- | --- | --- | --- |")
    for point in points(options.only.split(",")):
        print(row(point, measure(point, options, overrides)), flush=True)


if __name__ == "__main__":
    main()
