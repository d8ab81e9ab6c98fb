"""Checkpoints: plain data, replaced whole or not at all, refused when damaged, and never of a diverged network."""

import errno
import json
import os
import pickle
import pickletools
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from safetensors.torch import save_file
from trained import RunFolder

from gan_lightning import UserError, load_generator
from gan_lightning.config.build import build
from gan_lightning.files import replacing
from gan_lightning.losses.objectives import Vanilla
from gan_lightning.sampling import files
from gan_lightning.sampling.drawing import draw_latents
from gan_lightning.sampling.files import read_generator
from gan_lightning.sampling.latents import Coded, Normal, Uniform

PLAIN = (dict, list, str, int, float, bool, type(None))


def assert_plain(value: Any) -> None:
    assert type(value) in PLAIN
    children = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    for child in children:
        assert_plain(child)


def is_finite(checkpoint: dict[str, Any]) -> bool:
    return all(value.isfinite().all() for value in checkpoint["state_dict"].values())


# Content


def test_checkpoint_is_plain_data(tiny):
    trained = tiny("run", "loss=wgan_gp", "trainer.max_steps=3")

    checkpoint = trained.checkpoint()  # with weights_only=True
    assert_plain(checkpoint["config"])
    assert checkpoint["config"] == trained.config()
    prefixes = {name.partition(".")[0] for name in checkpoint["state_dict"]}
    assert prefixes == {"generator", "discriminator", "ema_generator"}
    assert len(checkpoint["optimizer_states"]) == 2

    with zipfile.ZipFile(trained.path / "checkpoints" / "last.ckpt") as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        operations = pickletools.genops(archive.read(name))
        imported = {str(argument).split()[0] for code, argument, _ in operations if code.name == "GLOBAL"}
    assert {name.partition(".")[0] for name in imported} <= {"torch", "collections"}


def test_generator_file_rebuilds_the_average_bit_for_bit(tiny, same):
    trained = tiny("run", "trainer.max_steps=4", "ema.decay=0.5")

    file = read_generator(trained.path / "generator.safetensors")
    assert file.iteration == 4
    network = build(OmegaConf.create({"generator": file.generator}), "generator")
    assert build(OmegaConf.create({"latents": file.latents}), "latents") == Normal()
    network.load_state_dict(file.weights)

    same(dict(network.state_dict()), trained.weights("ema_generator"))
    assert not torch.equal(file.weights["layers.0.weight"], trained.weights("generator")["layers.0.weight"])
    latents = torch.randn(5, 4)
    assert network(latents).shape == (5, 1, 8, 8)
    same(dict(load_generator(trained.path).network.state_dict()), trained.weights("ema_generator"))
    same(dict(load_generator(trained.path, weights="raw").network.state_dict()), trained.weights("generator"))


@pytest.mark.parametrize(
    ("overrides", "prior"),
    [
        (("loss=dragan",), Uniform(1.0)),
        (("latents._target_=gan_lightning.sampling.latents.Uniform", "+latents.bound=0.5"), Uniform(0.5)),
        (("loss=infogan", "network.latent_dim=14"), Coded([10], 2)),
    ],
)
def test_generator_file_has_the_prior_of_its_latents(tiny, overrides, prior):
    trained = tiny("run", *overrides, "trainer.max_steps=1")

    sampler = load_generator(trained.path / "generator.safetensors")

    assert sampler.latents == prior
    latents = draw_latents(prior, sampler.network.latent_dim, 3, seed=5)
    torch.testing.assert_close(sampler.sample(3, seed=5), sampler.network(latents))


def test_generator_file_is_of_the_checkpoint_beside_it(tiny, same):
    trained = tiny("run", "trainer.max_steps=7", "checkpoint.every=5", "checkpoint.keep_every=5")
    tensors = read_generator(trained.path / "generator.safetensors").weights
    same(tensors, trained.weights("ema_generator"))

    kept = trained.checkpoint("iteration=00000005")["state_dict"]
    assert not torch.equal(kept["ema_generator.layers.0.weight"], tensors["layers.0.weight"])


# Damage


class Malicious:
    """Unpickled, it makes the folder `witness`."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.witness),)


def zipped(content: Any, path: Path) -> bytes:
    torch.save(content, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def stopped(tiny_in_module):
    """A run to be resumed."""
    return tiny_in_module("trainer.max_steps=2")


@pytest.fixture(scope="module")
def whole(tiny_in_module):
    """The same, three iterations longer."""
    return tiny_in_module("trainer.max_steps=5")


@pytest.fixture
def copied(stopped, tmp_path):
    """A copy of the run to be resumed, to be changed."""
    return RunFolder(shutil.copytree(stopped.path, tmp_path / "copied"))


DAMAGES: dict[str, Callable[[bytes, Path], bytes]] = {
    "truncated": lambda good, scratch: good[: len(good) // 2],
    "last byte lost": lambda good, scratch: good[:-1],
    "empty": lambda good, scratch: b"",
    "text": lambda good, scratch: b"not a checkpoint",
    "malicious pickle": lambda good, scratch: pickle.dumps(Malicious(scratch / "witness")),
    "malicious archive": lambda good, scratch: zipped({"global_step": Malicious(scratch / "witness")}, scratch / "m"),
    "another program's": lambda good, scratch: zipped({"model": torch.ones(2)}, scratch / "o"),
    "a tensor": lambda good, scratch: zipped(torch.ones(2), scratch / "t"),
    "an empty dict": lambda good, scratch: zipped({}, scratch / "e"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_refused_by_name(stopped, resume, tmp_path, damage):
    path = stopped.path / "checkpoints" / "last.ckpt"
    good = path.read_bytes()
    path.write_bytes(DAMAGES[damage](good, tmp_path))
    try:
        before = stopped.files()
        with pytest.raises(UserError) as refusal:
            resume(stopped.path, "trainer.max_steps=4")
        after = stopped.files()
    finally:
        path.write_bytes(good)

    assert str(path) in str(refusal.value)
    assert after == before
    assert not (tmp_path / "witness").exists()


def test_missing_checkpoint_is_refused_by_name(copied, resume):
    path = copied.path / "checkpoints" / "last.ckpt"
    path.unlink()

    with pytest.raises(UserError) as refusal:
        resume(copied.path, "trainer.max_steps=4")
    assert str(path) in str(refusal.value)


def test_refusal_names_a_checkpoint_that_was_kept(tiny, resume):
    trained = tiny("run", "trainer.max_steps=5", "checkpoint.keep_every=2")
    for name in ("last", "previous"):
        (trained.path / "checkpoints" / f"{name}.ckpt").write_bytes(b"")

    with pytest.raises(UserError, match=r"iteration=00000004\.ckpt"):
        resume(trained.path, "trainer.max_steps=7")


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_damaged_generator_file_is_refused_by_name(stopped, tmp_path, length):
    path = tmp_path / "generator.safetensors"
    path.write_bytes((stopped.path / "generator.safetensors").read_bytes()[:length])

    for load in (read_generator, load_generator):
        with pytest.raises(UserError) as refusal:
            load(path)
        assert str(path) in str(refusal.value)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_file_of_another_program_is_no_generator(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(2)}, path, metadata=metadata)

    with pytest.raises(UserError) as refusal:
        read_generator(path)
    assert str(path) in str(refusal.value)


# Crashes while saving


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def fail_in_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: Trainer, path: Path, *arguments: Any, **options: Any) -> None:
        Path(path).write_bytes(b"half a checkpoint")
        raise full()

    monkeypatch.setattr(Trainer, "save_checkpoint", half)


def fail_in_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(tensors: Any, path: Path, metadata: Any) -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half a generator")
            raise full()

    monkeypatch.setattr(files, "save_whole", half)


def fail_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_full(*arguments: Any, **options: Any) -> None:
        raise full()

    monkeypatch.setattr(torch, "save", raise_full)


def fail_in_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def raise_full(source: Any, target: Any) -> None:
        if Path(target).name == "last.ckpt":
            raise full()
        replace(source, target)

    monkeypatch.setattr(os, "replace", raise_full)


@pytest.mark.parametrize("fail", [fail_in_checkpoint, fail_in_generator, fail_in_torch, fail_in_replace])
def test_crash_while_saving_spoils_nothing(whole, copied, resume, same, monkeypatch, fail):
    checkpoint = (copied.path / "checkpoints" / "last.ckpt").read_bytes()
    generator = (copied.path / "generator.safetensors").read_bytes()

    with monkeypatch.context() as patch:
        fail(patch)
        with pytest.raises(OSError, match="No space left"):
            resume(copied.path, "trainer.max_steps=5", "checkpoint.every=4")

    assert copied.results()["status"] == "failed"
    if fail is fail_in_generator:
        assert copied.checkpoint()["global_step"] == 4
    else:
        assert (copied.path / "checkpoints" / "last.ckpt").read_bytes() == checkpoint
    assert (copied.path / "generator.safetensors").read_bytes() == generator

    resumed = resume(copied.path, "trainer.max_steps=5")
    same(resumed.checkpoint()["state_dict"], whole.checkpoint()["state_dict"])
    assert not list(copied.path.rglob("*.tmp"))


# Divergence


@pytest.fixture
def diverge(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the discriminator's loss NaN from an iteration (n_critic is 1) on."""
    discriminator = Vanilla.discriminator

    def start(iteration: int) -> None:
        calls = []

        def loss(self: Vanilla, *logits: torch.Tensor) -> dict[str, torch.Tensor]:
            calls.append(1)
            terms = discriminator(self, *logits)
            return {name: term * float("nan") for name, term in terms.items()} if len(calls) > iteration else terms

        monkeypatch.setattr(Vanilla, "discriminator", loss)

    return start


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON that any program reads")


@pytest.mark.parametrize(("log_every", "save_every"), [(1, 1), (5, 5), (2, 3), (1, 4)])
def test_diverged_run_fails_and_keeps_its_last_finite_checkpoint(tiny, folder, diverge, log_every, save_every):
    diverge(7)
    with pytest.raises(FloatingPointError, match=r"/discriminator is nan at iteration \d+: "):
        tiny(
            "run",
            "trainer.max_steps=20",
            f"trainer.log_every_n_steps={log_every}",
            f"checkpoint.every={save_every}",
        )

    failed = folder("run")
    assert failed.results()["status"] == "failed"
    assert 8 <= failed.results()["iteration"] <= 10
    json.loads((failed.path / "results.json").read_text(), parse_constant=refuse)
    assert is_finite(failed.checkpoint())
    assert failed.checkpoint()["global_step"] == 7 // save_every * save_every
    tensors = read_generator(failed.path / "generator.safetensors").weights
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_no_checkpoint_is_made_of_weights_that_are_not_finite(tiny, folder, diverge):
    """Here a checkpoint is due in each iteration, also in those whose metrics nobody looks at."""
    diverge(7)
    with pytest.raises(FloatingPointError, match=r"iteration \d+"):
        tiny("run", "trainer.max_steps=20", "trainer.log_every_n_steps=5", "checkpoint.every=1")

    failed = folder("run")
    assert failed.results()["status"] == "failed"
    assert failed.checkpoint()["global_step"] == 7
    assert is_finite(failed.checkpoint())


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_absurd_learning_rate_is_told_as_divergence(tiny, folder, network):
    with pytest.raises(
        FloatingPointError, match=r"/(generator|discriminator)\S* is (nan|inf|-inf) at iteration [1-5]:"
    ):
        tiny(
            "run",
            "network.generator.output_activation=none",
            f"loss.optimizer.{network}.lr=1e30",
            "trainer.max_steps=20",
            "trainer.log_every_n_steps=1",
            "checkpoint.every=1",
        )
    assert folder("run").results()["status"] == "failed"
    if (folder("run").path / "checkpoints" / "last.ckpt").exists():
        assert is_finite(folder("run").checkpoint())
