"""How a run's matrices are multiplied is chosen once, told, and kept when the run goes on."""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gan_lightning.errors import UserError
from gan_lightning.runs import multiplying
from gan_lightning.training.gan import GAN
from gan_lightning.watching.evaluator import Evaluator


@pytest.fixture
def trials(monkeypatch):
    """What this machine is found to do; may be changed."""
    found = SimpleNamespace(fastest="medium", exact=True)
    monkeypatch.setattr(multiplying, "fastest_exact", lambda size: found.fastest)
    monkeypatch.setattr(multiplying, "is_exact", lambda size: found.exact)
    return found


@pytest.fixture
def settings(monkeypatch):
    """torch's settings in the iterations, and in the evaluations."""
    seen: dict[str, list[str]] = {"train_iteration": [], "measure": []}
    for owner, name in ((GAN, "train_iteration"), (Evaluator, "measure")):
        method = getattr(owner, name)

        def noted(self, *arguments, method=method, name=name, **options):
            seen[name].append(torch.get_float32_matmul_precision())
            return method(self, *arguments, **options)

        monkeypatch.setattr(owner, name, noted)
    return seen


def test_the_choice_holds_for_iterations_alone_and_is_told(tiny, trials, settings):
    run = tiny("run", "trainer.max_steps=2", "evaluation.every=2", "evaluation.samples=20")
    assert settings == {"train_iteration": ["medium"] * 2, "measure": ["highest"]}
    assert run.checkpoint()["matmul"] == "medium"
    assert run.results()["matmul"] == "medium"
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_run_goes_on_as_it_began(tiny, resume, trials, settings):
    run = tiny("run", "trainer.max_steps=1")
    trials.fastest = "highest"
    resume(run.path, "trainer.max_steps=2")
    assert settings["train_iteration"] == ["medium"] * 2


def test_an_earlier_run_goes_on_with_highest(tiny, resume, trials, settings):
    trials.fastest = "highest"
    run = tiny("run", "trainer.max_steps=1")
    trials.fastest = "medium"
    file = run.path / "checkpoints" / "last.ckpt"
    content = run.checkpoint()
    del content["matmul"]
    torch.save(content, file)
    resume(run.path, "trainer.max_steps=2")
    assert settings["train_iteration"] == ["highest"] * 2


def network() -> nn.Module:
    return nn.Linear(4, 4)


def chosen(asked: str, checkpoint: dict[str, str | None] | None = None, device: str = "cpu", devices: int = 1):
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)), world_size=devices)
    model = SimpleNamespace(generator=network(), discriminator=network())
    return multiplying.chosen(asked, trainer, model, 8, checkpoint)


def test_a_machine_that_would_round_goes_on_with_highest_and_says_so(trials, caplog):
    trials.exact = False
    with caplog.at_level(logging.WARNING):
        assert chosen("auto", {"matmul": "medium"}) == "highest"
    assert "which this machine would round" in caplog.text
    caplog.clear()
    assert chosen("auto", {"matmul": "highest"}) == "highest"
    assert chosen("medium", {"matmul": "highest"}) == "medium"
    assert not caplog.records


def test_torch_is_left_alone_where_there_is_nothing_to_try(trials):
    assert chosen("auto", device="cuda") is None
    assert chosen("auto", devices=2) is None
    assert chosen("high", device="cuda") == "high"
    assert chosen("auto", {"matmul": "nonsense"}) == "highest"


def test_a_setting_may_be_asked_for(tiny, trials, settings):
    assert tiny("run", "trainer.max_steps=1", "matmul=highest").results()["matmul"] == "highest"
    assert settings["train_iteration"] == ["highest"]


def test_another_setting_is_refused(tiny):
    with pytest.raises(UserError, match=r"matmul.*fastest.*highest"):
        tiny("run", "matmul=fastest")
