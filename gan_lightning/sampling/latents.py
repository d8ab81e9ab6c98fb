"""What generators are fed: priors over latents (N, latent_dim)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from gan_lightning.types import NonNegativeInt, PositiveFloat, PositiveInt, check_ranges


@runtime_checkable
class Prior(Protocol):
    """Draws latents; `generator` is torch's source of randomness, by default the device's own.

    `path` leads from one latent (d,) to another by `count` of them, both ends included: (count, d), likely ones all.
    """

    def draw(
        self,
        count: int,
        latent_dim: int,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "{count} {latent_dim}"]: ...

    def path(self, start: Float[Tensor, " d"], end: Float[Tensor, " d"], count: int) -> Float[Tensor, "{count} d"]: ...


@runtime_checkable
class TruncatablePrior(Prior, Protocol):
    """A prior whose tails can be left out.

    `truncate` moves latents (N, d) that the prior has drawn to where no number's size is above `threshold`, so that
    they are distributed as those that the prior would draw there. Each keeps its rank among all, so that a latent and
    its truncated one make like samples.
    """

    def truncate(self, latents: Float[Tensor, "n d"], threshold: float) -> Float[Tensor, "n d"]: ...


def truncated_normal(drawn: Float[Tensor, "n d"], threshold: float) -> Float[Tensor, "n d"]:
    """Numbers of N(0, 1) as those of N(0, 1) on [-threshold, threshold], by the distribution functions of both.

    The truncation trick of BigGAN (Brock et al. 2019, arXiv:1809.11096, section 3.1), which draws numbers beyond the
    threshold anew: the same distribution, but without a relation to what is drawn untruncated.
    """
    if threshold <= 0:
        raise ValueError(f"threshold must be above 0, got {threshold}")
    beyond = torch.special.ndtr(torch.tensor(-threshold, dtype=torch.float64))
    shares = beyond + torch.special.ndtr(drawn.double()) * (1 - 2 * beyond)
    moved: Tensor = torch.special.ndtri(shares).clamp(-threshold, threshold).to(drawn.dtype)
    return moved


def slerp(start: Float[Tensor, " d"], end: Float[Tensor, " d"], count: int) -> Float[Tensor, "{count} d"]:
    """`count` points on the arc from one vector (d,) to another, both included, with lengths in between: (count, d).

    Spherical interpolation (White 2016, arXiv:1609.04468): a straight line would pass through vectors that are shorter
    than nearly all that N(0, I) gives.
    """
    cosine = torch.dot(start, end) / (start.norm() * end.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    t = torch.linspace(0, 1, count).unsqueeze(1)
    if torch.sin(angle) < 1e-6:  # the same direction, or opposite ones, between which there is no one arc
        return torch.lerp(start, end, t)
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


def line(start: Float[Tensor, " d"], end: Float[Tensor, " d"], count: int) -> Float[Tensor, "{count} d"]:
    """`count` points on the straight line from one vector (d,) to another, both included: (count, d)."""
    return torch.lerp(start, end, torch.linspace(0, 1, count).unsqueeze(1))


@dataclass(frozen=True)
class Normal:
    """N(0, I)."""

    def draw(
        self,
        count: int,
        latent_dim: int,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "{count} {latent_dim}"]:
        return torch.randn(count, latent_dim, device=device, generator=generator)

    def path(self, start: Float[Tensor, " d"], end: Float[Tensor, " d"], count: int) -> Float[Tensor, "{count} d"]:
        return slerp(start, end, count)

    def truncate(self, latents: Float[Tensor, "n d"], threshold: float) -> Float[Tensor, "n d"]:
        return truncated_normal(latents, threshold)


@dataclass(frozen=True)
class Uniform:
    """Uniform on [-bound, bound] in each dimension, as in DCGAN's official code (with bound 1)."""

    bound: PositiveFloat = 1.0

    def __post_init__(self) -> None:
        check_ranges(self)

    def draw(
        self,
        count: int,
        latent_dim: int,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "{count} {latent_dim}"]:
        return (torch.rand(count, latent_dim, device=device, generator=generator) * 2 - 1) * self.bound

    def path(self, start: Float[Tensor, " d"], end: Float[Tensor, " d"], count: int) -> Float[Tensor, "{count} d"]:
        return line(start, end, count)

    def truncate(self, latents: Float[Tensor, "n d"], threshold: float) -> Float[Tensor, "n d"]:
        """In the latents' own units, as of N(0, I): from `bound` on, a threshold changes nothing."""
        return latents * min(threshold / self.bound, 1.0)


@dataclass(frozen=True)
class Coded:
    """InfoGAN's latents (Chen et al. 2016, arXiv:1606.03657, section 7): noise N(0, I), then the codes.

    The last columns are, for each entry K of `categorical`, a one-hot vector of K uniform classes, and after them
    `continuous` numbers uniform on [-1, 1]. The noise fills what is left of `latent_dim`. The paper's noise is uniform
    or normal by experiment; here it is normal as everywhere else in this package.
    """

    categorical: Sequence[PositiveInt] = (10,)
    continuous: NonNegativeInt = 2

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def width(self) -> int:
        """How many columns the codes take."""
        return sum(self.categorical) + self.continuous

    def draw(
        self,
        count: int,
        latent_dim: int,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "{count} {latent_dim}"]:
        if latent_dim < self.width:
            raise ValueError(
                f"latents of {latent_dim} numbers have no room for codes of {self.width};"
                " use a larger network.latent_dim"
            )
        columns = [torch.randn(count, latent_dim - self.width, device=device, generator=generator)]
        for classes in self.categorical:
            drawn = torch.randint(classes, (count,), device=device, generator=generator)
            columns.append(one_hot(drawn, classes).to(columns[0].dtype))
        columns.append(torch.rand(count, self.continuous, device=device, generator=generator) * 2 - 1)
        return torch.cat(columns, dim=1)

    def path(self, start: Float[Tensor, " d"], end: Float[Tensor, " d"], count: int) -> Float[Tensor, "{count} d"]:
        """The noise goes along its arc, continuous codes along a line; the categories stay the first latent's."""
        sizes = [len(start) - self.width, sum(self.categorical), self.continuous]
        (noise, categories, codes), (last_noise, _, last_codes) = start.split(sizes), end.split(sizes)
        arc = slerp(noise, last_noise, count) if len(noise) else noise.expand(count, 0)
        return torch.cat([arc, categories.expand(count, -1), line(codes, last_codes, count)], dim=1)

    def truncate(self, latents: Float[Tensor, "n d"], threshold: float) -> Float[Tensor, "n d"]:
        """The categories stay as they are."""
        sizes = [latents.shape[1] - self.width, sum(self.categorical), self.continuous]
        noise, categories, codes = latents.split(sizes, dim=1)
        return torch.cat([truncated_normal(noise, threshold), categories, codes * min(threshold, 1.0)], dim=1)
