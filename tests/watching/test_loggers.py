"""The numbers of a training: what they are means of, and that metrics.csv, TensorBoard and trackers tell the same."""

import csv
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning.utilities import rank_zero_only

from gan_lightning.errors import UserError
from gan_lightning.training.gan import GAN
from gan_lightning.watching import loggers
from gan_lightning.watching.loggers import Events, MetricsTable, MLflow, add_picture, open_trackers

SCALAR = "loss/generator/adversarial"
SHORT = ("trainer.max_steps=4", "trainer.log_every_n_steps=2", "samples.every=2", "dashboard.every=2")
PICTURES = {
    "samples/real": [0],
    "samples/generator": [0, 2, 4],
    "samples/interpolation": [2, 4],
    "samples/neighbours": [2, 4],
}


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


def test_table_has_one_row_an_iteration(table, tmp_path):
    """Health and evaluations are logged beside the losses."""
    metrics = table()
    metrics.log_metrics({"a": 1.0}, step=1)
    metrics.log_metrics({"a": 2.0}, step=2)
    metrics.log_metrics({"late": 7.0}, step=2)
    metrics.log_metrics({"late": 8.0, "a": 2.5}, step=2)
    metrics.log_metrics({"a": 3.0}, step=3)
    metrics.log_metrics({"late": 9.0}, step=3)

    assert read(tmp_path / "metrics.csv") == [
        {"iteration": "1", "a": "1.0", "late": ""},
        {"iteration": "2", "a": "2.5", "late": "8.0"},
        {"iteration": "3", "a": "3.0", "late": "9.0"},
    ]


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

    def before(self, real, *arguments, **options):
        with torch.no_grad():
            expected.append(torch.sigmoid(self.discriminator(real)).mean().item())
        return step(self, real, *arguments, **options)

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


# Other trackers


def has_what(run, scalars: Mapping[int, float], values: Mapping[str, str]) -> None:
    """What every tracker is to tell: the scalars of metrics.csv at its iterations, and the hyper-parameters."""
    assert scalars == {int(row["iteration"]): pytest.approx(float(row[SCALAR])) for row in run.rows() if row[SCALAR]}
    assert values["loss"] == "vanilla"
    assert float(values["generator_lr"]) == 2e-4


def test_csv_logger_tells_what_metrics_csv_does(tiny):
    run = tiny("run", "logger=csv", *SHORT)
    folder = run.path / "csv" / "version_0"
    rows = read(folder / "metrics.csv")
    has_what(
        run,
        {int(row["step"]): float(row[SCALAR]) for row in rows if row[SCALAR]},
        yaml.safe_load((folder / "hparams.yaml").read_text()),
    )


def test_weights_and_biases_gets_scalars_pictures_and_hyperparameters(tiny):
    run = tiny("run", "logger=wandb", *SHORT)
    (log,) = run.path.glob("wandb/wandb/offline-run-*/run-*.wandb")
    history, config = wandb_records(log)
    steps = {row["trainer/global_step"]: row[SCALAR] for row in history if SCALAR in row}
    has_what(run, steps, config)
    for tag, iterations in PICTURES.items():
        shown = {row["trainer/global_step"]: row[f"{tag}/filenames"] for row in history if f"{tag}/filenames" in row}
        assert list(shown) == iterations
        assert all((log.parent / "files" / name).is_file() for (name,) in shown.values())


def test_mlflow_gets_scalars_pictures_and_hyperparameters(tiny):
    run = tiny("run", "logger=mlflow", *SHORT)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{run.path / 'mlflow' / 'mlflow.db'}")
    (logged,) = client.search_runs([client.get_experiment_by_name("gan_lightning").experiment_id])
    scalars = {metric.step: metric.value for metric in client.get_metric_history(logged.info.run_id, SCALAR)}
    has_what(run, scalars, logged.data.params)
    names = [entry.path for entry in client.list_artifacts(logged.info.run_id, "images")]
    for tag, iterations in PICTURES.items():
        pattern = re.compile(rf"images/{tag.replace('/', '~')}\+step\+(\d+)\+.*\.png")
        steps = sorted(int(found[1]) for name in names if (found := pattern.fullmatch(name)))
        assert steps == iterations
    assert logged.info.status == "FINISHED"


def test_a_resumed_run_goes_on_in_all_trackers(tiny, resume):
    run = tiny("run", "logger=[csv,wandb]", *SHORT)
    resume(run.path, "trainer.max_steps=8")
    rows = read(run.path / "csv" / "version_1" / "metrics.csv")
    assert [row["step"] for row in rows if row[SCALAR]] == ["6", "8"]
    logs = sorted(run.path.glob("wandb/wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    steps = [[row["trainer/global_step"] for row in wandb_records(log)[0] if SCALAR in row] for log in logs]
    assert steps == [[2, 4], [6, 8]]
    assert [row["iteration"] for row in run.rows() if row[SCALAR]] == ["2", "4", "6", "8"]


@pytest.mark.parametrize(
    ("name", "flag"), [("wandb", "wandb._WANDB_AVAILABLE"), ("mlflow", "mlflow._MLFLOW_AVAILABLE")]
)
def test_a_tracker_whose_package_is_missing(tiny, tmp_path, monkeypatch, name, flag):
    monkeypatch.setattr(f"pytorch_lightning.loggers.{flag}", False)
    with pytest.raises(UserError, match=re.escape(f"pip install 'gan-lightning[{name}]'")):
        tiny("run", f"logger={name}", *SHORT)
    assert not (tmp_path / "run").exists()


def test_mlflow_without_what_its_file_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the package mlflow"):
        open_trackers({"mlflow": MLflow}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_does_not_start(tiny):
    with pytest.raises(UserError, match=r"logger\.mlflow can't start: .*nowhere"):
        tiny("run", "logger=mlflow", "logger.mlflow.tracking_uri=nowhere:x", *SHORT)


def test_a_misspelt_setting_of_a_tracker(tiny):
    with pytest.raises(UserError, match=r"logger\.wandb\.projct is not a key .* Did you mean logger\.wandb\.project\?"):
        tiny("run", "logger=wandb", "+logger.wandb.projct=x", *SHORT)


def test_only_rank_zero_gives_pictures(folder, tmp_path, monkeypatch):
    events = Events(tmp_path)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    add_picture(events, "samples/real", torch.zeros(1, 2, 2, dtype=torch.uint8), 0)
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    add_picture(events, "samples/generator", torch.zeros(1, 2, 2, dtype=torch.uint8), 0)
    events.save()
    assert folder(".").events().Tags()["images"] == ["samples/generator"]


def leveldb_log(content: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format: blocks of 32 KiB, whose pieces have headers of CRC, length and kind."""
    at, begun = 7, b""  # after W&B's own header
    while at + 7 <= len(content):
        if -at % 32768 < 7 and at % 32768:  # no room for a header: filled with zeros
            at += -at % 32768
            continue
        length, kind = struct.unpack("<4xHB", content[at : at + 7])
        begun += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield begun
            begun = b""


def wandb_records(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the config in a file of W&B's, as its own server would read them."""
    from wandb.proto.wandb_internal_pb2 import Record

    rows, config = [], {}
    for data in leveldb_log(path.read_bytes()):
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        elif record.WhichOneof("record_type") in ("config", "run"):
            updates = record.config.update or record.run.config.update
            config |= {item.key: json.loads(item.value_json) for item in updates}
    return rows, config
