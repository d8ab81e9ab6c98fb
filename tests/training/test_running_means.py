"""Means between log points."""

import pytest
import torch

from gan_lightning.training.running_means import RunningMeans


def scalars(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


def test_a_mean_for_each_name():
    means = RunningMeans()
    for real, fake in ((1.0, -4.0), (2.0, 8.0), (6.0, 5.0)):
        means.add(scalars(real=real, fake=fake))
    taken = means.take()
    assert taken == {"real": 3.0, "fake": 3.0}
    assert all(type(value) is float for value in taken.values())


def test_groups_have_counts_of_their_own():
    means = RunningMeans()
    for _ in range(5):
        means.add(scalars(critic=2.0, penalty=0.5))
    means.add(scalars(critic=8.0, penalty=3.5))
    means.add(scalars(generator=-7.0))
    for norm in (1.0, 4.0):
        means.add(scalars(norm=norm))
    assert means.take() == {"critic": 3.0, "penalty": 1.0, "generator": -7.0, "norm": 2.5}


def test_empty():
    means = RunningMeans()
    assert means.take() == {}
    assert means.take(reduce=lambda values: pytest.fail("nothing to reduce")) == {}


def test_starts_anew_after_take():
    means = RunningMeans()
    means.add(scalars(loss=10.0, score=1.0))
    means.add(scalars(norm=3.0))
    means.take()
    assert means.take() == {}
    means.add(scalars(loss=2.0, score=4.0))
    assert means.take() == {"loss": 2.0, "score": 4.0}


def test_reduce_gets_all_means_at_once_and_its_answer_counts():
    means, seen = RunningMeans(), []
    for value in (1.0, 2.0):
        means.add(scalars(a=value, b=10 * value))
    means.add(scalars(c=-5.0))

    def reduce(values):
        seen.append(values.clone())
        return values * 2 + 1

    assert means.take(reduce) == {"a": 4.0, "b": 31.0, "c": -9.0}
    assert len(seen) == 1
    assert seen[0].tolist() == [1.5, 15.0, -5.0]
    assert seen[0].dtype == torch.float32


def test_holds_no_graph():
    means = RunningMeans()
    weight = torch.tensor(3.0, requires_grad=True)
    for _ in range(2):
        means.add({"loss": weight * 2})
    means.take(reduce=lambda values: pytest.fail("a graph is kept") if values.requires_grad else values)


def test_later_changes_of_a_scalar_do_not_matter():
    means, loss = RunningMeans(), torch.tensor(1.0)
    for value in (1.0, 5.0):
        loss.fill_(value)
        means.add({"loss": loss})
    loss.fill_(100.0)
    assert means.take() == {"loss": 3.0}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_sums_are_single_precision(dtype):
    means = RunningMeans()  # sums in bfloat16 would stop at 256
    for _ in range(3000):
        means.add({"loss": torch.ones((), dtype=dtype)})
    assert means.take() == {"loss": 1.0}


def test_one_group_may_mix_precisions():
    """As under autocast, where a loss is in single precision and what a layer returned is not."""
    means = RunningMeans()
    for loss, score in ((1.0001, 2.0), (1.0003, -5.0)):
        means.add({"loss": torch.tensor(loss), "score": torch.tensor(score, dtype=torch.bfloat16)})
    taken = means.take()
    assert taken["loss"] == pytest.approx(1.0002, rel=1e-6)
    assert taken["score"] == -1.5


def test_not_a_number_is_not_hidden():
    means = RunningMeans()
    for value in (1.0, float("nan"), 2.0):
        means.add(scalars(loss=value, score=value if value == value else 3.0))
    taken = means.take()
    assert taken["loss"] != taken["loss"]
    assert taken["score"] == 2.0
