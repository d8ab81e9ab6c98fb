"""What a report takes: CPU seconds, memory and bytes for 10, 100 and 1,000 runs, copies of one that was trained.

python -m gan_lightning hydra.run.dir=one seed=1
python benchmarks/report_cost.py one
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COUNTS = (10, 100, 1000)
SEEDS = 5  # of each configuration
FACTORS = 2.0  # from one learning rate to the next
MEASURE = """
import resource, sys
from gan_lightning.__main__ import main
status = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(status, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def plant(run: Path, folder: Path, number: int, source: random.Random) -> None:
    """A copy of a run with another seed and, every SEEDS of them, another learning rate; its numbers are shaken."""
    seed, rate = number % SEEDS + 1, 1e-5 * FACTORS ** (number // SEEDS % 8) * (1 + number // SEEDS // 8 / 100)
    place = folder / f"lr={rate:g},seed={seed}"
    (place / ".hydra").mkdir(parents=True)
    told = ["loss=vanilla", f"loss.optimizer.generator.lr={rate:g}", f"seed={seed}"]
    (place / ".hydra" / "overrides.yaml").write_text(json.dumps(told))
    config = (run / "config.yaml").read_text().replace("\nseed: 1\n", f"\nseed: {seed}\n")
    (place / "config.yaml").write_text(config.replace("lr: 0.0002", f"lr: {rate:g}"))
    results = json.loads((run / "results.json").read_text()) | {"seed": seed}
    values = results["evaluation"]["last"]["values"]
    results["evaluation"]["last"]["values"] = {
        name: None if value is None else value * source.lognormvariate(0, 0.2) for name, value in values.items()
    }
    (place / "results.json").write_text(json.dumps(results))
    shutil.copy(run / "metrics.csv", place / "metrics.csv")
    shutil.copytree(run / "samples", place / "samples")


def measure(folder: Path) -> tuple[float, int]:
    """The seconds of a core and the peak of memory, in KiB, of a report of the runs in a folder."""
    command = [sys.executable, "-c", MEASURE, "report", f"runs={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status, seconds, peak = done.stdout.split("\n")[-2].split()
    if status != "0":
        raise RuntimeError(done.stderr)
    return float(seconds), int(peak)


def main(run: Path) -> None:
    """Prints a row a number of runs."""
    print("| runs | CPU seconds | peak MiB | report.html MiB | report.md KiB | report.csv KiB |")
    print("|---|---|---|---|---|---|", flush=True)
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as place:
            source = random.Random(0)
            for number in range(count):
                plant(run, Path(place), number, source)
            seconds, peak = measure(Path(place))
            html, *others = ((Path(place) / f"report.{ending}").stat().st_size for ending in ("html", "md", "csv"))
            sizes = " | ".join(f"{size / 1024:.0f}" for size in others)
            print(f"| {count:,} | {seconds:.1f} | {peak / 1024:.0f} | {html / 2**20:.1f} | {sizes} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
