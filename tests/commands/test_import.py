"""`python -m gan_lightning import`: another program's generator, as one that the other commands take."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gan_lightning import load_generator
from gan_lightning.config.places import CONF
from gan_lightning.metrics.weights import file_hash
from gan_lightning.sampling.drawing import draw_latents
from gan_lightning.sampling.files import read_generator

Command = Callable[..., Any]
MLP = ("network=mlp", "network.latent_dim=7", "dataset.sample_shape=[1,8,8]", "network.generator.hidden_dim=6")
MLP = (*MLP, "network.generator.blocks=2", "network.generator.growth=1", "network.generator.norm=none")


def foreign() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 64), nn.Tanh())


@pytest.mark.parametrize("name", ["g.pth", "g.safetensors", "epoch=3,best.ckpt"])
def test_a_generator_comes_in(command: Command, here: Path, name: str) -> None:
    network = foreign()
    state = network.state_dict()
    save_file(state, name) if name.endswith("s") else torch.save({"G": state, "epoch": 3}, name)
    outcome = command("import", name, *MLP, "out=below/ours.safetensors")
    assert (outcome.status, outcome.err) == (0, "")
    *plan, out = outcome.out.splitlines()
    assert out == "below/ours.safetensors"
    assert len(plan) == len(state)
    assert plan[0].split() == ["layers.0.weight", "6x7", "<-", "0.weight", "6x7"]
    sampler = load_generator(out)
    expected = network(draw_latents(sampler.latents, 7, 5, seed=2)).view(5, 1, 8, 8)
    torch.testing.assert_close(sampler.sample(5, seed=2), expected, rtol=0, atol=1e-5)
    assert read_generator(here / out).origin == {"imported": name, "sha256": file_hash(here / name)}
    assert command("sample", f"run={out}", "n=4").status == 0


def test_a_map_says_what_the_order_does_not(command: Command, here: Path) -> None:
    state = foreign().state_dict()
    mixed = {"step": torch.tensor(3), **{n: state[n] for n in ("2.weight", "2.bias", *state)}}
    torch.save(mixed, "g.pth")
    assert command("import", "g.pth", *MLP).status == 2
    Path("map.yaml").write_text("layers.0: '0'\nlayers.3: '2'\nlayers.6.weight: 4.weight\nignored: [step]\n")
    assert command("import", "g.pth", *MLP, "map=map.yaml").out.splitlines()[-1] == "generator.safetensors"
    latents = draw_latents(load_generator("generator.safetensors").latents, 7, 2, 0)
    samples = load_generator("generator.safetensors").sample(2).flatten(1)
    torch.testing.assert_close(samples, foreign()(latents), rtol=0, atol=1e-5)
    # What has the name that is taken without one stays.
    assert command("import", "g.pth", *MLP, "map=map.yaml").out.splitlines()[-1] == "generator_2.safetensors"


class Running:
    """Runs what it likes where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("content", [foreign(), {"G": foreign().state_dict(), "more": Running()}, Running()])
def test_what_would_be_run_is_refused(command: Command, here: Path, content: Any) -> None:
    torch.save(content, "g.pth")
    outcome = command("import", "g.pth", *MLP)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("g.pth can't be read as weights: it asks for ")
    assert "torch.save wrote; a whole pickled network is refused" in outcome.err
    assert [path.name for path in here.iterdir()] == ["g.pth"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "import takes a file of weights first, as in import weights.pth network=dcgan, and none is named."),
        (["network=mlp"], "but there is no file 'network=mlp'."),
        (["g.pht", "network=mlp"], "but there is no file 'g.pht'. Did you mean g.pth?"),
        (["g.pth", "network=mpl"], "Did you mean mlp?"),
        (["g.pth", "prat=G"], "prat=G: there is no key prat."),
        (["g.pth", "map=map.yaml"], "map is map.yaml, which can't be read"),
        (["g.pth", "map=list.yaml"], "map is list.yaml, but expected are names"),
        (["g.pth", "network=mlp,dcgan"], "network=mlp,dcgan"),
        (
            ["g.pth", *MLP, "network.latent_dim=8"],
            "doesn't fit network=mlp: layers.0.weight 6x8 would get 0.weight 6x7",
        ),
        (["g.pth", *MLP, "part=H"], "doesn't fit network=mlp: it has no part H; there are "),
        (["g.pth", "network=course", "dataset.sample_shape=[1,8,8]"], "images of 28x28 pixels"),
        (["nan.pth", *MLP], "nan.pth has weights whose samples are not finite numbers."),
        (["text.yaml", *MLP], "text.yaml can't be read as weights"),
        (
            ["g.pth", *MLP, "latents._target_=gan_lightning.sampling.Coded"],
            "latents are Coded, which don't fit network=mlp: latents of 7 numbers have no room for codes of 12; use a",
        ),
        (["g.pth", *MLP, "out=."], "out is ., which is a folder; expected is the name of a file, as in out=./NAME."),
        (["g.pth", *MLP, "out=.."], "out is .., which is a folder"),
        (["g.pth", "map=deep.yaml"], "map is deep.yaml, which can't be read (it is nested too deeply)."),
        (["g.pth", "map=text.yaml"], "Names that YAML takes for numbers are quoted, as in layers.0: '0'."),
        (["folder", "network=mlp"], "import takes a file of weights, but folder is a folder; name the file in it."),
        (["g.pth", *MLP, "out=text.yaml/g"], "out is text.yaml/g, which can't be written"),
    ],
)
def test_mistakes(command: Command, here: Path, arguments: list[str], message: str) -> None:
    state = foreign().state_dict()
    torch.save({"G": state}, "g.pth")
    torch.save({name: value * float("nan") for name, value in state.items()}, "nan.pth")
    Path("folder").mkdir()
    Path("deep.yaml").write_text("[" * 5000)
    Path("list.yaml").write_text("[a]")
    Path("text.yaml").write_text("layers.0: 3")
    before = sorted(here.iterdir())
    outcome = command("import", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert sorted(here.iterdir()) == before


def test_help(command: Command) -> None:
    assert command("import", "--help").out == (CONF / "import.yaml").read_text()
