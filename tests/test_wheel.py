"""The package as it is installed: conf/ and template/ inside it, and nothing needed from the checkout."""

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.build import build_sdist, build_wheel

from gan_lightning import __version__

ROOT = Path(__file__).resolve().parents[1]


def built(source: Path, folder: Path) -> Path:
    """Builds the wheel of a source tree, as an installer does, and returns its file."""
    before = Path.cwd()
    os.chdir(source)
    try:
        return folder / build_wheel(str(folder))
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def tracked(folder: str) -> dict[str, Path]:
    """The files of a folder beside the package, but for what tools leave there, by the names that they have inside."""
    paths = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    suffixes = (".yaml", ".py", ".toml", ".md")
    kept = [path for path in paths if path.suffix in suffixes and not any(p.startswith(".") for p in path.parts)]
    return {f"gan_lightning/{path.relative_to(ROOT).as_posix()}": path for path in kept}


@pytest.mark.parametrize(("folder", "least"), [("conf", 11), ("template", 11)])
def test_what_lies_beside_the_code_is_inside(wheel: Path, folder: str, least: int) -> None:
    files = tracked(folder)
    assert len(files) >= least
    with zipfile.ZipFile(wheel) as archive:
        assert {name: archive.read(name) for name in files} == {name: path.read_bytes() for name, path in files.items()}


def test_all_code_is_inside_and_nothing_else(wheel: Path) -> None:
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gan_lightning").rglob("*.py")}
    beside = tracked("conf") | tracked("template")
    assert {name for name in names(wheel) if name.endswith((".py", ".yaml"))} == code | {
        name for name in beside if name.endswith((".py", ".yaml"))
    }
    assert {name.partition("/")[0] for name in names(wheel)} == {
        "gan_lightning",
        f"gan_lightning-{__version__}.dist-info",
    }


def test_metadata(wheel: Path) -> None:
    information = f"gan_lightning-{__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        scripts = archive.read(f"{information}/entry_points.txt").decode()
        metadata = archive.read(f"{information}/METADATA").decode().splitlines()
    assert "[console_scripts]\ngan-lightning = gan_lightning.__main__:main" in scripts
    assert {"Name: gan-lightning", f"Version: {__version__}", "License-Expression: MIT"} <= set(metadata)
    assert any(line.startswith("Requires-Dist: torch>=") for line in metadata)
    assert f"{information}/licenses/LICENSE" in names(wheel)


def test_a_wheel_from_the_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        source = tmp_path / build_sdist(str(tmp_path))
    finally:
        os.chdir(before)
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (unpacked,) = (tmp_path / "source").iterdir()
    assert names(built(unpacked, tmp_path)) == names(wheel)


def test_the_installed_package_trains(tiny: tuple[str, ...], wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    # Marks that only this copy of the code and of conf/ has.
    for file, old, new in (
        ("__init__.py", f'__version__ = "{__version__}"', '__version__ = "7.7.7"'),
        ("conf/train.yaml", "\nseed: 0\n", "\nseed: 777\n"),
    ):
        path = installed / "gan_lightning" / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
    process = subprocess.run(
        [sys.executable, "-P", "-m", "gan_lightning", *tiny, "trainer.max_steps=1"],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    (file,) = elsewhere.glob("outputs/*/*/results.json")
    results = json.loads(file.read_text())
    assert results["status"] == "finished"
    assert results["versions"]["gan_lightning"] == "7.7.7"
    assert results["seed"] == 777
    assert results["git"] is None
    assert yaml.safe_load((file.parent / "config.yaml").read_text())["seed"] == 777
    assert file.parent.name.endswith("_vanilla_digits_s777")


class Place:
    """Folders to type commands in, with the package of this wheel installed, and nothing of the checkout."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.installed, self.here = folder / "installed", folder / "here"
        self.here.mkdir(parents=True)
        self.install(wheel)

    def install(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.installed)

    def run(self, arguments: str, folder: str = ".") -> str:
        """What `python ARGUMENTS` prints in a folder below, once it has ended well."""
        environment = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "RANK")}
        done = subprocess.run(
            [sys.executable, *shlex.split(arguments)],
            cwd=self.here / folder,
            env=environment | {"PYTHONPATH": str(self.installed), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


TINY = (
    "dataset.source.count=500 dataset.batch_size=16 network.generator.hidden_dim=8 network.discriminator.hidden_dim=8"
    " evaluation.every=null dashboard.every=null trainer.accelerator=cpu trainer.enable_progress_bar=false"
)


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


@pytest.mark.slow
def test_a_package_of_ones_own(wheel: Path, tmp_path: Path) -> None:
    """All commands with parts out of it: trusted by name where it lies, and by its entry point once it is installed."""
    place = Place(wheel, tmp_path)
    told = place.run("-m gan_lightning new study")
    (train,) = re.findall(r"python (-m gan_lightning .*)", told)
    place.run("-m pytest -q", "study")

    place.run(f"{train} -m seed=1,2 trainer.max_steps=2 {TINY} hydra.launcher.jobs=2 hydra.sweep.dir=sweep", "study")
    first, second = sorted(path.parent for path in place.here.glob("study/sweep/*/results.json"))
    assert [results(run)["iteration"] for run in (first, second)] == [2, 2]
    place.run(f"""-m gan_lightning 'plugins=[study]' 'resume="{first}"' trainer.max_steps=3""", "study")
    assert (results(first)["status"], results(first)["iteration"]) == ("finished", 3)

    place.run(f"{train} hardware=ddp trainer.devices=2 trainer.max_steps=2 {TINY} hydra.run.dir=two", "study")
    assert results(place.here / "study" / "two")["iteration"] == 2

    place.install(built(place.here / "study", tmp_path))
    place.run("-m gan_lightning sample run=study/two n=5 out=points.csv")
    assert len((place.here / "points.csv").read_text().splitlines()) == 5
    table = place.run(
        "-m gan_lightning evaluate 'run=study/sweep/*' metric=energy samples=100 reference=100 intervals=0"
    )
    assert "energy_distance" in table
    assert results(second)["evaluations"][0]["values"].keys() == {"energy_distance"}
