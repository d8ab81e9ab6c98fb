"""What a run shows of itself beside its scalars and samples: charts, histograms, neighbours, paths between latents."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d, pad

from gan_lightning.curves import sketches
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.losses import regularizers
from gan_lightning.metrics.neighbours import nearest
from gan_lightning.pictures import drawable, grid
from gan_lightning.samples import SampleSet, kind_of
from gan_lightning.sampling.drawing import decode, draw_latents, evaluating, label_of_each
from gan_lightning.seeds import mix
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.training.timetable import NETWORKS
from gan_lightning.types import PositiveInt
from gan_lightning.watching.loggers import Events
from gan_lightning.watching.measurements import gradient_norms_in_chunks
from gan_lightning.watching.samples import add_pictures, is_shown

# TensorBoard's page Custom Scalars: category, chart, the scalars it shows as regular expressions. A chart has a colour
# for each run, so that two curves of one run differ in their markers alone: each network has charts of its own.
CHARTS = {
    "training": {
        "loss of the discriminator": ["^loss/discriminator$"],
        "loss of the generator": ["^loss/generator$"],
        "gradient norm of the discriminator": ["^gradient_norm/discriminator$"],
        "gradient norm of the generator": ["^gradient_norm/generator$"],
        "D(x): real against fake": ["^discriminator/(real|fake)$"],
    },
    "discriminator": {
        "terms of its loss": ["^loss/discriminator/"],
        "regularizers": ["^regularizer/"],
        "gradient in a sample": ["^health/critic_gradient/.*/mean$"],
        "accuracy": ["^health/(accuracy/|ranking$|overfitting_gap$)"],
    },
    "samples": {
        "distances": ["^evaluation/(frechet_distance|kernel_distance|sliced_wasserstein|w2|fid|kid)$"],
        "classes and modes": ["^evaluation/(classes_covered|modes_covered)$"],
        "shares": ["^evaluation/.*(_share|precision|recall|coverage|accuracy_score)$"],
        "diversity": ["^health/diversity$", "^health/coverage$"],
    },
    "progress": {"images per second": ["^progress/images_per_second$"], "epoch": ["^progress/epoch$"]},
}
LAYOUT = {title: {chart: ["Multiline", tags] for chart, tags in charts.items()} for title, charts in CHARTS.items()}

SHOWN = 256  # samples, real and generated each, whose gradients and features are shown
ROWS, STEPS, NEIGHBOURS = 8, 8, 3  # of the pictures
CHUNK = 1024  # training samples that are searched at a time
BINS = 64
FINEST = 16  # pixels a side of what the projector is given of images, with which its files stay below 5 MB
THUMBNAIL = 32
DASHBOARD = 0xDA  # keeps its latents apart from every other use of the seed


class Dashboard(IterationCallback):
    """Shows what goes on inside the networks, every `every` iterations and at the end; None: never.

    | where | what | when |
    | --- | --- | --- |
    | Custom Scalars | charts of scalars that belong together (CHARTS) | from the start |
    | `weights/NETWORK/LAYER` | histograms of matrices and kernels | as samples are (see `is_shown`) |
    | `health/critic gradient norms` | histogram of `gradient_norms` | as samples are |
    | `samples/interpolation` | a row a path between two fixed latents | once a doubling of `every`, and at the end |
    | `samples/neighbours` | generated samples, each before its nearest training samples, by pixels | as interpolation |
    | projector | `features` of real and generated samples; their pixels without any | at the end |

    TensorBoard gets all of it; other loggers get the pictures, which are drawn of images, and of signals as sketches of
    their curves.
    """

    def __init__(
        self,
        data: GANDataModule,
        seed: int = 0,
        every: PositiveInt | None = 500,
        features: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.data = data
        self.seed = mix(seed, DASHBOARD)
        self.every = every
        self.features = features

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        if self.every is not None and trainer.is_global_zero and trainer.global_step == 0:
            for events in event_files(trainer):
                events.add_custom_scalars(LAYOUT)
            self.show_histograms(trainer, model)

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        return self.every is not None and trainer.is_global_zero and completed % self.every == 0

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        iteration = trainer.global_step
        assert self.every is not None
        if is_shown(iteration, self.every):
            self.show_histograms(trainer, model)
        if is_shown(iteration, self.every, per_doubling=1):
            self.show_pictures(trainer, model)

    def after_training(self, trainer: Trainer, model: GAN) -> None:
        if self.every is None or not trainer.is_global_zero:
            return
        iteration = trainer.global_step
        if not is_shown(iteration, self.every):
            self.show_histograms(trainer, model)
        if not is_shown(iteration, self.every, per_doubling=1):
            self.show_pictures(trainer, model)
        self.show_features(trainer, model)

    def show_histograms(self, trainer: Trainer, model: GAN) -> None:
        """Of both networks' weights, and of the critic's gradients."""
        real = self.data.subset("train", SHOWN).as_floats()
        norms = gradient_norms(model, real, self.seed, self.data.batch_size // trainer.world_size)
        for events in event_files(trainer):
            for network in NETWORKS:
                for layer, weight in kernels(getattr(model, network)):
                    events.add_histogram(f"weights/{network}/{layer}", weight, trainer.global_step, BINS)
            events.add_histogram("health/critic gradient norms", norms, trainer.global_step, BINS)

    def show_pictures(self, trainer: Trainer, model: GAN) -> None:
        """Paths between latents, and generated samples beside their nearest training samples."""
        if kind_of(self.data.sample_shape) == "vectors":
            return
        paths, fake = interpolations(model, self.seed), generated(model, ROWS, self.seed).samples
        add_pictures(trainer, "samples/interpolation", grid(self.as_images(paths), STEPS))
        add_pictures(trainer, "samples/neighbours", grid(self.as_images(self.beside_neighbours(fake)), 1 + NEIGHBOURS))

    def as_images(self, samples: Tensor) -> Tensor:
        """Images as they are, and signals as sketches, all over the range of training ones."""
        return sketches(samples, self.data.subset("train", SHOWN).samples) if samples.ndim == 3 else samples

    def beside_neighbours(self, fake: Tensor) -> Tensor:
        """Samples (N, ...), each followed by the training samples nearest to it: (N * (1 + NEIGHBOURS), ...)."""
        queries = fake.flatten(1)
        distances, rows = torch.zeros(len(fake), 0), torch.zeros(len(fake), 0, dtype=torch.int64)
        for chunk in self.data.training_rows().split(CHUNK):
            references = self.data.take(chunk).as_floats().samples.flatten(1)
            further, indices = nearest(queries, references, min(NEIGHBOURS, len(chunk)))
            distances = torch.cat([distances, further], 1)
            rows = torch.cat([rows, chunk[indices]], 1)
            best = distances.argsort(dim=1, stable=True)[:, :NEIGHBOURS]
            distances, rows = distances.gather(1, best), rows.gather(1, best)
        neighbours = self.data.take(rows).as_floats().samples
        return torch.cat([fake.unsqueeze(1), neighbours], 1).flatten(0, 1)

    def show_features(self, trainer: Trainer, model: GAN) -> None:
        """Real and generated samples as points of TensorBoard's projector, with their classes if there are any."""
        real = self.data.subset("train", SHOWN).as_floats()
        fake = generated(model, len(real.samples), self.seed)
        both = torch.cat([real.samples, fake.samples])
        kinds = ["real"] * len(real.samples) + ["generated"] * len(fake.samples)
        named = [label for each in (real, fake) for label in labels_or_blanks(each)]
        is_drawn = both.ndim > 2
        plain = smaller(both, FINEST).flatten(1) if is_drawn else both
        points = plain if self.features is None else self.features(both)
        for events in event_files(trainer):
            events.add_embedding(
                points.numpy().round(3),
                metadata=[list(row) for row in zip(kinds, named, strict=True)],
                metadata_header=["kind", "class"],
                label_img=thumbnails(self.as_images(both)) if is_drawn else None,
                global_step=trainer.global_step,
                tag="samples",
            )


def thumbnails(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] as TensorBoard's projector takes them: small squares in [0, 1]."""
    return square(smaller(drawable(images), THUMBNAIL)).add(1).div(2).clamp(0, 1)


def square(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] in the middle of black squares, as TensorBoard's thumbnails have to be."""
    height, width = images.shape[2:]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    return pad(images, (left, side - width - left, top, side - height - top), value=-1.0)


def event_files(trainer: Trainer) -> Iterator[Any]:
    """TensorBoard's writers among a run's loggers."""
    return (logger.experiment for logger in trainer.loggers if isinstance(logger, Events))


def kernels(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The matrices and kernels that a network learns, by the name of their layer."""
    for name, parameter in network.named_parameters():
        if parameter.ndim >= 2:
            layer = name.replace(".parametrizations.weight.original", "").removesuffix(".weight")
            yield layer, parameter.detach().float().cpu()


def labels_or_blanks(samples: SampleSet) -> list[Any]:
    """The label of each sample, its conditions as a text, or as many empty texts."""
    if samples.labels is None:
        return [""] * len(samples.samples)
    if samples.conditions is None:
        return samples.labels.tolist()
    names, values = samples.conditions.names, samples.conditions.restore(samples.labels)
    return [", ".join(f"{name} {each:.6g}" for name, each in zip(names, row, strict=True)) for row in values.tolist()]


def generated(model: GAN, count: int, seed: int) -> SampleSet:
    """The average generator's samples of fixed latents, on the CPU, with the classes that they were asked for."""
    labels = label_of_each(model.ema_generator, count, model.conditions, seed)
    latents = draw_latents(model.latents, model.ema_generator.latent_dim, count, seed)
    conditions = None if model.conditions is None else model.conditions.units
    return SampleSet(decode(model.ema_generator, latents, model.device, labels), labels, conditions=conditions)


def interpolations(model: GAN, seed: int) -> Tensor:
    """Samples (ROWS * STEPS, ...) of the average generator, a row a path between two latents, of one class each."""
    ends = draw_latents(model.latents, model.ema_generator.latent_dim, 2 * ROWS, seed)
    paths = torch.cat([model.latents.path(start, end, STEPS) for start, end in ends.unflatten(0, (ROWS, 2))])
    labels = label_of_each(model.ema_generator, ROWS, model.conditions, seed)
    told = None if labels is None else labels.repeat_interleave(STEPS, 0)
    return decode(model.ema_generator, paths, model.device, told)


def gradient_norms(model: GAN, real: SampleSet, seed: int, at_once: int = SHOWN) -> Tensor:
    """Euclidean norms (N / packing,) of the critic's gradients at points between real and generated samples.

    The points are those of WGAN-GP's penalty (Gulrajani et al. 2017, equation 3), between real samples and the average
    generator's, but the critic is in evaluation mode, and sees nothing augmented. A conditional critic is told the real
    samples' labels. Gradients are taken of `at_once` samples at a time.
    """
    packing, adapter = model.discriminator.packing, model.bare_adapter
    real = real.first(len(real.samples) // packing * packing)
    labels = None if real.labels is None else real.labels.to(model.device)
    latents = draw_latents(model.latents, model.ema_generator.latent_dim, len(real.samples), seed)
    fake = decode(model.ema_generator, latents, model.device, labels if model.ema_generator.classes else None)
    with evaluating(model.discriminator), torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        points = regularizers.interpolate(adapter.view(real.samples), adapter.view(fake)).to(model.device)
        return gradient_norms_in_chunks(adapter, points, adapter.packed(labels), max(1, at_once // packing)).cpu()


def smaller(images: Tensor, most: int) -> Tensor:
    """Images (N, C, H, W), averaged over areas where they have more than `most` pixels on the longer side; signals (N,
    C, L), over stretches where they have more than `most` squared steps.
    """
    if images.ndim == 3:
        return adaptive_avg_pool1d(images, min(images.shape[2], most**2))
    height, width = images.shape[2:]
    share = min(1, most / max(height, width))
    return adaptive_avg_pool2d(images, (max(1, round(share * height)), max(1, round(share * width))))
