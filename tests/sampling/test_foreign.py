"""Weights of other programs' networks in ours: outputs are equal, and what doesn't fit is named with both shapes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gan_lightning.networks.dcgan import DCGANGenerator
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.sampling.foreign import Unfit, adopt, fitting, matched, read_foreign, states

LATENTS = torch.randn(5, 7, generator=torch.Generator().manual_seed(3))


def tutorial(bias: bool = False, latents: int = 7, width: int = 2) -> nn.Module:
    """The generator of PyTorch's DCGAN tutorial but for its sizes; with biases, as others have it."""

    def block(now: int, after: int, *geometry: int) -> list[nn.Module]:
        return [nn.ConvTranspose2d(now, after, *geometry, bias=bias), nn.BatchNorm2d(after), nn.ReLU(True)]

    network = nn.Module()
    network.main = nn.Sequential(
        *block(latents, width * 8, 4, 1, 0),
        *block(width * 8, width * 4, 4, 2, 1),
        *block(width * 4, width * 2, 4, 2, 1),
        *block(width * 2, width, 4, 2, 1),
        nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=bias),
        nn.Tanh(),
    )
    return trained(network)


def perceptron(norm: bool) -> nn.Module:
    """Of two hidden layers."""
    norms = [nn.BatchNorm1d(6)] if norm else []
    return trained(
        nn.Sequential(nn.Linear(7, 6), *norms, nn.ReLU(), nn.Linear(6, 6), *norms, nn.ReLU(), nn.Linear(6, 9))
    )


def trained(network: nn.Module) -> nn.Module:
    """With other weights and statistics than it began with, as training leaves them."""
    torch.manual_seed(5)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.normal_(0, 0.3) if value.ndim > 1 or "mean" in name else value.uniform_(0.2, 1)
    return network.eval()


@pytest.mark.parametrize("bias", [False, True])
def test_the_tutorials_dcgan(bias: bool) -> None:
    foreign, ours = tutorial(bias), DCGANGenerator(7, (3, 64, 64), width=2).eval()
    taken = {each.name: each for each in adopt(ours, foreign.state_dict())}
    expected = foreign.main(LATENTS[:, :, None, None])
    torch.testing.assert_close(ours(LATENTS), expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.05
    assert taken["project.weight"].how == "a transposed convolution as a linear layer"
    assert taken["layers.11.bias"].how == ("" if bias else "0, as there is none")
    assert taken["layers.0.running_mean"].how == ("less main.0.bias" if bias else "")


def test_safetensors_keep_no_order(tmp_path: Path) -> None:
    """Layers of equal shapes would be taken one for another, h.10 for h.2, without a word."""
    foreign = tutorial()
    save_file(foreign.state_dict(), tmp_path / "dcgan.safetensors")
    ours = DCGANGenerator(7, (3, 64, 64), width=2).eval()
    adopt(ours, read_foreign(tmp_path / "dcgan.safetensors"))
    torch.testing.assert_close(ours(LATENTS), foreign.main(LATENTS[:, :, None, None]), rtol=0, atol=1e-5)
    equal = trained(nn.Sequential(*[nn.Linear(7, 7) for _ in range(12)]))
    save_file({f"h.{name}": value for name, value in equal.state_dict().items()}, tmp_path / "equal.safetensors")
    taken = matched(equal.state_dict(), read_foreign(tmp_path / "equal.safetensors"))
    assert [each.source for each in taken] == [f"h.{each.name}" for each in taken]


@pytest.mark.parametrize("norm", [False, True])
def test_perceptrons(norm: bool) -> None:
    foreign = perceptron(norm)
    kind = "batch" if norm else "none"
    ours = MLPGenerator(7, [9], hidden_dim=6, blocks=2, growth=1, norm=kind, output_activation="none").eval()
    adopt(ours, foreign.state_dict())
    torch.testing.assert_close(ours(LATENTS), foreign(LATENTS), rtol=0, atol=1e-5)


def test_halves_and_states_without_counters() -> None:
    foreign, ours = tutorial(), DCGANGenerator(7, (3, 64, 64), width=2).eval()
    state = {name: value.half() for name, value in foreign.state_dict().items() if value.is_floating_point()}
    adopt(ours, state)
    torch.testing.assert_close(ours(LATENTS), foreign.main(LATENTS[:, :, None, None]), rtol=0, atol=0.01)


def test_what_is_named_goes_before_the_order() -> None:
    """Layers in another order, a tensor of another name, and what belongs to nothing of ours."""
    foreign = tutorial()
    ours = DCGANGenerator(7, (3, 64, 64), width=2).eval()
    state = dict(reversed(foreign.state_dict().items()))
    state["main.1.gamma"] = state.pop("main.1.weight")
    state["step"] = torch.tensor(3)
    named = {f"layers.{k}": f"main.{k + 1}" for k in (0, 2, 3, 5, 6, 8, 9, 11)} | {"project": "main.0"}
    named["layers.0.weight"] = "main.1.gamma"
    with pytest.raises(Unfit):
        matched(ours.state_dict(), state)
    adopt(ours, state, named, ["step"])
    torch.testing.assert_close(ours(LATENTS), foreign.main(LATENTS[:, :, None, None]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "sizes", "message"),
    [
        (3, (3, 64, 64), "project.weight 384x7 would get main.0.weight 7x16x4x4"),
        (2, (1, 64, 64), "layers.11.weight 2x1x4x4 would get main.12.weight 2x3x4x4"),
        (2, (3, 128, 128), "layers.2.weight 16x16x4x4 would get main.3.weight 16x8x4x4"),
        (2, (3, 32, 32), "project.weight 128x7 would get main.0.weight 7x16x4x4"),
    ],
)
def test_shapes_that_differ(width: int, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(Unfit) as error:
        matched(DCGANGenerator(7, sizes, width=width).state_dict(), tutorial().state_dict())
    assert str(error.value).startswith(message)


def test_layers_that_one_side_lacks() -> None:
    state, ours = tutorial().state_dict(), DCGANGenerator(7, (3, 64, 64), width=2).state_dict()
    shorter = {name: value for name, value in state.items() if not name.startswith("main.12")}
    with pytest.raises(Unfit, match=r"^nothing is left for layers\.11\.weight 2x3x4x4$"):
        matched(ours, shorter)
    with pytest.raises(Unfit, match=r"^nothing of the network's is left for label\.weight 10x7$"):
        matched(ours, {**state, "label.weight": torch.zeros(10, 7)})
    with pytest.raises(Unfit, match=r"^main\.1\.gamma 16 has no place in layers\.0\.weight 16$"):
        matched(ours, {**state, "main.1.gamma": torch.zeros(16)})
    # A bias behind which nothing takes it away.
    linear = {"a.weight": torch.zeros(2, 3), "a.bias": torch.ones(2)}
    with pytest.raises(Unfit, match=r"^a\.bias 2 is a bias that the network has no place for$"):
        matched({"b.weight": torch.zeros(2, 3)}, linear)
    assert len(matched({"b.weight": torch.zeros(2, 3)}, {**linear, "a.bias": torch.zeros(2)})) == 1


@pytest.mark.parametrize(
    ("named", "ignored", "message"),
    [
        (
            {"layers.1": "main.0"},
            [],
            r"the network has no layer and no tensor layers\.1; its first layers are project, ",
        ),
        (
            {"project": "main.2"},
            [],
            r"the file has no layer and no tensor main\.2; its first layers are main\.0, main\.1, ",
        ),
        ({}, ["head"], "the file has no layer and no tensor head"),
        ({"project": "main.0.weight"}, [], r"project and main\.0\.weight are not both a layer"),
    ],
)
def test_names_that_there_are_not(named: dict[str, str], ignored: list[str], message: str) -> None:
    ours = DCGANGenerator(7, (3, 64, 64), width=2).state_dict()
    with pytest.raises(Unfit, match=f"^{message}"):
        matched(ours, tutorial().state_dict(), named, ignored)


def test_the_state_in_a_file_is_found() -> None:
    state = tutorial().state_dict()
    ours = DCGANGenerator(7, (3, 64, 64), width=2).state_dict()
    other = perceptron(False).state_dict()
    both = {f"netG.{name}": value for name, value in state.items()} | {f"netD.{n}": v for n, v in other.items()}
    for content in (state, {"epoch": 3, "netG_state_dict": state, "netD_state_dict": other}, {"state_dict": both}):
        assert len(fitting(content, None, lambda each: matched(ours, each))) == len(ours)
    assert [name for name, _ in states({"state_dict": both})] == ["state_dict", "state_dict.netG", "state_dict.netD"]
    several = {"G": state, "G_ema": {name: value + 1 for name, value in state.items()}}
    with pytest.raises(Unfit, match="it has several parts that fit: G, G_ema; part=NAME says which"):
        fitting(several, None, lambda each: matched(ours, each))
    (first, *_) = fitting(several, "G_ema", lambda each: matched(ours, each))
    assert torch.equal(first.value, state["main.0.weight"].permute(1, 2, 3, 0).reshape(-1, 7) + 1)
    with pytest.raises(Unfit, match="it has no part D; there are G, G_ema"):
        fitting(several, "D", lambda each: matched(ours, each))
    with pytest.raises(Unfit, match="it holds no weights by name"):
        fitting({"lr": 0.1}, None, lambda each: matched(ours, each))
