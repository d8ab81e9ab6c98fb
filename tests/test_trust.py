"""What a stranger sends, a generator file or a run's folder, runs nothing and writes nothing; one line says so."""

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gan_lightning.__main__ import main
from gan_lightning.config.compose import parse
from gan_lightning.config.trust import without_caches
from gan_lightning.paths import argument

pytestmark = pytest.mark.slow

RUN = Path(__file__).parent / "saved_runs" / "format_1"
TOUCH = "touch PWNED"
SHELL = {"_target_": "pytorch_lightning.cli.instantiate_class", "args": TOUCH, "init": {"class_path": "os.system"}}


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (TOUCH,)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    torch.save({"x": Bomb()}, tmp_path / "weights.ckpt")
    return folder


def refused(capsys: pytest.CaptureFixture[str], here: Path, *arguments: str) -> str:
    """What the command says, after a check that it has done nothing."""
    before = sorted(here.parent.rglob("*"))
    assert main(arguments) == 2
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1, told
    assert sorted(here.parent.rglob("*")) == before
    return told


GENERATORS: dict[str, dict[str, Any]] = {
    "shell": SHELL,
    "unpickle": {
        "_target_": "gan_lightning.training.gan.GAN.load_from_checkpoint",
        "checkpoint_path": "../weights.ckpt",
        "weights_only": False,
    },
    "import": {"_target_": "gan_lightning.config.signature._imported_signature", "target": "antigravity"},
    "download": {
        "_target_": "torchvision.datasets.utils.download_url",
        "url": "file:///etc/hostname",
        "root": "victim",
    },
    "system": {"_target_": "os.system", "command": TOUCH},
    "train": {"_target_": "gan_lightning.train"},
}


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("place", ["generator", "latents"])
def test_a_generator_file(here: Path, capsys: pytest.CaptureFixture[str], name: str, place: str) -> None:
    with safe_open(RUN / "generator.safetensors", "pt") as file:
        metadata = dict(file.metadata())
    config = {**json.loads(metadata["config"]), place: GENERATORS[name]}
    file = here.parent / "theirs.safetensors"
    save_file(load_file(RUN / "generator.safetensors"), file, {**metadata, "config": json.dumps(config)})
    told = refused(capsys, here, "sample", f"run={file}", "n=4", "out=o.png")
    assert f"asks for {GENERATORS[name]['_target_']!r}" in told.replace(
        "gan_lightning.training.GAN.load", "gan_lightning.training.gan.GAN.load"
    )


def theirs(here: Path, file: str, edit: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a run with something else in one of its files."""
    folder = Path(shutil.copytree(RUN, here.parent / "theirs"))
    content = yaml.safe_load((folder / file).read_text())
    edit(content)
    (folder / file).write_text(yaml.safe_dump(content))
    return folder


SOURCES: dict[str, dict[str, Any]] = {
    **GENERATORS,
    "write": {"_target_": "torchvision.io.write_file", "filename": "PWNED", "data": [1]},
    "folder": {"_target_": "torchvision.datasets.MNIST", "root": "victim", "download": True},
    "logger": {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "victim"},
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_data_of_a_run_that_is_evaluated(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    run = theirs(here, "config.yaml", lambda content: content["data"].update(source=SOURCES[name]))
    told = refused(capsys, here, "evaluate", f"run={run}", "samples=50", "intervals=0", "metric=[sliced]")
    assert "data.source" in told


@pytest.mark.parametrize("key", ["extractor", "data"])
def test_other_parts_of_a_run_that_is_evaluated(here: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    run = theirs(here, "config.yaml", lambda content: content.update({key: SHELL}))
    told = refused(capsys, here, "evaluate", f"run={run}", "samples=50", "intervals=0", "metric=[sliced]")
    assert f"{key}._target_" in told or f"{key} builds" in told


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    "place", ["dataset.source", "network.generator", "loss.objective", "trainer.profiler", "trainer"]
)
def test_the_parts_of_a_run_that_is_gone_on_with(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, place: str
) -> None:
    def edit(content: dict[str, Any]) -> None:
        *parents, last = place.split(".")
        for parent in parents:
            content = content[parent]
        content[last] = SOURCES[name]

    run = theirs(here, ".hydra/config.yaml", edit)
    assert place in refused(capsys, here, f"resume={run}", "trainer.max_steps=30")


@pytest.mark.parametrize(
    ("place", "node"),
    [
        ("callbacks", {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": "PLACE"}),
        ("callbacks", {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": "../victim"}),
        ("callbacks", {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": "~/victim"}),
        ("logger", {"_target_": "pytorch_lightning.loggers.CSVLogger", "_partial_": True, "name": "PLACE"}),
    ],
)
def test_what_is_written_stays_in_the_runs_folder_or_goes_where_the_user_says(
    here: Path, capsys: pytest.CaptureFixture[str], place: str, node: dict[str, Any]
) -> None:
    key = "dirpath" if "dirpath" in node else "name"
    where = node[key].replace("PLACE", str(here.parent / "victim"))
    run = theirs(here, ".hydra/config.yaml", lambda content: content.update({place: {"x": node | {key: where}}}))
    told = refused(capsys, here, f"resume={run}", "trainer.max_steps=30")
    granting = argument(f"{place}.x.{key}", where)
    assert f"has {where} for {place}.x.{key}, outside of the run's folder; {granting} grants it" in told
    assert parse([shlex.split(granting)[0]])[0].value() == where


@pytest.mark.parametrize("key", ["extractor.cache_dir", "dataset.source.cache_dir"])
def test_caches_are_not_kept_where_a_run_says(here: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    where = str(here.parent / "victim")
    source = {"_target_": "gan_lightning.data.ImageFolder", "root": str(here), "image_size": 8, "channels": 1}

    def edit(content: dict[str, Any]) -> None:
        if key.startswith("dataset"):
            content["dataset"] |= {"cache_dir": where, "source": source | {"cache_dir": "${dataset.cache_dir}"}}
        else:
            content["extractor"] = {"_target_": "gan_lightning.metrics.Classifier", "cache_dir": where}

    run = theirs(here, ".hydra/config.yaml", edit)
    told = refused(capsys, here, f"resume={run}", "trainer.max_steps=30")
    written = "dataset.cache_dir" if key.startswith("dataset") else key
    assert f"has {where} for {written}, outside of the run's folder; {written}={where} grants it" in told


def test_a_runs_own_caches_are_not_used_to_evaluate_it(here: Path) -> None:
    victim = here.parent / "victim"
    cached = {"_target_": "gan_lightning.metrics.Classifier", "steps": 5, "cache_dir": str(victim)}
    run = theirs(here, "config.yaml", lambda content: content.update(extractor=cached))
    assert main(["evaluate", f"run={run}", "samples=50", "intervals=0", "metric=[sliced]"]) == 0
    assert not victim.exists()


NAMING = [["sample", "run={}"], ["edit", "run={}", "means=directions"], ["evaluate", "run={}"], ["resume={}"]]


@pytest.mark.parametrize("command", NAMING)
def test_a_name_that_no_file_can_have(here: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert "x" * 400 in refused(capsys, here, *(text.format("x" * 400) for text in command))


HYDRAS: dict[str, dict[str, Any]] = {
    "callbacks": {"hydra": {"callbacks": {"x": SHELL}}},
    "logging": {"hydra": {"job_logging": {"version": 1, "handlers": {"h": {"()": "os.system", "command": TOUCH}}}}},
    "environment": {"hydra": {"job": {"env_set": {"PATH": "victim"}}}},
    "defaults": {"defaults": [{"/hydra/launcher": "basic"}]},
}


@pytest.mark.parametrize("name", HYDRAS)
def test_settings_of_hydras(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    run = theirs(here, ".hydra/config.yaml", lambda content: content.update(HYDRAS[name]))
    told = refused(capsys, here, f"resume={run}", "trainer.max_steps=30")
    assert f"has a key {next(iter(HYDRAS[name]))}" in told


@pytest.mark.parametrize("resolver", ["oc.env:SECRET", "oc.decode:x", "hydra:runtime.cwd", "oc.create:x"])
def test_the_environment_is_not_read(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, resolver: str
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")

    def edit(content: dict[str, Any]) -> None:
        content["loss"]["name"] = f"${{{resolver}}}"

    run = theirs(here, ".hydra/config.yaml", edit)
    told = refused(capsys, here, f"resume={run}", "trainer.max_steps=30")
    assert "asks at loss.name for" in told
    assert "hunter2" not in told
    shutil.rmtree(run)
    run = theirs(here, "config.yaml", lambda content: content["dataset"].update(name=f"${{{resolver}}}"))
    assert "asks at dataset.name for" in refused(capsys, here, "evaluate", f"run={run}", "samples=50", "intervals=0")


def test_what_came_from_the_environment_is_saved_as_what_it_was(
    tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/one.db")
    arguments = ("trainer.max_steps=1", "trainer.enable_progress_bar=false", f"hydra.run.dir={tmp_path / 'run'}")
    assert main([*tiny, "logger=csv", "+logger.csv.prefix=${oc.env:MLFLOW_TRACKING_URI}", *arguments]) == 0
    saved = (tmp_path / "run" / ".hydra" / "config.yaml").read_text()
    assert f"prefix: sqlite:///{tmp_path}/one.db" in saved
    assert "${network.latent_dim}" in saved
    assert main([f"resume={tmp_path / 'run'}", "trainer.max_steps=2"]) == 0


def test_a_strangers_limit_removes_nothing_from_the_image_cache() -> None:
    node = OmegaConf.create({"source": {"cache_dir": "theirs", "cache_gib": 0.0, "root": "pictures"}})
    without_caches(node)
    assert node == {"source": {"cache_dir": None, "root": "pictures"}}
