"""Whether generated samples are copies of training samples: by how far the nearest of these is, in features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from jaxtyping import Float, Float64, Int64
from torch import Tensor

from gan_lightning.metrics.neighbours import nearest
from gan_lightning.metrics.observed import Observed, SubsetMetric

COPIED = 0.01  # the share of unseen real samples that lie nearer to a training sample than what counts as copied
EQUAL = 1e-12  # a distance too small to matter, which keeps the ratio of zeros at 1


class Copying(NamedTuple):
    """Generated samples' distances from training samples over unseen real ones', and the share of copies among them."""

    ratio: float
    copied: float


def copying(training: Float[Tensor, "m d"], unseen: Float[Tensor, "u d"], generated: Float[Tensor, "n d"]) -> Copying:
    """Compares how far generated samples lie from their nearest training sample with how far unseen real ones do.

    All are features (., D). `ratio` is that of the medians: 1 for samples that are as new as unseen ones, near 0 for
    copies, above 1 for samples unlike any training sample. `copied` is the share of generated samples that lie as near
    as the nearest hundredth of unseen ones: 0.01 for a generator that draws from the distribution of the data, 1 for
    copies. That unseen samples are the measure of how near is too near is from Meehan et al. 2020, arXiv:2004.05675
    (section 3), whose test ranks both sets' distances within cells of the data; a ratio and a share say how much.
    """
    return _compared(nearest_distances(unseen, training), nearest_distances(generated, training))


def _compared(of_unseen: Float64[Tensor, " u"], of_generated: Float64[Tensor, " n"]) -> Copying:
    """The same of distances from the nearest training sample."""
    ratio = (of_generated.quantile(0.5) + EQUAL) / (of_unseen.quantile(0.5) + EQUAL)
    return Copying(float(ratio), float((of_generated <= of_unseen.quantile(COPIED)).double().mean()))


def nearest_distances(samples: Float[Tensor, "n d"], training: Float[Tensor, "m d"]) -> Float64[Tensor, " n"]:
    """The distance (N,) of each sample (N, D) from its nearest training sample (M, D)."""
    return nearest(samples, training)[0].squeeze(1)


@dataclass(frozen=True)
class Memorisation(SubsetMetric):
    """`copying` of features, the real samples being those that were trained on."""

    higher_is_better: ClassVar[Mapping[str, bool | None]] = {"nearest_training_distance": None, "copied_share": False}
    slow: ClassVar[bool] = False

    def missing(self, real: Observed, fake: Observed) -> str | None:
        if not real.is_whole:
            return "all training samples (reference=null)"
        return "unseen real samples" if real.unseen is None else None

    def measure_subsets(
        self, real: Observed, fake: Observed, subsets: Sequence[Int64[Tensor, " _"]], seed: int = 0
    ) -> list[dict[str, float]]:
        unseen = real.unseen
        assert unseen is not None
        of_unseen = real.once("unseen", lambda: nearest_distances(unseen.features, real.features))
        of_fake = nearest_distances(fake.features, real.features)
        found = [_compared(of_unseen, of_fake[rows]) for rows in subsets]
        return [{"nearest_training_distance": each.ratio, "copied_share": each.copied} for each in found]
