"""The discriminator as losses know it: views of samples, packed labels, and whose column is whose."""

from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gan_lightning.losses.heads import Classification, PullingAway
from gan_lightning.networks.mlp import MLPDiscriminator
from gan_lightning.training.discriminator_adapter import adapt

SHAPE = (1, 2, 2)
CLASSES = 3
HEADS = {"classification": Classification(CLASSES, 1.0, 1.0), "pulling_away": PullingAway(2)}
MLP = partial(MLPDiscriminator, SHAPE, hidden_dim=4, blocks=1)


@dataclass(frozen=True)
class Affine:
    """A transformation that doesn't commute with another of its kind."""

    factor: float
    shift: float
    needs_images = False

    def transform(self, samples: Tensor) -> Tensor:
        return samples * self.factor + self.shift


def samples(count: int = 4) -> Tensor:
    return torch.arange(count * 4.0).view(count, *SHAPE)


def test_without_heads_all_outputs_are_logits():
    outputs = torch.tensor([1.0, 2.0, 3.0])
    logits, columns = adapt(MLP()).split(outputs)
    assert logits is outputs
    assert columns == {}


def test_columns_belong_to_the_heads_in_their_order():
    outputs = torch.arange(12.0).view(2, 6)
    logits, columns = adapt(MLP(outputs=6), HEADS).split(outputs)
    assert logits.tolist() == [0, 6]
    assert list(columns) == ["classification", "pulling_away"]
    assert columns["classification"].tolist() == [[1, 2, 3], [7, 8, 9]]
    assert columns["pulling_away"].tolist() == [[4, 5], [10, 11]]


@pytest.mark.parametrize("outputs", [5, 7])
def test_columns_that_no_head_takes_are_an_error(outputs):
    with pytest.raises(RuntimeError):
        adapt(MLP(outputs=outputs), HEADS).split(torch.zeros(2, outputs))


def test_samples_are_transformed_in_order_and_then_packed():
    transformations = {"first": Affine(2, 1), "second": Affine(-1, 3)}
    view = adapt(MLP(packing=2), transformations=transformations).view(samples())
    assert view.shape == (2, 2, 2, 2)
    assert torch.equal(view.flatten(), 3 - (2 * samples() + 1).flatten())


@pytest.mark.parametrize(
    ("label_input", "packing", "expected"),
    [("none", 1, None), ("none", 2, None), ("concat", 1, [2, 0, 1, 1]), ("projection", 2, [[2, 0], [1, 1]])],
)
def test_labels_reach_a_discriminator_that_takes_any(label_input, packing, expected):
    adapter = adapt(MLP(label_input=label_input, classes=CLASSES, packing=packing))
    packed = adapter.packed(torch.tensor([2, 0, 1, 1]))
    assert (packed if packed is None else packed.tolist()) == expected
    assert adapter.packed(None) is None


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_real_and_fake_share_a_pass_unless_their_statistics_would_mix(norm):
    torch.manual_seed(1)
    discriminator = MLP(norm=norm, outputs=6, label_input="projection", classes=CLASSES)
    calls: list[int] = []
    discriminator.register_forward_hook(lambda module, given, made: calls.append(len(made)))
    adapter = adapt(discriminator, HEADS)
    real, fake, labels = samples() / 16, 1 - samples() / 8, torch.tensor([2, 0, 1, 1])

    both = adapter.both_outputs(real, fake, labels)

    assert calls == ([8] if norm == "none" else [4, 4])
    for outputs, views in zip(both, (real, fake), strict=True):
        alone = adapter.outputs(views, labels)
        torch.testing.assert_close(outputs.logits, alone.logits)
        torch.testing.assert_close(outputs.columns, alone.columns)
    assert not torch.allclose(both[0].logits, both[1].logits)


@pytest.mark.parametrize("heads", [{}, HEADS], ids=["no heads", "heads"])
def test_logits_are_the_outputs_without_the_heads(heads):
    discriminator = MLP(outputs=6 if heads else 1)
    adapter = adapt(discriminator, heads)
    assert torch.equal(adapter.logits(samples()), adapter.outputs(samples(), None).logits)
    assert adapter.logits(samples()).shape == (4,)


def test_half_precision_fakes_go_with_the_reals():
    class Kept(nn.Module):
        packing, label_input = 1, "none"

        def forward(self, views: Tensor, labels: None) -> Tensor:
            self.views = views
            return views.flatten(1).sum(1)

    discriminator = Kept()
    adapt(discriminator).both_outputs(samples(), samples().half(), None)
    assert discriminator.views.dtype == torch.float32
