"""The acceptance test: what the losses learn from the digits in their default length, by a classifier's judgement."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import DictConfig, OmegaConf

from gan_lightning import load_generator
from gan_lightning.__main__ import main

LOSSES = ("vanilla", "wgan_clip", "wgan_gp")
LEAST_SHARE = 0.02  # of each digit; a tenth would be even
LEAST_ACCURACY = 0.95


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """benchmarks/class_shares.py, which is no part of the package."""
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "class_shares.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_loss_shows_all_ten_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmark: ModuleType
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-m", f"loss={','.join(LOSSES)}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]) == 0
    folders = {loss: tmp_path / "sweep" / f"loss={loss}" for loss in LOSSES}
    config = OmegaConf.load(folders["vanilla"] / "config.yaml")
    assert isinstance(config, DictConfig)
    classifier, accuracy = benchmark.train_classifier(config)
    assert accuracy >= LEAST_ACCURACY
    shares = {
        loss: benchmark.class_shares(classifier, load_generator(folder).sample(1000, seed=0))
        for loss, folder in folders.items()
    }
    for loss in LOSSES:
        assert set(shares[loss]) == set(range(10))
        assert sum(shares[loss].values()) == pytest.approx(1)
    assert {loss: min(share.values()) >= LEAST_SHARE for loss, share in shares.items()} == dict.fromkeys(
        LOSSES, True
    ), shares
