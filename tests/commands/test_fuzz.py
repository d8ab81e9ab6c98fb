"""Whatever is typed, the answer is what was asked for, or one paragraph and status 2 with nothing left behind.

`make fuzz` tries more lines, others each time, and prints the one that fails.
"""

import logging
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from small import small

from gan_lightning.commands.launcher import ProcessLauncher
from gan_lightning.config.compose import compose
from gan_lightning.config.containers import keys
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError
from gan_lightning.runs import run as running

# A handler that a line leaves out of Hydra's logging is closed by nobody.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

EXAMPLES = int(os.environ.get("FUZZ", "0"))
bounded = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
PATIENCE = 120  # seconds for a line: none of them asks for more than two iterations of tiny networks
MEMORY = 16 * 2**30  # bytes of addresses, so that a size that isn't refused is a failure and no dead machine
TOLD = "It would be trained."
LENGTHS = ("trainer.max", "trainer.min", "trainer=", "dataset.iterations", "trainer.devices", "trainer.num_nodes")

CONFIG = compose(Sources("train"), [], TRAINING)
KEYS = [*keys(CONFIG), *keys(CONFIG, of_hydra=True)]
OPTIONS = {folder.name: [file.stem for file in folder.glob("*.yaml")] for folder in CONF.iterdir() if folder.is_dir()}
COMMANDS = ("sample", "edit", "evaluate", "report", "cache", "synthesize", "export", "import")
OTHERS = {name: [str(key) for key in OmegaConf.load(CONF / f"{name}.yaml")] for name in COMMANDS}
BASE = {
    "sample": ["run={run}"],
    "edit": ["run={run}", "means=directions", "n=2"],
    "evaluate": ["run={run}", "samples=50", "reference=50", "intervals=0", "metric=[sliced]"],
    "report": ["runs={run}", "out=report"],
    "cache": [],
    "synthesize": ["run={run}", "n=2"],
    "export": ["run={run}", "format=safetensors"],
    "import": ["{run}/generator.safetensors"],
}
NAMES = sorted({option for options in OPTIONS.values() for option in options})
FLAGS = [
    *(
        "-m",
        "--multirun",
        "-r",
        "--run",
        "-h",
        "--help",
        "--hydra-help",
        "--version",
        "--resolve",
        "--info",
        "-c",
        "-p",
    ),
    *("--cfg", "--cfg=job", "--cfg=hydra", "--cfg=all", "--info=defaults", "--info=searchpath", "--package=loss"),
    *("--config-dir=nowhere", "--config-name=nothing", "--config-path=nowhere", "--shell-completion", "-sc", "--nope"),
    *("--", "-", "-1", "--config-dir=", "--experimental-rerun=x", "-mh"),
]
VALUES = [
    *("", "null", "0", "-1", "1", "2", "3.5", "1e-3", "nan", "inf", "-inf", "1e400", str(10**11), str(10**30), "1_000"),
    *("true", "maybe", "[]", "[1,-2]", "[[1]]", "[r1,r1]", "{}", "{a:1}", "{_target_:os.system}", "a b", "~", "データ"),
    *("${seed}", "${nope}", "${", "${linear:1,0}", "${linear:1,0,10}", "${oc.env:NOPE}", "${.}", "???", "'", '"', '""'),
    *("1,2", "1,", ",", "range(3)", "range(3,1)", "range(0)", "interval(0,1)", "choice(1,2)", "choice()", "glob(*)"),
    *("sort(3,1)", "shuffle(1,2)", "tag(a,choice(1,2))", "int(1.5)", "str(1)", "nope(1)", "\\", "\n", "\x00", "%", "@"),
]

values = st.one_of(
    st.sampled_from(VALUES),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(NAMES), max_size=3).map(lambda names: f"[{','.join(names)}]"),
    st.integers(-3, 300).map(str),
    st.floats().map(repr),
    st.text("ab1=,:{}[]()$'\"\\+-_ é\t", max_size=8),
)
operators = st.sampled_from(["", "", "", "+", "++", "~"])


def typed(name: str) -> st.SearchStrategy[str]:
    """A name, or one that a slip of the finger makes of it."""
    at = st.integers(0, len(name))
    return st.one_of(st.just(name), st.just(name), st.just(name), at.map(lambda i: name[:i] + name[i + 1 :]))


choices = st.sampled_from(sorted(OPTIONS)).flatmap(
    lambda group: st.tuples(operators, typed(group), st.one_of(st.sampled_from(OPTIONS[group] or ["x"]), values))
)
assignments = st.tuples(operators, st.sampled_from(KEYS).flatmap(typed), values)
overrides = st.one_of(choices, assignments).map(lambda parts: "{}{}={}".format(*parts))
removals = st.sampled_from([*KEYS, *OPTIONS]).map(lambda key: f"~{key}")
words = st.one_of(
    overrides, overrides, overrides, removals, st.sampled_from(["=", "=1", "~", "+", "seed", "a=b=c", ""])
)
lines = st.lists(words, min_size=1, max_size=3)
flagged = st.tuples(st.lists(st.sampled_from(FLAGS), min_size=1, max_size=2), st.lists(words, max_size=2)).map(
    lambda parts: [*parts[0], *parts[1]]
)
commands = st.sampled_from(sorted(OTHERS)).flatmap(
    lambda name: st.lists(
        st.one_of(
            st.tuples(operators, st.sampled_from(OTHERS[name]).flatmap(typed), values).map(
                "{0[0]}{0[1]}={0[2]}".format
            ),
            words,
            st.sampled_from(FLAGS),
        ),
        max_size=3,
    ).map(lambda rest: [name, *BASE[name], *rest])
)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sweeps are planned and not launched, and what is called home is a folder of the test's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ProcessLauncher, "launch", would_launch)


def would_launch(*_: Any, **__: Any) -> list[Any]:
    return []


def would_train(*_: Any) -> NoReturn:
    raise UserError(TOLD)


@contextmanager
def limited() -> Iterator[None]:
    """Lets a block take no more time and memory than any line needs."""

    def without_end(*_: Any) -> NoReturn:
        raise AssertionError(f"it took more than {PATIENCE} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, without_end)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A current folder with nothing in it, for one line; its logs are closed."""
    before, root = Path.cwd(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    folder = Path(tempfile.mkdtemp(dir=before))
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        shutil.rmtree(folder)


def require_answer(command: Callable[..., Any], arguments: Sequence[str]) -> None:
    """Asserts what holds of every line."""
    with empty_folder() as folder, limited():
        outcome = command(*arguments)
        left = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    assert "Traceback" not in outcome.out + outcome.err
    assert outcome.status in (0, 1, 2)
    if outcome.status == 0:
        return
    message = outcome.err.strip()
    assert message
    # Cautions on what is unwise may go before.
    assert "\n\n" not in message
    assert len(message) < 3000
    if outcome.status == 2 and TOLD not in message:
        assert left == [], message


def train_shortly(command: Callable[..., Any], arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a line on tiny networks: two iterations, or none if it speaks of the length itself."""
    with monkeypatch.context() as patched:
        if any(part in argument for argument in arguments for part in LENGTHS):
            patched.setattr(running, "train", would_train)
        base = (*small(), "dataset.batch_size=16", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false")
        require_answer(command, [*base, "trainer.max_steps=2", *arguments])


@pytest.mark.slow
@bounded
@given(arguments=lines)
def test_lines(arguments: list[str], short: None, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    train_shortly(command, arguments, monkeypatch)


@pytest.mark.slow
@bounded
@given(arguments=flagged)
def test_flags(arguments: list[str], short: None, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    train_shortly(command, arguments, monkeypatch)


@pytest.mark.slow
@bounded
@given(arguments=commands)
def test_commands(arguments: list[str], short: None, command: Callable[..., Any], trained: Path) -> None:
    require_answer(command, [argument.replace("{run}", str(trained)) for argument in arguments])
