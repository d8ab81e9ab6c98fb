"""How many modes of the ring and of the grid each recipe covers, over several seeds, beside PacGAN's Table 1.

    python -m gan_lightning -m dataset=ring,grid loss=vanilla,wgan_clip,wgan_gp,pacgan,r3gan seed=0,1,2,3,4 \\
        trainer.enable_progress_bar=false hydra.sweep.dir=multirun/modes
    python benchmarks/mode_coverage.py multirun/modes

For each run, 2,500 samples of seed 0 from the average generator: how many modes have a sample within 3 standard
deviations (of 8 on the ring, 25 on the grid), the share of samples that lie within 3 standard deviations of a mode, and
the reverse KL divergence of the shares of modes, as in Lin et al. 2018, arXiv:1712.04086, section 4.1. Prints each data
set's and loss's mean and standard error over the runs, and the least number of modes that a run covers.
"""

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from gan_lightning import load_generator
from gan_lightning.config.build import build
from gan_lightning.data.toys import Mixture
from gan_lightning.metrics.modes import high_quality_share, modes_covered, reverse_kl

SAMPLES = 2500
# Table 1 of PacGAN: modes, share of high quality, reverse KL, means over 10 runs.
PUBLISHED = {
    "ring": {"GAN": (6.3, 0.982, 0.45), "PacGAN2": (7.9, 0.956, 0.07), "PacGAN4": (7.8, 0.959, 0.07)},
    "grid": {"GAN": (17.3, 0.948, 0.70), "PacGAN2": (23.8, 0.913, 0.13), "PacGAN4": (24.8, 0.936, 0.04)},
}


def measure(run: Path, config: DictConfig) -> tuple[int, float, float]:
    """Modes covered, the share of high quality and the reverse KL of a run on a mixture of Gaussians."""
    source: Mixture = build(config, "dataset.source")
    samples = load_generator(run).sample(SAMPLES, seed=0)
    centres = source.centres
    return (
        modes_covered(samples, centres, source.std),
        high_quality_share(samples, centres, source.std),
        reverse_kl(samples, centres),
    )


def spread(values: list[float], digits: int) -> str:
    """Mean and standard error."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.{digits}f} ± {error:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    found: dict[str, dict[str, list[tuple[int, float, float]]]] = defaultdict(lambda: defaultdict(list))
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for file in sorted(parser.parse_args().sweep.glob("**/generator.safetensors")):
        config = OmegaConf.load(file.parent / "config.yaml")
        results = OmegaConf.load(file.parent / "results.json")
        assert isinstance(config, DictConfig)
        assert isinstance(results, DictConfig)
        found[config.dataset.name][config.loss.name].append(measure(file.parent, config))
        seconds[config.dataset.name, config.loss.name].append(results.seconds)
    print("| data | loss | runs | modes | fewest | high quality % | reverse KL | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for data, losses in found.items():
        for loss, runs in losses.items():
            modes, quality, divergence = zip(*runs, strict=True)
            quality_percent = spread([100 * share for share in quality], 1)
            print(
                f"| {data} | {loss} | {len(runs)} | {spread(list(modes), 1)} | {min(modes)} | {quality_percent}"
                f" | {spread(list(divergence), 2)} | {statistics.mean(seconds[data, loss]):.0f} |"
            )
        for name, (published_modes, share, published_divergence) in PUBLISHED.get(data, {}).items():
            print(f"| {data} | {name}, published | 10 | {published_modes} | | {share:.1%} | {published_divergence} | |")


if __name__ == "__main__":
    main()
