"""What samples are edited by: numbers of them that a gradient can raise, such as a classifier's logits."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_lightning.editing.shapes import SHAPES, shape_of
from gan_lightning.errors import UserError, reason
from gan_lightning.metrics.classifier import Classifier
from gan_lightning.samples import SampleSet
from gan_lightning.sampling.sampler import Sampler
from gan_lightning.suggest import did_you_mean
from gan_lightning.types import Count, FilePath, Range, Seed, check_ranges

MOST_NAMED = 20  # attributes in a message
TYPICAL = 256  # samples that say what is usual
Data = Callable[[], tuple[SampleSet, SampleSet]]  # what a generator was trained on, and what was held out of it


class Scores(NamedTuple):
    """Attributes by name, and `of`, which gives samples (N, ...), as a generator makes them, their numbers (N, K).

    `features` gives samples (N, D) numbers by which they are alike to the eye where their pixels may not be. Gradients
    pass through both.
    """

    names: tuple[str, ...]
    of: Callable[[Tensor], Tensor]
    features: Callable[[Tensor], Tensor]

    def place(self, name: str | int) -> int:
        """The place of the attribute of that name. Raises UserError if there is none."""
        if str(name) in self.names:
            return self.names.index(str(name))
        shown = [*self.names[:MOST_NAMED], *(["..."] if len(self.names) > MOST_NAMED else [])]
        hint = did_you_mean(str(name), self.names)
        raise UserError(f"means.attribute is {name}, but the attributes are {', '.join(shown)}.{hint}")


@runtime_checkable
class Attributes(Protocol):
    """A source of attributes; `data` gives what the generator was trained on, or raises UserError."""

    def open(self, sampler: Sampler, data: Data) -> Scores:
        """The attributes of a generator's samples, on its device. Raises UserError for what the user can mend."""
        ...


@dataclass(frozen=True)
class Classes:
    """The classes of the generator's data set: the logits of a classifier that is trained on it at first use, and kept.

    `steps`, `width`, `seed` and `cache_dir` are `gan_lightning.metrics.Classifier`'s. Raises UserError for data without
    classes.
    """

    steps: Count = 2000
    width: Annotated[int, Range(low=1, high=1024)] = 16
    seed: Seed = 0
    cache_dir: FilePath | None = None

    def __post_init__(self) -> None:
        check_ranges(self)

    def open(self, sampler: Sampler, data: Data) -> Scores:
        training, held_out = data()
        labels = training.labels
        if labels is None or labels.is_floating_point() or len(labels.unique()) < 2:
            numbers = labels is not None and labels.is_floating_point()
            has = "no labels" if labels is None else "labels that are numbers" if numbers else "one class"
            raise UserError(
                f"attributes is classes, but the data set has {has}; attributes=statistics needs none, and a module of"
                " your own may know others."
            )
        classifier = Classifier(self.steps, self.width, self.seed, self.cache_dir)
        module = classifier.open(training, held_out, sampler.device).module

        def outputs(samples: Tensor) -> tuple[Tensor, Tensor]:
            # As it was trained, on levels from 0 to 255. These aren't rounded: there is no gradient through that.
            features, logits = module((samples + 1) * 127.5 if samples.ndim == 4 else samples)
            return features, logits

        names = training.classes or tuple(map(str, range(int(labels.max()) + 1)))
        return Scores(names[: int(labels.max()) + 1], lambda s: outputs(s)[1], lambda s: outputs(s)[0])


@dataclass(frozen=True)
class Statistics:
    """What samples show without a classifier: of images the shape of what is bright (SHAPES), of vectors their numbers.

    Each is in standard deviations of what the generator makes, from its mean there, so that they are on one scale.
    Raises UserError for signals.
    """

    def open(self, sampler: Sampler, data: Data) -> Scores:
        typical = sampler.sample(TYPICAL)
        if typical.ndim == 3:
            raise UserError(
                "attributes is statistics, which are of images and vectors, but this generator makes signals."
            )
        measured = shape_of if typical.ndim == 4 else torch.Tensor.float
        std, mean = torch.std_mean(measured(typical), dim=0, correction=0)
        std = torch.where(std > 0, std, 1.0)
        names = SHAPES if typical.ndim == 4 else columns_of(sampler, typical.shape[1])

        def standard(samples: Tensor) -> Tensor:
            return (measured(samples) - mean.to(samples)) / std.to(samples)

        return Scores(names, standard, standard)


def columns_of(sampler: Sampler, count: int) -> tuple[str, ...]:
    """The names of a vector's numbers: those of the table's columns, or else x0, x1, …"""
    return (sampler.units.names if sampler.units else ()) or tuple(f"x{place}" for place in range(count))


def scores_of(module: nn.Module, name: str, sampler: Sampler) -> Scores:
    """A module of one's own as attributes: it maps samples (N, ...), images in [-1, 1], to numbers (N, K) or (N,).

    Its attribute `names` names them; without one they are called NAME, or NAME0, NAME1, … Raises UserError for a module
    that can't take the samples, for outputs of another shape or without a gradient, and for names that are none.
    """
    module = module.to(sampler.device).eval().requires_grad_(False)
    what = f"attributes.{name} is {type(module).__name__}"

    def numbers(samples: Float[Tensor, "n ..."]) -> Tensor:
        outputs = module(samples)
        return outputs.unsqueeze(1) if isinstance(outputs, Tensor) and outputs.ndim == 1 else outputs

    count = _outputs(numbers, what, sampler)
    names = getattr(module, "names", None)
    if names is None:
        names = [name] if count == 1 else [f"{name}{place}" for place in range(count)]
    if not isinstance(names, list | tuple):
        raise UserError(f"{what}, whose names are {names!r}; a list with one for each output is wanted.")
    if len(names) != count:
        raise UserError(f"{what}, which has {len(names)} names for {count} outputs; give each one.")
    return Scores(tuple(map(str, names)), numbers, numbers)


def _outputs(numbers: Callable[[Tensor], Tensor], what: str, sampler: Sampler) -> int:
    """How many numbers a module of one's own gives of each sample, by a trial. Raises UserError, beginning with `what`,
    for outputs of another shape, and where they or their gradients can't be had.
    """
    with torch.inference_mode(False), torch.enable_grad():
        samples = sampler.sample(2).to(sampler.device).clone().requires_grad_()
        try:
            tried = numbers(samples)
        except Exception as error:  # a module of one's own may raise anything
            shape = tuple(samples.shape)
            raise UserError(f"{what}, which can't take this generator's samples {shape}: {reason(error)}.") from error
        if not isinstance(tried, Tensor) or tried.ndim != 2 or len(tried) != 2 or not tried.is_floating_point():
            given = f"shape {tuple(tried.shape)}" if isinstance(tried, Tensor) else f"kind {type(tried).__name__}"
            raise UserError(
                f"{what}, whose outputs for two samples are of {given}, but numbers (N, K) of N samples are wanted."
            )
        try:
            torch.autograd.grad(tried.sum(), samples)
        except Exception as error:  # and its own backward pass may, too
            raise UserError(
                f"{what}, whose outputs have no gradient with regard to the samples, which edits go along"
                f" ({reason(error)}); leave out what breaks it, such as detach, rounding, argmax or torch.no_grad."
            ) from error
    return tried.shape[1]


def joined(found: Sequence[Scores]) -> Scores:
    """The attributes of several sources as one. Raises UserError where two have the same name, or without any."""
    names = [name for each in found for name in each.names]
    if not names:
        raise UserError("attributes is empty, but there has to be one to edit by; attributes=classes is the default.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"attributes has two that are named {twice}; leave out one of their sources.")

    def all_of(parts: Iterable[Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
        each = tuple(parts)
        return lambda samples: torch.cat([part(samples) for part in each], dim=1)

    return Scores(tuple(names), all_of(part.of for part in found), all_of(part.features for part in found))
