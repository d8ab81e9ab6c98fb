"""How sure and how varied the classes of generated samples are: the Inception score, where logits are Inception's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gan_lightning.metrics.matrices import as_matrix
from gan_lightning.metrics.observed import Observed
from gan_lightning.types import Count, check_ranges


def classifier_scores(logits: Float[Tensor, "n k"], splits: int = 10, seed: int = 0) -> Float64[Tensor, " {splits}"]:
    """exp(E KL(p(y|x) || p(y))) of each split of samples with logits (N, K), drawn at random: (splits,), 1 to K.

    Salimans et al. 2016, arXiv:1606.03498, section 4; splits as in the official code, N / splits samples each. Samples
    are shuffled first, because generated ones may be in the order of their classes, by an own generator: torchmetrics
    shuffles by the global one, so that its number depends on whatever drew before, and its spread is that with
    1 / (splits - 1). In logarithms, so that a class that nothing belongs to adds 0 and not NaN.
    """
    logits = as_matrix(logits, "logits")
    count = len(logits)
    logits = logits[torch.randperm(count, generator=torch.Generator().manual_seed(seed))].log_softmax(1)
    scores = []
    for i in range(splits):
        split = logits[i * count // splits : (i + 1) * count // splits]
        marginal = split.logsumexp(0) - torch.tensor(len(split), dtype=torch.float64).log()
        scores.append((split.exp() * (split - marginal)).sum(1).mean().exp())
    return torch.stack(scores)


@dataclass(frozen=True)
class ClassifierScore:
    """The mean of `classifier_scores` and their standard deviation (with 1/n, as in the official code)."""

    splits: Count = 10
    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"classifier_score": True, "classifier_score_std": None}
    spreads: ClassVar[tuple[str, ...]] = ("classifier_score_std",)
    slow: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def missing(self, real: Observed, fake: Observed) -> str | None:
        if fake.logits is None:
            return "logits of classes"
        return None if len(fake) >= self.splits else f"a sample for each of {self.splits} splits"

    def measure(self, real: Observed, fake: Observed, seed: int = 0) -> dict[str, float]:
        assert fake.logits is not None
        scores = classifier_scores(fake.logits, self.splits, seed)
        return {"classifier_score": float(scores.mean()), "classifier_score_std": float(scores.std(correction=0))}
