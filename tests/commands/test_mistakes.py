"""What a mistake on the command line costs: one paragraph that names it, exit status 2, and nothing left behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning.run_folder import GENERATOR, LAST


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.fixture
def places(tmp_path: Path, run: Path) -> dict[str, Path]:
    """What the arguments in braces below stand for."""
    truncated = Path(shutil.copytree(run, tmp_path / "truncated"))
    truncate(truncated / LAST)
    truncate(truncated / GENERATOR)
    empty, corrupt, file = tmp_path / "empty", tmp_path / "corrupt", tmp_path / "file"
    empty.mkdir()
    corrupt.mkdir()
    (corrupt / "kitten.png").write_bytes(b"\x89PNG\r\n\x1a\n, or so it says")
    file.write_text("not a folder")
    broken = tmp_path / "broken"
    for group in ("loss", "network"):
        (broken / group).mkdir(parents=True)
    (broken / "network" / "binary.yaml").write_bytes(b"\xff")
    (broken / "loss" / "mine.yaml").write_text("defaults: [vanilla\nloss: {")
    return {
        "run": run,
        "truncated": truncated,
        "empty": empty,
        "broken": broken,
        "corrupt": corrupt,
        "file": file,
        "there": tmp_path,
    }


# The arguments, and what the message must contain: the key, the value, the nearest right spelling.
MISTAKES: list[tuple[str, list[str]]] = [
    # Names
    ("loss=wgan_gpp", ["loss", "wgan_gpp", "Did you mean wgan_gp?", "vanilla, wgan_clip, wgan_gp"]),
    ("dataset=digit", ["dataset", "digit", "Did you mean digits?"]),
    ("experiment=course_w4", ["experiment", "course_w4", "Did you mean course_w4a"]),
    ("regularizer=[gradient_penalti]", ["regularizer", "gradient_penalti", "Did you mean gradient_penalty?"]),
    ("network=null", ["network", "null"]),
    ("los=wgan_gp", ["los", "wgan_gp", "Did you mean loss?"]),
    ("trainer.acelerator=gpu", ["trainer.acelerator", "gpu", "Did you mean trainer.accelerator?"]),
    ("loss.optimizer.generater.lr=1", ["loss.optimizer.generater.lr", "1", "mean loss.optimizer.generator.lr?"]),
    ("+foo=1", ["foo", "1"]),
    ("+trainer.foo=1", ["trainer.foo", "1"]),
    ("+trainer.acelerator=gpu", ["trainer.acelerator", "gpu", "Did you mean trainer.accelerator?"]),
    ("trainer.gradient_clip_val=1", ["trainer.gradient_clip_val", "1"]),
    ("sampel", ["sampel", "Did you mean sample?"]),
    ("sampel run={run}", ["sampel", "Did you mean sample?"]),
    # Values
    ("trainer.max_steps=abc", ["trainer.max_steps", "abc", "a whole number"]),
    ("trainer.max_steps=0", ["trainer.max_steps", "0", "at least 1"]),
    ("loss.n_critic=0", ["loss.n_critic", "0", "at least 1"]),
    ("seed=-1", ["seed", "-1", "at least 0"]),
    ("dataset.batch_size=0", ["dataset.batch_size", "0", "at least 1"]),
    ("dataset.batch_size=100000", ["dataset.batch_size", "100000", "1500"]),
    ("trainer=3", ["trainer", "3", "a node with a _target_"]),
    ("network.generator.norm=bach", ["network.generator.norm", "bach", "Did you mean batch?"]),
    ("network.generator._target_=os.system", ["network.generator._target_", "os.system", "gan_lightning"]),
    ("network=dcgan dataset.image_size=4", ["network=dcgan", "8x8", "4x4"]),
    ("network=course", ["network=course", "28x28 pixels, got 8x8", "dataset.image_size=28", "network=dcgan"]),
    ("loss=r3gam", ["loss", "r3gam", "Did you mean r3gan?"]),
    ("regularizer=[r11]", ["regularizer", "r11", "Did you mean r1?"]),
    ("conditioning=projektion", ["conditioning", "projektion", "Did you mean projection?"]),
    ("conditioning=null", ["conditioning", "null", "none, projection"]),
    ("loss.packin=2", ["loss.packin", "2", "Did you mean loss.packing?"]),
    ("ema.halflife=5", ["ema.halflife", "5", "Did you mean ema.half_life?"]),
    ("loss=dragan latents.bond=2", ["latents.bond", "2", "Did you mean latents.bound?"]),
    (
        "conditioning=auxiliary heads.classification.generator_wieght=1",
        ["heads.classification.generator_wieght", "1", "Did you mean heads.classification.generator_weight?"],
    ),
    ("compatibility_warnings=of", ["compatibility_warnings", "of", "true or false"]),
    # Schedules
    ("loss.optimizer.generator.lr=${{linear:1}}", ["loss.optimizer.generator.lr", "START,END"]),
    ("loss.optimizer.generator.lr=${{linear:1,2,3,iterations,4,5}}", ["loss.optimizer.generator.lr", "START,END"]),
    ("loss.optimizer.generator.lr=${{linear:1,a}}", ["loss.optimizer.generator.lr", "'a'", "a number"]),
    ("ema.decay=${{linear:0.5,2}}", ["ema", "decay", "at most 1", "2"]),
    ("ema.decay=${{linear:0,1,10,epochs}}", ["epochs", "'iterations' or 'images'"]),
    ("loss.n_critic=${{linear:5,1}}", ["n_critic", "name its length"]),
    ("loss.n_critic=${{linear:5,0,10}}", ["n_critic", "at least 1", "0"]),
    ("dataset.batch_size=${{linear:5,1}}", ["dataset.batch_size", "a whole number"]),
    ("loss=hinge trainer.max_steps=-1 trainer.max_time=00:00:00:05", ["this run has none", "trainer.max_steps"]),
    # Parts that don't fit
    (
        "conditioning=projection dataset=swiss_roll",
        ["conditioning=projection", "dataset=swiss_roll", "conditioning=none"],
    ),
    ("loss=acgan dataset=gaussian", ["conditioning=auxiliary", "dataset=gaussian", "conditioning=none"]),
    (
        "conditioning=concat dataset=image_folder dataset.root={there}",
        ["conditioning=concat", "dataset=image_folder", "dataset.classes=N"],
    ),
    ("conditioning.generator=concat", ["network.generator", "label_input", "conditioning=none"]),
    ("loss=began network=mlp", ["BEGAN", "network=mlp_autoencoder"]),
    ("loss=acgan loss.packing=2", ["classification", "loss.packing=1"]),
    ("loss=acgan heads.classification.outputs=4", ["classification", "4", "heads.classification.outputs=10"]),
    ("loss=acgan network=dirac", ["classification", "conditioning=auxiliary"]),
    ("loss=pacgan dataset.batch_size=15", ["dataset.batch_size", "15", "loss.packing=2", "14 or 16"]),
    ("loss=infogan network.latent_dim=5", ["latents of 5", "12", "network.latent_dim"]),
    ("loss=wgan_clip network.discriminator.norm=spectral", ["weight_clipping", "'regularizer=[]'"]),
    (
        "loss=wgan_gp network.discriminator.norm=batch compatibility_warnings=false",
        ["gradient_penalty", "network.discriminator.norm=none"],
    ),
    ("network.discriminator.outputs=3", ["network.discriminator.outputs=1"]),
    ("network.generator.sample_shape=[1,8,9]", ["(1, 8, 9)", "(1, 8, 8)", "network.generator.sample_shape"]),
    # Hardware
    ("trainer.accelerator=gpu", ["trainer.accelerator", "gpu", "trainer.accelerator=cpu"]),
    ("trainer.accelerator=mps", ["trainer.accelerator", "mps", "trainer.accelerator=cpu"]),
    ("hardware=gpu", ["trainer.accelerator", "gpu", "trainer.accelerator=cpu"]),
    ("trainer.strategy=fsdp", ["trainer.strategy", "fsdp", "auto, ddp"]),
    (
        "trainer.sync_batchnorm=true trainer.devices=2 trainer.accelerator=cpu",
        ["trainer.sync_batchnorm", "GPUs alone, not on cpu", "network.generator.norm=layer"],
    ),
    ("trainer.precision=bf16-true", ["trainer.precision", "bf16-true", "bf16-mixed"]),
    ("trainer.max_epochs=0", ["trainer.max_epochs", "0", "at least 1"]),
    ("+trainer.gradient_clip_val=1.0", ["trainer.gradient_clip_val", "1.0"]),
    ("+trainer.logger=false", ["trainer.logger", "false", "TensorBoard"]),
    ("loss.optimizer.generator.lr=-1", ["loss.optimizer", "-1"]),
    ("dataset.image_size=0", ["dataset.image_size", "0", "at least 1"]),
    ("dataset.image_size=[48]", ["dataset.image_size", "[48]", "[HEIGHT,WIDTH]"]),
    ("dataset.image_size=big", ["dataset.image_size", "'big'", "at least 1"]),
    (
        "dataset=image_folder dataset.root={there} dataset.image_size=[8,0]",
        ["dataset.image_size", "[8, 0]", "at least 1"],
    ),
    ("dataset=image_folder dataset.root={there} dataset.range=[3,2]", ["range", "[3, 2]", "LOW below HIGH"]),
    ("dataset=image_folder dataset.root={there} dataset.fit=crp", ["dataset.fit", "crp", "Did you mean crop?"]),
    ("seed=5000000000", ["seed", "5000000000", "4.29497e+09"]),
    (
        "network=dcgan dataset.image_size=16 loss=wgan_gp network.discriminator.norm=batch",
        ["network.discriminator.norm=none"],
    ),
    ("--cfg job loss=wgan_gpp", ["loss=wgan_gpp", "wgan_gp"]),
    ("-m seed=1,2 hydra.launcher.jobs=-1", ["hydra.launcher.jobs", "-1", "at least 1"]),
    ("trainer.strategy=foo", ["trainer.strategy", "foo"]),
    ("trainer.precision=foo", ["trainer.precision", "foo", "32-true"]),
    # Numbers that no machine holds
    ("loss.optimizer.generator.lr=inf", ["loss.optimizer.generator.lr", "inf", "finite"]),
    ("loss.optimizer.generator.betas=[nan,0.9]", ["loss.optimizer.generator.betas[0]", "nan", "finite"]),
    ("regularizer=[r1] regularizer.r1.weight=1e400", ["regularizer.r1.weight", "inf", "finite"]),
    ("dataset.held_out=inf", ["dataset.held_out", "inf", "finite"]),
    ("dataset=ring network=toy dataset.source.radius=1e39", ["dataset.source.radius", "1e+39", "finite"]),
    ("network.generator.hidden_dim=100000", ["network.generator", "TiB", "smaller"]),
    ("dataset.image_size=100000", ["network.generator", "TiB", "dataset.image_size"]),
    ("samples.count=100000", ["samples.count", "100000", "pixels"]),
    (
        "trainer.accelerator=cpu trainer.devices=2 dataset.batch_size=2",
        ["dataset.batch_size", "1 on each of 2 devices"],
    ),
    ("dataset.batch_size=1", ["dataset.batch_size", "1", "generator", "network.generator.norm=layer"]),
    ("sample run={run} n=100000000000", ["n", "100000000000", "memory"]),
    ("sample run={run} interpolate=[1,-2]", ["interpolate", "-2", "at least 0"]),
    # Parts and groups that are none
    ("loss.optimizer.generator=null", ["loss.optimizer.generator", "null", "_partial_: true"]),
    ("dataset=500", ["dataset=500", "name", "digits"]),
    ("logger=true", ["logger=true", "name", "wandb"]),
    ("metric=[0,0]", ["metric=[0,0]", "name", "frechet"]),
    ("evaluate run={run} extractor=3", ["extractor=3", "name", "classifier"]),
    ("~trainer.accelerator", ["trainer.accelerator", "needs a value"]),
    ("~dataset.name", ["dataset.name", "needs a value"]),
    ("dataset_loss=digits_wgan_gp", ["dataset_loss", "follows from dataset and loss"]),
    ("evaluation.patience=1 evaluation.every=null", ["evaluation.patience", "every", "evaluation.every=1000"]),
    ("=1", ["'=1'", "KEY=VALUE"]),
    ("=", ["'='", "KEY=VALUE"]),
    # The Trainer's arguments
    ("trainer.accelerator=tpu", ["trainer.accelerator", "tpu", "cpu"]),
    ("trainer.devices=1.5", ["trainer.devices", "1.5"]),
    ("trainer.deterministic=maybe", ["trainer.deterministic", "maybe", "true or false"]),
    ("trainer.profiler=sample", ["trainer.profiler", "sample", "Did you mean simple?"]),
    ("trainer.log_every_n_steps=-1", ["trainer.log_every_n_steps", "-1", "at least 1"]),
    ("+trainer.limit_train_batches=0", ["trainer.limit_train_batches=0", "trainer.max_steps"]),
    # Hydra's flags
    ("--resolve", ["--resolve", "--cfg"]),
    ("--package x", ["--package", "--cfg"]),
    ("--shell-completion", ["--shell-completion", "install=SHELL"]),
    ("-m --cfg job", ["--multirun and --cfg"]),
    ("--nope", ["--nope", "--help"]),
    ("--experimental-rerun={empty}", ["{empty}"]),
    ("hydra.job_logging.version=2", ["version", "2"]),
    # What can't be read
    ("loss=vanilla,wgan_gp", ["loss=vanilla,wgan_gp", "-m"]),
    ("x|y", ["x y", "KEY=VALUE"]),
    ("seed=1 loss=[a", ["loss=[a", "KEY=VALUE"]),
    # Folders
    ("dataset=image_folder", ["dataset.root", "needs a value"]),
    ("dataset=image_folder dataset.root={there}/picturse", ["dataset.root", "{there}/picturse"]),
    ("dataset=image_folder dataset.root={there}/emptyy", ["dataset.root", "{there}/emptyy", "mean {there}/empty?"]),
    ("dataset=image_folder dataset.root={file}", ["dataset.root", "{file}"]),
    ("dataset=image_folder dataset.root={empty}", ["dataset.root", "{empty}", "png"]),
    (
        "dataset=image_folder dataset.root={corrupt}",
        ["dataset.root", "{corrupt}", "kitten.png", "dataset.skip_corrupt=true"],
    ),
    ("dataset=mnist", ["dataset.root", "data", "dataset=digits"]),
    ("dataset=image_folder dataset.root=", ["dataset.root", "''", "not empty as an unset shell variable is"]),
    ("dataset=stacked_mnist dataset.root=", ["dataset.root", "''", "not empty"]),
    ("dataset=image_folder dataset.root={corrupt} dataset.cache_dir=", ["dataset.cache_dir", "''", "not empty"]),
    ("extractor=inception extractor.weights=", ["extractor.weights", "''", "not empty"]),
    ("evaluate run={run} root=", ["root", "''", "not empty"]),
    ("sample run={run} out=", ["out", "''", "not empty"]),
    ("hydra.run.dir={file}/below", ["hydra.run.dir", "{file}/below"]),
    ("hydra.run.dir={file}", ["hydra.run.dir", "{file}"]),
    ("hydra.run.dir={run}", ["hydra.run.dir", "{run}", "resume={run}"]),
    ("--config-dir={there}/nope", ["{there}/nope"]),
    ("--config-dir={file}", ["{file}"]),
    # Going on
    ("resume={there}/rum", ["resume", "{there}/rum", "Did you mean {run}?"]),
    ("resume={empty}", ["resume", "{empty}", "no run"]),
    ("resume={truncated} trainer.max_steps=50", ["{truncated}/checkpoints/last.ckpt", "damaged"]),
    ("resume={run} loss=wgan_gp", ["loss=wgan_gp", "{run}", "trainer"]),
    ("resume={run} loss.n_critic=2", ["loss.n_critic=2", "{run}"]),
    ("resume={run} seed=1", ["seed=1", "{run}"]),
    ("resume={run} trainer.max_step=50", ["trainer.max_step", "50", "Did you mean trainer.max_steps?"]),
    # Sweeps
    ("-m loss=vanilla,wgna_gp", ["loss", "wgna_gp", "Did you mean wgan_gp?"]),
    ("-m seed=1,2 trainer.acelerator=cpu,gpu", ["trainer.acelerator", "cpu", "Did you mean trainer.accelerator?"]),
    ("-m seed=1,x", ["seed", "x", "a whole number"]),
    ("-m seed=1,2 resume={run}", ["resume", "-m"]),
    ("-m seed=1,2 hydra.launcher.job=1", ["hydra.launcher.job", "1", "Did you mean"]),
    ("-m seed=range(0)", ["seed=range(0)", "no value"]),
    ("-m seed=range(1,2,0)", ["seed=range(1,2,0)", "zero"]),
    ("-m seed=range(0,1000000000)", ["seed=range(0,1000000000)", "10000 jobs"]),
    ("-m seed=interval(0,1)", ["seed=interval(0,1)", "list some"]),
    ("-m loss=glob(zz*)", ["loss=glob(zz*)", "no value"]),
    ("-m seed=1,2 hydra/launcher=null", ["hydra/launcher=null", "processes"]),
    ("-m seed=1,2 hydra.launcher=null", ["hydra.launcher", "null"]),
    ("-m seed=1,2 hydra.launcher._target_=os.system", ["hydra.launcher._target_", "os.system"]),
    ("-m seed=1,2 hydra.sweeper.max_batch_size=0", ["hydra.sweeper.max_batch_size", "0", "at least 1"]),
    ("-m loss=vanilla,wgan_gp seed=1,-1", ["seed", "-1", "job #1", "loss=vanilla"]),
    ("-m network=dcgan,mlp network.generator.width=8", ["network.generator.width", "job #1", "network=mlp"]),
    ("-m seed=1,2 hydra.sweep.dir={file}/below", ["hydra.sweep.dir", "{file}"]),
    # Hydra's own keys
    ("hydra.run.dir=", ["hydra.run.dir", "empty"]),
    ("hydra.run.dir=${{nope}}", ["hydra.run.dir", "nope"]),
    ("-m seed=1,2 hydra.sweep.dir=", ["hydra.sweep.dir", "empty"]),
    ("-m seed=1,2 hydra.sweep.subdir=${{nope}}", ["hydra.sweep.subdir", "nope"]),
    ("+hydra.run.dri=x", ["hydra.run.dri", "Did you mean hydra.run.dir?"]),
    ("hydra.output_subdir=", ["hydra.output_subdir", "config.yaml"]),
    ("hydra.output_subdir=./", ["hydra.output_subdir", "./", "config.yaml"]),
    ("hydra.job.chdir=maybe", ["hydra.job.chdir=maybe", "bool"]),
    ("hydra.searchpath=[file://{there}/nope]", ["hydra.searchpath", "{there}/nope"]),
    ("--config-dir={broken} loss=mine", ["{broken}/loss/mine.yaml", "line 2"]),
    ("--config-dir={broken} network=binary", ["{broken}/network/binary.yaml", "UTF-8"]),
    # Samples
    ("sample", ["run", "needs a value"]),
    ("sample run={there}/rum", ["run", "{there}/rum", "Did you mean {run}?"]),
    ("sample run={empty}", ["run", "{empty}", "generator.safetensors"]),
    ("sample run={truncated}", ["{truncated}/generator.safetensors"]),
    ("sample run={file}", ["{file}"]),
    ("sample run={truncated} weights=raw", ["{truncated}/"]),
    ("sample run={run} n=0", ["n", "0", "at least 1"]),
    ("sample run={run} n=ten", ["n", "ten", "a whole number"]),
    ("sample run={run} frames=0 interpolate=[0,1]", ["frames", "0", "at least 1"]),
    ("sample run={run} interpolate=[3]", ["interpolate", "[3]", "two"]),
    ("sample run={run} sed=1", ["sed", "1", "Did you mean seed?"]),
    ("sample run={run} +colour=red", ["colour", "red"]),
    ("sample run={run} weights=rae", ["weights", "rae", "Did you mean raw?"]),
    ("sample run={run} device=cuda", ["device", "cuda", "device=cpu"]),
    ("sample run={run} device=mps", ["device", "mps", "device=cpu"]),
    ("sample run={run} out={file}/x.png", ["out", "{file}/x.png"]),
    ("sample run={run} out={file}/x", ["out", "{file}/x"]),
    ("sample run={run} out={file}", ["out", "{file}"]),
    ("sample run={run} n=1,2", ["n is", "1,2", "a whole number"]),
    ("sample run={run} n=[1", ["n=[1", "KEY=VALUE"]),
    ("sample run={run} n", ["n", "KEY=VALUE"]),
]


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder, but for a cache and for logs."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if "cache" not in path.parts}
    return {
        name: path.read_bytes() if path.is_file() else None for name, path in found.items() if path.name != "train.log"
    }


def only_paragraph(err: str) -> str:
    """The message, if stderr holds one paragraph and nothing else."""
    assert err.strip()
    assert "\n\n" not in err.strip()
    assert "Traceback" not in err
    assert len(err) < 1000
    return err.strip()


@pytest.mark.parametrize(("arguments", "fragments"), MISTAKES, ids=[arguments for arguments, _ in MISTAKES])
def test_a_mistake(
    arguments: str,
    fragments: list[str],
    places: dict[str, Path],
    tmp_path: Path,
    command: Callable[..., Any],
    tiny: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.mps, "is_available", lambda: False, raising=False)
    before = contents(tmp_path)
    outcome = command(*(text.replace("|", " ").format(**places) for text in arguments.split()))
    message = only_paragraph(outcome.err)
    assert (outcome.status, outcome.out) == (2, "")
    for fragment in fragments:
        expected = fragment.format(**places)
        assert re.search(rf"(?<![\w.]){re.escape(expected)}", message, re.IGNORECASE), f"{expected} is not in {message}"
    assert contents(tmp_path) == before


def test_what_a_mistake_leaves_would_be_noticed(tmp_path: Path, here: Path) -> None:
    before = contents(tmp_path)
    (here / "outputs" / "2026-01-31" / "12-00-00_vanilla_digits_s0").mkdir(parents=True)
    assert contents(tmp_path) != before


def test_a_mistake_when_going_on_does_not_stay_in_the_run(run: Path, command: Callable[..., Any]) -> None:
    assert command(f"resume={run}", "trainer.max_steps=41", "trainer.precision=foo").status == 2
    outcome = command(f"resume={run}", "trainer.max_steps=41")
    assert outcome.status == 0, outcome.err
    assert json.loads((run / "results.json").read_text())["iteration"] == 41


def test_a_mistake_in_a_new_folder_leaves_ones_own_files(here: Path, command: Callable[..., Any]) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("notes")
    assert command("hydra.run.dir=mine", "dataset.batch_size=100000").status == 2
    assert [path.name for path in (here / "mine").iterdir()] == ["notes.txt"]


IN_A_NEW_PROCESS = """
import json, sys
from gan_lightning.__main__ import main
status = main(json.loads(sys.argv[1]))
print(json.dumps([status, [name for name in ("torch", "pytorch_lightning", "torchvision") if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["trainer.acelerator=gpu", "loss=wgan_gp"], "Did you mean trainer.accelerator?"),
        (["-m", "loss=vanilla,wgna_gp", "seed=1,2"], "Did you mean wgan_gp?"),
        (["resume=nowhere", "trainer.max_steps=9"], "nowhere"),
        (["sample", "run=nowhere"], "nowhere"),
    ],
    ids=["train", "sweep", "resume", "sample"],
)
def test_a_mistake_is_answered_without_torch(here: Path, arguments: list[str], fragment: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS, json.dumps(arguments)], capture_output=True, text=True, timeout=60
    )
    assert fragment in only_paragraph(process.stderr)
    assert json.loads(process.stdout) == [2, []]
    assert not list(here.iterdir())


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job", "loss=r3gan", "conditioning=projection"]])
def test_help_and_the_config_need_no_torch(here: Path, arguments: list[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS, json.dumps(arguments)], capture_output=True, text=True, timeout=60
    )
    assert process.stderr == ""
    assert json.loads(process.stdout.splitlines()[-1]) == [0, []]
    assert "conditioning" in process.stdout
    assert not list(here.iterdir())


UNWISE = ("loss=wgan_gp", "regularizer=[]", "trainer.max_steps=1", "hydra.run.dir=mine")


def test_a_caution_is_a_warning_that_can_be_silenced(
    here: Path, command: Callable[..., Any], tiny: tuple[str, ...]
) -> None:
    quiet = "trainer.enable_progress_bar=false"
    outcome = command(*tiny, *UNWISE, quiet)
    assert outcome.status == 0
    warned = only_paragraph(outcome.out.partition("Finished")[0] + outcome.err)
    assert "Wasserstein with a critic that nothing keeps Lipschitz" in warned
    assert warned.endswith("(compatibility_warnings=false silences this)")
    assert "nothing keeps Lipschitz" in (here / "mine" / "train.log").read_text()
    # It may be silenced when a run goes on, too.
    for silent in ((*tiny, *UNWISE[:-1], "hydra.run.dir=other", quiet), ("resume=mine", "trainer.max_steps=2")):
        outcome = command(*silent, "compatibility_warnings=false")
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out.startswith("Finished")


def test_the_status_of_the_process(here: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "gan_lightning", "loss=wgan_gpp"], capture_output=True, text=True, timeout=60
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert "Did you mean wgan_gp?" in only_paragraph(process.stderr)
    assert not list(here.iterdir())


def test_a_mistake_in_ones_own_config(tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "mine" / "loss").mkdir(parents=True)
    (tmp_path / "mine" / "loss" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - vanilla\n  - _self_\nloss:\n  objective:\n    saturation: true\n"
    )
    outcome = command("--config-dir", str(tmp_path / "mine"), "loss=mine")
    message = only_paragraph(outcome.err)
    assert outcome.status == 2
    assert "loss.objective.saturation" in message
    assert "Did you mean loss.objective.saturating?" in message
    assert not os.listdir()
