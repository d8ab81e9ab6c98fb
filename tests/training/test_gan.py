"""The two updates of an iteration, the clock they run by, the moving average, and that a seed decides all of it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from gan_lightning.training.gan import GAN

BOUND = torch.tensor(0.01).item()


def parameters(network: nn.Module) -> list[Tensor | None]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def gradients(network: nn.Module) -> list[Tensor | None]:
    return [None if parameter.grad is None else parameter.grad.clone() for parameter in network.parameters()]


def equal(first: list[Tensor | None], second: list[Tensor | None]) -> bool:
    return all(a is b if a is None or b is None else torch.equal(a, b) for a, b in zip(first, second, strict=True))


def largest_weight(network: nn.Module) -> float:
    return max(parameter.abs().max().item() for parameter in network.parameters())


def optimizer_steps(checkpoint: dict[str, Any]) -> list[set[int]]:
    """The update counts in the states of the generator's and of the discriminator's optimizer."""
    return [{int(state["step"]) for state in kept["state"].values()} for kept in checkpoint["optimizer_states"]]


def scalar_steps(events: Any, tag: str) -> list[int]:
    return [event.step for event in events.Scalars(tag)]


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Calls before(model, real) and after(model, real) around each discriminator_step or generator_step."""

    def wrap(name: str, before: Callable[..., None], after: Callable[..., None] = lambda model, real: None) -> None:
        step = getattr(GAN, name)

        def wrapped(self: GAN, real: Tensor, *arguments: Any, **options: Any) -> Any:
            before(self, real)
            returned = step(self, real, *arguments, **options)
            after(self, real)
            return returned

        monkeypatch.setattr(GAN, name, wrapped)

    return wrap


class Keep(Callback):
    """Keeps the generator and its average as they are before the first and after each iteration."""

    def __init__(self) -> None:
        self.generators: list[dict[str, Tensor]] = []
        self.averages: list[dict[str, Tensor]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.keep(pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *arguments: Any) -> None:
        self.keep(pl_module)

    def keep(self, model: LightningModule) -> None:
        for network, kept in ((model.generator, self.generators), (model.ema_generator, self.averages)):
            kept.append({name: value.clone() for name, value in network.state_dict().items()})


# Updates


def test_boosted_iterations_have_more_critic_steps(tiny, around):
    iterations = []
    around("discriminator_step", lambda model, real: iterations.append(model.trainer.global_step))
    boost = [f"loss.critic_updates.{name}" for name in ("boost=7", "boost_first=3", "boost_every=4")]

    trained = tiny("run", "loss=wgan_clip", "loss.n_critic=2", *boost, "trainer.max_steps=10")

    # Iterations 0, 1 and 2 are the first three; 4 and 8 are multiples of four.
    assert [iterations.count(iteration) for iteration in range(10)] == [7, 7, 7, 2, 7, 2, 2, 2, 7, 2]
    assert optimizer_steps(trained.checkpoint()) == [{10}, {45}]
    assert trained.run.iteration == 10


def test_each_critic_step_has_the_next_minibatch_and_every_step_fresh_latents(tiny, around, monkeypatch):
    reals, latents, iterations, data = [], [], [], []
    draw = GAN.drawn

    def keep_latents(self: GAN, *arguments: Any) -> Any:
        drawn = draw(self, *arguments)
        latents.append(drawn.latents)
        return drawn

    def before(model: GAN, real: Tensor) -> None:
        reals.append(real.clone())
        iterations.append(model.trainer.global_step)
        data.append(model.trainer.datamodule)

    monkeypatch.setattr(GAN, "drawn", keep_latents)
    around("discriminator_step", before)
    tiny("run", "loss=wgan_gp", "loss.n_critic=3", "trainer.max_steps=4")

    assert iterations == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    for number, real in enumerate(reals):
        assert torch.equal(real, data[0].take(data[0].stream.minibatch(number)).as_floats().samples)
    assert len({real.numpy().tobytes() for real in reals}) == 12
    assert len({latent.numpy().tobytes() for latent in latents}) == len(latents) == 16


@pytest.mark.parametrize(("loss", "network"), [("vanilla", "dcgan"), ("wgan_gp", "mlp")])
def test_each_step_changes_its_own_network_alone(tiny, around, loss, network):
    kept = {"discriminator_step": [], "generator_step": []}

    def keep(name):
        def snapshot(model: GAN, real: Tensor) -> None:
            state = {key: getattr(model, key) for key in ("generator", "discriminator")}
            kept[name].append({key: (parameters(own), gradients(own)) for key, own in state.items()})
            assert all(parameter.requires_grad for parameter in model.discriminator.parameters())

        return snapshot

    for name in kept:
        around(name, keep(name), keep(name))
    tiny("run", f"loss={loss}", f"network={network}", "loss.n_critic=2", "trainer.max_steps=3")

    assert [len(snapshots) for snapshots in kept.values()] == [2 * 6, 2 * 3]
    # The generator has no gradients until its own first step, after two of the discriminator's.
    assert all(gradient is None for gradient in kept["discriminator_step"][3]["generator"][1])
    for own, other, name in (
        ("discriminator", "generator", "discriminator_step"),
        ("generator", "discriminator", "generator_step"),
    ):
        for before, after in zip(kept[name][::2], kept[name][1::2], strict=True):
            assert not equal(before[own][0], after[own][0])
            for kind in (0, 1):  # parameters, gradients
                assert equal(before[other][kind], after[other][kind])


def test_weights_are_inside_the_bound_whenever_the_critic_gives_a_gradient(tiny, watch, around):
    at_start, in_forward, after_step, in_step = [], [], [], [False]

    class Hook(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            at_start.append(largest_weight(pl_module.discriminator))
            pl_module.discriminator.register_forward_pre_hook(self.record)

        def record(self, module: nn.Module, inputs: Any) -> None:
            if in_step[0]:
                in_forward.append(largest_weight(module))

    def before(model: GAN, real: Tensor) -> None:
        in_step[0] = True

    def after(model: GAN, real: Tensor) -> None:
        in_step[0] = False
        after_step.append(largest_weight(model.discriminator))

    watch(Hook())
    around("discriminator_step", before, after)
    tiny("run", "loss=wgan_clip", "loss.critic_updates.boost=0", "loss.n_critic=3", "trainer.max_steps=4")

    assert at_start[0] > BOUND
    assert len(in_forward) == len(after_step) == 12
    assert max(in_forward) <= BOUND
    assert max(after_step) > BOUND


# Seeds


# That another run of the same seed is the same shows of every loss in test_resume.py.
@pytest.mark.parametrize(("loss", "network"), [("vanilla", "mlp"), ("wgan_gp", "dcgan")])
def test_a_seed_decides_every_bit(tiny, same, loss, network):
    overrides = [f"loss={loss}", f"network={network}", "loss.critic_updates.boost=0", "trainer.max_steps=6"]
    logged = "trainer.log_every_n_steps=2"

    first = tiny("first", *overrides, logged, "seed=3")
    torch.randn(5)  # what ran before in the process must not matter
    second = tiny("second", *overrides, logged, "seed=3")
    other = tiny("other", *overrides, logged, "seed=4")

    same(second.checkpoint()["state_dict"], first.checkpoint()["state_dict"])
    same(second.checkpoint()["optimizer_states"], first.checkpoint()["optimizer_states"])
    assert second.rows() == first.rows()
    assert first.iterations() == [2, 4, 6]
    for owner in ("generator", "discriminator", "ema_generator"):
        weights, others = first.weights(owner), other.weights(owner)
        matrices = [name for name, value in weights.items() if value.ndim > 1]
        assert matrices
        assert not any(torch.equal(weights[name], others[name]) for name in matrices)
    assert other.rows() != first.rows()


# The moving average


def test_average_follows_its_formula(tiny, watch):
    watch(keep := Keep())
    trained = tiny("run", "ema.decay=0.3", "trainer.max_steps=9", "loss.optimizer.generator.lr=0.01")

    expected = {name: value.double() for name, value in keep.generators[0].items()}
    for update, network in enumerate(keep.generators[1:]):
        # (1 + t) / (10 + t) is 1/10, 2/11 and 3/12 below 0.3, and then above it.
        decay = min(0.3, (1 + update) / (10 + update))
        for name, value in network.items():
            expected[name] = decay * expected[name] + (1 - decay) * value if value.is_floating_point() else value
        for name, value in keep.averages[update + 1].items():
            torch.testing.assert_close(value.double(), expected[name].double(), rtol=1e-5, atol=1e-6)
    last = keep.generators[-1]
    assert not torch.equal(keep.averages[-1]["layers.0.weight"], last["layers.0.weight"])
    # The running statistics of the generator's batch normalisation belong to the average.
    assert not torch.equal(keep.averages[-1]["layers.1.running_mean"], last["layers.1.running_mean"])
    assert len(keep.averages) == trained.run.iteration + 1 == 10


def test_average_does_not_change_the_training(tiny, same):
    slow = tiny("slow", "ema.decay=0.99", "trainer.max_steps=5", "trainer.log_every_n_steps=1")
    none = tiny("none", "ema.decay=0", "trainer.max_steps=5", "trainer.log_every_n_steps=1")

    same(slow.weights("generator"), none.weights("generator"))
    same(none.weights("ema_generator"), none.weights("generator"))
    assert slow.rows() == none.rows()
    assert not torch.equal(
        slow.weights("ema_generator")["layers.0.weight"], none.weights("ema_generator")["layers.0.weight"]
    )


# The clock


@pytest.mark.parametrize("n_critic", [1, 5])
def test_everything_counts_iterations(tiny, n_critic):
    trained = tiny(
        "run",
        "loss=wgan_gp",
        f"loss.n_critic={n_critic}",
        "trainer.max_steps=10",
        "trainer.log_every_n_steps=3",
        "checkpoint.every=5",
        "checkpoint.keep_every=4",
        "samples.every=4",
    )

    assert trained.run.iteration == trained.results()["iteration"] == 10
    assert trained.checkpoint()["global_step"] == 10
    kept = {path.stem for path in (trained.path / "checkpoints").iterdir()}
    assert kept == {"last", "previous", "iteration=00000004", "iteration=00000008"}
    for iteration in (4, 8):
        checkpoint = trained.checkpoint(f"iteration={iteration:08d}")
        assert checkpoint["global_step"] == iteration
        assert optimizer_steps(checkpoint) == [{iteration}, {iteration * n_critic}]
    pictures = sorted(path.name for path in (trained.path / "samples").iterdir())
    assert pictures == ["00000000.png", "00000004.png", "00000008.png", "00000010.png"]
    assert trained.iterations() == [3, 6, 9, 10]
    events = trained.events()
    assert all(scalar_steps(events, tag) == [3, 6, 9, 10] for tag in events.Tags()["scalars"])
    assert [image.step for image in events.Images("samples/generator")] == [0, 4, 8, 10]
    assert [image.step for image in events.Images("samples/real")] == [0]
    seen = [float(row["progress/images_seen"]) for row in trained.rows()]
    assert seen == [iteration * n_critic * 16 for iteration in (3, 6, 9, 10)]


@pytest.mark.parametrize(
    ("n_critic", "epochs", "steps", "iterations"),
    # 1500 images make seven minibatches of 208 a pass.
    [(1, 2, None, 14), (5, 2, None, 3), (2, 1, None, 4), (1, 2, 9, 9), (1, 2, 20, 14), (5, 10, -1, 14)],
)
def test_epochs_are_passes_of_the_discriminator(tiny, n_critic, epochs, steps, iterations):
    limits = [f"trainer.max_epochs={epochs}"] + ([] if steps is None else [f"trainer.max_steps={steps}"])
    trained = tiny("run", "loss=wgan_gp", f"loss.n_critic={n_critic}", "dataset.batch_size=208", *limits)

    assert trained.run.iteration == iterations
    assert optimizer_steps(trained.checkpoint()) == [{iterations}, {iterations * n_critic}]
    assert trained.run.metrics["progress/epoch"] == pytest.approx(iterations * n_critic / 7)
    if steps is None:
        assert 0 <= trained.run.metrics["progress/epoch"] - epochs < n_critic / 7
