"""What decoding a folder of pictures costs here, against a loop that does nothing but ask Pillow: CPU time a picture.

    python benchmarks/decoding_cost.py [--pictures 2000] [--blocks 5] [--only jpg64,png64] [--processes]

The loop opens a file, converts it to RGB, resizes it if it isn't 64x64 and makes an array of it. It takes turns, a
block of all pictures each, with a data set that is loaded with an empty cache: files are found, decoded, noted and
written, and read again for their checksum. The time is the CPU time of this process and of those that it starts;
`--processes` has few pictures decoded by processes too, whose start is in it then. Pictures are made up: noise on a few
colours.
"""

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from gan_lightning.data import decoding_cores
from gan_lightning.data.image_folder import ImageFolder

SIDE = 64
KINDS = {f"{ending}{side}": (ending, side) for side in (64, 256) for ending in ("jpg", "png")}


def make(folder: Path, ending: str, side: int, count: int) -> list[Path]:
    """Pictures as compressible as photographs are, roughly."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        colours = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((side, side))
        noisy = np.asarray(colours).astype(int) + generator.integers(-8, 9, (side, side, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05}.{ending}", quality=90)
    return sorted(folder.iterdir())


def plain(files: list[Path]) -> None:
    for file in files:
        with Image.open(file) as picture:
            colour = picture.convert("RGB")
        if colour.size != (SIDE, SIDE):
            colour = colour.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        np.asarray(colour)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds, of processes that are started too, and those of the clock."""
    before, started = cpu(), time.monotonic()
    work()
    return cpu() - before, time.monotonic() - started


def cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def row(kind: str, files: list[Path], folder: Path, blocks: int) -> str:
    here, loop = [], []
    for _ in range(blocks):
        loop.append(seconds(lambda: plain(files)))
        here.append(seconds(lambda: ImageFolder(str(files[0].parent), SIDE, 3, cache_dir=str(folder)).load()))
        shutil.rmtree(folder)
    rates = [len(files) / statistics.median(cpu for cpu, _ in each) for each in (here, loop)]
    ratios = [[ours[at] / theirs[at] for ours, theirs in zip(here, loop, strict=True)] for at in (0, 1)]
    cells = [f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})" for each in ratios]
    return f"| {kind} | {rates[0]:.0f} | {rates[1]:.0f} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--processes", action="store_true")
    options = parser.parse_args()
    if options.processes:
        decoding_cores.MANY = 1
    print(
        "| pictures | a CPU-second | plain loop | CPU time to plain | time to plain |\n| --- | --- | --- | --- | --- |"
    )
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.only.split(","):
            files = make(Path(folder) / kind, *KINDS[kind], options.pictures)
            plain(files)  # which warms the caches
            print(row(kind, files, Path(folder) / "cache", options.blocks), flush=True)


if __name__ == "__main__":
    main()
