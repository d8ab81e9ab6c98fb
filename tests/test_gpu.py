"""Checks that need a CUDA GPU; tests/conftest.py deselects them where there is none."""

from pathlib import Path

import pytest
import torch

from gan_lightning import load_generator, train
from gan_lightning.run_folder import LAST

pytestmark = pytest.mark.gpu

TINY = ("network.generator.hidden_dim=8", "network.discriminator.hidden_dim=8", "trainer.accelerator=gpu")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / LAST, map_location="cpu", weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize("loss", ["vanilla", "wgan_clip", "wgan_gp"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_trains_on_the_gpu(loss, precision, tmp_path):
    chosen = (f"loss={loss}", f"trainer.precision={precision}", "trainer.max_steps=20")
    run = train(*chosen, *TINY, f"hydra.run.dir={tmp_path}/run")
    assert run.iteration == 20
    assert all(torch.isfinite(value).all() for value in weights(run.folder).values())
    samples = load_generator(run.folder, device="cuda").sample(8, seed=0)
    torch.testing.assert_close(samples, load_generator(run.folder).sample(8, seed=0), atol=1e-3, rtol=1e-3)


def test_resumes_on_the_gpu_as_if_it_had_not_stopped(tmp_path):
    overrides = ("loss=wgan_gp", *TINY)
    whole = train(*overrides, "trainer.max_steps=20", f"hydra.run.dir={tmp_path}/whole")
    stopped = train(*overrides, "trainer.max_steps=7", f"hydra.run.dir={tmp_path}/stopped")
    train(f"resume={stopped.folder}", "trainer.max_steps=20")
    expected, resumed = weights(whole.folder), weights(stopped.folder)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
