"""Runs that begin with the weights of another, or of a file: what is taken, what is said of the rest, and its trace."""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors import safe_open
from trained import RunFolder, TrainedFolder, tiny_overrides

from gan_lightning import UserError, train
from gan_lightning.config.compose import compose
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.data.sources import Digits
from gan_lightning.metrics.weights import file_hash
from gan_lightning.runs.parts import build_parts
from gan_lightning.runs.starting import (
    MOST_EARLIER,
    Start,
    earlier,
    meanings,
    require_same_meanings,
    start_from,
)
from gan_lightning.samples import SampleSet, Units
from gan_lightning.training.gan import GAN

OLD = Path(__file__).parents[1] / "saved_runs" / "format_1"


@pytest.fixture(scope="module")
def source(tiny_in_module: Callable[..., TrainedFolder]) -> RunFolder:
    return tiny_in_module("trainer.max_steps=3", "checkpoint.every=2", "evaluation.best=null")


def begun(*overrides: str) -> GAN:
    """A model as a run of these overrides would begin."""
    torch.manual_seed(7)
    config = without_hydra(compose(Sources("train"), tiny_overrides(overrides), TRAINING))
    model = build_parts(config).model
    start_from(config, model)
    return model


def check_meanings(*overrides: str) -> None:
    """As a run of these overrides would, before it trains."""
    config = without_hydra(compose(Sources("train"), tiny_overrides(overrides), TRAINING))
    parts = build_parts(config)
    start = start_from(config, parts.model)
    assert start is not None
    require_same_meanings(config, start, parts.data)


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


def test_a_runs_networks_and_average(source: RunFolder, same: Any) -> None:
    model = begun(f"init_from={source.path}", "loss=lsgan")
    for name in ("generator", "discriminator", "ema_generator"):
        same(weights(getattr(model, name)), source.weights(name))
    raw, average = (source.weights(name)["layers.0.weight"] for name in ("generator", "ema_generator"))
    assert not torch.equal(raw, average)


@pytest.mark.parametrize("file", ["", "generator.safetensors"])
def test_another_prior_is_told(source: RunFolder, caplog: pytest.LogCaptureFixture, file: str) -> None:
    begun(f"init_from={source.path / file}")
    assert "latents" not in caplog.text
    begun(f"init_from={source.path / file}", "latents._target_=gan_lightning.sampling.Uniform")
    assert "gan_lightning.sampling.Normal'}, but here they are {'_target_': 'gan_lightning.samp" in caplog.text


@pytest.fixture(scope="module")
def told(tiny_in_module: Callable[..., TrainedFolder]) -> RunFolder:
    return tiny_in_module("trainer.max_steps=1", "conditioning=concat", "evaluation.best=null")


@pytest.fixture
def other(tmp_path: Path) -> Sequence[str]:
    """Digits of which a class has another name."""
    digits = Digits().load()
    assert digits.labels is not None
    names = np.array([*map(str, range(9)), "a"])[digits.labels.numpy()]
    np.savez(tmp_path / "other.npz", x=digits.samples.numpy(), y=names)
    keys = ("dataset.key=x", "dataset.labels=y", "dataset.sample_shape=[1,8,8]", "dataset.classes=10")
    return "conditioning=concat", "dataset=array", f"dataset.root={tmp_path / 'other.npz'}", *keys


@pytest.mark.parametrize("file", ["", "generator.safetensors"])
def test_other_classes_are_told(
    told: RunFolder, other: Sequence[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    start = f"init_from={told.path / file}"
    with pytest.raises(UserError) as error:
        train(*tiny_overrides([start, *other]), f"hydra.run.dir={tmp_path / 'run'}")
    expected = (
        ", trained with the labels 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, but dataset=array has 0, 1, 2, 3, 4, 5, 6, 7, 8, a:"
        " number 9 is 9 there and a here"
    )
    assert str(error.value) == (
        f"init_from is {told.path / (file or 'checkpoints/last.ckpt')}{expected}; give the data the same in the same"
        " order, or init_strict=false takes the weights."
    )
    assert not (tmp_path / "run").exists()
    check_meanings(start, *other, "init_strict=false")
    assert f"{expected}; what they mean now must be learnt anew." in caplog.text
    caplog.clear()
    check_meanings(start, "conditioning=concat")
    check_meanings(start, "init_strict=false", *other[1:])  # told to no network
    assert "labels" not in caplog.text


def test_names_that_are_not_known(told: RunFolder, other: Sequence[str], tmp_path: Path) -> None:
    """A checkpoint beside a damaged generator's file, or somewhere else, still is one to begin with."""
    for folder in ("checkpoints", "elsewhere"):
        (tmp_path / folder).mkdir()
        shutil.copy(told.path / "checkpoints" / "last.ckpt", tmp_path / folder)
        (tmp_path / "generator.safetensors").write_text("x")
        check_meanings(f"init_from={tmp_path / folder / 'last.ckpt'}", *other)


def test_other_columns_are_told() -> None:
    """Of tables; a column's scale is each table's own."""
    start = Start(Path("x.ckpt"), 0, {}, {}, None, meanings((), None, Units(names=("age", "width"))))
    config = OmegaConf.create({"init_strict": True, "dataset": {"name": "table"}})
    for names, refused in ((("age", "width"), False), (("age",), False), (("width", "age"), True)):
        units = Units((2.0,), (5.0,), names)
        data = SimpleNamespace(conditions=None, classes=0, loaded=SampleSet(torch.zeros(1, 2), units=units))
        message = "with the columns age, width, but dataset=table has width, age: number 0 is age there and width here;"
        with pytest.raises(UserError, match=message) if refused else nullcontext():
            require_same_meanings(config, start, data)


def test_any_checkpoint_of_it(source: RunFolder, same: Any) -> None:
    model = begun(f"init_from={source.path / 'checkpoints' / 'previous.ckpt'}")
    before = source.checkpoint("previous")["state_dict"]
    same(model.generator.state_dict()["layers.0.weight"], before["generator.layers.0.weight"])
    assert model.origin["iteration"] == 2


def test_a_file_is_of_the_generator_alone(source: RunFolder, same: Any) -> None:
    model = begun(f"init_from={source.path / 'generator.safetensors'}")
    for name in ("generator", "ema_generator"):
        same(weights(getattr(model, name)), source.weights("ema_generator"))
    same(weights(model.discriminator), weights(begun().discriminator))


def test_a_run_of_an_earlier_format(same: Any) -> None:
    hidden = [f"network.{name}.hidden_dim=4" for name in ("generator", "discriminator")]
    model = begun(f"init_from={OLD}", *hidden)
    for name in ("generator", "discriminator"):
        same(weights(getattr(model, name)), RunFolder(OLD).weights(name))


def test_the_run_tells_where_it_began(
    source: RunFolder, tiny: Callable[..., TrainedFolder], resume: Callable[..., TrainedFolder]
) -> None:
    run = tiny("run", f"init_from={source.path}", "trainer.max_steps=2")
    last = source.path / "checkpoints" / "last.ckpt"
    expected = {"init_from": str(last), "sha256": file_hash(last), "iteration": 3, "left_out": []}
    expected["networks"] = ["generator", "discriminator", "ema_generator"]
    # Going on needs no look at what it began with.
    config = (run.path / "composed.yaml").read_text()
    (run.path / "composed.yaml").write_text(config.replace(str(source.path), "/gone"))
    for ended in (run, resume(run.path, "trainer.max_steps=4")):
        assert ended.results()["origin"] == expected
        with safe_open(ended.path / "generator.safetensors", framework="pt") as file:
            assert json.loads(file.metadata()["origin"]) == expected
    # What is lost is made anew with it.
    (run.path / "results.json").unlink()
    resume(run.path, "trainer.max_steps=4")
    assert run.results()["origin"] == expected
    following = begun(f"init_from={run.path / 'generator.safetensors'}")
    assert following.origin["before"] == [expected]


def test_a_long_line_of_runs_stays_flat() -> None:
    """A level each would soon be more than is read of a file; earlier releases wrote those."""
    nested: dict[str, Any] = {"iteration": 0}
    for k in range(1, 4):
        nested = {"iteration": k, "before": nested}
    assert earlier(nested) == [{"iteration": k} for k in (3, 2, 1, 0)]
    origin: dict[str, Any] = {"iteration": 0}
    for k in range(1, 40):
        origin = {"iteration": k, "before": earlier(origin)}
    assert [each["iteration"] for each in origin["before"]] == list(range(38, 38 - MOST_EARLIER, -1))


@pytest.mark.parametrize("odd", [3, [1, 2], {"a": torch.zeros(2)}, {"a": float("nan")}])
def test_an_origin_that_is_no_plain_facts_is_none(source: RunFolder, tmp_path: Path, odd: Any) -> None:
    torch.save({**source.checkpoint(), "origin": odd}, tmp_path / "odd.ckpt")
    assert "before" not in begun(f"init_from={tmp_path / 'odd.ckpt'}").origin
    model = begun()
    model.on_load_checkpoint({**source.checkpoint(), "origin": odd})
    assert model.origin == {}


def test_without_it_nothing_is_noted(source: RunFolder) -> None:
    assert source.results()["origin"] == {}
    assert "origin" not in source.checkpoint()


def test_what_does_not_fit_is_named(source: RunFolder, caplog: pytest.LogCaptureFixture, same: Any) -> None:
    other = ("dataset.image_size=9", f"init_from={source.path}")
    with pytest.raises(UserError) as error:
        begun(*other)
    last = source.path / "checkpoints" / "last.ckpt"
    assert str(error.value) == (
        f"init_from is {last}, whose weights don't fit network=mlp: "
        "generator.layers.3.weight is 81x8 here and 64x8 there;"
        " generator.layers.3.bias is 81 here and 64 there; discriminator.layers.1.weight is 8x81 here and 8x64 there;"
        " init_strict=false takes what fits."
    )
    with caplog.at_level(logging.WARNING):
        model = begun(*other, "init_strict=false")
    assert "takes what fits" in caplog.text
    assert "generator.layers.3.weight is 81x8 here and 64x8 there" in caplog.text
    assert model.origin["left_out"] == [
        "generator.layers.3.weight is 81x8 here and 64x8 there",
        "generator.layers.3.bias is 81 here and 64 there",
        "discriminator.layers.1.weight is 8x81 here and 8x64 there",
    ]
    same(model.generator.state_dict()["layers.0.weight"], source.weights("generator")["layers.0.weight"])
    same(model.generator.state_dict()["layers.3.weight"], begun(*other[:1]).generator.state_dict()["layers.3.weight"])


def test_weights_without_a_layer_in_common(source: RunFolder) -> None:
    with pytest.raises(UserError, match=r"isn't here; .* choose the network that it is of\."):
        begun("network=dirac", "dataset=point_mass", f"init_from={source.path}", "init_strict=false")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nowhere", "init_from is nowhere, which does not exist"),
        ("empty", "init_from is empty, which holds no generator.safetensors"),
        ("text", "text can't be read as a generator"),
        ("text.ckpt", "text.ckpt is damaged and can't be loaded"),
    ],
)
def test_what_is_no_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("text").write_text("x")
    shutil.copy("text", "text.ckpt")
    with pytest.raises(UserError) as error:
        train(*tiny_overrides([f"init_from={named}"]), "hydra.run.dir=run")
    assert message in str(error.value)
    assert not Path("run").exists()
