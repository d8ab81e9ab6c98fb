"""What a run's evaluations, health check and dashboard cost, as shares of the run's training time.

    python benchmarks/watching_cost.py [--rounds 3] [OVERRIDE …]

Trains the same run in turns with everything on, with each of the three left out, and with none of them, in this
process; prints the median seconds of training and what each part adds. The classifier of evaluations is trained before.
"""

import argparse
import contextlib
import io
import statistics
import tempfile

from gan_lightning import train

PARTS = {
    "evaluation": "evaluation.every=null",
    "health": "health.every=null",
    "dashboard": "dashboard.every=null",
}


def seconds(*overrides: str) -> float:
    """Of training."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        return train("trainer.enable_progress_bar=false", f"hydra.run.dir={folder}/run", *overrides).seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options, overrides = parser.parse_known_args()
    left_out = {"nothing": (), **{name: (override,) for name, override in PARTS.items()}, "all": tuple(PARTS.values())}
    seconds("trainer.max_steps=1", "evaluation.every=1", *overrides)
    taken: dict[str, list[float]] = {name: [] for name in left_out}
    for _ in range(options.rounds):
        for name, switches in left_out.items():
            taken[name].append(seconds(*overrides, *switches))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    print("| left out | seconds | share of the whole |\n| --- | --- | --- |")
    for name, median in medians.items():
        share = 1 - median / medians["nothing"]
        print(f"| {name} | {median:.1f} ({min(taken[name]):.1f} to {max(taken[name]):.1f}) | {share:.1%} |")


if __name__ == "__main__":
    main()
