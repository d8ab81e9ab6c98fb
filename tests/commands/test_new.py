"""`python -m gan_lightning new NAME`: a package that works at once, or one paragraph and nothing written."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gan_lightning.__main__ import main
from gan_lightning.config.places import CONF, TEMPLATE
from gan_lightning.plugins import GROUP

ROOT = Path(__file__).resolve().parents[2]
Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], here: Path) -> Refused:
    """What `new` says of its arguments, after a check that nothing was written."""

    def run(*arguments: str) -> str:
        before = sorted(here.rglob("*"))
        assert main(["new", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (told,) = captured.err.splitlines()
        assert sorted(here.rglob("*")) == before
        return told

    return run


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], ["needs the name", "new my_lab"]),
        (["lab", "other"], ["one name", "'lab'", "'other'"]),
        (["lab", "--force"], ["one name", "'--force'"]),
        (["my-lab"], ["'my-lab'", "Did you mean my_lab?"]),
        (["My lab"], ["'My lab'", "Did you mean My_lab?"]),
        (["class"], ["'class'", "no word of Python's"]),
        (["2lab"], ["'2lab'", "begins with a letter"]),
        (["_lab"], ["'_lab'", "Did you mean lab?"]),
        (["größe"], ["'größe'", "ASCII letters"]),
        (["labs/mine"], ["'labs/mine'", "such as my_lab"]),
        (["../lab"], ["'../lab'"]),
        (["--force"], ["'--force'"]),
        ([""], ["''"]),
        (["torch"], ["'torch'", "something else already", "torch_lab"]),
        (["json"], ["'json'", "something else already"]),
        (["gan_lightning"], ["'gan_lightning'", "something else already"]),
        (["tests"], ["'tests'", "something else already"]),
        (["x" * 300], ["can't be written", "too long"]),
    ],
)
def test_a_mistake(refused: Refused, arguments: list[str], told: list[str]) -> None:
    message = refused(*arguments)
    assert [part for part in told if part not in message] == []
    assert ("Did you mean" in message) == any("Did you mean" in part for part in told)


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_something_in_the_way(refused: Refused, here: Path, kind: str) -> None:
    if kind == "folder":
        (here / "lab").mkdir()
    elif kind == "file":
        (here / "lab").write_text("mine")
    else:
        (here / "lab").symlink_to("nowhere")
    assert f"{here / 'lab'} is there already" in refused("lab")


def test_a_folder_that_can_not_be_written(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, *arguments: object, **keywords: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", denied)
    assert "lab can't be written (Permission denied)" in refused("lab")


def test_a_disk_that_is_full(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Path.write_text, list[Path]()

    def full(self: Path, *arguments: str, **keywords: str) -> int:
        written.append(self)
        if len(written) > 3:
            raise OSError(28, "No space left on device", str(self))
        return write(self, *arguments, **keywords)

    monkeypatch.setattr(Path, "write_text", full)
    assert "lab can't be written (No space left on device)" in refused("lab")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["lab", "--help"]])
def test_help(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["new", *arguments]) == 0
    assert "python -m gan_lightning new NAME" in capsys.readouterr().out
    assert not list(here.iterdir())


@pytest.fixture
def told(here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said once the package `Study_2` is written."""
    assert main(["new", "Study_2"]) == 0
    return capsys.readouterr().out


def test_what_is_written(here: Path, told: str) -> None:
    files = {path.relative_to(here / "Study_2").as_posix(): path for path in here.rglob("*") if path.is_file()}
    assert files.keys() == {
        *("README.md", "pyproject.toml", "tests/test_Study_2.py"),
        *(f"Study_2/{name}.py" for name in ("__init__", "losses", "networks", "data", "metrics")),
        *(
            f"Study_2/conf/{option}.yaml"
            for option in ("loss/pearson", "network/residual", "dataset/moons", "metric/energy")
        ),
    }
    for name, path in files.items():
        text = path.read_text(encoding="utf-8")
        assert "my_lab" not in text
        assert text == (TEMPLATE / name.replace("Study_2", "my_lab")).read_text(encoding="utf-8").replace(
            "my_lab", "Study_2"
        )
    project = tomllib.loads(files["pyproject.toml"].read_text())
    assert project["project"]["entry-points"][GROUP] == {"Study_2": "Study_2"}


def test_its_options_are_no_built_in_ones(here: Path, told: str) -> None:
    conf = here / "Study_2" / "Study_2" / "conf"
    options = [path.relative_to(conf) for path in conf.rglob("*.yaml")]
    assert len(options) == 4
    for option in options:
        assert (CONF / option).parent.is_dir()
        assert not (CONF / option).exists()
        assert yaml.safe_load((conf / option).read_text())


def test_what_is_told_names_what_there_is(here: Path, told: str) -> None:
    assert "\n  cd Study_2\n  python -m pytest\n" in told
    (command,) = re.findall(r"python -m gan_lightning (.*)", told)
    plugins, *choices = command.split()
    assert plugins == "'plugins=[Study_2]'"
    for group, _, option in (choice.partition("=") for choice in choices):
        assert (here / "Study_2" / "Study_2" / "conf" / group / f"{option}.yaml").is_file()


def test_it_is_in_style(here: Path, told: str) -> None:
    for arguments in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "Study_2"]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_from_the_folder_above_one_is_told_where_it_is(
    here: Path, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["plugins=[Study_2]", "loss=pearson"]) == 2
    assert capsys.readouterr().err == (
        "plugins names Study_2, but the package lies one folder deeper, in Study_2/; cd Study_2 first.\n"
    )


@pytest.mark.slow
def test_its_tests_pass(here: Path, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=here / "Study_2",
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\n\d+ passed in ", done.stdout)
