"""What training refuses, and what it reports under loss scaling and at an early stop."""

import functools
import math

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.precision import MixedPrecision

from gan_lightning.data.rounds import MinibatchStream, RoundLoader
from gan_lightning.losses.objectives import Vanilla
from gan_lightning.losses.regularizers import GradientPenalty, WeightClipping
from gan_lightning.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.samples import SampleSet
from gan_lightning.training.gan import GAN
from gan_lightning.watching.monitor import require_finite

SGD = functools.partial(torch.optim.SGD, lr=1e-3)


def test_a_per_sample_penalty_refuses_batch_statistics():
    generator = DCGANGenerator(4, (1, 16, 16), width=4)
    batch, none = (DCGANDiscriminator((1, 16, 16), width=4, norm=norm) for norm in ("batch", "none"))
    with pytest.raises(ValueError, match=r"gradient_penalty .*network\.discriminator\.norm=none"):
        GAN(generator, batch, Vanilla(), SGD, SGD, regularizers={"gradient_penalty": GradientPenalty()})
    GAN(generator, batch, Vanilla(), SGD, SGD, regularizers={"weight_clipping": WeightClipping()})
    GAN(generator, none, Vanilla(), SGD, SGD, regularizers={"gradient_penalty": GradientPenalty()})


def logged_norms(plugins: list[MixedPrecision]) -> dict[str, float]:
    torch.manual_seed(0)
    model = GAN(MLPGenerator(4, (1, 8, 8), 8, 1), MLPDiscriminator((1, 8, 8), 8, 1), Vanilla(), SGD, SGD)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=1,
        log_every_n_steps=1,
        plugins=plugins,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    images = torch.arange(8 * 64, dtype=torch.int64).remainder(256).to(torch.uint8).view(8, 1, 8, 8)
    trainer.fit(
        model, RoundLoader(SampleSet(images), MinibatchStream(8, 8, 0), model.critic_updates, torch.device("cpu"))
    )
    return model.reported


@pytest.mark.filterwarnings("ignore:Found . module")  # the averaged generator, which Lightning finds in eval mode
def test_gradient_norms_are_those_of_the_loss_also_when_it_is_scaled():
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaled = logged_norms([MixedPrecision("16-mixed", "cpu", scaler)])
    plain = logged_norms([])
    for network in ("generator", "discriminator"):
        expected = plain[f"gradient_norm/{network}"]
        assert scaled[f"gradient_norm/{network}"] == pytest.approx(expected, rel=0.02)
        assert expected > 0


def test_divergence_is_named():
    require_finite({"loss/generator": 1.0}, 3)
    with pytest.raises(FloatingPointError, match="loss/generator is nan at iteration 3"):
        require_finite({"loss/discriminator": 0.0, "loss/generator": math.nan}, 3)


def test_a_run_out_of_time_shows_where_it_has_come(tiny, folder):
    tiny("run", "trainer.max_time=00:00:00:01", "trainer.max_steps=1000000", "samples.every=1000000")
    run = folder("run")
    iteration = run.checkpoint()["global_step"]
    assert 0 < iteration < 1_000_000
    assert {int(path.stem) for path in (run.path / "samples").glob("*.png")} == {0, iteration}
