"""The numbers of a training: what they are means of, and that metrics.csv and TensorBoard tell the same."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytorch_lightning.utilities import rank_zero_only

from gan_lightning.training.gan import GAN
from gan_lightning.training.loggers import MetricsTable


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., MetricsTable]:
    return lambda resumed_at=None: MetricsTable(tmp_path / "metrics.csv", resumed_at)


# metrics.csv


def test_table_has_a_row_a_log_point(table, tmp_path):
    metrics = table()
    metrics.log_metrics({"a": 1.5, "b": -2}, step=10)
    metrics.log_metrics({"b": 3.0, "a": 0.1}, step=20)

    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["iteration,a,b", "10,1.5,-2", "20,0.1,3.0"]


def test_table_grows_a_column_when_a_metric_first_appears(table, tmp_path):
    metrics = table()
    metrics.log_metrics({"a": 1.0}, step=1)
    metrics.log_metrics({"a": 2.0, "late": 7.0}, step=2)
    metrics.log_metrics({"a": 3.0}, step=3)

    assert read(tmp_path / "metrics.csv") == [
        {"iteration": "1", "a": "1.0", "late": ""},
        {"iteration": "2", "a": "2.0", "late": "7.0"},
        {"iteration": "3", "a": "3.0", "late": ""},
    ]


def test_table_of_a_resumed_run_drops_later_rows_and_goes_on(table, tmp_path):
    metrics = table()
    for step in (5, 10, 11, 15):
        metrics.log_metrics({"a": step / 10}, step=step)

    resumed = table(10)
    assert [row["iteration"] for row in read(tmp_path / "metrics.csv")] == ["5", "10"]
    resumed.log_metrics({"a": 9.0, "new": 1.0}, step=15)
    assert read(tmp_path / "metrics.csv") == [
        {"iteration": "5", "a": "0.5", "new": ""},
        {"iteration": "10", "a": "1.0", "new": ""},
        {"iteration": "15", "a": "9.0", "new": "1.0"},
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.csv"]


def test_table_resumed_before_its_first_row_or_without_a_file_starts_anew(table, tmp_path):
    table(10).log_metrics({"a": 1.0}, step=11)
    assert [row["iteration"] for row in read(tmp_path / "metrics.csv")] == ["11"]
    table(3).log_metrics({"a": 2.0}, step=4)
    assert read(tmp_path / "metrics.csv") == [{"iteration": "4", "a": "2.0"}]


def test_only_rank_zero_writes_the_table(table, tmp_path, monkeypatch):
    table().log_metrics({"a": 1.0}, step=10)
    before = (tmp_path / "metrics.csv").read_bytes()
    monkeypatch.setattr(rank_zero_only, "rank", 1)

    table().log_metrics({"a": 2.0, "b": 1.0}, step=20)

    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_resuming_on_another_rank_leaves_the_table_alone(table, tmp_path, monkeypatch):
    metrics = table()
    metrics.log_metrics({"a": 1.0}, step=10)
    metrics.log_metrics({"a": 2.0}, step=20)
    before = (tmp_path / "metrics.csv").read_bytes()
    monkeypatch.setattr(rank_zero_only, "rank", 1)

    table(10)

    assert (tmp_path / "metrics.csv").read_bytes() == before


# What is logged


def test_table_and_events_tell_the_same(tiny):
    trained = tiny("run", "loss=wgan_gp", "trainer.max_steps=7", "trainer.log_every_n_steps=3")

    events, rows = trained.events(), read(trained.path / "metrics.csv")
    assert {"iteration", *events.Tags()["scalars"]} == set(rows[0])
    for tag in events.Tags()["scalars"]:
        scalars = events.Scalars(tag)
        assert [scalar.step for scalar in scalars] == [int(row["iteration"]) for row in rows]
        assert [scalar.value for scalar in scalars] == pytest.approx([float(row[tag]) for row in rows], rel=1e-6)


def test_rows_are_means_since_the_previous_one(tiny):
    often = tiny("often", "loss=wgan_gp", "trainer.max_steps=10", "trainer.log_every_n_steps=1").rows()
    seldom = tiny("seldom", "loss=wgan_gp", "trainer.max_steps=10", "trainer.log_every_n_steps=4").rows()

    assert [row["iteration"] for row in seldom] == ["4", "8", "10"]
    for row, window in zip(seldom, (often[:4], often[4:8], often[8:]), strict=True):
        for name in set(row) - {"iteration"}:
            values = [float(each[name]) for each in window]
            is_mean = name.startswith(("loss/", "discriminator/", "regularizer/"))
            assert float(row[name]) == pytest.approx(sum(values) / len(values) if is_mean else values[-1], rel=1e-4)


def test_logged_outputs_are_those_on_the_minibatch_before_the_update(tiny, monkeypatch):
    expected = []
    step = GAN.discriminator_step

    def before(self, real, *arguments):
        with torch.no_grad():
            expected.append(torch.sigmoid(self.discriminator(real)).mean().item())
        step(self, real, *arguments)

    monkeypatch.setattr(GAN, "discriminator_step", before)
    rows = tiny("run", "trainer.max_steps=4", "trainer.log_every_n_steps=1").rows()

    assert [float(row["discriminator/real"]) for row in rows] == pytest.approx(expected, rel=1e-5)


def test_gradient_norms_are_euclidean_over_all_weights(tiny, monkeypatch):
    expected = {"generator": [], "discriminator": []}
    update = GAN.update

    def keep(self, network, *arguments):
        update(self, network, *arguments)
        squares = [(parameter.grad**2).sum() for parameter in getattr(self, network).parameters()]
        expected[network].append(torch.stack(squares).sum().sqrt().item())

    monkeypatch.setattr(GAN, "update", keep)
    rows = tiny("run", "loss.n_critic=2", "trainer.max_steps=3", "trainer.log_every_n_steps=1").rows()

    for network, each in (("generator", 1), ("discriminator", 2)):
        norms = [float(row[f"gradient_norm/{network}"]) for row in rows]
        assert norms == pytest.approx(expected[network][each - 1 :: each], rel=1e-5)
