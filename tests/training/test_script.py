"""A GAN in a script of one's own: Lightning's Trainer, any loader, plain modules, and no run folder."""

import copy
import csv
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gan_lightning import GAN, CriticUpdates, GANDataModule
from gan_lightning.data.rounds import MinibatchStream
from gan_lightning.data.sources import Digits
from gan_lightning.losses.objectives import Vanilla, Wasserstein
from gan_lightning.losses.regularizers import GradientPenalty
from gan_lightning.metrics.frechet import FrechetDistance
from gan_lightning.metrics.identity import Identity
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.samples import as_floats
from gan_lightning.schedules import Linear
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.checkpoint import RunCheckpoint
from gan_lightning.training.ema import EMA
from gan_lightning.watching.evaluation import Evaluation
from gan_lightning.watching.health import HealthCheck
from gan_lightning.watching.samples import SampleGrids

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Found .* module"),  # the averaged generator, which Lightning finds in eval mode
    pytest.mark.filterwarnings("ignore:The .train_dataloader. does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*ModelCheckpoint with manual optimization"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:Be aware that when using .ckpt_path., callbacks"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]

ADAM = partial(torch.optim.Adam, lr=1e-3)
IMAGES = torch.arange(40 * 16).remainder(256).to(torch.uint8).view(40, 1, 4, 4)
LABELS = torch.arange(40) % 3


def plain() -> tuple[nn.Module, nn.Module]:
    """Networks that know nothing of this package."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4)))
    return generator, nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))


def wgan_gp(n_critic: int = 3, **options: Any) -> GAN:
    penalties = {"gradient_penalty": GradientPenalty()}
    updates = CriticUpdates(n_critic)
    return GAN(*plain(), Wasserstein(), ADAM, ADAM, updates, regularizers=penalties, **options)


def loader(*tensors: Tensor, batch_size: int = 8, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*(tensors or (IMAGES,))), batch_size=batch_size, **options)


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """A trainer on the CPU that keeps quiet and, unless it is told to, writes nothing."""

    def make(*callbacks: Callback, **options: Any) -> Trainer:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        given = quiet | {"enable_model_summary": False, "accelerator": "cpu", "default_root_dir": tmp_path} | options
        return Trainer(callbacks=list(callbacks), **given)

    return make


class In(Iterable[Any]):
    """A loader that serves some batches over and over."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def weights(model: GAN) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# The game is the same one.


@pytest.mark.parametrize("serve", [lambda images: images, as_floats, lambda images: as_floats(images).double()])
@pytest.mark.parametrize("pair", [lambda images, labels: images, lambda images, labels: [images, labels]])
def test_minibatches_one_by_one_train_as_rounds_do(trainer, serve, pair):
    data = GANDataModule(Digits(), (1, 8, 8), batch_size=16)
    stream = MinibatchStream(1797, 16, 0)
    rows = [stream.minibatch(number) for number in range(12)]
    served = [pair(serve(data.take(each).samples), data.take(each).labels) for each in rows]

    def conditional() -> GAN:
        torch.manual_seed(0)
        networks = MLPGenerator(4, (1, 8, 8), 8, 1, classes=10, label_input="concat"), MLPDiscriminator((1, 8, 8), 8, 1)
        plain_ones = MLPGenerator(4, (1, 8, 8), 8, 1), networks[1]
        is_told = len(served[0]) == 2
        return GAN(*(networks if is_told else plain_ones), Vanilla(), ADAM, ADAM, CriticUpdates(3))

    models = conditional(), conditional()
    if models[0].generator.classes:
        data = GANDataModule(Digits(), (1, 8, 8), batch_size=16, classes=10)
    trainer(max_steps=4).fit(models[0], data)
    trainer(max_steps=4).fit(models[1], In(served))
    assert same(weights(models[0]), weights(models[1]))


def test_an_iteration_waits_for_its_minibatches_beyond_the_end_of_an_epoch(trainer):
    notes: list[tuple[str, int, int]] = []

    class Notes(IterationCallback):
        def before_iteration(self, trainer: Trainer, model: GAN) -> None:
            notes.append(("before", trainer.global_step, trainer.current_epoch))

        def after_iteration(self, trainer: Trainer, model: GAN) -> None:
            notes.append(("after", trainer.global_step, trainer.current_epoch))

    engine = trainer(Notes(), max_steps=2)
    engine.fit(wgan_gp(n_critic=5), loader(batch_size=20))  # 2 minibatches an epoch
    assert notes == [("before", 0, 0), ("after", 1, 2), ("before", 1, 2), ("after", 2, 4)]


def test_what_is_scheduled_ends_with_the_last_epoch(trainer):
    falling = partial(torch.optim.SGD, lr=Linear(1.0, 0.0))
    model = GAN(*plain(), Vanilla(), falling, falling, CriticUpdates(2))
    rates: list[float] = []

    class Rates(Callback):
        def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    trainer(Rates(), max_epochs=2).fit(model, loader())  # 10 minibatches, 5 iterations
    assert rates[1::2] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


# What Lightning's users expect.


def test_losses_reach_callbacks_and_loggers_at_their_iterations(trainer, tmp_path):
    best = ModelCheckpoint(tmp_path / "kept", monitor="loss/generator", save_top_k=-1)
    stop = EarlyStopping("loss/generator", patience=1, min_delta=1e9)
    options: dict[str, Any] = {"enable_checkpointing": True}
    engine = trainer(best, stop, max_epochs=9, logger=CSVLogger(tmp_path), log_every_n_steps=2, **options)
    model = wgan_gp(n_critic=1)
    engine.fit(model, loader())
    assert (engine.current_epoch, engine.global_step) == (2, 10)  # stopped after the second epoch
    assert len(list((tmp_path / "kept").iterdir())) == 2
    assert {
        "loss/discriminator",
        "loss/generator/adversarial",
        "learning_rate/generator",
    } <= engine.callback_metrics.keys()
    (table,) = tmp_path.rglob("metrics.csv")
    with table.open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == [2, 4, 5, 6, 8, 10]


def test_a_checkpoint_can_be_monitored_from_the_first_iteration(trainer, tmp_path):
    best = ModelCheckpoint(tmp_path / "kept", monitor="loss/discriminator", every_n_train_steps=1)
    engine = trainer(best, max_steps=3, log_every_n_steps=50, enable_checkpointing=True)
    engine.fit(wgan_gp(n_critic=1), loader())
    assert best.best_model_path


def test_the_first_report_leaves_the_means_as_they_are(trainer):
    reports: list[dict[str, float]] = []

    class Reports(Callback):
        def on_train_batch_end(self, trainer: Trainer, model: LightningModule, *others: Any) -> None:
            reports.append(dict(model.reported))

    trainer(Reports(), max_steps=2, log_every_n_steps=2).fit(model := wgan_gp(n_critic=1), loader())
    trainer(Reports(), max_steps=2, log_every_n_steps=1).fit(each := wgan_gp(n_critic=1), loader())
    name = "loss/generator"
    assert reports[0][name] == reports[2][name]
    assert model.reported[name] == pytest.approx((reports[2][name] + each.reported[name]) / 2)


@pytest.mark.parametrize("n_critic", [1, 3])
def test_a_resumed_training_goes_on_exactly(trainer, tmp_path, n_critic):
    whole = wgan_gp(n_critic)
    trainer(max_epochs=4).fit(whole, loader())
    half = wgan_gp(n_critic)
    engine = trainer(ModelCheckpoint(tmp_path / "kept", save_last=True), max_epochs=2, enable_checkpointing=True)
    engine.fit(half, loader())
    resumed = wgan_gp(n_critic)
    trainer(max_epochs=4).fit(resumed, loader(), ckpt_path=tmp_path / "kept" / "last.ckpt")
    assert same(weights(whole), weights(resumed))


def test_it_loads_from_a_checkpoint_which_stays_data(trainer, tmp_path):
    engine = trainer(max_steps=2)
    model = wgan_gp(1)
    engine.fit(model, loader())
    engine.save_checkpoint(tmp_path / "its.ckpt")
    parts = {"generator": plain()[0], "discriminator": plain()[1], "objective": Wasserstein()}
    parts |= {"generator_optimizer": ADAM, "discriminator_optimizer": ADAM}
    loaded = GAN.load_from_checkpoint(tmp_path / "its.ckpt", **parts)
    assert same(weights(model), weights(loaded))
    content = torch.load(tmp_path / "its.ckpt", weights_only=True)
    torch.save({**content, "running_means": Path}, tmp_path / "code.ckpt")
    with pytest.raises(Exception, match="Weights only load failed"):
        GAN.load_from_checkpoint(tmp_path / "code.ckpt", **parts)


def test_forward_draws_from_the_average(trainer):
    model = wgan_gp(1, ema=EMA(0.9))
    trainer(max_steps=3).fit(model, loader())
    torch.manual_seed(0)
    drawn = model(5)
    torch.manual_seed(0)
    assert torch.equal(drawn, model.ema_generator(torch.randn(5, 3)))
    assert not drawn.requires_grad
    told = GAN(MLPGenerator(4, (2,), 8, 1, classes=3, label_input="concat"), plain()[1], Vanilla(), ADAM, ADAM)
    torch.manual_seed(0)
    drawn = told(4)
    torch.manual_seed(0)
    assert torch.equal(drawn, told(4, torch.tensor([0, 1, 2, 0])))


def test_what_a_run_has_beyond_that_is_a_few_callbacks(trainer, tmp_path):
    data = GANDataModule(Digits(), (1, 8, 8), batch_size=16)
    evaluation = Evaluation(data, Identity(), {"frechet": FrechetDistance()}, every=3, samples=100, reference=100)
    watching = [HealthCheck(data, every=3, count=16), evaluation, RunCheckpoint(tmp_path, every=3)]
    pictures = SampleGrids(tmp_path, data.first(4).as_floats().samples, every=3, count=4)
    torch.manual_seed(0)
    model = GAN(MLPGenerator(4, (1, 8, 8), 8, 1), MLPDiscriminator((1, 8, 8), 8, 1), Vanilla(), ADAM, ADAM)
    engine = trainer(*watching, pictures, max_steps=3, enable_checkpointing=True)
    engine.fit(model, data)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["00000000.png", "00000003.png", "last.ckpt"]
    assert engine.callback_metrics["evaluation/frechet_distance"] > 0
    resumed = copy.deepcopy(model)
    trainer(max_steps=5).fit(resumed, data, ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    trainer(max_steps=5).fit(model, data, ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    assert same(weights(model), weights(resumed))


# What doesn't fit is said before anything is trained.


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": IMAGES}, "a batch is a dict, but a tensor of samples, or a pair of samples and labels, is wanted"),
        ([IMAGES, LABELS, LABELS], "a batch is a list of Tensor, Tensor, Tensor, but a tensor of samples"),
        (IMAGES.long(), r"a batch has samples of shape \(40, 1, 4, 4\) and torch.int64"),
        (torch.zeros(8), r"a batch has samples of shape \(8,\) and torch.float32"),
        (torch.zeros(8, 1, 5, 5), r"the generator makes samples of shape \(1, 4, 4\), but those of the data set"),
    ],
)
def test_a_batch_that_does_not_fit(trainer, batch, message):
    with pytest.raises(ValueError, match=message):
        trainer(max_steps=1).fit(wgan_gp(1), In([batch]))


@pytest.mark.parametrize(
    ("generator", "discriminator", "message"),
    [
        (nn.Linear(3, 16), nn.Linear(16, 2), r"outputs of shape \(2, 2\) for 2 samples, but one logit each is wanted"),
        (nn.Linear(3, 16), nn.Linear(9, 1), r"the discriminator can't take inputs of shape \(2, 16\): .*shapes"),
        (
            nn.Sequential(nn.ConvTranspose2d(3, 1, 4), nn.Flatten()),
            nn.Linear(16, 1),
            r"the generator can't take inputs of shape \(2, 3\): ",
        ),
    ],
)
def test_networks_that_do_not_fit(trainer, generator, discriminator, message):
    model = GAN(generator, discriminator, Vanilla(), ADAM, ADAM)
    with pytest.raises(ValueError, match=message):
        trainer(max_steps=1).fit(model, loader(torch.rand(8, 16)))


def test_a_generator_that_does_not_tell_its_latents():
    with pytest.raises(ValueError, match="Flatten doesn't tell how many numbers its latents have; give latent_dim"):
        GAN(nn.Flatten(), plain()[1], Vanilla(), ADAM, ADAM)
    assert GAN(nn.Flatten(), plain()[1], Vanilla(), ADAM, ADAM, latent_dim=7).generator.latent_dim == 7


@pytest.mark.parametrize(("low", "told"), [(0.0, 1), (-1.0, 0)])
def test_pixels_from_zero_to_one_are_said_to_be_half_of_what_tanh_makes(trainer, low, told):
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 16), nn.Unflatten(1, (1, 4, 4)), nn.Tanh())
    model = GAN(generator, plain()[1], Vanilla(), ADAM, ADAM)
    with pytest.warns() as warned:
        trainer(max_steps=1, log_every_n_steps=1).fit(model, loader(torch.linspace(low, 1, 128).view(8, 1, 4, 4)))
    assert sum("pixels of the data lie in [0, 1]" in str(each.message) for each in warned) == told


def test_the_last_samples_that_fill_no_pack_are_left_out(trainer):
    torch.manual_seed(0)
    discriminator = MLPDiscriminator((1, 4, 4), 8, 1, packing=3)
    model = GAN(MLPGenerator(4, (1, 4, 4), 8, 1), discriminator, Vanilla(), ADAM, ADAM)
    engine = trainer(max_steps=4)
    engine.fit(model, loader(batch_size=19))  # minibatches of 18, 18 and, of the last 2 samples, none
    assert (engine.global_step, engine.current_epoch) == (4, 2)
