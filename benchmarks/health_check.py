"""What the health check measures in healthy trainings: the extremes of each number that a verdict depends on.

    python -m gan_lightning -m loss=vanilla,wgan_gp seed=0,1 health.every=100 hydra.sweep.dir=multirun/healthy
    python -m gan_lightning -m loss=lsgan,hinge,wgan_clip,r1,ragan,r3gan health.every=100 trainer.max_steps=1500 \\
        hydra.sweep.dir=multirun/healthy
    python -m gan_lightning dataset=ring loss=r3gan health.every=100 hydra.run.dir=multirun/healthy/ring
    python benchmarks/health_check.py multirun/healthy

Prints a row a run, from its second measurement on: least and largest value of each number, and the verdicts, of which a
healthy run has none. The thresholds in gan_lightning.watching.verdicts keep their distance from these.
"""

import argparse
import csv
from pathlib import Path

from gan_lightning.runs import results

# The numbers, and whether a low or a high value leads to a verdict.
NUMBERS = {
    "clipped": max,
    "critic_gradient/interpolate/mean": max,
    "logit_range": max,
    "ranking": min,
    "overfitting_gap": max,
    "loss_slope": min,
    "gradient_norm/generator": min,
    "diversity": min,
    "coverage": min,
    "saturated": max,
}


def extremes(run: Path) -> list[str]:
    """The extreme of each number in a run's table, from the second measurement on; - where there is none."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("health/logit_range")][1:]
    found = []
    for name, extreme in NUMBERS.items():
        values = [float(row[f"health/{name}"]) for row in rows if row.get(f"health/{name}")]
        found.append(f"{extreme(values):.3g}" if values else "-")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    sweep = parser.parse_args().sweep
    print("| run |", " | ".join(f"{extreme.__name__} {name}" for name, extreme in NUMBERS.items()), "| verdicts |")
    print("|---" * (len(NUMBERS) + 2) + "|")
    for file in sorted(sweep.glob("**/results.json")):
        found = results.read(file.parent)
        kinds = ", ".join(verdict["kind"] for verdict in found.health.verdicts) or "none"
        print("|", file.parent.relative_to(sweep), "|", " | ".join(extremes(file.parent)), "|", kinds, "|")


if __name__ == "__main__":
    main()
