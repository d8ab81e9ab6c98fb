"""The acceptance test: what the losses learn from the digits in their default length, as a user would measure it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gan_lightning.__main__ import main

pytestmark = pytest.mark.slow

LOSSES = ("vanilla", "wgan_clip", "wgan_gp")
LEAST_SHARE = 0.02  # of each digit; a tenth would be even
LEAST_ACCURACY = 0.95


def test_every_loss_shows_all_ten_digits_in_good_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-m", f"loss={','.join(LOSSES)}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]) == 0
    assert main(["evaluate", f"run={tmp_path / 'sweep'}/loss=*", "metric=[classes]", "intervals=2"]) == 0
    results: dict[str, dict[str, Any]] = {
        loss: json.loads((tmp_path / "sweep" / f"loss={loss}" / "results.json").read_text()) for loss in LOSSES
    }
    assert [verdict for result in results.values() for verdict in result["health"]["verdicts"]] == []
    for result in results.values():
        (after,), during = result["evaluations"], result["evaluation"]["last"]
        assert after["protocol"]["samples"] == 10_000
        assert during["iteration"] == after["iteration"] == result["iteration"]
        for record in (after, during):
            assert record["protocol"]["extractor_facts"]["accuracy"] >= LEAST_ACCURACY
            assert record["values"]["classes_covered"] == 10
            assert record["values"]["smallest_class_share"] >= LEAST_SHARE
