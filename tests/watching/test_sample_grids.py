"""The pictures of a run: whose latents, whose classes, and over whose values."""

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning import load_generator
from gan_lightning.pictures import PADDING, grid, save_png, scatter
from gan_lightning.sampling.drawing import decode, draw_latents
from gan_lightning.seeds import mix
from gan_lightning.watching import samples as samples_module
from gan_lightning.watching.samples import FIXED_LATENTS, is_shown


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def cells(picture, rows, columns):
    """The cells of a grid of 8x8 pixels, enlarged six times: (rows, columns, 48, 48)."""
    size = 48 + PADDING
    assert picture.shape == (rows * size + PADDING, columns * size + PADDING)
    starts = [[(PADDING + row * size, PADDING + column * size) for column in range(columns)] for row in range(rows)]
    return np.array([[picture[top : top + 48, left : left + 48] for top, left in row] for row in starts])


def test_a_conditional_grid_has_a_row_a_class_and_a_column_a_latent(tiny):
    trained = tiny(
        "run", "conditioning=concat", "samples.count=35", "trainer.max_steps=2", "seed=3", "network.generator.norm=none"
    )
    picture = cells(pixels(trained.path / "samples" / "00000002.png"), rows=10, columns=3)
    generator = load_generator(trained.path).network
    latents = draw_latents(load_generator(trained.path).latents, 4, 3, mix(3, FIXED_LATENTS))
    for label in range(10):
        row = grid(decode(generator, latents, labels=torch.full((3,), label)), 3)[0].numpy()
        assert np.array_equal(picture[label], cells(row, 1, 3)[0])
    assert len({cell.tobytes() for row in picture for cell in row}) == 30
    assert cells(pixels(trained.path / "samples" / "00000000.png"), 10, 3).shape == picture.shape


def test_more_classes_than_samples(tiny):
    trained = tiny("run", "conditioning=concat", "samples.count=4", "trainer.max_steps=1")
    cells(pixels(trained.path / "samples" / "00000001.png"), rows=4, columns=1)


def test_an_unconditional_grid_is_square(tiny):
    trained = tiny("run", "samples.count=9", "trainer.max_steps=1", "seed=3")
    generator = load_generator(trained.path)
    latents = draw_latents(generator.latents, 4, 9, mix(3, FIXED_LATENTS))
    expected = grid(decode(generator.network, latents))[0].numpy()
    assert np.array_equal(pixels(trained.path / "samples" / "00000001.png"), expected)


@pytest.mark.parametrize("dataset", ["ring", "gaussian"])
def test_points_are_drawn_over_the_critics_values(tiny, watch, monkeypatch, tmp_path, dataset):
    drawn = []

    def keep(real, fake, values):
        drawn.append((real, fake, values(real)))
        return scatter(real, fake, values)

    monkeypatch.setattr(samples_module, "scatter", keep)
    trained = tiny("run", f"dataset={dataset}", "trainer.max_steps=2", "seed=3", "dataset.source.count=1500")
    assert len(drawn) == 2
    real, fake, values = drawn[-1]
    assert len(real) == len(fake) == len(values) == 1000
    sampler = load_generator(trained.path)
    latents = draw_latents(sampler.latents, 4, 1000, mix(3, FIXED_LATENTS))
    torch.testing.assert_close(fake, decode(sampler.network, latents))
    assert values.std() > 0
    save_png(scatter(real, fake, lambda at: None), tmp_path / "plain.png")
    assert (tmp_path / "plain.png").read_bytes() != (trained.path / "samples" / "00000002.png").read_bytes()
    assert pixels(trained.path / "samples" / "00000002.png").shape == (500, 500, 3)
    assert [image.step for image in trained.events().Images("samples/generator")] == [0, 2]
    assert "samples/real" not in trained.events().Tags()["images"]


@pytest.mark.parametrize("overrides", [("loss=pacgan",), ("conditioning=projection", "network.generator.norm=batch")])
def test_a_critic_of_packs_or_of_labels_has_no_values_at_points(tiny, monkeypatch, overrides):
    given = []
    monkeypatch.setattr(
        samples_module, "scatter", lambda real, fake, values: (given.append(values(real)), scatter(real, fake))[1]
    )
    tiny("run", "dataset=ring", *overrides, "trainer.max_steps=1", "dataset.source.count=1500")
    assert given == [None, None]


def test_drawing_changes_nothing_of_the_training(tiny, same):
    """Values are of the evaluation mode, and a spectral norm's vectors stay where they are."""
    overrides = ("dataset=ring", "loss=hinge", "loss.n_critic=1", "trainer.max_steps=4", "dataset.source.count=1500")
    often, seldom = tiny("often", *overrides, "samples.every=1"), tiny("seldom", *overrides, "samples.every=100")
    same(often.checkpoint()["state_dict"], seldom.checkpoint()["state_dict"])


def test_loggers_get_fewer_pictures_the_longer_a_run_is():
    """All of the first 16, then 8 a doubling: their number grows like the logarithm of the run's length."""

    def shown(most):
        return [iteration for iteration in range(0, most + 1, 500) if is_shown(iteration, 500)]

    assert shown(8000) == list(range(0, 8001, 500))
    assert shown(16000)[16:] == list(range(8000, 16001, 1000))
    assert [len(shown(8000 * 2**k)) for k in range(1, 8)] == [17 + 8 * k for k in range(1, 8)]
    assert len(shown(1_000_000)) == 72
    once = [iteration for iteration in range(0, 9000, 500) if is_shown(iteration, 500, per_doubling=1)]
    assert once == [0, 500, 1000, 2000, 4000, 8000]


def test_a_long_run_keeps_all_files_and_gives_loggers_some(tiny):
    trained = tiny("run", "samples.every=1", "trainer.max_steps=35")
    shown = [image.step for image in trained.events().Images("samples/generator")]
    assert shown == [*range(17), *range(18, 33, 2), 35]
    assert len(list((trained.path / "samples").glob("*.png"))) == 36


def test_without_an_interval_there_are_pictures_of_both_ends(tiny):
    trained = tiny("run", "samples.every=null", "trainer.max_steps=3")
    assert sorted(path.name for path in (trained.path / "samples").iterdir()) == ["00000000.png", "00000003.png"]
