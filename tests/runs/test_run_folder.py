"""What a run leaves in its folder: every file of it, and every tag of TensorBoard."""

import importlib.metadata
import re

import pytest
import yaml
from PIL import Image
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import gan_lightning
from gan_lightning.runs import provenance

SHOWN = "dashboard.every=500"
STEPS = ("trainer.max_steps=6", "trainer.log_every_n_steps=2")
COMMON = {
    "loss/discriminator",
    "loss/discriminator/adversarial",
    "loss/generator",
    "loss/generator/adversarial",
    "discriminator/real",
    "discriminator/fake",
    "gradient_norm/generator",
    "gradient_norm/discriminator",
    "learning_rate/generator",
    "learning_rate/discriminator",
    "progress/images_per_second",
    "progress/images_seen",
    "progress/epoch",
    "progress/seconds",
}
TAGS = {
    "vanilla": COMMON,
    "wgan_clip": {*COMMON, "discriminator/wasserstein_estimate"},
    "wgan_gp": {
        *COMMON,
        "discriminator/wasserstein_estimate",
        "loss/discriminator/gradient_penalty",
        "regularizer/gradient_penalty/gradient_norm",
    },
}


@pytest.fixture(scope="module")
def trained(tiny_in_module):
    """One run of each loss."""
    losses = {loss: tiny_in_module(f"loss={loss}", "loss.critic_updates.boost=0", SHOWN, *STEPS) for loss in TAGS}
    return {loss: (run, run.events()) for loss, run in losses.items()}


@pytest.mark.parametrize("loss", TAGS)
def test_folder_holds_these_files_and_no_others(trained, loss):
    run, _ = trained[loss]
    files = {re.sub(r"^(events\.out\.tfevents)\..*", r"\1", name) for name in run.files()}
    assert files == {
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        "00006/samples/metadata.tsv",  # of TensorBoard's projector
        "00006/samples/sprite.png",
        "00006/samples/tensors.tsv",
        "checkpoints/last.ckpt",
        "composed.yaml",
        "config.yaml",
        "events.out.tfevents",
        "generator.safetensors",
        "metrics.csv",
        "projector_config.pbtxt",
        "results.json",
        "samples/00000000.png",
        "samples/00000006.png",
        "summary.png",
    }
    assert len(list(run.path.glob("events.*"))) == 1


@pytest.mark.parametrize(("loss", "n_critic"), [("vanilla", 1), ("wgan_gp", 5)])
def test_config_is_resolved(trained, loss, n_critic):
    run, _ = trained[loss]
    config = run.config()
    assert config["loss"]["name"] == loss
    assert config["loss"]["n_critic"] == config["loss"]["critic_updates"]["n_critic"] == n_critic
    assert config["dataset"]["sample_shape"] == config["network"]["generator"]["sample_shape"] == [1, 8, 8]
    assert config["trainer"]["max_steps"] == 6
    assert type(config["loss"]["optimizer"]["generator"]["lr"]) is float
    assert "${" not in (run.path / "config.yaml").read_text()


@pytest.mark.parametrize("name", ["composed.yaml", ".hydra/config.yaml"])
def test_what_is_composed_again_keeps_its_interpolations(trained, name):
    text = (trained["vanilla"][0].path / name).read_text()
    assert yaml.safe_load(text)["loss"]["critic_updates"]["n_critic"] == "${loss.n_critic}"


def test_results_tell_what_came_out_and_where_from(trained):
    run, _ = trained["wgan_gp"]
    results = run.results()
    assert results["status"] == run.run.status == "finished"
    assert results["iteration"] == run.run.iteration == 6
    assert results["seed"] == 0
    assert results["seconds"] > 0
    assert results["metrics"] == run.run.metrics
    assert set(results["metrics"]) == TAGS["wgan_gp"]
    last = run.rows()[-1]
    assert all(float(last[name]) == results["metrics"][name] for name in set(last) - {"iteration"})
    assert results["versions"]["gan_lightning"] == gan_lightning.__version__
    for package in ("torch", "pytorch-lightning", "hydra-core"):
        assert results["versions"][package] == importlib.metadata.version(package)
    assert len(results["protocol"]) > 20
    assert {"git", "device"} <= set(results)


@pytest.mark.parametrize("loss", TAGS)
def test_scalars_have_these_tags_and_no_others(trained, loss):
    _, events = trained[loss]
    assert set(events.Tags()["scalars"]) == TAGS[loss]


def test_losses_are_the_sums_of_their_terms(trained):
    for row in trained["wgan_gp"][0].rows():
        terms = [float(row[f"loss/discriminator/{term}"]) for term in ("adversarial", "gradient_penalty")]
        assert float(row["loss/discriminator"]) == pytest.approx(sum(terms), rel=1e-5)
        assert float(row["loss/generator"]) == float(row["loss/generator/adversarial"])
        assert terms[0] == pytest.approx(-float(row["discriminator/wasserstein_estimate"]), rel=1e-5)
        gap = float(row["discriminator/real"]) - float(row["discriminator/fake"])
        assert float(row["discriminator/wasserstein_estimate"]) == pytest.approx(gap, abs=1e-5)


def test_outputs_of_the_vanilla_discriminator_are_probabilities(trained):
    for row in trained["vanilla"][0].rows():
        assert 0 <= float(row["discriminator/real"]) <= 1
        assert 0 <= float(row["discriminator/fake"]) <= 1


def test_learning_rates_and_progress(trained):
    for loss, rate, n_critic in (("vanilla", 2e-4, 1), ("wgan_clip", 5e-5, 5), ("wgan_gp", 1e-4, 5)):
        run, _ = trained[loss]
        assert run.config()["loss"]["optimizer"]["generator"]["lr"] == rate
        for row in run.rows():
            assert float(row["learning_rate/generator"]) == float(row["learning_rate/discriminator"]) == rate
            seen = int(row["iteration"]) * n_critic * 16
            assert float(row["progress/images_seen"]) == seen
            assert float(row["progress/epoch"]) == pytest.approx(seen / (93 * 16))


def test_pictures_are_in_files_and_in_events(trained):
    run, events = trained["vanilla"]
    shown = {f"samples/{name}" for name in ("generator", "real", "interpolation", "neighbours")}
    assert set(events.Tags()["images"]) == shown
    assert [image.step for image in events.Images("samples/generator")] == [0, 6]
    for image, name in zip(events.Images("samples/generator"), ("00000000", "00000006"), strict=True):
        with Image.open(run.path / "samples" / f"{name}.png") as picture:
            assert picture.size == (image.width, image.height)
            # Two by two digits of 8x8 pixels, each enlarged six times.
            assert picture.size == (2 * 50 + 2, 2 * 50 + 2)
            assert len(picture.getcolors()) > 2
    names = [path.read_bytes() for path in (run.path / "samples").iterdir()]
    assert len(set(names)) == 2


def test_events_hold_the_config_as_text(trained):
    run, events = trained["vanilla"]
    (text,) = events.Tensors("config/text_summary")
    assert (run.path / "config.yaml").read_text() in text.tensor_proto.string_val[0].decode()


def test_what_a_sweep_tries_is_among_the_hyperparameters_that_are_shown():
    """TensorBoard shows five. With the learning rate hidden, runs that differ in it alone look the same."""

    def shown(overrides):
        names = [*provenance.ALWAYS, *provenance.OTHERWISE, *provenance.KEYS]
        values = dict.fromkeys(names, 1.0) | {"overrides": overrides}
        experiment, *_ = provenance.compared(values, ["loss/generator"])
        data = HParamsPluginData.FromString(experiment.value[0].metadata.plugin_data.content)
        return {info.name for info in data.experiment.hparam_infos if info.differs}

    assert shown("-") == {"loss", "seed", "n_critic", "regularizer", "network"}
    swept = "loss.optimizer.generator.lr=0.1 loss.weights.gradient_penalty=5 seed=2 trainer.max_steps=9"
    assert shown(swept) == {"generator_lr", "regularizer_weight", "seed", "loss", "n_critic"}
    assert len(shown(f"{swept} ema.decay=0.9 dataset.batch_size=7 network.latent_dim=9")) == 5


def test_events_hold_the_hyperparameters(trained):
    for loss, n_critic, seen in (("vanilla", 1, "-"), ("wgan_gp", 5, "gradient_penalty")):
        run, events = trained[loss]
        data = {}
        for name in ("experiment", "session_start_info"):
            plugin = events.summary_metadata[f"_hparams_/{name}"].plugin_data
            assert plugin.plugin_name == "hparams"
            data[name] = HParamsPluginData.FromString(plugin.content)
        values = data["session_start_info"].session_start_info.hparams
        assert values["loss"].string_value == loss
        assert values["regularizer"].string_value == seen
        assert values["n_critic"].number_value == n_critic
        assert values["seed"].number_value == 0
        assert values["batch_size"].number_value == 16
        assert values["generator_lr"].number_value == run.config()["loss"]["optimizer"]["generator"]["lr"]
        metrics = [info.name.tag for info in data["experiment"].experiment.metric_infos]
        measured = [name for name in metrics if name.startswith("evaluation/")]
        infos = data["experiment"].experiment.hparam_infos
        # TensorBoard's page shows the first five of each, those that are said to differ before the others.
        shown = {info.name for info in infos if info.differs}
        assert shown == {"loss", "seed", "batch_size", "latent_dim", "n_critic"}
        assert len(infos) == len(values)
        assert metrics[: len(measured)] == measured
        assert measured[:2] == ["evaluation/frechet_distance", "evaluation/sliced_wasserstein"]
        assert set(metrics) - set(measured) <= set(events.Tags()["scalars"])
