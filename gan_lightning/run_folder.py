"""The names of what a run's folder holds: the contract between training, other commands and the users' scripts."""

from pathlib import Path

CONFIG = Path("config.yaml")  # the resolved config
SAVED = Path(".hydra") / "config.yaml"  # the same with its interpolations, which a resumed run is composed from
LAST = Path("checkpoints") / "last.ckpt"
BEST = Path("checkpoints") / "best.ckpt"  # by the numbers of conf/train.yaml's evaluation
GENERATOR = Path("generator.safetensors")  # the average generator, with its config in the metadata
SAMPLES = Path("samples")
METRICS = Path("metrics.csv")
RESULTS = Path("results.json")
