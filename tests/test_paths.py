"""Paths are read as they are typed, and what is printed of them can be pasted, whatever their characters are."""

import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from gan_lightning import UserError
from gan_lightning.commands.sample import Sampling
from gan_lightning.commands.sweep_resume import command_to_go_on
from gan_lightning.config.compose import parse
from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.paths import KEYS, override_value, shell_word, typed, whole, with_home, with_paths
from gan_lightning.runs.results import Run
from gan_lightning.runs.summary import at_once, summarise
from gan_lightning.studies.sweep_folder import Sweep
from gan_lightning.watching.loggers import Events

CHARACTERS = "ab12.-_~=,:;#()[]{}<>$'\"\\`!?*&|%@^ \t\n\x1b数д🎲é\u202e"
SEEDED = random.Random(0)
NAMES = [
    *(
        "2024",
        "null",
        "auto",
        "true",
        "~",
        "~x",
        "-x",
        "$HOME",
        "'q'",
        '"q"',
        "a,b",
        "loss=vanilla,seed=1",
        "a\nb",
        "a\\",
    ),
    *("".join(SEEDED.choices(CHARACTERS, k=SEEDED.randint(1, 8))) for _ in range(300)),
]
NAMES = [name for name in NAMES if name.strip() and "${" not in name and name not in (".", "..", "???")]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def in_bash(*words: str) -> list[str]:
    """The arguments that bash makes of what one types there."""
    line = f"printf '%s\\0' {' '.join(words)}"
    shown = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout
    return shown.decode().split("\0")[:-1]


def read(argument: str) -> Path:
    """The path that a command trains, goes on or evaluates with."""
    (quoted,) = with_paths([argument])
    return Path(str(parse([quoted])[0].value()))


@pytest.mark.parametrize("quote", [typed, lambda key, name: shell_word(f"{key}={override_value(name)}")])
def test_what_is_printed_is_read_as_the_same_path(quote: object, here: Path) -> None:
    """By every command, from bash, and in one line."""
    assert callable(quote)
    lines = [quote("run", name) for name in NAMES]
    assert all(line.isprintable() for line in lines)
    for name, argument in zip(NAMES, in_bash(*lines), strict=True):
        is_home = quote is not typed and name.startswith("~")
        expected = Path(os.path.expanduser(name)) if is_home else Path(name)
        assert read(argument) == expected, name
        schema = f"{Sampling.__module__}.{Sampling.__name__}"
        options = read_options(CONF / "sample.yaml", [argument], schema)
        assert Path(options["run"]) == expected, name


def test_hydra_reads_text_as_it_is() -> None:
    for name in NAMES:
        assert parse([f"x={override_value(name)}"])[0].value() == name


def test_names_are_read_as_they_are_typed(here: Path) -> None:
    """Those of folders that are there; else quotes around them, an escape of Hydra's, are none of the name."""
    for name in NAMES:
        if name not in ("null", "~", "~x") and not name.startswith("~"):
            (here / name).mkdir(exist_ok=True)
            assert read(f"dataset.root={name}") == Path(name), name
            assert read(f"resume={name}") == Path("null" if name == "null" else name)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("hydra.run.dir=~/a,b", 'hydra.run.dir="HOME/a,b"'),
        ("hydra.run.dir='~/a b'", 'hydra.run.dir="HOME/a b"'),
        ("hydra.run.dir=~/runs/${seed}", 'hydra.run.dir="HOME/runs/${seed}"'),
        ("+dataset.cache_dir=~", '+dataset.cache_dir="HOME"'),
        ("dataset.source.root=~/x", 'dataset.source.root="HOME/x"'),
        ("dataset.root=a,b", "dataset.root=a,b"),  # several, for a sweep
        ('dataset.root="a,b"', 'dataset.root="a,b"'),
        ("dataset.root='a,b',\"c\"", "dataset.root='a,b',\"c\""),
        ("dataset.root='a,b','c'", "dataset.root='a,b','c'"),
        (r'dataset.root="a\"b\\"', r'dataset.root="a\"b\\"'),
        ("dataset.root=null", 'dataset.root="null"'),
        ("run=null", 'run="null"'),
        ("resume=null", "resume=null"),
        ("dataset.labels=null", "dataset.labels=null"),
        ("resume=", "resume="),
        ("resume", "resume"),
        ("~dataset.root", "~dataset.root"),
        ("loss.name=~/x", "loss.name=~/x"),
    ],
)
def test_what_hydra_is_given(here: Path, argument: str, expected: str) -> None:
    assert with_paths([argument]) == [expected.replace("HOME", str(here / "home"))]


@pytest.mark.parametrize("key", KEYS)
def test_names_that_no_configuration_can_hold(here: Path, key: str) -> None:
    (here / "${x}").mkdir()
    with pytest.raises(
        UserError, match=rf"{key} is \${{x}}, which a configuration takes for .*without \${{, or a link"
    ):
        with_paths([f"{key}=${{x}}"])
    with pytest.raises(UserError, match=rf"{key} is \?\?\?, which .* write \./\?\?\? instead"):
        with_paths([f"{key}=???"])
    assert parse(with_paths([f"{key}=./???"]))[0].value() == "./???"


def test_flags_may_have_the_home_folder(here: Path) -> None:
    given = ["--config-dir=~/conf", "-cd=~", "--config-name=~x", "-m", "~loss", "seed=1"]
    home = str(here / "home")
    assert with_home(given) == [f"--config-dir={home}/conf", f"-cd={home}", *given[2:]]


def test_who_is_no_user_is_a_name(here: Path) -> None:
    """pathlib raises RuntimeError there."""
    assert whole("~nobody-of-that-name/x") == here / "~nobody-of-that-name" / "x"
    assert whole("~/x", Path("elsewhere")) == here / "home" / "x"
    assert whole("x", Path("elsewhere")) == here / "elsewhere" / "x"


# What the project prints


def commands(told: str) -> Sequence[str]:
    """The commands in what a run has said at its end, without the program."""
    lines = [line.split("  ", 2)[-1].strip().partition("python -m gan_lightning ") for line in told.splitlines()]
    return [line for _, _, line in lines if line]


def test_a_runs_last_words_can_be_pasted(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    names = NAMES[::4]
    typed_there: list[str] = []
    for name in names:
        summarise(Run(Path(name), "SIGINT", 3, 1.0, {}), plugins=("my_lab",))
        told = capsys.readouterr().out
        sample, go_on = commands(told)
        typed_there += [sample, go_on]
        logdir = next(line.partition("--logdir ")[2] for line in told.splitlines() if "--logdir" in line)
        (folder,) = in_bash(logdir)
        assert Path(folder) == Path(name).parent / Path(name).name
        assert folder[0] not in "~-"
    words = iter(in_bash(*typed_there))
    for name in names:
        assert next(words) == "sample"
        assert read(next(words)) == Path(name)
        assert [next(words) for _ in range(4)] == ["n=64", "seed=0", "out=grid.png", "plugins=[my_lab]"]
        assert read(next(words)) == Path(name)
        assert next(words) == "plugins=[my_lab]"


def test_so_can_what_a_stop_at_once_says(here: Path) -> None:
    for name in ("a b", "it's\n", "~x"):
        (here / name / "checkpoints").mkdir(parents=True)
        (here / name / "checkpoints" / "last.ckpt").touch()
        told = at_once(Path(name), "Stopped by Ctrl-C.").partition("python -m gan_lightning ")[2]
        assert read(in_bash(told.removesuffix(" goes on from the last checkpoint."))[0]) == Path(name)


def test_so_can_how_a_sweep_goes_on(here: Path) -> None:
    for name in NAMES[:30]:
        noted = Sweep([f"plugins={override_value(name)}", "seed=1,2"], flags=[f"--config-dir={name}"])
        line = command_to_go_on(Path(name), noted).partition("python -m gan_lightning ")[2]
        assert line.isprintable()
        multirun, resumed, *settings = in_bash(line)
        assert (multirun, settings) == ("-m", [f"--config-dir={name}", f"plugins={override_value(name)}"])
        assert read(resumed) == Path(name)


def test_events_lie_in_the_folder_of_that_name(here: Path) -> None:
    """Lightning's logger puts the values of variables in their places."""
    for name in ("$HOME", "~", "${HOME}x"):
        events = Events(Path(name))
        events.log_metrics({"x": 1.0}, 1)
        events.finalize("success")
        assert list((here / name).glob("events.out.tfevents.*"))
    assert not (here / "home").exists()
