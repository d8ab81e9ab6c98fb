"""What an iteration costs on a GPU by default, with speed=fast, and with compiled graphs, against a plain loop.

    python benchmarks/gpu.py [--seconds 8] [--only mlp,dcgan] [--small] [--device cuda]

A run, with all that a user has by default but evaluations, pictures and health checks, and the float32 loop of
`iteration_cost.py` over copies of its networks take turns, a block of iterations each. The time is that from one
synchronisation to the next. Of each run it also prints what share its operations are of the peak of this device, which
a product of square matrices in bfloat16 reaches beside it. `--small` has sizes that a CPU can be tried with.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from iteration_cost import Case, Turns, plain_loop
from pytorch_lightning import Trainer
from scaling import UNWATCHED, Operations

from gan_lightning.config.compose import compose
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.runs.hardware import silence
from gan_lightning.runs.run import Prepared, prepare, train
from gan_lightning.training.gan import GAN
from gan_lightning.training.hooks import callbacks_of

WARM_UP = 5
WAYS = {"default": [], "fast": ["speed=fast"], "fast, compiled": ["speed=fast", "speed.compile=true"]}
ENDLESS = 1_000_000


@dataclass(frozen=True)
class Size:
    """Networks, pictures and minibatches."""

    network: str
    shape: tuple[int, int, int]
    batch: int
    width: int
    block: int  # iterations

    @property
    def overrides(self) -> list[str]:
        key = {"mlp": "hidden_dim", "dcgan": "width"}[self.network]
        widths = [f"network.{each}.{key}={self.width}" for each in ("generator", "discriminator")]
        return [f"network={self.network}", *widths, f"dataset.batch_size={self.batch}"]


SIZES = (Size("mlp", (1, 28, 28), 64, 128, 50), Size("dcgan", (3, 64, 64), 256, 128, 5))
SMALL = (Size("mlp", (1, 8, 8), 16, 16, 5), Size("dcgan", (3, 16, 16), 16, 8, 2))


class Timed(Turns):
    """Turns until their time is up, which count the operations of an iteration too."""

    def __init__(self, seconds: float, *given: Any) -> None:
        super().__init__(*given)
        self.ends: float | None = None
        self.wanted, self.operations = seconds, 0
        mode: Any = Operations  # whose base is untyped
        self.counter = mode()

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return completed in (1, 2) or super().is_due(trainer, completed)

    def before_iteration(self, trainer: Trainer, model: GAN) -> None:
        if trainer.global_step == 1 and not model.compiles:  # whose kernels no formula knows
            self.counter.__enter__()

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        if trainer.global_step == 2 and not model.compiles:
            self.counter.__exit__(None, None, None)
            self.operations = self.counter.count
        if not super().is_due(trainer, trainer.global_step):
            return
        super().after_iteration(trainer, model)
        if trainer.global_step == WARM_UP:
            self.ends = time.monotonic() + self.wanted
        trainer.should_stop = self.ends is not None and time.monotonic() > self.ends and bool(self.seconds["here"])


def clock_of(device: torch.device) -> Callable[[], float]:
    """The time when all that was asked of a device is done."""

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def peak(device: torch.device, clock: Callable[[], float]) -> float:
    """Operations a second of a product of square matrices in bfloat16."""
    side = 8192 if device.type == "cuda" else 1024
    factor = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    taken = []
    for _ in range(6):
        started = clock()
        factor @ factor
        taken.append(clock() - started)
    return 2 * side**3 / statistics.median(taken[1:])


def measure(size: Size, loss: str, way: str, options: argparse.Namespace) -> Timed:
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npy"
        np.save(file, np.random.default_rng(0).integers(0, 256, (4096, *size.shape), dtype=np.uint8))
        data = ["dataset=array", f"dataset.root={file}", f"dataset.sample_shape={list(size.shape)}"]
        where = [f"trainer.max_steps={ENDLESS}", f"trainer.accelerator={'gpu' if device.type == 'cuda' else 'cpu'}"]
        where += ["trainer.enable_progress_bar=false"]
        given = [f"loss={loss}", *data, *size.overrides, *where, *UNWATCHED, *WAYS[way]]
        config = compose(Sources("train"), given, TRAINING)
        del config.hydra
        run = Path(folder) / "run"
        run.mkdir()
        prepared = prepare(config, run)
        assert isinstance(prepared, Prepared)
        model = prepared.parts.model
        samples = prepared.parts.data.loaded.as_floats().samples.to(device)
        networks = (copy.deepcopy(model.generator).to(device), copy.deepcopy(model.discriminator).to(device))
        with torch.device(device):
            case = Case(loss, size.network, "", size.block)
            loop = plain_loop(case, model.generator.latent_dim, samples, size.batch, networks)
        timed = Timed(options.seconds, size.block, {"plain": on(device, loop)}, clock_of(device), WARM_UP)
        callbacks_of(prepared.trainer).append(timed)
        train(config, run, prepared)
    return timed


def on(device: torch.device, loop: Callable[[int], None]) -> Callable[[int], None]:
    """A loop whose tensors are made on a device."""

    def run(iterations: int) -> None:
        with torch.device(device):
            loop(iterations)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each row")
    parser.add_argument("--only", default="", help="the rows whose names have one of these words")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    silence()
    device = torch.device(options.device)
    most = peak(device, clock_of(device))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}; {most / 1e12:.3g} TFLOP/s in bfloat16", flush=True)
    print("| loss | network | way | ms | to plain | TFLOP/s | of peak |\n| --- | --- | --- | --- | --- | --- | --- |")
    for size in SMALL if options.small else SIZES:
        for loss in ("wgan_gp", "vanilla"):
            operations = 0
            for way in WAYS:
                if any(word in f"{loss} {size.network} {way}" for word in options.only.split(",")):
                    timed = measure(size, loss, way, options)
                    operations = timed.operations or operations
                    print(row([loss, size.network, way], timed, size.block, operations, most), flush=True)


def row(names: list[str], timed: Timed, block: int, operations: int, most: float) -> str:
    here, plain = timed.seconds["here"], timed.seconds["plain"]
    seconds = statistics.median(here) / block
    ratio = statistics.median(ours / other for ours, other in zip(here, plain, strict=True))
    speed = operations / seconds
    cells = [*names, f"{seconds * 1000:.3g}", f"{ratio:.2f}", f"{speed / 1e12:.3g}", f"{speed / most:.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
