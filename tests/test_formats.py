"""What earlier versions have saved is read, sampled from, evaluated and gone on with."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gan_lightning import UserError, formats, load_generator, train
from gan_lightning.__main__ import main
from gan_lightning.config.signature import static_signature
from gan_lightning.runs import results
from gan_lightning.runs.folders import read_saved
from gan_lightning.sampling.checkpoints import read_checkpoint

SAVED = Path(__file__).parent / "saved_runs"
FIRST = SAVED / "format_1"
# The `_target_`s that conf/ had while format 1 was written.
TARGETS = (SAVED / "targets_of_format_1.txt").read_text().split()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run of format 1, to be changed: 20 iterations of WGAN with clipping, evaluated twice and once more."""
    return Path(shutil.copytree(FIRST, tmp_path / "run"))


@pytest.mark.parametrize("target", TARGETS)
def test_every_class_that_a_saved_run_may_name_is_there(target: str) -> None:
    today = formats.public(target)
    assert today.count(".") == 2
    static_signature(today)  # raises LookupError if there is none
    assert formats.public(today) == today


def test_a_config_of_today_stays_as_it_is() -> None:
    config = OmegaConf.to_container(read_saved(FIRST))
    assert formats.upgrade(config) == config


def test_keys_arguments_values_and_interpolations_have_their_names_of_today() -> None:
    old = OmegaConf.to_container(OmegaConf.load(FIRST / ".hydra" / "config.yaml"))
    new = formats.upgrade(old)
    assert (old["advice"], new["compatibility_warnings"], "advice" in new) == ("off", False, False)
    assert new["loss"]["critic_updates"]["_target_"] == "gan_lightning.training.CriticUpdates"
    assert new["model"]["critic_updates"] == new["data"]["critic_updates"] == "${loss.critic_updates}"
    assert new["network"]["generator"]["sample_shape"] == "${dataset.sample_shape}"
    assert new["dataset"]["iterations"] == old["dataset"]["steps"]
    assert new["extractor"]["_target_"] == "gan_lightning.metrics.Identity"
    assert "image_shape" not in json.dumps(new)
    assert "schedule:" not in json.dumps(new)


def test_its_generator_gives_its_samples() -> None:
    sampler = load_generator(FIRST)
    assert sampler.iteration == 20
    assert sampler.sample(3).shape == (3, 1, 8, 8)
    weights = load_file(FIRST / "generator.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in sampler.network.state_dict().items())
    for kind in ("raw", "best"):
        assert not torch.equal(load_generator(FIRST, kind).sample(3), sampler.sample(3))


def test_a_generator_without_a_digest_is_read() -> None:
    """Format 4 has one; before, nothing tells whether the content is what was written."""
    sampler = load_generator(SAVED / "generator_of_format_3.safetensors")
    assert (sampler.iteration, sampler.sample(3).shape) == (7, (3, 2))
    weights = load_file(SAVED / "generator_of_format_3.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in sampler.network.state_dict().items())


def test_a_generator_of_today_must_have_one(tmp_path: Path) -> None:
    file = SAVED / "generator_of_format_3.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = {**opened.metadata(), "format": formats.GENERATOR}
    save_file(load_file(file), tmp_path / "g.safetensors", metadata)
    with pytest.raises(UserError, match=r"g\.safetensors is damaged: its content is not what was written"):
        load_generator(tmp_path / "g.safetensors")


def test_its_results_are_read() -> None:
    found = results.read(FIRST)
    assert (found.status, found.iteration, found.seed) == ("finished", 20, 0)
    assert found.health.numbers["clipped"] == pytest.approx(0.4566, abs=1e-4)
    assert [record["protocol"]["extractor"] for record in found.evaluations] == ["identity"]
    assert {record["protocol"]["extractor"] for record in found.evaluation.values()} == {"identity"}


def test_it_is_gone_on_with_as_by_the_version_that_began_it(old: Path) -> None:
    """The average of iteration 30 was made by that version; another machine's sums may be rounded otherwise."""
    run = train(f"resume={old}", "trainer.max_steps=30")
    assert run.iteration == 30
    expected, found = load_file(SAVED / "format_1_at_30.safetensors"), load_file(old / "generator.safetensors")
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
    written = results.read(old)
    assert len(written.evaluations) == 1  # of the command, from before
    assert written.evaluation["last"]["iteration"] == 30
    # What is there now is of today's formats.
    assert json.loads((old / "results.json").read_text())["format"] == formats.RESULTS
    assert torch.load(old / "checkpoints" / "last.ckpt", weights_only=True)["format"] == formats.CHECKPOINT
    texts = [(old / name).read_text() for name in (".hydra/config.yaml", "composed.yaml", "config.yaml")]
    assert "image_shape" not in "".join(texts)
    assert all(text.startswith(f"# {formats.CONFIG}\n") for text in texts)


def test_a_refused_resume_leaves_it_as_it_was(old: Path) -> None:
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"seed=3 can't be changed"):
        train(f"resume={old}", "seed=3")
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_it_is_evaluated(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", f"run={old}", "samples=80", "metric=[sliced]", "intervals=0"]) == 0
    assert "sliced_wasserstein" in capsys.readouterr().out
    first, second = results.read(old).evaluations
    assert first["protocol"]["data"] == second["protocol"]["data"]
    assert first["protocol"]["extractor"] == second["protocol"]["extractor"]


def test_what_a_newer_version_has_written_is_told_so(old: Path, tmp_path: Path) -> None:
    content = json.loads((old / "results.json").read_text())
    (old / "results.json").write_text(json.dumps({**content, "format": "gan_lightning.results/99"}))
    with pytest.raises(UserError, match=r"results\.json can't be read: it was written by a newer version"):
        results.read(old)
    save_file({"weight": torch.zeros(1)}, tmp_path / "g.safetensors", metadata={"format": "gan_lightning.generator/99"})
    with pytest.raises(UserError, match="newer version of it"):
        load_generator(tmp_path / "g.safetensors")
    save_file({"weight": torch.zeros(1)}, tmp_path / "g.safetensors", metadata={"format": "gan_lightning.generator/1"})
    with pytest.raises(UserError, match="too old a version of it"):
        load_generator(tmp_path / "g.safetensors")
    checkpoint = torch.load(old / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save({**checkpoint, "format": "gan_lightning.checkpoint/99"}, tmp_path / "new.ckpt")
    with pytest.raises(UserError, match=r"new\.ckpt can't be gone on with: .*newer version"):
        read_checkpoint(tmp_path / "new.ckpt")
