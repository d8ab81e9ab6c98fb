"""Measures a generator against a data set, with a record of how: numbers are to be compared with their like alone."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor

from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.toys import Mixture as MixtureSource
from gan_lightning.errors import UserError
from gan_lightning.metrics.extractor import Extractor, FeatureNetwork
from gan_lightning.metrics.observed import Metric, Mixture, Observed, measure_subsets, numbers, spreads
from gan_lightning.metrics.statistics import intervals, random_halves
from gan_lightning.networks.generator import Generator
from gan_lightning.pictures import to_pixels
from gan_lightning.ranks import place
from gan_lightning.samples import SampleSet
from gan_lightning.sampling.drawing import decode, draw_latents
from gan_lightning.sampling.latents import Prior
from gan_lightning.seeds import mix
from gan_lightning.training.ranks import gathered

LATENTS, LABELS = 0xE7A1, 0x1AB1  # keep what is drawn here apart from every other use of a seed
Value = TypeVar("Value")
Record = dict[str, Any]
Advance = Callable[[int], None]


def unheard(done: int) -> None:
    """The progress that nobody asks for."""


class Evaluator:
    """Compares generated samples with the real ones of a data set, on the features of one extractor.

    Arguments:
        split: the real samples to compare with: those trained on, or those held out.
        reference: the most real samples to use; None for all.
        samples: how many samples to generate. Their labels follow the distribution of the real ones. Images are rounded
            to 8 bits first, as they would be in files and as real ones are.
        seed: decides latents, labels and subsets. The same seed gives the same numbers; the batch size and the number
            of processes that share the work change them by rounding alone.
        repeats: random halves that each number's 95 % interval is estimated from (metrics/statistics.py), but for those
            that are spreads themselves; 0 for none.

    Raises UserError if nothing is held out where held-out samples are asked for, or if the extractor can't be had.
    """

    def __init__(
        self,
        data: GANDataModule,
        extractor: Extractor,
        metrics: Mapping[str, Metric],
        samples: int,
        reference: int | None = None,
        split: Literal["train", "held_out"] = "train",
        seed: int = 0,
        repeats: int = 0,
        batch_size: int = 256,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data = data
        self.metrics = dict(metrics)
        self.samples = samples
        self.seed = seed
        self.repeats = repeats
        self.batch_size = batch_size
        most = None if extractor.learns else 0  # a data set larger than memory isn't to be read for nothing
        training, held_out = in_8_bits(data.subset("train", most)), in_8_bits(data.subset("held_out", most))
        self.network: FeatureNetwork = extractor.open(training, held_out, device)
        self.chosen = in_8_bits(data.subset(split, reference))
        if not len(self.chosen.samples):
            raise UserError("split is held_out, but nothing is held out: dataset.held_out is 0.")
        self.unseen = in_8_bits(data.subset("held_out", reference)) if split == "train" else None
        self.observed: Observed | None = None
        self.is_whole = len(self.chosen.samples) == data.stream.size
        self.fixed = {
            "samples": samples,
            "reference": len(self.chosen.samples),
            "split": split,
            "data": fingerprint(self.chosen),
            "extractor": self.network.name,
            "extractor_sha256": self.network.sha256,
            "extractor_facts": dict(self.network.facts),
            "resize": self.network.resize,
            "pixels": "8 bits" if self.chosen.samples.dtype == torch.uint8 else "none",
            "dtype": "float32 features, float64 metrics",
            "seed": seed,
            "interval": f"95 %, {repeats} half-samples" if repeats else "none",
            "metrics": {name: asdict(cast("Any", metric)) for name, metric in self.metrics.items()},
        }

    @property
    def real(self) -> Observed:
        """The real samples with their features."""
        return self.observe_real(unheard)

    def observe_real(self, progress: Advance) -> Observed:
        """The same; at the first call, `progress` is told of every batch how many samples it has."""
        if self.observed is None:
            source = self.data.source
            mixture = Mixture(source.centres, source.std) if isinstance(source, MixtureSource) else None
            real = self.observe(self.chosen, progress)
            unseen = self.observe(self.unseen, progress) if self.unseen and len(self.unseen.samples) else None
            self.observed = replace(real, mixture=mixture, unseen=unseen, is_whole=self.is_whole)
        return self.observed

    def observe(self, chosen: SampleSet, progress: Advance = unheard) -> Observed:
        """Samples with their features."""
        found = []
        for chunk in chosen.samples.split(self.batch_size):
            found.append(self.network(chunk, self.batch_size))
            progress(len(chunk))
        features, logits = zip(*found, strict=True)
        joined = None if logits[0] is None else torch.cat(logits)
        own_classes = self.network.own_classes
        return Observed(chosen.samples, torch.cat(features), joined, classes_of(chosen), own_classes=own_classes)

    @property
    def work(self) -> int:
        """How much the next call of `measure` tells its `progress` in all: samples that are observed, drawn and, by
        each metric, measured.
        """
        sets = () if self.observed else (self.chosen, self.unseen)
        return sum(len(each.samples) for each in sets if each) + self.samples * (1 + len(self.metrics))

    @property
    def higher_is_better(self) -> Mapping[str, bool | None]:
        """The names of all numbers, in a table's order, each with whether higher is better."""
        return self.named(numbers(self.metrics))

    def better(self, values: Mapping[str, float]) -> dict[str, str]:
        """Which way each number is better, "higher" or "lower", for who reads the record without the metrics."""
        ways = {name: self.higher_is_better.get(name) for name in values}
        return {name: "higher" if higher else "lower" for name, higher in ways.items() if higher is not None}

    def measure(
        self,
        generator: Generator,
        latents: Prior,
        weights: Literal["ema", "raw", "best"] = "ema",
        device: torch.device | str = "cpu",
        progress: Advance = unheard,
    ) -> Record:
        """The record of a generator on `device`: values by name, their intervals and which way each is better, what was
        left out and why, protocol.

        Where processes train together all of them must call this; each makes a share of the samples and gets the whole
        record. `progress` is told how much of the `work` has been done since it was last called; what it raises ends
        the evaluation.
        """
        started = time.monotonic()
        fake = self.draw(generator, latents, device, progress)
        self.observe_real(progress)
        values: dict[str, float] = {}
        around: dict[str, tuple[float, float]] = {}
        left_out: dict[str, str] = {}
        for name, metric in self.metrics.items():
            progress(len(fake))  # before, since what it raises would throw away what has been measured
            if reason := metric.missing(self.real, fake):
                left_out[name] = reason
            else:
                halves, reason = self.halves(metric, fake)
                whole, *parts = measure_subsets(metric, self.real, fake, [torch.arange(len(fake)), *halves], self.seed)
                values |= self.named(whole)
                if parts:
                    ends, reason = certainty(metric, whole, parts)
                    around |= self.named(ends)
                if reason:
                    left_out[f"{name} (its interval)"] = reason
        return {
            "weights": weights,
            "values": {name: finite(value) for name, value in values.items()},
            "intervals": {name: [finite(end) for end in ends] for name, ends in around.items()},
            "left_out": left_out,
            "better": self.better(values),
            "protocol": {**self.fixed, "weights": "raw" if weights == "raw" else "ema"},
            "seconds": round(time.monotonic() - started, 3),
        }

    def halves(self, metric: Metric, fake: Observed) -> tuple[list[Tensor], str | None]:
        """The random halves that a metric's intervals are estimated from, or none; and why there are none."""
        if not self.repeats or metric.slow:
            return [], None
        if reason := metric.missing(self.real, fake.subset(torch.arange(len(fake) // 2))):
            return [], f"halves of the samples are without {reason}"
        return random_halves(len(fake), self.repeats, self.seed), None

    def left_out(self, generator: Generator, latents: Prior, device: torch.device | str = "cpu") -> dict[str, str]:
        """The numbers that can't be measured of such a generator's samples, by name, each with what is missing."""
        drawn = self.draw(generator, latents, device, unheard)
        reasons = {metric: metric.missing(self.real, drawn) for metric in self.metrics.values()}
        found = {name: reason for metric, reason in reasons.items() if reason for name in metric.higher_is_better}
        return self.named(found)

    def named(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Values by the names that the field gives them on these features."""
        return {self.network.known_as.get(name, name): value for name, value in values.items()}

    def draw(self, generator: Generator, prior: Prior, device: torch.device | str, progress: Advance) -> Observed:
        """Samples of the average or raw generator, with their features; made by all processes together.

        Raises FloatingPointError for samples that are not finite.
        """
        latents = draw_latents(prior, generator.latent_dim, self.samples, mix(self.seed, LATENTS))
        labels = self.labels() if generator.classes else None
        starts = range(0, self.samples, self.batch_size)
        rank, ranks = place()
        made: dict[int, tuple[Tensor, Tensor, Tensor | None]] = {}
        mode = generator.training
        generator.eval()
        try:
            for start in starts[rank::ranks]:
                rows = slice(start, start + self.batch_size)
                drawn = decode(generator, latents[rows], device, None if labels is None else labels[rows])
                if not drawn.isfinite().all():
                    raise FloatingPointError("generated samples are not finite: training has diverged.")
                drawn = to_pixels(drawn) if drawn.ndim == 4 else drawn
                made[start] = (drawn, *self.network(drawn, self.batch_size))
                progress(len(drawn))
        finally:
            generator.train(mode)
        samples, features, logits = zip(*(batch for _, batch in sorted(gathered(made).items())), strict=True)
        joined = None if logits[0] is None else torch.cat(logits)
        own_classes = self.network.own_classes
        asked = None if self.chosen.conditions else labels
        return Observed(torch.cat(samples), torch.cat(features), joined, asked, own_classes=own_classes)

    def labels(self) -> Tensor:
        """Labels (samples,), or (samples, K), with the distribution of the real ones, from the seed."""
        assert self.chosen.labels is not None  # where networks are told labels, the data set has them
        source = torch.Generator().manual_seed(mix(self.seed, LABELS))
        return self.chosen.labels[torch.randint(len(self.chosen.labels), (self.samples,), generator=source)]


def certainty(
    metric: Metric, whole: Mapping[str, float], halves: Sequence[Mapping[str, float]]
) -> tuple[dict[str, tuple[float, float]], str | None]:
    """The intervals of a metric's numbers that are no spreads, by those of the halves; and what some of them lack."""
    sure = {name: value for name, value in whole.items() if name not in spreads(metric)}
    found = intervals(sure, halves)
    unknown = [name for name, ends in found.items() if math.isfinite(sure[name]) and not math.isfinite(sum(ends))]
    return found, f"halves of the samples have no {', '.join(unknown)}" if unknown else None


def classes_of(chosen: SampleSet) -> Tensor | None:
    """Labels that are classes, the only ones that metrics know."""
    return None if chosen.conditions else chosen.labels


def in_8_bits(real: SampleSet) -> SampleSet:
    """Images whose levels are kept in more than 8 bits as generated ones are compared with them; others as they are."""
    has_more = real.samples.ndim == 4 and real.samples.is_floating_point()
    return real._replace(samples=to_pixels(real.samples)) if has_more else real


def fingerprint(chosen: SampleSet) -> str:
    """The first 16 digits of the SHA-256 of samples and labels."""
    digest = hashlib.sha256(str((chosen.samples.dtype, tuple(chosen.samples.shape))).encode())
    for tensor in (chosen.samples, chosen.labels):
        if tensor is not None:
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def differences(protocols: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The entries in which protocols are not all the same, each with its values in turn."""
    names = dict.fromkeys(name for protocol in protocols for name in protocol)
    found = {name: [protocol.get(name) for protocol in protocols] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def finite(value: float) -> float | None:
    """None for a number that JSON doesn't have."""
    return value if math.isfinite(value) else None
