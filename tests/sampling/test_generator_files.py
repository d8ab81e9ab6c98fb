"""Generator files: what is saved is what is loaded, and a stranger's file gets to make a generator or nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning import UserError, load_generator
from gan_lightning.formats import GENERATOR
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.samples import Units
from gan_lightning.sampling.files import read_generator, save_generator
from gan_lightning.sampling.whole import save_whole

NETWORK = {"_target_": "gan_lightning.networks.MLPGenerator", "latent_dim": 3, "sample_shape": [2], "hidden_dim": 4}
PRIOR = {"_target_": "gan_lightning.sampling.Uniform", "bound": 0.5}


def generator() -> MLPGenerator:
    torch.manual_seed(0)
    return MLPGenerator(3, [2], hidden_dim=4)


def written(path: Path, network: Any = NETWORK, prior: Any = PRIOR, **others: str) -> Path:
    """A file by someone who is free to put into it what they like."""
    metadata = {"format": GENERATOR, "config": json.dumps({"generator": network, "latents": prior}), "iteration": "7"}
    metadata |= others
    save_whole({name: value.contiguous() for name, value in generator().state_dict().items()}, path, metadata)
    return path


def test_there_and_back(tmp_path: Path) -> None:
    network = generator()
    save_generator(network, {"generator": NETWORK, "latents": PRIOR, "data": {}}, tmp_path / "g.safetensors", 7)
    file = read_generator(tmp_path / "g.safetensors")
    assert (file.generator, file.latents, file.iteration) == (NETWORK, PRIOR, 7)
    sampler = load_generator(tmp_path / "g.safetensors")
    assert sampler.iteration == 7
    latents = sampler.latents.draw(4, 3)
    assert latents.abs().max() <= 0.5
    torch.testing.assert_close(sampler.network(latents), network.eval()(latents))
    assert [path.name for path in tmp_path.iterdir()] == ["g.safetensors"]


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torchvision.io.write_file",
        "pytorch_lightning.cli.instantiate_class",
        "gan_lightning.train",
        "gan_lightning.networks.dcgan.nn.Linear",
        "gan_lightning.networks.MLPDiscriminator",
        "gan_lightning.networks.pack",
        "gan_lightning.networks.nothing",
        "gan_lightning.networks._hidden",
        "gan_lightning.sampling.load_generator",
        "gan_lightning.sampling.Uniform",
        "gan_lightning.training.GAN.load_from_checkpoint",
        "MLPGenerator",
        "",
    ],
)
def test_a_file_makes_generators_alone(tmp_path: Path, target: str) -> None:
    path = written(tmp_path / "g.safetensors", {"_target_": target, "latent_dim": 3, "sample_shape": [2]})
    with pytest.raises(UserError, match=r"g\.safetensors asks for '.*', which is no generator of this program"):
        load_generator(path)


def test_and_priors_for_latents(tmp_path: Path) -> None:
    path = written(tmp_path / "g.safetensors", prior={"_target_": "gan_lightning.sampling.Sampler", "network": None})
    with pytest.raises(UserError, match="which is no prior of this program"):
        load_generator(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hiden_dim": 4}, "arguments that MLPGenerator can't be made with: .*hiden_dim"),
        ({"label_input": "concat"}, "can't be made with: label_input is concat, which doesn't fit classes=0"),
        ({"hidden_dim": 8}, "is damaged: its weights are not those of the network that it names"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_generator(written(tmp_path / "g.safetensors", {**NETWORK, **changed}))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ('["cat", "dog"]', "it names 2 classes, but its generator has 0"),
        ('{"cat": 1}', "the classes are no list of names"),
        ("[1]", "the classes are no list of names"),
        ("[", "its metadata can't be read"),
    ],
)
def test_names_of_classes_that_are_none(tmp_path: Path, classes: str, message: str) -> None:
    path = written(tmp_path / "g.safetensors", classes=classes)
    with pytest.raises(UserError, match=rf"g\.safetensors is damaged: .*{message}"):
        load_generator(path)


def test_units_there_and_back(tmp_path: Path) -> None:
    units = Units((2.0, 0.5), (1000.0, -1.0), ("a", "b"), (False, False), "kind")
    save_generator(generator(), {"generator": NETWORK, "latents": PRIOR}, tmp_path / "g.safetensors", 7, units=units)
    sampler = load_generator(tmp_path / "g.safetensors")
    assert sampler.units == units
    assert units.restore(torch.tensor([[1.0, 2.0]])).tolist() == [[1002.0, 0.0]]
    assert load_generator(written(tmp_path / "h.safetensors")).units is None


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"scale": [1, 1, 1], "shift": [0, 0, 0], "names": []}, r"its units are none of samples of shape \[2\]"),
        ({"scale": [1], "shift": [0], "names": ["a"]}, r"its units are none of samples of shape \[2\]"),
        ({"scale": [1], "shift": [], "names": []}, "the units are no scales"),
        ({"scale": ["1"], "shift": [0], "names": []}, "the units are no scales"),
        ({"scale": [1e999], "shift": [0], "names": []}, "the units are no scales"),
        (
            {"scale": [1], "shift": [0], "names": [], "whole": [True] * 3},
            r"its units are none of samples of shape \[2\]",
        ),
        ({"scale": [1], "shift": [0], "names": [], "label": "kind"}, "the units are no scales"),
        ([], "the units are no scales"),
    ],
)
def test_units_that_are_none(tmp_path: Path, units: Any, message: str) -> None:
    path = written(tmp_path / "g.safetensors", units=json.dumps(units))
    with pytest.raises(UserError, match=rf"g\.safetensors is damaged: .*{message}"):
        load_generator(path)


def test_a_file_without_names_of_classes_is_sampled_by_number(tmp_path: Path) -> None:
    network = MLPGenerator(3, [2], hidden_dim=4, classes=2, label_input="concat")
    node = {**NETWORK, "classes": 2, "label_input": "concat"}
    save_generator(network, {"generator": node, "latents": PRIOR}, tmp_path / "g.safetensors", 7)
    sampler = load_generator(tmp_path / "g.safetensors")
    assert sampler.classes == ()
    assert sampler.sample(3, label=1).shape == (3, 2)
    with pytest.raises(UserError, match="label is cat, but this generator's file has no names of classes, only 0 to 1"):
        sampler.sample(3, label="cat")
