"""What an evaluation of a run costs: CPU seconds of each metric, alone and with its 95 % intervals.

    python benchmarks/evaluation_cost.py RUN [--rounds 3] [OVERRIDE …]

OVERRIDEs are `evaluate`'s, such as root=DIR or samples=1000. Nothing is written to the run's folder. On one thread of
torch; the time is that thread's, the least of some rounds, each of which knows the real samples' features alone.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.progress import Progress

from gan_lightning.commands.evaluate import Evaluating, device_of, evaluator_of, parts_of
from gan_lightning.config.compose import compose
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.sources import Sources
from gan_lightning.sampling.sampler import load_generator


def seconds(call: Callable[[], object]) -> float:
    """Of this thread."""
    started = time.thread_time()
    call()
    return time.thread_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options, overrides = parser.parse_known_args()
    torch.set_num_threads(1)
    schema = f"{Evaluating.__module__}.{Evaluating.__name__}"
    config = without_hydra(compose(Sources("evaluate"), [f"run={options.run}", *overrides], schema))
    config.device = config.device or device_of([options.run])
    evaluator = evaluator_of(config, parts_of(config, options.run), {}, Progress(disable=True))
    sampler = load_generator(options.run, config.weights, config.device, config.plugins)

    def measure() -> None:
        evaluator.measure(sampler.network, sampler.latents, device=config.device)

    print(f"| real samples, observed | {seconds(lambda: evaluator.real):.1f} |\n| --- | --- |")
    cases = {name: {name: metric} for name, metric in evaluator.metrics.items()}
    taken: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for name, metrics in {"none": {}, **cases, "all": evaluator.metrics}.items():
            for repeats in (0, config.intervals):
                evaluator.metrics, evaluator.repeats = metrics, repeats
                evaluator.observed = replace(evaluator.real)  # without what is kept for the next comparison
                taken.setdefault((name, repeats), []).append(seconds(measure))
    drawing = min(taken["none", 0])
    print(f"\n| metric | alone | with {config.intervals} halves |\n| --- | --- | --- |")
    print(f"| none: samples drawn and observed | {drawing:.2f} | |")
    for name in (*cases, "all"):
        least = [min(taken[name, repeats]) - (drawing if name in cases else 0) for repeats in (0, config.intervals)]
        print(f"| {name}{'' if name in cases else ', drawing included'} | {least[0]:.2f} | {least[1]:.2f} |")


if __name__ == "__main__":
    main()
