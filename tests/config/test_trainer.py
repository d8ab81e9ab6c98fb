"""Every argument of Lightning's Trainer is obeyed or refused by name."""

import inspect
from dataclasses import fields

import pytest
from pytorch_lightning import Trainer as Lightning

from gan_lightning.config.compose import compose
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.config.trainer import REFUSED, Trainer
from gan_lightning.errors import UserError

ARGUMENTS = [name for name in inspect.signature(Lightning.__init__).parameters if name != "self"]
OBEYED = [field.name for field in fields(Trainer)]


def test_every_argument_is_obeyed_or_refused() -> None:
    assert sorted([*OBEYED, *REFUSED]) == sorted(ARGUMENTS)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_argument_is_refused_by_name(name: str, tmp_path) -> None:
    with pytest.raises(UserError, match=rf"trainer\.{name}.* can't be set: "):
        compose(Sources("train"), [f"+trainer.{name}=1"], TRAINING)
    # In a file of one's own too.
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\ntrainer:\n  {name}: 1\n")
    with pytest.raises(UserError, match=rf"trainer\.{name} can't be set: .* It stands in .*mine\.yaml"):
        compose(Sources("train", extra=(tmp_path,)), ["experiment=mine"], TRAINING)
