"""`python -m gan_lightning export`: what is written computes what the sampler does, and its card says what it is."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch_fidelity import fidelity
from typechecking import unchecked

from gan_lightning import load_generator
from gan_lightning.commands import exporting
from gan_lightning.commands.export import Exporting
from gan_lightning.commands.model_card import restored, shapes, use
from gan_lightning.config.places import CONF
from gan_lightning.errors import RunFailed
from gan_lightning.metrics.inception import build_inception
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.pictures import save_pngs
from gan_lightning.samples import Units
from gan_lightning.sampling.drawing import draw_latents
from gan_lightning.sampling.files import read_generator, save_generator
from gan_lightning.sampling.latents import Coded, Normal, Uniform

Command = Callable[..., Any]
RUN = Path(__file__).parents[1] / "saved_runs" / "format_1"


@pytest.fixture(autouse=True)
def _as_users_run() -> Iterator[None]:
    """While a network is written down its sizes are symbols, which no check of types knows."""
    with unchecked():
        yield


@pytest.fixture
def conditional(tmp_path: Path) -> Path:
    """A generator of points in three classes, and no run beside it."""
    torch.manual_seed(0)
    arguments = {"latent_dim": 3, "sample_shape": [2], "hidden_dim": 4, "classes": 3, "label_input": "concat"}
    node = {"_target_": "gan_lightning.networks.MLPGenerator", **arguments}
    parts = {"generator": node, "latents": {"_target_": "gan_lightning.sampling.Normal"}}
    names = ("cat", "*dog*", "cow")
    save_generator(MLPGenerator(**arguments), parts, tmp_path / "g.safetensors", 7, names, origin={"imported": "x.pth"})
    return tmp_path / "g.safetensors"


def inception(file: Path) -> Path:
    """Weights for torch-fidelity's network: random in its first layers, and a number in all others."""
    chance = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in build_inception().state_dict().items():
        filters = name.startswith("Conv2d") and tensor.ndim == 4
        one = torch.ones((), dtype=tensor.dtype).expand(tensor.shape)  # which takes no room in the file
        state[name] = torch.randn(tensor.shape, generator=chance) / tensor[0].numel() ** 0.5 if filters else one
    torch.save(state, file)
    return file


def test_torch_fidelitys_command_reads_an_onnx_of_pixels(
    command: Command, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/foreign.md types it, but for weights, which it would download, and for a layer that comes early."""
    outcome = command("export", f"run={RUN}", "pixels=true", "license=mit")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == ["generator.onnx", "generator.onnx.md"]
    latents = torch.from_numpy(np.random.RandomState(5).randn(20, 4)).float()  # what it draws by --rng-seed 5
    save_pngs(load_generator(RUN).decode(latents), here / "pictures")
    words = "--fid --input1 generator.onnx --input1-model-z-size 4 --input1-model-z-type normal"
    words += " --input1-model-num-samples 20 --input2 pictures --cpu --json --silent --no-cache --save-cpu-ram"
    words += f" --feature-extractor-weights-path {inception(here / 'weights.pth')} --feature-layer-fid 64"
    found = []
    for seed in (5, 6):
        monkeypatch.setattr(sys, "argv", ["fidelity", *words.split(), "--rng-seed", str(seed)])
        fidelity.main()
        found.append(json.loads(capsys.readouterr().out)["frechet_inception_distance"])
    assert abs(found[0]) < 1e-3 * found[1]
    card = (here / "generator.onnx.md").read_text()
    assert card.startswith('---\nlicense: "mit"\n')
    for line in (
        "| data set | digits |",
        "| loss | wgan\\_clip |",
        "| weights | the moving average, of iteration 20 |",
        "- `latents`: float32 (n, 4), drawn from Normal()",
        "- `samples`: uint8 (n, 3, 8, 8), 0 to 255",
        "| sliced\\_wasserstein | 0.8376 | 0.8223 to 0.8529 |",
        '  "reference": 1500,',
    ):
        assert line in card.splitlines()
    assert "Compared with the sampler on 8 samples, 1, 2, 5 at a time: the largest difference is " in card


def test_a_program_with_labels(command: Command, conditional: Path) -> None:
    assert command("export", f"run={conditional}", "format=torch_export", "out=below/g.pt2").status == 0
    module = torch.export.load("below/g.pt2").module()
    sampler = load_generator(conditional)
    latents = draw_latents(sampler.latents, 3, 7, seed=0)
    torch.testing.assert_close(module(latents, torch.arange(7) % 3), sampler.sample(7), rtol=0, atol=1e-5)
    card = Path("below/g.pt2.md").read_text()
    assert "- `labels`: int64 (n,), 0 to 2: cat, \\*dog\\*, cow\n" in card
    assert '| began with | {"imported": "x.pth"} |' in card
    assert "| data set | not stated |" in card


@pytest.mark.parametrize(
    ("prior", "onnx", "program"),
    [
        (Normal(), 'numpy.random.randn(16, 3).astype("float32")', "generator(torch.randn(16, 3), "),
        (Uniform(2.0), "numpy.random.uniform(-2.0, 2.0, (16, 3))", "generator((torch.rand(16, 3) * 2 - 1) * 2.0, "),
        (Coded((2,), 1), "There is no code here for latents", "There is no code here for latents"),
    ],
)
def test_the_cards_code_draws_from_the_prior(conditional: Path, prior: Any, onnx: str, program: str) -> None:
    sampler = load_generator(conditional)
    sampler.latents = prior
    for format, expected in (("onnx", onnx), ("torch_export", program)):
        options = Exporting(str(conditional), [], format, None, "ema", False, None)
        assert expected in use(options, sampler, "g")


def test_the_cards_units(conditional: Path) -> None:
    units = Units((2.0, 0.5), (1.0, -3.0), ("width", "age"), (False, True))
    sampler = load_generator(conditional)
    sampler.units = units
    options = Exporting(str(conditional), [], "onnx", None, "ema", False, None)
    *_, told = shapes(options, sampler)
    assert told.endswith(" is width: `x * 2.0 + 1.0`, age: `x * 0.5 + -3.0` rounded")
    assert list(restored(Units((2.0,), (1.0,)))) == ["`x * 2.0 + 1.0`"]


def test_weights_alone(command: Command, here: Path) -> None:
    assert command("export", f"run={RUN}", "format=safetensors", "weights=raw").status == 0
    expected = load_generator(RUN, "raw")
    assert torch.equal(load_generator("generator.safetensors").sample(4), expected.sample(4))
    assert not torch.equal(expected.sample(4), load_generator(RUN).sample(4))
    assert read_generator(here / "generator.safetensors").iteration == 20
    with safe_open("generator.safetensors", framework="pt") as file:
        assert file.metadata()["weights"] == "raw"
    # What is exported of the file is called what the file says.
    assert command("export", "run=generator.safetensors", "format=safetensors", "out=again.safetensors").status == 0
    with safe_open("again.safetensors", framework="pt") as file:
        assert file.metadata()["weights"] == "raw"
    assert "| weights | the last ones, of iteration 20 |" in (here / "again.safetensors.md").read_text()


def test_a_runs_own_generator_is_not_replaced(command: Command, conditional: Path) -> None:
    before = conditional.read_bytes()
    outcome = command("export", f"run={conditional}", "format=safetensors", f"out={conditional}")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"out is {conditional}, the run's own generator, which export doesn't replace;")
    assert conditional.read_bytes() == before


def test_what_computes_something_else_is_not_written(
    command: Command, conditional: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = exporting.read_program
    monkeypatch.setattr(exporting, "read_program", lambda path: lambda *given: read(path)(*given) + 2e-5)
    Path("g.pt2").write_text("somebody's")
    outcome = command("export", f"run={conditional}", "format=torch_export", "out=g.pt2")
    assert outcome.status == 1
    assert outcome.err.startswith("What was exported differs by 2e-05 from what is sampled; nothing is written.")
    assert Path("g.pt2").read_text() == "somebody's"
    assert not Path("g.pt2.md").exists()
    monkeypatch.setattr(exporting, "read_program", lambda path: lambda *given: {}["gone"])
    outcome = command("export", f"run={conditional}", "format=torch_export", "out=g.pt2")
    assert outcome.status == 2
    assert "MLPGenerator, can't be written and run as format=torch_export ('gone')" in outcome.err


@pytest.mark.parametrize(("off", "passes"), [(1e-3, True), (3e-3, False)])
def test_rounding_is_in_proportion_to_the_samples(conditional: Path, off: float, passes: bool) -> None:
    sampler = load_generator(conditional)
    sampler.network.register_forward_hook(lambda _, __, made: made + 150)  # as of points in units of their own
    with nullcontext() if passes else pytest.raises(RunFailed, match="differs by 0"):
        exporting.compared(sampler, lambda *given: sampler.network(*given).detach() + off, 2, pixels=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=nowhere"], "run is nowhere, which does not exist."),
        (["out=g.pt"], "out is g.pt, but the name of format=onnx ends in .onnx."),
        (["format=onxn"], "format is 'onxn'"),
        (["format=safetensors", "pixels=true"], "format=safetensors has weights alone"),
        (["format=torch_export", "pixels=true"], "pixels is true, but these samples are no images."),
        ([], "format=onnx needs the package onnxscript: pip install 'gan-lightning[export]'"),
    ],
)
def test_mistakes(
    command: Command, conditional: Path, here: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    outcome = command("export", f"run={conditional}", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert list(here.iterdir()) == []


def test_help(command: Command) -> None:
    assert command("export", "--help").out == (CONF / "export.yaml").read_text()
