"""Ascent, directions and inversion on generators of which the answers are known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gan_lightning import Sampler, UserError
from gan_lightning.editing import (
    Ascent,
    BetweenLabels,
    Directions,
    Inversion,
    Scene,
    Statistics,
    changes,
    climb,
    closed_form_directions,
    label_path,
    seek,
    squared_error,
    stages,
)
from gan_lightning.networks import CourseGenerator, DCGANGenerator, MLPGenerator, PlainGenerator
from gan_lightning.samples import Conditions, Units

# Attributes of latents (a, b): a itself, and a + b, so that with more of the first the second is more, too.
MIXING = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
LATENTS = torch.tensor([[0.3, -0.2], [1.0, 2.0], [-0.5, 0.1]])


def linear(latents: Tensor) -> Tensor:
    return latents @ MIXING.T


class TestAscent:
    def test_without_a_penalty_it_goes_up_the_gradient(self) -> None:
        path = climb(linear, LATENTS, target=0, steps=3, step=0.5, penalty=0)
        along = torch.tensor([0.5, 0.0])
        torch.testing.assert_close(path, torch.stack([LATENTS + k * along for k in range(4)]))
        downwards = climb(linear, LATENTS, target=0, steps=3, step=0.5, penalty=0, down=True)
        torch.testing.assert_close(downwards, torch.stack([LATENTS - k * along for k in range(4)]))
        assert torch.equal(climb(linear, LATENTS, 0, steps=0), LATENTS.unsqueeze(0))

    @pytest.mark.parametrize("down", [False, True])
    def test_the_penalty_holds_the_others(self, down: bool) -> None:
        """The way along which a + b stays is half as steep: (0.5, -0.5) of (1, 0)."""
        moved = [
            (linear(path[-1]) - linear(path[0])) * (-1 if down else 1)
            for path in (climb(linear, LATENTS, 0, 40, 0.1, penalty, down) for penalty in (0.0, 0.75))
        ]
        torch.testing.assert_close(moved[0], torch.full((3, 2), 4.0))
        torch.testing.assert_close(moved[1][:, 0], torch.full((3,), 2.0), atol=0.3, rtol=0)
        assert moved[1][:, 1].abs().max() < 0.25

    def test_each_sample_climbs_for_itself(self) -> None:
        def score(latents: Tensor) -> Tensor:
            return torch.stack([latents.square().sum(1), latents.prod(1)], dim=1)

        together = climb(score, LATENTS, target=0, steps=4)
        for row in range(3):
            torch.testing.assert_close(climb(score, LATENTS[row : row + 1], target=0, steps=4)[:, 0], together[:, row])
        assert (score(together[-1])[:, 0] > score(LATENTS)[:, 0]).all()

    def test_what_moved_along(self) -> None:
        torch.manual_seed(0)
        scores = torch.randn(5, 7, 3).cumsum(0)
        scores[..., 1] += 2 * scores[..., 2]  # of which the second attribute has most
        found = changes(scores, start=2, target=2, names=("one", "two", "three"))
        assert [each.name for each in found] == ["three", "two", "one"]
        flat = (scores - scores[2]).flatten(0, 1).T.double()
        for each in found:
            place = ("one", "two", "three").index(each.name)
            assert each.covariance == pytest.approx(float(flat.cov()[2, place]))
            assert each.correlation == pytest.approx(float(flat.corrcoef()[2, place]))
            assert each.more == pytest.approx(float((scores[4] - scores[2])[:, place].mean()))
            assert each.less == pytest.approx(float((scores[0] - scores[2])[:, place].mean()))

    def test_an_attribute_that_stays_has_no_correlation(self) -> None:
        scores = torch.tensor([[[0.0, 5.0]], [[1.0, 5.0]]])
        assert changes(scores, 0, 0, ("a", "b"))[1][1:] == (0, 0, 0, 0)


class TestDirections:
    def test_of_a_linear_generator_they_are_the_singular_vectors(self) -> None:
        torch.manual_seed(0)
        left, right = (torch.linalg.qr(torch.randn(size, 3))[0] for size in (5, 3))
        strengths = torch.tensor([5.0, 2.0, 0.5])
        layer = nn.Linear(3, 5)
        layer.weight.data = left * strengths @ right.T
        found, told = closed_form_directions(PlainGenerator(layer, 3), 3)
        torch.testing.assert_close(told, strengths)
        torch.testing.assert_close((found @ right).abs(), torch.eye(3), atol=1e-5, rtol=0)
        assert (found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()
        edited = Directions(count=2, distance=1.5, frames=3).edit(Scene(Sampler(PlainGenerator(layer, 3)), n=4))
        assert edited.samples.shape == (8, 3, 5)  # the second direction's samples below the first's
        moved = (edited.samples[:, 2] - edited.samples[:, 1]).norm(dim=1)
        torch.testing.assert_close(moved, 1.5 * strengths[:2].repeat_interleave(4), atol=1e-4, rtol=1e-4)
        assert edited.table is not None
        assert edited.table.rows[0] == ("0", pytest.approx(5.0))

    @pytest.mark.parametrize(
        ("generator", "first"),
        [
            (CourseGenerator(6, (1, 28, 28), width=2), lambda net: net.layers[0][0]),
            (DCGANGenerator(6, (1, 8, 8), width=2), lambda net: net.project),
            (MLPGenerator(6, (2,), hidden_dim=9, classes=4, label_input="concat"), lambda net: net.layers[0]),
        ],
    )
    def test_of_networks_here(self, generator: nn.Module, first: Callable[[nn.Module], nn.Module]) -> None:
        """A step along a direction changes what the first layer gives by its strength."""
        directions, strengths = closed_form_directions(generator, 2)
        assert directions.shape == (2, 6)
        told = torch.cat([directions, torch.zeros(2, generator.input_dim - 6)], dim=1)
        shape = (2, -1, 1, 1) if isinstance(generator, CourseGenerator) else (2, -1)
        with torch.no_grad():
            change = first(generator)(told.view(shape)) - first(generator)(torch.zeros_like(told).view(shape))
        torch.testing.assert_close(change.flatten(1).norm(dim=1), strengths, rtol=1e-4, atol=1e-5)

    def test_there_may_be_none(self) -> None:
        with pytest.raises(UserError, match=r"^means\.count is 4, but this generator has 3 directions"):
            closed_form_directions(PlainGenerator(nn.Linear(3, 5), 3), 4)
        with pytest.raises(UserError, match="PlainGenerator has no linear layer or convolution of 3 inputs"):
            closed_form_directions(PlainGenerator(nn.Tanh(), 3), 1)
        # By default, there are as many as there can be.
        scene = Scene(Sampler(PlainGenerator(nn.Linear(2, 5), 2)), n=3)
        assert Directions(frames=2).edit(scene).samples.shape == (6, 2, 5)
        assert Directions(frames=2).held(scene) == (12, 12)


def scene_of(network: nn.Module, picture: Tensor | None = None, **others: object) -> Scene:
    return Scene(Sampler(network), read=lambda path, count: {path: picture}, **others)


class TestInversion:
    def test_of_a_linear_generator_it_finds_the_latents(self) -> None:
        torch.manual_seed(0)
        weights, wanted = torch.randn(6, 2), torch.tensor([1.5, -0.7])
        found, distances = seek(lambda at: squared_error(at @ weights.T, weights @ wanted), torch.zeros(3, 2))
        torch.testing.assert_close(found, wanted.expand(3, 2), atol=1e-2, rtol=0)
        assert distances.max() < 1e-4

    def test_the_best_that_was_passed_is_kept(self) -> None:
        """From so near that a step of this rate leads away."""
        start = torch.full((1, 1), 1e-3)
        found, distances = seek(lambda at: at.square().sum(1), start, steps=1, rate=1.0)
        assert torch.equal(found, start)
        torch.testing.assert_close(distances, torch.tensor([1e-6]))

    def test_a_picture_that_the_generator_made(self) -> None:
        """To a thousandth of the squared error of another sample; of several starts, the best is taken."""
        torch.manual_seed(0)
        network = MLPGenerator(4, (1, 8, 8), hidden_dim=16, blocks=2, norm="none")
        for parameter in network.parameters():
            parameter.data *= 2  # so that samples differ
        picture, other = Sampler(network).sample(2, seed=7)
        edited = Inversion("p.png", restarts=4, steps=200).edit(scene_of(network, picture))
        assert edited.samples.shape == (1, 2, 1, 8, 8)
        assert torch.equal(edited.samples[0, 0], picture)
        error = squared_error(edited.samples[0, 1:], picture)
        assert error < squared_error(other.unsqueeze(0), picture) / 1000
        assert edited.table is not None
        assert edited.table.rows == [("p.png", pytest.approx(float(error), rel=1e-3), pytest.approx(float(error)))]
        torch.testing.assert_close(Sampler(network).decode(edited.latents[:, 0]), edited.samples[:, 1])
        worse = Inversion("p.png", restarts=1, steps=5).edit(scene_of(network, picture))
        assert squared_error(worse.samples[0, 1:], picture) > error

    def test_the_class_is_found_too(self) -> None:
        torch.manual_seed(0)
        network = MLPGenerator(2, (3,), hidden_dim=8, blocks=1, norm="none", classes=3, label_input="concat")
        network.layers[0].weight.data[:, 2:] *= 20  # so that classes are far from each other
        picture = Sampler(network).sample(1, seed=3, label=2)[0]
        assert Inversion("p", restarts=1).held(scene_of(network, picture)) == (8 + 5 * 3, 2 * 8 + 3)
        edited = Inversion("p", restarts=1, steps=60).edit(scene_of(network, picture))  # and yet one for each class
        assert edited.table.columns[-1] == "label"
        assert edited.table.rows[0][-1] == "2"
        told = Inversion("p", restarts=6, steps=60).edit(scene_of(network, picture, label=2))
        wrong = Inversion("p", restarts=6, steps=60).edit(scene_of(network, picture, label=0))
        errors = [float(squared_error(each.samples[0, 1:], picture)) for each in (edited, told, wrong)]
        assert max(errors[:2]) < errors[2] / 10

    def test_features_may_be_what_is_near(self) -> None:
        """Of the statistics, whatever the pixels."""
        torch.manual_seed(0)
        network = MLPGenerator(4, (1, 8, 8), hidden_dim=16, blocks=2, norm="none")
        picture = torch.full((1, 8, 8), -1.0)
        picture[:, 2:6, 3:5] = 1
        scene = scene_of(network, picture, attributes={"statistics": Statistics()})
        means = [Inversion("p", distance, restarts=2, steps=40) for distance in ("pixels", "features")]
        pixels, features = (each.edit(scene) for each in means)
        assert float(features.table.rows[0][2]) > float(pixels.table.rows[0][2])
        of = scene.scores.of
        near = [squared_error(of(each.samples[0, 1:]), of(picture.unsqueeze(0))[0]) for each in (pixels, features)]
        assert near[1] < near[0]
        assert float(near[1]) == pytest.approx(float(features.table.rows[0][1]), rel=1e-3)


class TestLabels:
    SAMPLER = Sampler(MLPGenerator(2, (3,), hidden_dim=8, blocks=1, classes=3, label_input="concat"), classes="bac")

    def test_from_class_to_class(self) -> None:
        path = label_path(self.SAMPLER, ["b", 2, "a"], frames=3)
        half = 0.5
        assert path.tolist() == [[1, 0, 0], [half, 0, half], [0, 0, 1], [0, half, half], [0, 1, 0]]
        edited = BetweenLabels(["b", "c"], frames=3).edit(Scene(self.SAMPLER, n=2, seed=5))
        assert edited.samples.shape == (2, 3, 3)
        for column, label in ((0, "b"), (2, "c")):
            expected = self.SAMPLER.sample(2, seed=5, label=label)
            torch.testing.assert_close(edited.samples[:, column], expected)

    def test_a_name_goes_before_a_number(self) -> None:
        sampler = Sampler(self.SAMPLER.network, classes=["2", "1", "0"])
        assert label_path(sampler, [2, 0], frames=2).tolist() == [[1, 0, 0], [0, 0, 1]]

    def test_from_conditions_to_others(self) -> None:
        known = Conditions(Units((30.0,), (50.0,), ("age",)), torch.tensor([[0.5]]))
        network = MLPGenerator(2, (3,), hidden_dim=8, classes=1, label_input="concat")
        path = label_path(Sampler(network, conditions=known), [{"age": 20}, {"age": 80}], frames=3)
        assert path.tolist() == [[-1], [0], [1]]

    def test_what_has_none(self) -> None:
        with pytest.raises(UserError, match=r"^means is labels, but this generator was trained without labels"):
            label_path(Sampler(MLPGenerator(2, (3,))), [0, 1], 3)
        with pytest.raises(UserError, match=r"^label is d, but this generator's classes are b, a, c"):
            label_path(self.SAMPLER, ["b", "d"], 3)
        with pytest.raises(UserError, match=r"^label is b, but means\.labels says what samples are told"):
            BetweenLabels(["b", "c"]).edit(Scene(self.SAMPLER, label="b"))
        with pytest.raises(ValueError, match="it takes two to go from one to the other"):
            BetweenLabels([1])


class TestAscentOfASampler:
    torch.manual_seed(1)
    NETWORK = MLPGenerator(4, (1, 8, 8), hidden_dim=16, blocks=2, norm="none", classes=2, label_input="concat")
    SCENE = Scene(Sampler(NETWORK), n=5, seed=2, truncation=0.9, attributes={"statistics": Statistics()})

    def test_rows_begin_with_the_samples(self) -> None:
        edited = Ascent("brightness", steps=6, down=3, step=0.3, penalty=0, frames=4, rows=3).edit(self.SCENE)
        assert edited.samples.shape == (3, 4, 1, 8, 8)
        expected = self.SCENE.sampler.sample(5, seed=2, truncation=0.9)[:3]
        torch.testing.assert_close(edited.samples[:, 1], expected)  # stages 0, 3, 6 and 9, of which 3 is the start
        brightness = edited.samples.flatten(2).mean(2)
        assert (brightness.diff(dim=1) > 0).all()
        assert edited.table is not None
        assert edited.table.columns == ("attribute", "less", "more", "covariance", "correlation")
        name, less, more, *_ = edited.table.rows[0]
        assert (name, len(edited.table.rows)) == ("brightness", 6)
        assert less < 0 < more
        latents = edited.latents.flatten(0, 1)
        labels = torch.tensor([0, 1, 0]).repeat_interleave(4)
        torch.testing.assert_close(self.SCENE.sampler.decode(latents, labels), edited.samples.flatten(0, 1))

    def test_parts_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = Ascent("brightness", steps=3).edit(self.SCENE)
        monkeypatch.setattr("gan_lightning.editing.scene.AT_ONCE", 2)
        parts = Ascent("brightness", steps=3).edit(self.SCENE)
        torch.testing.assert_close(parts.samples, whole.samples, rtol=1e-4, atol=1e-4)
        assert parts.table.columns == ("attribute", "more", "covariance", "correlation")
        assert [row[0] for row in parts.table.rows] == [row[0] for row in whole.table.rows]

    def test_an_attribute_that_there_is_not(self) -> None:
        with pytest.raises(UserError, match=r"^means\.attribute is brightnes, but .* Did you mean brightness"):
            Ascent("brightnes").edit(self.SCENE)
        with pytest.raises(ValueError, match="steps and down are both 0"):
            Ascent("brightness", steps=0)

    def test_stages(self) -> None:
        assert stages(3, 9) == [0, 1, 2]
        assert stages(11, 6) == [0, 2, 4, 6, 8, 10]
