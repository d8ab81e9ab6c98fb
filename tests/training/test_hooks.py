"""Lightning's hooks around gradients and steps: called where somebody has implemented one, passed by elsewhere."""

from functools import partial, wraps
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins.precision import MixedPrecision
from pytorch_lightning.strategies import SingleDeviceStrategy, Strategy
from torch import Tensor, nn
from torch.optim import optimizer as optimizers

from gan_lightning.losses.objectives import Vanilla
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.precision import without_autocast
from gan_lightning.training import hooks
from gan_lightning.training.gan import GAN

HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")
RUN = ("loss=wgan_gp", "loss.n_critic=2", "trainer.max_steps=3")
UPDATES = 3 * (2 + 1)
SGD = partial(torch.optim.SGD, lr=0.01)


def count(calls: list[str], name: str) -> Any:
    return lambda self, *arguments: calls.append(name)


def gan(kind: type[GAN] = GAN) -> GAN:
    generator = MLPGenerator(3, (2, 3, 3), hidden_dim=6, blocks=1)
    return kind(generator, MLPDiscriminator((2, 3, 3), hidden_dim=6, blocks=1), Vanilla(), SGD, SGD)


def trainer(**options: Any) -> Trainer:
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, **options)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_callbacks_hook_is_called_at_each_update_and_changes_nothing(tiny, watch, same, hook):
    plain = tiny("plain", *RUN)
    calls: list[str] = []
    watch(type("Hooked", (Callback,), {hook: count(calls, hook)})())
    hooked = tiny("hooked", *RUN)
    assert calls == [hook] * UPDATES
    for part in ("state_dict", "optimizer_states", "global_step"):
        same(hooked.checkpoint()[part], plain.checkpoint()[part])


def test_a_hook_may_change_gradients(tiny, watch):
    class Still(Callback):
        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None

    trained = tiny("trained", *RUN).weights("discriminator")
    watch(Still())
    still, shorter = (
        tiny(f"still{steps}", *RUN, f"trainer.max_steps={steps}").weights("discriminator") for steps in (3, 1)
    )
    assert all(torch.equal(value, still[name]) for name, value in shorter.items())
    assert not all(torch.equal(value, still[name]) for name, value in trained.items())


def test_without_a_hook_lightning_is_passed_by(tiny, monkeypatch):
    def refuse(self: Strategy, *arguments: Any, **options: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(Strategy, "backward", refuse)
    monkeypatch.setattr(Strategy, "optimizer_step", refuse)
    assert tiny("run", *RUN).checkpoint()["global_step"] == 3


@pytest.mark.parametrize("method", [*HOOKS, "backward", "manual_backward"])
def test_a_modules_own_method_is_called(method):
    own = type("Own", (GAN,), {method: lambda self, *arguments, **options: None})
    assert hooks.are_idle(trainer(), gan())
    assert not hooks.are_idle(trainer(), gan(own))


def test_a_method_given_to_one_callback_is_called():
    callback = Callback()
    assert hooks.are_idle(trainer(callbacks=[callback]), gan())
    callback.on_after_backward = lambda trainer, pl_module: None  # type: ignore[method-assign]
    assert not hooks.are_idle(trainer(callbacks=[callback]), gan())


class OwnStrategy(SingleDeviceStrategy):
    pass


@pytest.mark.parametrize(
    ("options", "idle"),
    [
        ({"precision": "bf16-mixed"}, True),
        ({"plugins": [MixedPrecision("16-mixed", "cpu", SimpleNamespace())]}, False),  # a scaler
        ({"precision": "64-true"}, False),
        ({"profiler": "simple"}, False),
        ({"strategy": OwnStrategy("cpu")}, False),
        ({"strategy": "ddp_find_unused_parameters_true"}, False),
    ],
)
def test_a_trainer_that_does_more_is_not_passed_by(options, idle):
    assert hooks.are_idle(trainer(**options), gan()) == idle


def test_gradients_are_cleared_as_torch_does_it():
    network = nn.Linear(2, 1)
    optimizer = SGD(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    hooks.clear_gradients(optimizer)
    assert [parameter.grad for parameter in network.parameters()] == [None, None]


def test_autocast_is_kept_out_where_it_is_on_alone():
    samples, weight = torch.rand(2, 3), torch.rand(3, 3)

    def product() -> Tensor:
        with without_autocast(samples.device):
            return samples @ weight

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (samples @ weight).dtype == torch.bfloat16
        assert product().dtype == torch.float32
        assert (samples @ weight).dtype == torch.bfloat16
    assert without_autocast(samples.device) is without_autocast(samples.device)
    assert torch.equal(product(), samples @ weight)


def stepped(monkeypatch: pytest.MonkeyPatch) -> tuple[torch.optim.Optimizer, list[str]]:
    """An optimizer with a gradient to go down, and what torch records of steps from now on."""
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    recorded: list[str] = []
    record = torch.autograd.profiler.record_function.__init__

    def noted(self: Any, name: str, *arguments: Any) -> None:
        recorded.append(name)
        record(self, name, *arguments)

    monkeypatch.setattr(torch.autograd.profiler.record_function, "__init__", noted)
    return SGD([weight]), recorded


def test_a_step_is_not_recorded_for_nobody(monkeypatch):
    optimizer, recorded = stepped(monkeypatch)
    hooks.take_step(optimizer)
    assert torch.equal(optimizer.param_groups[0]["params"][0], torch.full((2,), 0.99))
    assert recorded == []
    with torch.profiler.profile() as profile:
        hooks.take_step(optimizer)
    assert recorded == ["Optimizer.step#SGD.step"]
    assert recorded[0] in [event.key for event in profile.key_averages()]


@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("of_all", [False, True])
def test_torchs_hooks_of_steps_are_called(monkeypatch, when, of_all):
    optimizer, _ = stepped(monkeypatch)
    calls: list[Any] = []
    register = (
        getattr(optimizers, f"register_optimizer_step_{when}_hook")
        if of_all
        else getattr(optimizer, f"register_step_{when}_hook")
    )
    handle = register(lambda stepping, *arguments: calls.append(stepping))
    hooks.take_step(optimizer)
    handle.remove()
    hooks.take_step(optimizer)
    assert calls == [optimizer]


def test_a_step_of_ones_own_is_taken(monkeypatch):
    optimizer, _ = stepped(monkeypatch)
    calls: list[str] = []
    monkeypatch.setattr(optimizer, "step", lambda: calls.append("own"))
    hooks.take_step(optimizer)
    monkeypatch.undo()

    @wraps(torch.optim.SGD.step)
    def step(self: torch.optim.SGD) -> None:
        calls.append("class")

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    hooks.take_step(optimizer)
    assert calls == ["own", "class"]


def test_an_optimizer_without_torchs_hooks_takes_its_step():
    calls: list[str] = []

    class Bare(torch.optim.SGD):
        def __init__(self) -> None:
            pass

        def step(self, closure: Any = None) -> None:
            calls.append("bare")

    hooks.take_step(Bare())
    assert calls == ["bare"]
