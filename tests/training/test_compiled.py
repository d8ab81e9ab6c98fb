"""Compiled graphs: the same losses and gradients, one sentence where there can't be any, runs that go on exactly."""

import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Trainer
from small import small
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader

from gan_lightning.config.compose import compose
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.formats import upgrade_whole
from gan_lightning.losses.objectives import Vanilla, Wasserstein
from gan_lightning.losses.regularizers import R1, GradientPenalty, OrthogonalRegularization
from gan_lightning.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.run_folder import LAST
from gan_lightning.runs import speeding
from gan_lightning.runs.parts import build_parts
from gan_lightning.schedules import Linear
from gan_lightning.training import compiled
from gan_lightning.training import gan as gan_module
from gan_lightning.training.compiled import (
    Graph,
    Misfit,
    compiled_terms,
    due_numbers,
    is_kept,
    mark_of_graphs,
    note_kept,
    require_same_terms,
)
from gan_lightning.training.critic_updates import CriticUpdates
from gan_lightning.training.gan import GAN
from gan_lightning.training.interrupt import Interrupt
from gan_lightning.training.minibatches import Minibatch
from gan_lightning.training.terms import EAGER, TermFunctions

SCRIPT = Path(__file__).with_name("compiling.py")
COMPILED = [
    ["loss=wgan_gp", "speed=fast", "speed.bfloat16=true"],
    ["loss=acgan", "dataset=digits", "network=dcgan", "network.discriminator.norm=none", "regularizer=[r1]"],
]
# Exactly what can't be compiled, and a word of why.
UNCOMPILED = {
    ("loss=r3gan",): "a regularizer follows a schedule",
    ("regularizer=[diffaugment]",): "Tensor.random_",  # of translations and cutouts, and so of consistency
    ("loss=wgan_gp", "own"): "data-dependent",
}
SGD = partial(torch.optim.SGD, lr=0.5)


def in_a_process(cache: Path, *arguments: str, **variables: str) -> str:
    path = os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TORCHINDUCTOR_CACHE_DIR": str(cache), **variables}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("inductor")


@pytest.mark.slow
def test_losses_and_gradients_are_the_same_or_it_is_said_why(cache):
    cases = [*COMPILED, *map(list, UNCOMPILED)]
    told = [json.loads(line) for line in in_a_process(cache, "terms", *map(json.dumps, cases)).splitlines()]
    assert told[: len(COMPILED)] == [""] * len(COMPILED)
    for sentence, word in zip(told[len(COMPILED) :], UNCOMPILED.values(), strict=True):
        assert sentence.startswith("Networks train without compiled graphs: ")
        assert word in sentence


@pytest.mark.slow
def test_hooks_that_are_added_later_are_heard(cache):
    before, eager, graph = json.loads(in_a_process(cache, "hooks"))
    assert graph == pytest.approx(eager)
    assert graph != pytest.approx(before, rel=0.1)


@pytest.mark.slow
def test_without_a_compiler_networks_train_as_ever(tmp_path):
    (told,) = in_a_process(tmp_path, "terms", '["loss=wgan_gp"]', CXX="/nowhere/c++").splitlines()
    assert json.loads(told).startswith("Networks train without compiled graphs: ")


@pytest.mark.slow
def test_a_compiled_run_goes_on_exactly(cache, tmp_path, same):
    in_a_process(cache, "runs", str(tmp_path))
    states = [torch.load(tmp_path / name / LAST, weights_only=True) for name in ("whole", "part", "eager")]
    for key in ("state_dict", "optimizer_states", "running_means"):
        same(states[1][key], states[0][key])
    assert [state["compiled"] for state in states] == [True, True, False]
    for name, value in states[0]["state_dict"].items():
        torch.testing.assert_close(value, states[2]["state_dict"][name], rtol=1e-3, atol=1e-4)
    told = [json.loads((tmp_path / name / "results.json").read_text())["compiled"] for name in ("part", "eager")]
    assert told == [True, False]


def gan(**parts) -> GAN:
    torch.manual_seed(0)
    generator = MLPGenerator(3, (2,), hidden_dim=6, blocks=1)
    critic = MLPDiscriminator((2,), hidden_dim=6, blocks=1)
    parts = {"regularizers": {"gradient_penalty": GradientPenalty()}, **parts}
    return GAN(generator, critic, Wasserstein(), SGD, SGD, **parts)


def scaled(function, of_terms: float, of_gradients: float):
    """Terms and gradients times numbers."""

    def changed(*arguments):
        found = function(*arguments)
        terms = {k: of_gradients * v + (of_terms - of_gradients) * v.detach() for k, v in found.terms.items()}
        return found._replace(terms=terms)

    return changed


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(("factors", "what"), [((1.1, 1.0), "gradient_penalty|adversarial"), ((1.0, 1.1), "gradients")])
def test_other_losses_or_gradients_are_no_graph_of_these(place, factors, what):
    model, minibatch = gan(), Minibatch(5 + torch.rand(8, 2))
    require_same_terms(model, EAGER, minibatch)
    functions = list(EAGER)
    functions[place] = scaled(functions[place], *factors)
    with pytest.raises(Misfit, match=f"(?:discriminator|generator)'s (?:{what})"):
        require_same_terms(model, TermFunctions(*functions), minibatch)


def test_a_check_leaves_all_as_it_was():
    model = gan()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert any("running_mean" in name for name in before)
    require_same_terms(model, EAGER, Minibatch(torch.rand(8, 2)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.discriminator.parameters())


def test_both_sides_of_a_check_begin_with_the_same_buffers(monkeypatch):
    monkeypatch.setattr(compiled, "ROUNDING", 0.0)
    critic = MLPDiscriminator((2,), hidden_dim=6, blocks=1, norm="spectral")
    model = GAN(MLPGenerator(3, (2,), hidden_dim=6, blocks=1), critic, Wasserstein(), SGD, SGD)
    require_same_terms(model, EAGER, Minibatch(torch.rand(8, 2)))


def test_what_no_graph_computes(monkeypatch):
    assert compiled.obstacle(gan()) is None
    model = gan(regularizers={"orthogonal": OrthogonalRegularization()})
    assert compiled.obstacle(model) is None
    spectral_norm(model.discriminator.head)
    assert "penalised" in compiled.obstacle(model)
    with torch.autograd.set_detect_anomaly(True), warnings.catch_warnings():
        assert "detect_anomaly" in compiled.obstacle(gan())


def test_each_combination_of_due_penalties_has_a_graph():
    r1, weights = R1(every=2), OrthogonalRegularization(every=3)
    assert due_numbers({}) == due_numbers({"r1": R1()}) == [0]
    assert due_numbers({"r1": r1, "orthogonal": weights}) == [0, 1, 2, 3]
    many = {str(every): R1(every=every) for every in (2, 3, 5, 7)}
    assert len(due_numbers(many)) == compiled.MOST_GRAPHS + 1
    assert compiled.obstacle(gan(regularizers=many)) is not None
    assert compiled.obstacle(gan(regularizers={"r1": R1(Linear(0, 1, 10))})) is not None
    model = gan()
    assert compiled.obstacle(model) is None
    model.spares_hooks = False
    assert compiled.obstacle(model) is not None


SHAPES = (torch.Size([8, 2]), None)


def test_minibatches_of_another_size_have_no_graph():
    graph = Graph(lambda *given: "eager", lambda *given: "graph", SHAPES, pytest.fail)
    assert graph(None, torch.rand(8, 2), None, None) == "graph"
    assert graph(None, torch.rand(7, 2), None, None) == graph(None, torch.rand(8, 2), torch.ones(8), None) == "eager"


@pytest.mark.parametrize("error", ["FailOnRecompileLimitHit", "InternalTorchDynamoError"])
def test_a_graph_that_can_no_longer_be_had_is_done_without(caplog, error):
    def fails(*given):
        raise getattr(torch._dynamo.exc, error)("too many\nand more")

    model = gan()
    model.terms, model.compiles = TermFunctions(fails, fails), True
    graph = Graph(lambda *given: "eager", fails, SHAPES, model.do_without_graphs)
    with caplog.at_level(logging.WARNING):
        assert graph(None, torch.rand(8, 2), None, None) == "eager"
    assert caplog.messages == ["Networks train without compiled graphs: torch's compiler says: too many."]
    assert model.terms is EAGER
    assert not model.compiles


def test_a_mistake_within_a_graph_is_raised():
    def mistaken(*given):
        raise ValueError("one's own")

    with pytest.raises(ValueError, match="one's own"):
        Graph(lambda *given: "eager", mistaken, SHAPES, pytest.fail)(None, torch.rand(8, 2), None, None)


@pytest.mark.filterwarnings("ignore:Found .* module")  # the averaged generator, which Lightning finds in eval mode
@pytest.mark.filterwarnings("ignore:.*many workers")
def test_graphs_are_for_the_largest_minibatches(monkeypatch):
    """A loader's last may be smaller, and be the first where a run goes on."""
    compiled_for = []

    def compiles_for(model: GAN, minibatch: Minibatch) -> TermFunctions:
        compiled_for.append(len(minibatch.samples))
        return TermFunctions(*EAGER)

    monkeypatch.setattr(gan_module, "compiled_terms", compiles_for)
    model = gan()
    model.compiles = True
    trainer = Trainer(max_steps=5, accelerator="cpu", barebones=True)
    batches = [torch.rand(size, 2) for size in (3, 8, 8, 5, 8)]
    trainer.fit(model, DataLoader(batches, batch_size=None))
    assert trainer.global_step == 5
    assert compiled_for == [3, 8]
    assert model.terms is EAGER  # a script may do something else with it


def test_a_signal_that_ends_the_compiler_says_nothing_against_it(monkeypatch):
    monkeypatch.setattr(gan_module, "compiled_terms", lambda *given: EAGER)
    model, interrupt = gan(), Interrupt()
    for received, goes_on in ((signal.SIGINT, True), (None, False)):
        model.compiles, interrupt.received = True, received
        monkeypatch.setattr(model, "_trainer", SimpleNamespace(callbacks=[interrupt]))
        model.compile_terms(Minibatch(torch.rand(8, 2)))
        assert model.compiles is goes_on


def compiles(model: GAN, end: int, asked="auto", checkpoint=None, device="cpu", world_size=1) -> bool:
    strategy = SimpleNamespace(root_device=torch.device(device))
    trainer = SimpleNamespace(strategy=strategy, world_size=world_size)
    return speeding.compiles(asked, trainer, model, speeding.RunSize(8, end), checkpoint)


def test_auto_compiles_where_it_pays(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = gan(critic_updates=CriticUpdates(5))
    assert compiles(model, 40_000)
    assert compiles(model, -1)
    assert not compiles(model, 39_999)
    assert compiles(model, 1, asked=True)
    assert not compiles(model, 40_000, asked=False)
    assert not compiles(model, 40_000, checkpoint={})  # it began before there were graphs
    assert compiles(model, 1, checkpoint={"compiled": True})
    assert not compiles(model, 40_000, device="cuda")
    model.rounds = True
    assert not compiles(model, 40_000)
    model.rounds = False
    assert not compiles(model, 40_000, world_size=2)
    assert not compiles(gan(regularizers={}, critic_updates=CriticUpdates(5)), 40_000)
    assert not compiles(gan(regularizers={"r1": R1(every=16)}, critic_updates=CriticUpdates(5)), 40_000)
    of_images = DCGANGenerator(3, (1, 16, 16), width=4), DCGANDiscriminator((1, 16, 16), width=4, norm="none")
    assert not compiles(GAN(*of_images, Vanilla(), SGD, SGD, CriticUpdates(5), {"r1": R1()}), 40_000)
    note_kept(model, 8)  # what torch has kept costs less
    assert compiles(model, 4_000)
    assert not compiles(model, 3_999)
    assert not compiles(gan(critic_updates=CriticUpdates(5), regularizers={"r1": R1()}), 4_000)


def test_what_is_kept_depends_on_all_that_a_graph_does(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = gan()
    rounds = gan()
    rounds.rounds = True
    others = [gan(regularizers={"gradient_penalty": GradientPenalty(5.0)}), rounds]
    assert mark_of_graphs(model, 8) == mark_of_graphs(gan(seed=1), 8)
    assert (
        len({mark_of_graphs(model, 8), mark_of_graphs(model, 9), *(mark_of_graphs(other, 8) for other in others)}) == 4
    )
    (tmp_path / "gan_lightning").touch()
    note_kept(model, 8)  # where there can't be a folder, nothing is remembered
    assert not is_kept(model, 8)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "gan_lightning" / "below"))
    note_kept(model, 8)
    assert not is_kept(model, 8)


def test_a_run_of_before_compiles_nothing():
    assert upgrade_whole({"speed": {"name": "fast", "bfloat16": "auto"}})["speed"] == {
        "name": "fast",
        "bfloat16": "auto",
        "compile": False,
    }
    assert upgrade_whole({})["speed"]["compile"] is False


def test_what_cannot_be_compiled_here_is_one_sentence(caplog):
    """These tests check types at calls, which torch's compiler can't follow."""
    parts = build_parts(without_hydra(compose(Sources("train"), small("dataset=ring"), TRAINING)))
    with caplog.at_level(logging.WARNING):
        assert compiled_terms(parts.model, Minibatch(torch.rand(8, 2))) is EAGER
    (message,) = (each for each in caplog.messages if "graphs" in each)
    assert "\n" not in message
    assert message.startswith("Networks train without compiled graphs: ")
