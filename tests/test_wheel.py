"""The package as it is installed: conf/ inside it, and nothing needed from the checkout."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

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


def test_conf_is_inside(wheel: Path) -> None:
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "conf").rglob("*.yaml")}
    assert len(files) > 10
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: archive.read(name) for name in archive.namelist() if name.endswith(".yaml")}
    assert inside == {f"gan_lightning/{name}": path.read_bytes() for name, path in files.items()}


def test_all_code_is_inside_and_nothing_else(wheel: Path) -> None:
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gan_lightning").rglob("*.py")}
    assert {name for name in names(wheel) if name.endswith(".py")} == code
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
