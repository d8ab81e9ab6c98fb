"""Runs that nobody has trained: folders with the files that a report reads, as small as can be."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from gan_lightning import formats
from gan_lightning.run_folder import CONFIG, METRICS, OVERRIDES, RESULTS, SAMPLES

EVERY = 100  # iterations from one evaluation to the next
BATCH = 64
PROTOCOL = {"samples": 1000, "extractor": "classifier", "split": "train", "weights": "ema", "data": "25bb"}


def plant(
    folder: Path,
    seed: int,
    curves: Mapping[str, Sequence[float]],
    overrides: Mapping[str, Any] | None = None,
    status: str = "finished",
    better: Mapping[str, str] | None = None,
    n_critic: int = 1,
    speed: float = 100.0,
    dataset: str = "digits",
    protocol: Mapping[str, Any] | None = None,
    verdicts: Sequence[Mapping[str, Any]] = (),
    evaluations: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> Path:
    """A run with an evaluation's curve by metric, and `overrides` beside that of its seed; `speed` in iterations/s."""
    told = {"loss": "vanilla", **(overrides or {})}
    folder.mkdir(parents=True)
    nested: dict[str, Any] = {"seed": seed, "model": {"seed": seed}, "dataset": {"name": dataset, "batch_size": BATCH}}
    for key, value in told.items():
        node, *names = key.split(".") if "." in key else (key, "name")
        nested.setdefault(node, {})[".".join(names)] = value
    (folder / CONFIG).write_text(f"# {formats.CONFIG}\n{json.dumps(nested)}\n")
    (folder / OVERRIDES).parent.mkdir()
    (folder / OVERRIDES).write_text(json.dumps([*(f"{key}={value}" for key, value in told.items()), f"seed={seed}"]))
    points = max(map(len, curves.values()), default=0)
    length = points * EVERY
    columns = ["iteration", *(f"evaluation/{name}" for name in curves), "progress/images_seen", "progress/seconds"]
    lines = [",".join([*columns, "loss/generator", "loss/discriminator"])]
    for place in range(points):
        at = (place + 1) * EVERY
        row = [at, *(curve[place] for curve in curves.values()), at * n_critic * BATCH, at / speed, 1 / at, 2 / at]
        lines.append(",".join(map(str, row)))
    (folder / METRICS).write_text("\n".join(lines) + "\n")
    record = {"iteration": length, "protocol": {**PROTOCOL, **(protocol or {})}}
    record |= {"values": {name: curve[-1] for name, curve in curves.items()}, "better": dict(better or {})}
    content = {
        "status": status,
        "iteration": length,
        "seconds": length / speed,
        "seed": seed,
        "metrics": {"progress/images_seen": length * n_critic * BATCH},
        "health": {"verdicts": list(verdicts), "numbers": {}},
        "evaluation": {"last": record, "best": record} if curves else {},
        "evaluations": list(evaluations),
        "format": formats.RESULTS,
        **more,
    }
    (folder / RESULTS).write_text(json.dumps(content))
    (folder / SAMPLES).mkdir()
    Image.new("L", (24, 16), 40 * seed % 256).save(folder / SAMPLES / f"{length:08d}.png")
    return folder


LOWER = {"frechet_distance": "lower"}


def study(folder: Path, values: Mapping[str, Sequence[float]], **more: Any) -> Path:
    """A sweep over losses and seeds 1, 2, …: each run's Fréchet distance falls from twice its last value to it."""
    for loss, of_seeds in values.items():
        for seed, value in enumerate(of_seeds, 1):
            curve = [value * factor for factor in (2, 1.5, 1.2, 1)]
            name = f"loss={loss},seed={seed}"
            plant(folder / name, seed, {"frechet_distance": curve}, {"loss": loss}, better=LOWER, **more)
    return folder
