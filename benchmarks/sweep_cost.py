"""What a sweep of short jobs costs, forked and started, one after the other and at once; and what a start does.

python benchmarks/sweep_cost.py [--jobs 8] [--iterations 300] [--at-once 2] [--starts 3]

A job's cost is its CPU time, that of the job server shared among the jobs. A start is compared by the CPU time up to
the first iteration with what `import pytorch_lightning` takes, in turns.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

TINY = ("dataset=ring", "network=toy", "trainer.accelerator=cpu")
# The class is patched once it is imported, so that imports come in the order, and with the care, that they have.
FIRST = """
import importlib.abc, resource, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "gan_lightning.runs.run":
            sys.meta_path.remove(self)
            from gan_lightning.training.gan import GAN
            GAN.training_step = stop
def stop(self, *args):
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("CPU", used.ru_utime + used.ru_stime, flush=True)
    sys.exit()
sys.meta_path.insert(0, Finder())
from gan_lightning.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
LIGHTNING = """
import resource
import pytorch_lightning
used = resource.getrusage(resource.RUSAGE_SELF)
print("CPU", used.ru_utime + used.ru_stime)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--starts", type=int, default=3)
    asked = parser.parse_args()
    kinds = [("false", 1), ("false", asked.at_once), ("true", 1), ("true", asked.at_once)] if asked.jobs else []
    print(f"{asked.jobs} jobs of {asked.iterations} iterations")
    print("fork   at once   seconds   CPU seconds a job")
    for fork, at_once in kinds:
        seconds, cpu = sweep(asked.jobs, asked.iterations, fork, at_once)
        print(f"{fork:<6} {at_once:<9} {seconds:<9.1f} {cpu / asked.jobs:.2f}", flush=True)
    ratios = []
    for _ in range(asked.starts):
        with tempfile.TemporaryDirectory() as folder:
            imports = cpu_of(LIGHTNING, folder)
            ratios.append(cpu_of(FIRST, folder, "trainer.accelerator=cpu", "hydra.run.dir=run") / imports)
    if ratios:
        print(f"CPU time to the first iteration by that of import pytorch_lightning: {statistics.median(ratios):.2f}")


def sweep(jobs: int, iterations: int, fork: str, at_once: int) -> tuple[float, float]:
    """Seconds, and CPU seconds of all processes, of a sweep over seeds."""
    seeds = ",".join(map(str, range(1, jobs + 1)))
    asked = [*TINY, f"trainer.max_steps={iterations}", f"seed={seeds}", "hydra.sweep.dir=sweep"]
    asked += [f"hydra.launcher.fork={fork}", f"hydra.launcher.jobs={at_once}"]
    with tempfile.TemporaryDirectory() as folder:
        before, started = cpu_of_children(), time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "gan_lightning", "-m", *asked], cwd=folder, capture_output=True, check=True
        )
        return time.monotonic() - started, cpu_of_children() - before


def cpu_of(program: str, folder: str, *arguments: str) -> float:
    """The CPU seconds that a program prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, *arguments]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return float(next(line for line in ended.stdout.splitlines() if line.startswith("CPU ")).split()[1])


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
