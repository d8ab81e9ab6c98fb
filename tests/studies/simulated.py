"""Values with a known truth, as tests of statistics need them."""

import numpy as np

NORMAL, HEAVY, SKEWED, VERY_SKEWED = "normal", "t3", "log-normal 0.5", "log-normal 1"
MEANS = {NORMAL: 0.0, HEAVY: 0.0, SKEWED: np.exp(0.125), VERY_SKEWED: np.exp(0.5)}
MEDIANS = {NORMAL: 0.0, HEAVY: 0.0, SKEWED: 1.0, VERY_SKEWED: 1.0}


def simulated(kind: str, *shape: int, seed: int = 0) -> np.ndarray:
    """Independent values of a distribution whose mean is in MEANS."""
    generator = np.random.default_rng(seed)
    if kind == HEAVY:
        return generator.standard_t(3, size=shape)
    normal = generator.normal(size=shape)
    return {NORMAL: normal, SKEWED: np.exp(normal / 2), VERY_SKEWED: np.exp(normal)}[kind]


def share_covered(low: np.ndarray, high: np.ndarray, truth: float) -> float:
    """How many of some intervals hold the truth."""
    return float(((low <= truth) & (truth <= high)).mean())
