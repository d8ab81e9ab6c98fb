"""The Makefile's targets and the locked versions."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-uv.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def listed() -> list[str]:
    """The targets that `make help` names."""
    process = make("help")
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert all(re.fullmatch(r"[a-z]+ +\S.*", line) for line in lines)
    return [line.split()[0] for line in lines]


def test_every_target_of_the_help_exists() -> None:
    targets = listed()
    assert {"help", "setup", "train", "test", "lint", "format", "type", "lock", "clean"} <= set(targets)
    for target in targets:
        process = make("--dry-run", target)
        assert process.returncode == 0, process.stderr
    assert make("--dry-run", "no-such-target").returncode != 0


def test_every_target_is_in_the_help_and_is_no_file() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    rules = re.findall(r"^([a-z]+):", makefile, re.MULTILINE)
    assert sorted(listed()) == sorted(phony.split()) == sorted(rules)


def test_arguments_reach_the_command() -> None:
    shown = make("--dry-run", "train", "ARGS=loss=wgan_gp seed=1").stdout
    assert "-m gan_lightning loss=wgan_gp seed=1" in shown
    shown = make("--dry-run", "test", "ARGS=-k resume").stdout
    assert re.search(r"-m pytest .*-k resume", shown)


def entries(name: str) -> dict[str, list[str]]:
    """The entries of a lock file, several for a package that has more than one version, with their hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: dict[str, list[str]] = {}
    for line in lines:
        requirement = Requirement(line.partition("--hash")[0].strip())
        found.setdefault(canonicalize_name(requirement.name), []).append(line)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_locks_pin_versions_by_hash_and_name_no_server(name: str) -> None:
    assert entries(name)
    for lines in entries(name).values():
        for line in lines:
            requirement = Requirement(line.partition("--hash")[0].strip())
            assert [specifier.operator for specifier in requirement.specifier] == ["=="]
            assert re.search(r" --hash=sha256:[0-9a-f]{64}( |$)", line), line
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links|@ ?file:", text)


def test_every_direct_dependency_is_locked_in_a_version_that_fits() -> None:
    locked = entries("requirements.lock")
    project = PROJECT["project"]
    direct = [*project["dependencies"], *project["optional-dependencies"]["dev"], *PROJECT["build-system"]["requires"]]
    assert len(direct) > 10
    for text in direct:
        requirement = Requirement(text)
        lines = locked.get(canonicalize_name(requirement.name))
        assert lines, f"{requirement.name} is not locked"
        for line in lines:
            (pin,) = Requirement(line.partition("--hash")[0].strip()).specifier
            assert requirement.specifier.contains(pin.version, prereleases=True), f"{text}, locked: {pin}"
