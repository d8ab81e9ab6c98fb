"""The options of commands without groups, by those of `sample`."""

import pytest

from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.errors import UserError

SCHEMA = "gan_lightning.commands.sample.Sampling"


def read(*arguments: str) -> dict[str, object]:
    return read_options(CONF / "sample.yaml", arguments, SCHEMA)


def test_values_are_yaml_and_paths_what_they_are() -> None:
    defaults = read("run=a/loss=x,seed=1 (2)")
    assert (defaults["run"], defaults["n"], defaults["interpolate"]) == ("a/loss=x,seed=1 (2)", 64, None)
    found = read("run=null", r"out=\${n}$HOME.png")
    assert (found["run"], found["out"]) == ("null", r"\${n}$HOME.png")
    found = read('run="a b"', "n=2", "n=4", "interpolate=[0,1]", "label=3", "out=[x].png")
    assert found == {**defaults, "run": "a b", "n": 4, "interpolate": [0, 1], "label": 3, "out": "[x].png"}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("n", "'n' can't be read: an option is written KEY=VALUE."),
        ("=3", "'=3' can't be read"),
        ("n=[", r"'n=\[' can't be read"),
        ("see=3", r"see=3: there is no key see\. Did you mean seed\?"),
        ("n=0", "n is 0, but it must be at least 1"),
        ("n=many", "n is 'many', but Sampling expects a whole number there"),
        ("interpolate=[1,x]", r"interpolate\[1\] is 'x', but Sampling expects a whole number there"),
        ("n=null", "n is null, but Sampling expects a whole number there"),
        ("run=???", r"run is \?\?\?, which a configuration takes for a value that is missing"),
    ],
)
def test_a_mistake_is_told(argument: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read("run=x", argument)


def test_what_has_to_be_given() -> None:
    with pytest.raises(UserError, match="run needs a value"):
        read("n=3")
