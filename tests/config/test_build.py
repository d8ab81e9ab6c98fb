"""Building what a config names, in one visit, with mistakes at the keys that they were written at."""

import pytest
from omegaconf import OmegaConf

from gan_lightning.config.build import build_all, origin
from gan_lightning.errors import UserError
from gan_lightning.losses.regularizers import R1

CONFIG = OmegaConf.create(
    {
        "parts": {"r1": {"_target_": "gan_lightning.losses.R1", "weight": "${weight}"}, "limit": 3},
        "weight": 2.0,
        "first": {"nested": "${parts.r1}", "plain": "${parts.limit}"},
        "second": "${parts}",
    }
)


def test_several_nodes_at_once():
    built = build_all(CONFIG, ("second", "first"))
    assert list(built) == ["second", "first"]
    assert built["first"] == {"nested": R1(2.0), "plain": 3}
    assert built["second"] == {"r1": R1(2.0), "limit": 3}


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("first.nested", "parts.r1"),
        ("first.nested.weight", "weight"),
        ("second.r1.every", "parts.r1.every"),
        ("parts.limit", "parts.limit"),
        ("absent.key", "absent.key"),
    ],
)
def test_where_a_value_is_written(key, place):
    assert origin(CONFIG, key) == place


def test_a_refusal_names_the_key_as_the_user_wrote_it():
    config = OmegaConf.merge(CONFIG, {"weight": -1.0})
    with pytest.raises(UserError, match=r"^parts\.r1: weight must be at least 0, got -1\.0\.$"):
        build_all(config, ("first",))
