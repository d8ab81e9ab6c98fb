"""Attributes: the shape of what is bright, classes by a classifier, modules of one's own, and several together."""

from collections.abc import Callable
from typing import NoReturn

import pytest
import torch
from torch import Tensor, nn

from gan_lightning import Sampler, UserError
from gan_lightning.editing import SHAPES, Classes, Scene, Statistics, joined, scores_of, shape_of
from gan_lightning.networks import MLPGenerator, PlainGenerator
from gan_lightning.samples import SampleSet, Units

IMAGES = Sampler(MLPGenerator(3, (1, 8, 8), hidden_dim=8, norm="none"))


def shown(*rows: str) -> Tensor:
    """An image (1, 1, H, W) whose pixels are white where a row has an x."""
    return torch.tensor([[[[1.0 if pixel == "x" else -1.0 for pixel in row] for row in rows]]])


def measured(image: Tensor) -> dict[str, float]:
    return dict(zip(SHAPES, shape_of(image)[0].tolist(), strict=True))


class TestShapes:
    def test_brightness_and_contrast_are_those_of_the_levels(self) -> None:
        found = measured(shown("x...", "x...", "x...", "x..."))
        assert found["brightness"] == pytest.approx(0.25)
        assert found["contrast"] == pytest.approx(0.25**0.5 * 0.75**0.5, rel=0.05)

    def test_a_strokes_thickness_is_in_pixels(self) -> None:
        rows = [".." + "x" * width + "." * (20 - width) for width in (2, 4)]
        thin, thick = (measured(shown(*["." * 22] * 2, *[row] * 40, *["." * 22] * 2)) for row in rows)
        assert thin["thickness"] == pytest.approx(2, rel=0.1)
        assert thick["thickness"] == pytest.approx(4, rel=0.1)

    def test_width_height_and_slant(self) -> None:
        upright, leaning, flat = (
            measured(shown(".....", *rows, "....."))
            for rows in (("..x..", "..x..", "..x.."), ("...x.", "..x..", ".x..."), (".....", ".xxx.", "....."))
        )
        spread = 2 * (2 / 3) ** 0.5
        assert upright["height"] == leaning["height"] == flat["width"] == pytest.approx(spread)
        assert upright["width"] < 0.1
        assert upright["slant"] == pytest.approx(0, abs=1e-6)
        assert leaning["slant"] == pytest.approx(1)  # to the right, upwards

    @pytest.mark.parametrize("level", [-1.0, 0.3])
    def test_there_is_a_gradient_anywhere(self, level: float) -> None:
        images = torch.full((1, 3, 5, 6), level, requires_grad=True)
        shape_of(images).sum().backward()
        assert images.grad.isfinite().all()


def no_data() -> NoReturn:
    pytest.fail("no data are needed")


def test_statistics_are_in_deviations_of_what_is_made() -> None:
    scores = Statistics().open(IMAGES, no_data)
    assert scores.names == SHAPES
    found = scores.of(IMAGES.sample(256))
    torch.testing.assert_close(found.mean(0), torch.zeros(6), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(6), atol=1e-3, rtol=0)


def test_a_vectors_numbers_have_the_columns_names() -> None:
    vectors = MLPGenerator(3, (2,), hidden_dim=8)
    assert Statistics().open(Sampler(vectors), no_data).names == ("x0", "x1")
    assert Statistics().open(Sampler(vectors, units=Units(names=("age", "size"))), no_data).names == ("age", "size")
    with pytest.raises(UserError, match="of images and vectors, but this generator makes signals"):
        Statistics().open(Sampler(PlainGenerator(nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (1, 4))), 3)), no_data)


def labelled(labels: Tensor | None, classes: tuple[str, ...] = ()) -> Callable[[], tuple[SampleSet, SampleSet]]:
    """Images that are dark in class 0 and bright in class 1, of which none is held out."""
    levels = torch.arange(400) % 2 * 200 + torch.arange(400) % 7
    images = levels.to(torch.uint8).view(400, 1, 1, 1).expand(400, 1, 8, 8).contiguous()
    return lambda: (SampleSet(images, labels, classes), SampleSet(images[:0]))


def test_classes_are_what_the_data_set_has() -> None:
    scores = Classes(steps=80, width=2).open(IMAGES, labelled(torch.arange(400) % 2, ("dark", "bright")))
    assert scores.names == ("dark", "bright")
    flat = torch.tensor([-1.0, 0.6]).view(2, 1, 1, 1).expand(2, 1, 8, 8).clone().requires_grad_()
    logits = scores.of(flat)
    assert logits.argmax(1).tolist() == [0, 1]
    (gradient,) = torch.autograd.grad(logits[0, 1], flat)
    assert gradient[0].abs().sum() > 0
    assert scores.features(flat).shape == (2, 64)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (None, "no labels"),
        (torch.zeros(400, dtype=torch.int64), "one class"),
        (torch.rand(400, 2), "labels that are num"),
    ],
)
def test_data_without_classes(labels: Tensor | None, told: str) -> None:
    with pytest.raises(UserError, match=f"^attributes is classes, but the data set has {told}.*attributes=statistics"):
        Classes().open(IMAGES, labelled(labels))


class Own(nn.Module):
    """The first numbers of a sample."""

    def __init__(self, count: int | None, names: object = None) -> None:
        super().__init__()
        self.count = count
        if names is not None:
            self.names = names

    def forward(self, samples: Tensor) -> Tensor:
        return samples.flatten(1)[:, 0 if self.count is None else slice(self.count)]


class Detached(Own):
    def forward(self, samples: Tensor) -> Tensor:
        return super().forward(samples).detach()


def test_a_module_of_ones_own() -> None:
    sample = IMAGES.sample(3)
    one = scores_of(Own(None), "mine", IMAGES)
    assert one.names == ("mine",)
    assert torch.equal(one.of(sample), sample.flatten(1)[:, :1])
    assert scores_of(Own(2), "mine", IMAGES).names == ("mine0", "mine1")
    named = scores_of(Own(2, ["a", "b"]), "mine", IMAGES)
    assert (named.names, named.place("b")) == (("a", "b"), 1)
    both = joined([one, named])
    assert both.names == ("mine", "a", "b")
    assert torch.equal(both.of(sample), sample.flatten(1)[:, [0, 0, 1]])
    assert both.features(sample).shape == (3, 3)
    scene = Scene(IMAGES, attributes={"mine": Own(2), "statistics": Statistics()})
    assert scene.scores.names == ("mine0", "mine1", *SHAPES)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (nn.Identity(), r"^attributes\.mine is Identity, whose outputs for two samples are of shape \(2, 1, 8, 8\)"),
        (Own(2, ["a"]), r"^attributes\.mine is Own, which has 1 names for 2 outputs"),
        (Own(2, 3), r"^attributes\.mine is Own, whose names are 3; a list with one for each output is wanted"),
        (
            nn.Linear(3, 2),
            r"^attributes\.mine is Linear, which can't take this generator's samples \(2, 1, 8, 8\): .*mat1",
        ),
        (Detached(None), r"^attributes\.mine is Detached, whose outputs have no gradient .* \(element 0"),
    ],
)
def test_modules_that_give_no_numbers(module: nn.Module, told: str) -> None:
    with pytest.raises(UserError, match=told):
        scores_of(module, "mine", IMAGES)


def test_names_are_of_one_attribute_each() -> None:
    one = scores_of(Own(None), "mine", IMAGES)
    with pytest.raises(UserError, match="attributes has two that are named mine"):
        joined([one, one])
    with pytest.raises(UserError, match="attributes is empty"):
        joined([])
