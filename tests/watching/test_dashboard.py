"""What TensorBoard shows beside scalars and samples, read back from the files; and that showing changes nothing."""

import csv
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from torch import nn
from torch.optim import Adam

from gan_lightning import load_generator
from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.data.sources import Digits
from gan_lightning.losses.objectives import Wasserstein
from gan_lightning.metrics.classifier import Classifier
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.pictures import grid
from gan_lightning.samples import SampleSet
from gan_lightning.sampling.drawing import decode, draw_latents
from gan_lightning.seeds import mix
from gan_lightning.training.critic_updates import CriticUpdates
from gan_lightning.training.gan import GAN
from gan_lightning.watching import dashboard
from gan_lightning.watching.dashboard import (
    DASHBOARD,
    NEIGHBOURS,
    ROWS,
    STEPS,
    Dashboard,
    gradient_norms,
    kernels,
    smaller,
)

EVERYTHING = {"images": 0, "histograms": 0, "tensors": 0, "scalars": 0}


@pytest.fixture
def tiny(tiny):
    """Trains tiny networks that are shown as often as their samples."""
    return lambda name, *overrides: tiny(name, "dashboard.every=${samples.every}", *overrides)


def events(run):
    return EventAccumulator(str(run.path), EVERYTHING).Reload()


class Squares:
    """Images (2, 2) whose pixels all are 0, 1, …, 7, of two classes."""

    def __init__(self, count=8):
        self.count = count

    def load(self):
        levels = torch.arange(self.count, dtype=torch.uint8).view(-1, 1, 1, 1)
        return SampleSet(levels.expand(-1, 1, 2, 2).contiguous(), torch.arange(self.count) % 2, ("even", "odd"))


def data(**changed):
    module = GANDataModule(Squares(), (1, 2, 2), batch_size=2, critic_updates=CriticUpdates(), **changed)
    module.setup()
    return module


def gan(discriminator, classes=0):
    told = "concat" if classes else "none"
    generator = MLPGenerator(4, (1, 2, 2), hidden_dim=8, blocks=1, classes=classes, label_input=told)
    return GAN(generator, discriminator, Wasserstein(), Adam, Adam)


# Charts


def test_charts_show_what_is_logged(tiny):
    run = events(tiny("run", "loss=wgan_gp", "trainer.max_steps=4", "trainer.log_every_n_steps=2"))
    layout = layout_pb2.Layout()
    layout.ParseFromString(run.Tensors(metadata.CONFIG_SUMMARY_TAG)[0].tensor_proto.string_val[0])
    assert len(run.Tensors(metadata.CONFIG_SUMMARY_TAG)) == 1
    charts = {chart.title: list(chart.multiline.tag) for group in layout.category for chart in group.chart}
    scalars = run.Tags()["scalars"]
    for title, tags in {
        "loss of the discriminator": {"loss/discriminator"},
        "loss of the generator": {"loss/generator"},
        "D(x): real against fake": {"discriminator/real", "discriminator/fake"},
        "gradient norm of the discriminator": {"gradient_norm/discriminator"},
        "gradient norm of the generator": {"gradient_norm/generator"},
        "regularizers": {tag for tag in scalars if tag.startswith("regularizer/")},
        "images per second": {"progress/images_per_second"},
    }.items():
        (pattern,) = charts[title]
        assert tags
        assert {tag for tag in scalars if re.match(pattern, tag)} == tags


# Histograms


def test_histograms_have_all_weights_and_show_how_clipping_piles_them_up(tiny):
    """Gulrajani et al. 2017, figure 1b: with clipping, most weights are at the bounds."""
    fast = "loss.optimizer.discriminator.lr=1e-2"
    run = tiny("run", "loss=wgan_clip", "trainer.max_steps=30", "samples.every=10", fast)
    log = events(run)
    networks = ("generator", "discriminator")
    names = {f"weights/{network}/{layer}" for network in networks for layer in matrices(run, network)}
    assert set(log.Tags()["distributions"]) == names | {"health/critic gradient norms"}
    tag = next(name for name in sorted(names) if "discriminator" in name)
    shown = log.Histograms(tag)
    assert [event.step for event in shown] == [0, 10, 20, 30]
    first, last = (at_the_ends(event.histogram_value) for event in (shown[0], shown[-1]))
    assert last > 0.5 > first
    assert (
        sum(shown[-1].histogram_value.bucket)
        == matrices(run, "discriminator")[tag.removeprefix("weights/discriminator/")]
    )


def matrices(run, network):
    """Layers and their numbers of weights, from a checkpoint."""
    weights = run.weights(network)
    return {name.removesuffix(".weight"): weight.numel() for name, weight in weights.items() if weight.ndim >= 2}


def at_the_ends(histogram):
    """The share of the values that lie in the outermost bins."""
    counts = [count for count in histogram.bucket if count]
    return (counts[0] + counts[-1]) / sum(counts)


def test_layers_of_a_spectral_norm_are_named_like_any_other():
    network = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)), nn.BatchNorm1d(2))
    assert [name for name, _ in kernels(network)] == ["0"]


def test_gradient_norms_are_those_of_each_sample():
    """A linear critic has the same gradient everywhere."""
    model, weights = gan(MLPDiscriminator((1, 2, 2), hidden_dim=8)), torch.tensor([3.0, 0.0, 0.0, 4.0])
    model.discriminator.forward = lambda samples, labels: samples.flatten(1) @ weights
    assert gradient_norms(model, SampleSet(torch.zeros(6, 1, 2, 2)), seed=0) == pytest.approx([5.0] * 6)


def test_gradient_norms_of_packs_and_of_labels():
    critic = MLPDiscriminator((1, 2, 2), hidden_dim=8, packing=2)
    assert gradient_norms(gan(critic), SampleSet(torch.zeros(5, 1, 2, 2)), seed=0).shape == (2,)
    conditional = MLPDiscriminator((1, 2, 2), hidden_dim=8, classes=2, label_input="projection")
    model, real = gan(conditional, classes=2), torch.zeros(6, 1, 2, 2)
    zeros, ones = (gradient_norms(model, SampleSet(real, torch.full((6,), label)), seed=0) for label in (0, 1))
    assert (zeros != ones).any()


# Pictures


def test_neighbours_are_the_nearest_training_images_in_order():
    shown = Dashboard(data(), seed=0)
    fake = torch.full((2, 1, 2, 2), 0.0)
    fake[0], fake[1] = 5.2 / 127.5 - 1, -1.0
    levels = shown.beside_neighbours(fake)[:, 0, 0, 0].add(1).mul(127.5).view(2, 1 + NEIGHBOURS)
    torch.testing.assert_close(levels, torch.tensor([[5.2, 5, 6, 4], [0, 0, 1, 2]]), rtol=0, atol=1e-4)


def test_neighbours_are_found_across_chunks_and_never_held_out(monkeypatch):
    monkeypatch.setattr(dashboard, "CHUNK", 2)
    divided = data(held_out=3)
    fake = divided.subset("held_out").samples.float().div(127.5).sub(1)
    levels = Dashboard(divided, seed=0).beside_neighbours(fake)[:, 0, 0, 0].add(1).mul(127.5).round().int().view(3, -1)
    training = divided.subset("train").samples[:, 0, 0, 0].int()
    for level, *neighbours in levels.tolist():
        distances = sorted((training - level).abs().tolist())
        assert [abs(neighbour - level) for neighbour in neighbours] == distances[:NEIGHBOURS]
        assert set(neighbours) <= set(training.tolist())


def test_interpolations_are_rows_between_two_latents(tiny):
    run = tiny("run", "trainer.max_steps=2", "seed=3")
    sampler = load_generator(run.path)
    ends = draw_latents(sampler.latents, 4, 2 * ROWS, mix(3, DASHBOARD))
    paths = [sampler.latents.path(ends[2 * row], ends[2 * row + 1], STEPS) for row in range(ROWS)]
    expected = grid(decode(sampler.network, torch.cat(paths)), STEPS)
    (shown,) = events(run).Images("samples/interpolation")
    assert np.array_equal(as_array(shown), expected[0].numpy())


def as_array(event):
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)).convert("L"))


def test_pictures_are_shown_ever_more_rarely_and_at_the_end(tiny):
    log = events(tiny("run", "samples.every=2", "trainer.max_steps=21"))
    for tag in ("samples/interpolation", "samples/neighbours"):
        assert [image.step for image in log.Images(tag)] == [2, 4, 8, 16, 21]
    assert [event.step for event in log.Histograms("health/critic gradient norms")] == [*range(0, 21, 2), 21]


def test_a_resumed_run_is_shown_at_the_same_iterations(tiny, resume):
    whole = events(tiny("whole", "samples.every=1", "trainer.max_steps=24"))
    stopped = tiny("stopped", "samples.every=1", "trainer.max_steps=16")
    resume(stopped.path, "trainer.max_steps=24")
    for tag in ("samples/generator", "samples/interpolation"):
        assert steps(events(stopped).Images(tag)) == steps(whole.Images(tag))
    tag = "health/critic gradient norms"
    assert steps(events(stopped).Histograms(tag)) == steps(whole.Histograms(tag))


def steps(shown):
    return [event.step for event in shown]


@pytest.mark.parametrize("overrides", [("dataset=ring",), ("dataset=gaussian",)])
def test_points_have_features_but_no_pictures(tiny, overrides):
    run = tiny("run", *overrides, "trainer.max_steps=2", "dataset.source.count=1500")
    assert set(events(run).Tags()["images"]) == {"samples/generator"}
    assert len(table(run.path / "00002" / "samples" / "tensors.tsv")) == 512
    assert not (run.path / "00002" / "samples" / "sprite.png").exists()


# Features


def test_the_projector_gets_real_and_generated_samples_with_their_classes(tiny):
    run = tiny("run", "conditioning=concat", "trainer.max_steps=2")
    folder = run.path / "00002" / "samples"
    assert "00002/samples/tensors.tsv" in (run.path / "projector_config.pbtxt").read_text()
    header, *rows = table(folder / "metadata.tsv")
    assert header == ["kind", "class"]
    assert [kind for kind, _ in rows] == ["real"] * 256 + ["generated"] * 256
    assert [label for kind, label in rows if kind == "generated"] == [str(k % 10) for k in range(256)]
    assert {label for kind, label in rows if kind == "real"} == set(map(str, range(10)))
    vectors = np.array(table(folder / "tensors.tsv"), dtype=float)
    assert vectors.shape == (512, 64)
    with Image.open(folder / "sprite.png") as sprite:
        assert sprite.size == (23 * 8, 23 * 8)
        first = np.asarray(sprite)[:8, :8, 0] / 127.5 - 1
    assert first == pytest.approx(vectors[0].reshape(8, 8), abs=0.01)


def test_the_projector_gets_the_evaluations_features(tiny):
    extractor = ("extractor.steps=5", "extractor.width=2")
    evaluated = ("evaluation.every=2", "evaluation.samples=50", "metric=[classes]")
    run = tiny("run", *evaluated, *extractor, "trainer.max_steps=2")
    (_, sha256), *_ = [item for item in run.results()["evaluation"]["last"]["protocol"].items() if "sha" in item[0]]
    vectors = np.array(table(run.path / "00002" / "samples" / "tensors.tsv"), dtype=float)
    data_module = data_of_digits()
    network = Classifier(steps=5, width=2).open(data_module.subset("train"), data_module.subset("held_out"))
    assert network.sha256 == sha256
    real = data_module.subset("train", 256).samples
    assert vectors[:256] == pytest.approx(network(real)[0].numpy(), abs=1e-3)


def data_of_digits():
    return GANDataModule(Digits(), (1, 8, 8), 16, CriticUpdates(1), held_out=297)


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def test_large_images_are_made_smaller_by_averages():
    images = torch.arange(16.0).view(1, 1, 4, 4)
    assert smaller(images, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert torch.equal(smaller(images, 8), images)


# Nothing else changes


@pytest.mark.parametrize("loss", ["wgan_gp", "hinge"])
def test_showing_changes_nothing_of_the_training(tiny, same, loss):
    overrides = (f"loss={loss}", "loss.n_critic=1", "trainer.max_steps=4")
    often, seldom = tiny("often", *overrides, "dashboard.every=1"), tiny("seldom", *overrides, "dashboard.every=null")
    same(often.checkpoint()["state_dict"], seldom.checkpoint()["state_dict"])
