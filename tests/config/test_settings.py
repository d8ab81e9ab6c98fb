"""A run's configuration as it is looked at: the same data, as carefully, in less time."""

from pathlib import Path

import pytest

from gan_lightning.config.trust import read_data, read_settings
from gan_lightning.errors import UserError

SAVED = Path(__file__).parent.parent / "saved_runs" / "format_1"


def test_settings_are_the_data_of_a_configuration_that_is_resolved():
    path = SAVED / "config.yaml"
    assert read_settings(path) == read_data(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: " + "[" * 40 + "]" * 40, "nested too deeply"),
        ("a: &a [1]\nb: &b [" + "*a, " * 999 + "*a]\nc: [" + "*b, " * 1999 + "*b]", "more than 1,000,000 items"),
        ("- 1", "it holds no configuration"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: [", "can't be read"),
        ("# gan_lightning.config/99\na: 1", "written by a newer version"),
    ],
)
def test_settings_that_can_not_be_read(tmp_path, text, told):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=told):
        read_settings(tmp_path / "config.yaml")
