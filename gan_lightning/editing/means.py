"""The means by which samples are edited, as a configuration names them."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_lightning.editing.ascent import Change, Score, changes, climb
from gan_lightning.editing.attributes import Scores
from gan_lightning.editing.directions import closed_form_directions, first_weights
from gan_lightning.editing.inversion import seek, squared_error
from gan_lightning.editing.scene import AT_ONCE, Edited, Scene, Table
from gan_lightning.errors import UserError
from gan_lightning.networks.layers import Labels
from gan_lightning.sampling.sampler import Label, Sampler
from gan_lightning.types import (
    Count,
    FilePath,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    check_ranges,
)

SHOWN = 4  # directions
Frames = Annotated[int, Range(low=2, high=1000)]


class Held(NamedTuple):
    """Numbers of latents and of samples."""

    latents: int
    samples: int


class Means(Protocol):
    """A frozen dataclass of plain values: what is done with the samples of a scene."""

    def edit(self, scene: Scene) -> Edited:
        """Raises UserError for what the user can mend."""
        ...

    def held(self, scene: Scene) -> Held:
        """What it holds in memory at once, so that too much is refused before anything is made."""
        ...


def stages(count: int, most: int) -> list[int]:
    """At most so many of the numbers 0 to count - 1, evenly apart, with both ends."""
    return torch.linspace(0, count - 1, min(count, most)).round().long().tolist()


@dataclass(frozen=True)
class Ascent:
    """More of an attribute: latents go up its gradient, while others are kept by a penalty (`climb`).

    `down` steps lead to less of it, too. The table tells what moved along. A row has at most `frames` stages, and the
    first `rows` samples have one.
    """

    attribute: str | int
    steps: NonNegativeInt = 10
    step: PositiveFloat = 0.1
    penalty: NonNegativeFloat = 0.1
    down: NonNegativeInt = 0
    frames: PositiveInt = 9
    rows: Count = 8

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.steps + self.down == 0:
            raise ValueError("steps and down are both 0, so that nothing would change")

    def held(self, scene: Scene) -> Held:
        stages = self.steps + self.down + 1
        return Held(scene.n * stages, min(scene.n, self.rows) * min(stages, self.frames) + min(scene.n, AT_ONCE))

    def edit(self, scene: Scene) -> Edited:
        scores = scene.scores
        target = scores.place(self.attribute)
        found = [self._way(latents, partial(_score, scores, decode), target) for latents, decode in scene.parts()]
        path, measured = (torch.cat(each, dim=1) for each in zip(*found, strict=True))
        shown = path[stages(len(path), self.frames), : self.rows]
        moved = changes(measured, self.down, target, scores.names)
        return Edited(scene.along(shown), shown.transpose(0, 1), self._table(moved))

    def _table(self, moved: Sequence[Change]) -> Table:
        """What moved along, with the ends that there are."""
        ends = [name for name, steps in (("less", self.down), ("more", self.steps)) if steps]
        columns = ("name", *ends, "covariance", "correlation")
        return Table(("attribute", *columns[1:]), [tuple(getattr(each, name) for name in columns) for each in moved])

    def _way(self, latents: Tensor, score: Score, target: int) -> tuple[Tensor, Tensor]:
        """Latents from the least of the attribute to the most (stages, n, d), and their scores (stages, n, K)."""
        legs = [
            climb(score, latents, target, steps, self.step, self.penalty, down)
            for steps, down in ((self.down, True), (self.steps, False))
        ]
        path = torch.cat([legs[0].flip(0)[:-1], legs[1]])
        with torch.no_grad():
            return path, torch.stack([score(at).cpu() for at in path])


def _score(scores: Scores, decode: Callable[[Tensor], Tensor], latents: Tensor) -> Tensor:
    return scores.of(decode(latents))


@dataclass(frozen=True)
class Directions:
    """Along the first `count` directions that the generator's weights enlarge most (`closed_form_directions`).

    Without a count, they are SHOWN, or as many as there are.

    For each of them, a row of each sample, in `frames` stages from `distance` before it to `distance` behind it.
    """

    count: Count | None = None
    distance: PositiveFloat = 3.0
    frames: Frames = 7

    def __post_init__(self) -> None:
        check_ranges(self)

    def held(self, scene: Scene) -> Held:
        count = self._count(scene) * self.frames * scene.n
        return Held(count, count)

    def edit(self, scene: Scene) -> Edited:
        directions, strengths = closed_form_directions(scene.sampler.network, self._count(scene))
        offsets = torch.linspace(-self.distance, self.distance, self.frames).view(-1, 1, 1)
        paths = [scene.latents + offsets * direction for direction in directions]
        samples = torch.cat([scene.along(path) for path in paths])
        rows = [(str(number), strength) for number, strength in enumerate(strengths.tolist())]
        return Edited(
            samples, torch.cat([path.transpose(0, 1) for path in paths]), Table(("direction", "strength"), rows)
        )

    def _count(self, scene: Scene) -> int:
        return self.count or min(SHOWN, *first_weights(scene.sampler.network).shape)


@dataclass(frozen=True)
class Inversion:
    """The samples nearest to given pictures, beside them: those of the file or the folder `picture`, `n` at most.

    Of `restarts` starts, each sought from for `steps` steps of at most `rate` (`seek`), the nearest is taken: by its
    pixels, or by the features of the attributes. Without a label, the starts of a conditional generator take the
    classes in turn, at least one each, and the table has the class that was found.
    """

    picture: FilePath
    distance: Literal["pixels", "features"] = "pixels"
    restarts: Count = 8
    steps: NonNegativeInt = 300
    rate: PositiveFloat = 0.1

    def __post_init__(self) -> None:
        check_ranges(self)

    def held(self, scene: Scene) -> Held:
        starts = self.starts(scene)
        # Of each start where it is, its gradient, Adam's two means, and the best so far.
        return Held(scene.n + 5 * starts, 2 * scene.n + min(starts, AT_ONCE))

    def edit(self, scene: Scene) -> Edited:
        pictures = scene.read(self.picture, scene.n)
        found = [self._nearest(scene, picture) for picture in pictures.values()]
        samples = torch.cat([each[0] for each in found])
        targets = torch.stack(list(pictures.values()))
        errors = [float(squared_error(each.unsqueeze(0), to)) for each, to in zip(samples, targets, strict=True)]
        rows: list[tuple[str | float, ...]] = [
            (name, distance, error, *label)
            for name, (*_, distance, label), error in zip(pictures, found, errors, strict=True)
        ]
        told = ("label",) if _has_classes(scene.sampler) else ()
        columns = ("picture", f"distance in {self.distance}", "squared error", *told)
        latents = torch.stack([each[1] for each in found])
        return Edited(torch.stack([targets, samples], 1), latents, Table(columns, rows))

    def starts(self, scene: Scene) -> int:
        """How many there are for each picture: `restarts`, or more where not each class would have one."""
        every = scene.label is None and _has_classes(scene.sampler)
        return max(self.restarts, scene.sampler.network.classes) if every else self.restarts

    def _nearest(self, scene: Scene, picture: Tensor) -> tuple[Tensor, Tensor, float, tuple[str, ...]]:
        """The sample (1, ...) nearest to a picture, its latents (1, d), how far it is, and its class if it has one."""
        started, of = replace(scene, n=self.starts(scene)), self._of(scene)
        target = of(picture.unsqueeze(0).to(scene.sampler.device)).squeeze(0)

        def sought(starts: Tensor, decode: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
            return seek(lambda at: squared_error(of(decode(at)), target).to(at.device), starts, self.steps, self.rate)

        found, distances = map(torch.cat, zip(*(sought(*part) for part in started.parts()), strict=True))
        best = distances.argmin()
        told = None if started.labels is None else started.labels[best : best + 1]
        latents = found[best : best + 1]
        return scene.sampler.decode(latents, told), latents, float(distances[best]), _class_of(scene.sampler, told)

    def _of(self, scene: Scene) -> Callable[[Tensor], Tensor]:
        return scene.scores.features if self.distance == "features" else nn.Identity()


def _has_classes(sampler: Sampler) -> bool:
    return bool(sampler.network.classes) and sampler.conditions is None


def _class_of(sampler: Sampler, label: Labels | None) -> tuple[str, ...]:
    """The name of the class of a label (1,), or its number; nothing for a generator without classes."""
    if label is None or not _has_classes(sampler):
        return ()
    return (sampler.classes[int(label)] if sampler.classes else str(int(label)),)


@dataclass(frozen=True)
class BetweenLabels:
    """From one label to the next, with the latents of each sample: a conditional generator's classes, or conditions.

    `labels` are two or more, as `Sampler.labels` takes them; a number that is a class's name means that class.
    `frames` stages lead from one to the next, both included.
    """

    labels: Sequence[int | str | dict[str, float]]
    frames: Frames = 8

    def __post_init__(self) -> None:
        check_ranges(self)
        if len(self.labels) < 2:
            raise ValueError(f"labels are {list(self.labels)}, but it takes two to go from one to the other")

    def held(self, scene: Scene) -> Held:
        count = scene.n * ((len(self.labels) - 1) * (self.frames - 1) + 1)
        return Held(count, count)

    def edit(self, scene: Scene) -> Edited:
        if scene.label is not None:
            raise UserError(f"label is {scene.label}, but means.labels says what samples are told; leave label out.")
        path = label_path(scene.sampler, self.labels, self.frames, scene.seed)
        count = len(path)
        latents = scene.latents.unsqueeze(1).expand(-1, count, -1)
        samples = scene.sampler.decode(latents.flatten(0, 1), path.repeat(scene.n, 1)).unflatten(0, (scene.n, count))
        return Edited(samples, latents)


def label_path(sampler: Sampler, labels: Sequence[Label], frames: int, seed: int = 0) -> Float[Tensor, "stages k"]:
    """What a conditional generator is told on the way through labels: straight lines between one-hot classes, or
    between conditions, in `frames` stages each, both ends included.

    Raises UserError for a generator without labels, and for a label that it doesn't have.
    """
    if not sampler.network.classes:
        raise UserError("means is labels, but this generator was trained without labels (conditioning=none).")
    named = [str(each) if str(each) in sampler.classes else each for each in labels]
    told = torch.cat([as_numbers(sampler.labels(1, each, seed), sampler.network.classes) for each in named])
    along = torch.linspace(0, 1, frames).view(-1, 1)
    legs = [torch.lerp(start, end, along) for start, end in itertools.pairwise(told)]
    return torch.cat([legs[0], *(leg[1:] for leg in legs[1:])])


def as_numbers(labels: Labels | None, classes: int) -> Float[Tensor, "n {classes}"]:
    """Classes (N,) one-hot, and conditions as they are."""
    assert labels is not None
    return labels if labels.is_floating_point() else one_hot(labels, classes).float()
