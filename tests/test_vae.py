"""What docs/vae.py says of codes and noise, on a shortened run."""

from pathlib import Path

import pytest
import torch
from docs_scripts import DOCS, script
from PIL import Image
from torch.distributions import Normal, kl_divergence

from gan_lightning import load_generator
from gan_lightning.data import Digits, GANDataModule
from gan_lightning.samples import as_floats

pytestmark = pytest.mark.slow

vae = script("vae")


def test_the_divergence_of_codes_is_that_of_normal_distributions() -> None:
    code = vae.Code(torch.randn(5, 3), torch.randn(5, 3))
    wanted = kl_divergence(Normal(code.mean, (code.log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(code.divergence(), wanted)


def test_drawn_codes_have_the_mean_and_the_variance_that_the_encoder_says() -> None:
    code = vae.Code(torch.tensor([[2.0, -1.0]]).expand(20_000, 2), torch.tensor([[0.0, -4.0]]).expand(20_000, 2))
    drawn = code.draw()
    torch.testing.assert_close(drawn.mean(0), torch.tensor([2.0, -1.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.tensor([1.0, 0.1353]), atol=0.02, rtol=0.02)


def test_images_come_back_from_their_codes_and_the_decoder_is_a_generator(tmp_path: Path) -> None:
    file, picture = tmp_path / "vae.safetensors", tmp_path / "vae.png"
    data = GANDataModule(Digits(), vae.SHAPE, vae.BATCH, held_out=vae.HELD_OUT)
    data.setup("fit")
    images = as_floats(data.subset("train").samples)[:512]
    model = vae.train_vae(images, passes=12)
    mean = ((images.mean(0) - images) / 2).square().mean()
    assert vae.error(model, images) < 0.7 * mean
    vae.save(model, file, iteration=96)
    sampler = load_generator(file)
    assert torch.equal(sampler.sample(3), vae.Sampler(model.decoder).sample(3))
    vae.draw(vae.rows(model, sampler, sampler, images), picture)
    with Image.open(picture) as drawn:
        assert drawn.width == pytest.approx(720, abs=1)


def test_the_page_shows_a_small_picture() -> None:
    assert "(images/vae.png)" in (DOCS / "course.md").read_text()
    assert vae.PICTURE.stat().st_size < 60_000
