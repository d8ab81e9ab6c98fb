"""`python -m gan_lightning`: where a run goes, what is told about it, and how it ends."""

import json
import re
import shlex
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gan_lightning.config.places import CONF
from gan_lightning.training.gan import GAN

Command = Callable[..., Any]
GROUPS = ("dataset", "loss", "network", "regularizer", "conditioning", "hardware", "experiment")


def results(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return content


def config(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return content


@pytest.fixture
def go(command: Command, tiny: tuple[str, ...]) -> Command:
    """Trains tiny networks for two iterations, unless told otherwise."""
    return lambda *arguments: command(*tiny, "trainer.max_steps=2", *arguments)


@pytest.mark.parametrize("word", [(), ("train",)], ids=["no word", "train"])
def test_a_run_has_a_folder_of_its_own(
    word: tuple[str, ...], command: Command, tiny: tuple[str, ...], here: Path, runs: Callable[[], list[Path]]
) -> None:
    outcome = command(*word, *tiny, "trainer.max_steps=2", "loss=wgan_gp", "seed=7")
    assert outcome.status == 0
    (folder,) = runs()
    where = folder.relative_to(here).as_posix()
    assert re.fullmatch(r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d_wgan_gp_digits_s7", where)
    assert (results(folder)["status"], results(folder)["iteration"]) == ("finished", 2)
    assert (config(folder)["loss"]["name"], config(folder)["seed"]) == ("wgan_gp", 7)
    for name in (
        "train.log",
        "metrics.csv",
        "generator.safetensors",
        "checkpoints/last.ckpt",
        "samples/00000002.png",
        ".hydra/config.yaml",
    ):
        assert (folder / name).stat().st_size > 0
    assert list(folder.glob("events.out.tfevents.*"))
    assert [path.name for path in here.iterdir()] == ["outputs"]


def test_two_runs_within_a_second_have_two(go: Command, runs: Callable[[], list[Path]]) -> None:
    assert [go().status, go().status] == [0, 0]
    assert len(runs()) == 2


STRANGE = "my runs/lr=1e-3, d=0.5 #2"


def test_the_summary_says_what_to_do_next(go: Command, command: Command, here: Path) -> None:
    outcome = go("hydra.run.dir=mine")
    assert outcome.out.startswith("Finished at iteration 2")
    assert re.search(r"run folder +mine\n", outcome.out)
    assert re.search(r"samples +mine/samples/00000002\.png\n", outcome.out)
    assert re.search(r"TensorBoard +tensorboard --logdir mine\n", outcome.out)
    assert re.search(r"losses +discriminator -?\d+\.\d{4}, generator -?\d+\.\d{4}\n", outcome.out)
    assert "resume=" not in outcome.out
    told = next(line for line in outcome.out.splitlines() if "gan_lightning sample" in line)
    arguments = shlex.split(told.partition("python -m gan_lightning ")[2])
    sampled = command(*arguments)
    assert sampled.status == 0, sampled.err
    assert (here / "grid.png").stat().st_size > 0


def test_the_default_folders_summary_compares_all_runs(go: Command, runs: Callable[[], list[Path]], here: Path) -> None:
    outcome = go()
    (folder,) = runs()
    assert f"{folder.relative_to(here)}\n" in outcome.out
    assert re.search(r"tensorboard --logdir outputs\n", outcome.out)


@pytest.mark.parametrize("name", ["mine", STRANGE, 'a "quoted" one'])
def test_the_folder_can_be_chosen(go: Command, command: Command, here: Path, name: str) -> None:
    quoted = '"{}"'.format(name.replace('"', '\\"'))
    outcome = go(f"hydra.run.dir={quoted if name != 'mine' else name}")
    assert outcome.status == 0, outcome.err
    assert results(here / name)["status"] == "finished"
    assert (here / name / ".hydra" / "config.yaml").is_file()
    assert not (here / "outputs").exists()


def test_what_the_summary_says_of_a_strange_folder_can_be_typed(go: Command, command: Command, here: Path) -> None:
    outcome = go(f'hydra.run.dir="{STRANGE}"')
    told = next(line for line in outcome.out.splitlines() if "gan_lightning sample" in line)
    sampled = command(*shlex.split(told.partition("python -m gan_lightning ")[2]))
    assert sampled.status == 0, sampled.err
    told = next(line for line in outcome.out.splitlines() if "--logdir" in line)
    assert (here / shlex.split(told.partition("--logdir")[2])[0]).is_dir()


def test_what_the_summary_says_can_be_typed_where_the_command_was(go: Command, command: Command, here: Path) -> None:
    """The run itself is in another current folder, where no shell is."""
    outcome = go("hydra.run.dir=mine", "hydra.job.chdir=true")
    assert str(here / "mine") in outcome.out
    told = next(line for line in outcome.out.splitlines() if "gan_lightning sample" in line)
    sampled = command(*shlex.split(told.partition("python -m gan_lightning ")[2]))
    assert sampled.status == 0, sampled.err
    assert (here / "grid.png").is_file()


def test_a_strange_folder_can_be_resumed(go: Command, command: Command, here: Path) -> None:
    assert go(f'hydra.run.dir="{STRANGE}"').status == 0
    outcome = command(f'resume="{STRANGE}"', "trainer.max_steps=3")
    assert outcome.status == 0, outcome.err
    assert results(here / STRANGE)["iteration"] == 3


def test_a_run_goes_on(run: Path, command: Command, here: Path) -> None:
    outcome = command(f"resume={run}", "trainer.max_steps=42")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("Finished at iteration 42")
    assert (results(run)["status"], results(run)["iteration"]) == ("finished", 42)
    assert config(run)["trainer"]["max_steps"] == 42
    assert config(run)["network"]["latent_dim"] == 4
    assert (run / "samples" / "00000042.png").is_file()
    assert not list(here.iterdir())
    # A further time, with the length that was asked for before.
    outcome = command(f"resume={run}")
    assert outcome.status == 0
    assert "complete at iteration 42" in outcome.out


@pytest.mark.parametrize("what", [["--cfg", "job"], ["--cfg", "job", "--resolve"], ["-c", "all"]], ids=" ".join)
def test_the_config_is_printed_instead_of_trained(what: list[str], go: Command, here: Path) -> None:
    outcome = go("loss=wgan_gp", *what)
    assert outcome.status == 0, outcome.err
    printed = yaml.safe_load(outcome.out)
    assert printed["loss"]["name"] == "wgan_gp"
    assert printed["trainer"]["max_steps"] == 2
    assert ("hydra" in printed) == ("all" in what)
    if "--resolve" in what:
        assert printed["model"]["generator"]["latent_dim"] == 4
    assert not list(here.iterdir())


def test_help_lists_the_groups(command: Command, here: Path) -> None:
    outcome = command("--help")
    assert outcome.status == 0
    for group in GROUPS:
        assert re.search(rf"^  {group}\n    \w+", outcome.out, re.MULTILINE)
    assert not list(here.iterdir())


def test_ones_own_loss(go: Command, here: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my configs" / "loss"
    folder.mkdir(parents=True)
    text = (CONF / "loss" / "vanilla.yaml").read_text()
    (folder / "mine.yaml").write_text(text.replace("name: vanilla", "name: mine").replace("2e-4", "3e-4"))
    outcome = go("--config-dir", str(folder.parent), "loss=mine", "hydra.run.dir=run")
    assert outcome.status == 0, outcome.err
    assert config(here / "run")["loss"]["name"] == "mine"
    assert config(here / "run")["loss"]["optimizer"]["generator"]["lr"] == 3e-4
    # A folder that is named relative to here does as well.
    outcome = go("--config-dir=../my configs", "loss=mine", "hydra.run.dir=run2")
    assert outcome.status == 0, outcome.err


def test_a_data_set_is_looked_for_where_the_command_is_typed(go: Command, here: Path) -> None:
    folder = here / "sets" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split in ("train", "t10k"):
        for kind, shape in (("images-idx3", (16, 28, 28)), ("labels-idx1", (16,))):
            header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
            (folder / f"{split}-{kind}-ubyte").write_bytes(header + np.zeros(shape, np.uint8).tobytes())
    outcome = go("dataset=mnist", "dataset.root=sets", "hydra.run.dir=elsewhere/run")
    assert outcome.status == 0, outcome.err
    assert sorted(path.name for path in here.iterdir()) == ["elsewhere", "sets"]


def test_a_failure_while_training(
    go: Command, runs: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    iterate = GAN.train_iteration

    def fail_in_the_second_iteration(self: GAN, *arguments: Any) -> None:
        if self.trainer.global_step == 1:
            raise RuntimeError("the accelerator is on fire")
        iterate(self, *arguments)

    monkeypatch.setattr(GAN, "train_iteration", fail_in_the_second_iteration)
    outcome = go("trainer.max_steps=3")
    assert outcome.status == 1
    assert "the accelerator is on fire" in outcome.err
    assert "Finished" not in outcome.out
    (folder,) = runs()
    log = (folder / "train.log").read_text()
    assert "Traceback" in log
    assert "RuntimeError: the accelerator is on fire" in log
    assert "fail_in_the_second_iteration" in log
    assert (results(folder)["status"], results(folder)["iteration"]) == ("failed", 1)


def test_the_log_says_what_was_asked_for(go: Command, here: Path) -> None:
    assert go("hydra.run.dir=run", "seed=3").status == 0
    assert "seed=3" in (here / "run" / "train.log").read_text()


def test_the_console_keeps_to_the_summary(go: Command) -> None:
    outcome = go("hydra.run.dir=run", "trainer.enable_progress_bar=false")
    assert outcome.err == ""
    assert len(outcome.out.splitlines()) == 7
