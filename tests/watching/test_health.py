"""The health check: planted failures have their verdict and no other, healthy runs none, and training is as without."""

import pytest
import torch
from omegaconf import OmegaConf
from sklearn.datasets import load_digits

from gan_lightning.config.build import build
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.sampling.drawing import draw_latents
from gan_lightning.watching.loggers import literal
from gan_lightning.watching.measurements import coverage, measure, undisturbed

# Networks wide enough to learn digits, measured often.
WIDER = (
    "network.latent_dim=8",
    "network.generator.hidden_dim=32",
    "network.generator.blocks=2",
    "network.discriminator.hidden_dim=64",
    "network.discriminator.blocks=2",
    "health.every=20",
    "health.count=64",
    "trainer.max_steps=160",
)


def rate(network: str, value: float) -> str:
    return f"loss.optimizer.{network}.lr={value}"


PLANTED = {
    "Discriminator not learning": (rate("discriminator", 0),),
    # The discriminator is trained to optimality.
    "Vanishing generator gradients": (
        *("loss=minimax", "loss.n_critic=10"),
        *(rate("discriminator", 2e-3), rate("generator", 1e-5)),
    ),
    "Clipping pins weights": (
        "loss=wgan_clip",
        "loss.critic_updates.boost=0",
        "regularizer.weight_clipping.bound=1e-4",
    ),
    # All of 50 digits are in each minibatch.
    "Discriminator overfitting": (
        *("dataset.held_out=1747", "dataset.batch_size=50", "network.discriminator.blocks=3"),
        *("network.discriminator.hidden_dim=128", "network.generator.hidden_dim=128"),
        *(rate("discriminator", 4e-4), rate("generator", 4e-4), "trainer.max_steps=500", "health.every=50"),
    ),
    "Critic not Lipschitz": ("loss=wgan_gp", "regularizer=[]", rate("discriminator", 1e-2)),
    "Discriminator overpowering": (rate("discriminator", 2e-3), rate("generator", 1e-5), "loss.n_critic=3"),
    "Diverging": (rate("discriminator", 10),),
}


def kinds(run):
    """Those of the verdicts in results.json."""
    return [verdict["kind"] for verdict in run.results()["health"]["verdicts"]]


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_failure_has_its_verdict_and_no_other(tiny, kind):
    assert kinds(tiny("run", *WIDER, *PLANTED[kind])) == [kind]


def test_generator_that_ignores_its_latents_has_collapsed(tiny, monkeypatch, caplog):
    decode = MLPGenerator.decode
    monkeypatch.setattr(MLPGenerator, "decode", lambda self, inputs, labels: decode(self, 0 * inputs, labels))

    run = tiny("run", *WIDER)

    assert kinds(run) == ["Mode collapse suspected"]
    (verdict,) = run.run.verdicts
    assert verdict.sentence.startswith(
        "Mode collapse suspected at iteration 140: generated samples differ by 0 of what"
    )
    assert verdict.sentence in caplog.messages
    texts = [tag for tag in sorted(run.events().Tags()["tensors"]) if tag.endswith("/text_summary")]
    assert texts[0] == "alarms/text_summary"  # the first that TensorBoard shows
    (text,) = run.events().Tensors("alarms/text_summary")
    assert (text.step, text.tensor_proto.string_val[0].decode()) == (140, literal(verdict.sentence))


def test_samples_of_two_kinds_have_collapsed_however_they_differ(tiny, monkeypatch):
    decode = MLPGenerator.decode
    kinds_of_samples = torch.tensor(load_digits().images[:2], dtype=torch.float32)[:, None] / 8 - 1

    def decode_to_two(self, inputs, labels):
        return kinds_of_samples[(inputs[:, 0] > 0).long()] + 0.01 * decode(self, inputs, labels)

    monkeypatch.setattr(MLPGenerator, "decode", decode_to_two)

    run = tiny("run", *WIDER)

    assert kinds(run) == ["Mode collapse suspected"]
    assert run.results()["health"]["numbers"]["diversity"] > 0.5
    assert "lie near 4.5% of the variety" in run.run.verdicts[0].sentence


def test_coverage_counts_the_real_samples_that_are_nearest():
    real = torch.tensor([[0.0], [1.0], [3.0], [7.0]])  # 1, 0, 1 and 3 are nearest to another one: three of them
    assert coverage(torch.tensor([[-9.0], [0.4], [0.3]]), real).item() == pytest.approx(1 / 3)
    assert coverage(torch.tensor([[6.0], [2.5], [0.6], [0.4]]), real).item() == pytest.approx(4 / 3)


HEALTHY = (
    ("loss=vanilla",),
    ("loss=hinge", "network.generator.hidden_dim=128", rate("generator", 2e-4)),
    ("loss=wgan_gp", "loss.n_critic=2"),
    ("loss=r3gan", "dataset=ring"),
)


@pytest.mark.parametrize("recipe", HEALTHY, ids=lambda recipe: " ".join(recipe[:2]))
def test_healthy_training_has_no_verdict(tiny, recipe):
    wider = [] if "dataset=ring" in recipe else WIDER
    run = tiny("run", *wider, *recipe, "health.every=50", "trainer.max_steps=300")

    assert kinds(run) == []
    assert run.results()["health"]["numbers"]["diversity"] > 0.3
    assert ("coverage" in run.results()["health"]["numbers"]) == ("dataset=ring" not in recipe)


@pytest.mark.parametrize(
    "recipe",
    [
        ("loss=vanilla", "network=dcgan"),  # batch statistics in the discriminator too
        ("loss=hinge", "network=resnet"),  # spectral normalisation
        ("loss=vanilla", "regularizer=[diffaugment,instance_noise]"),
        ("loss=acgan",),
        ("loss=vanilla", "conditioning=projection"),
        ("loss=began",),
        ("loss=infogan",),
        ("loss=pacgan", "conditioning=concat"),
        ("loss=wgan_clip", "dataset=ring"),
        ("loss=ragan", "dataset.held_out=0"),
    ],
    ids=lambda recipe: " ".join(recipe),
)
def test_training_is_as_without(tiny, same, recipe):
    short = ("trainer.max_steps=4", "trainer.log_every_n_steps=1")
    watched = tiny("watched", *recipe, *short, "health.every=1", "health.count=10")
    alone = tiny("alone", *recipe, *short, "health.every=null")

    for key in ("state_dict", "optimizer_states"):
        same(watched.checkpoint()[key], alone.checkpoint()[key])
    assert [row for row in watched.rows() if row["loss/generator"]] != []
    numbers = watched.results()["health"]["numbers"]
    assert all(isinstance(value, float) for value in numbers.values())
    assert alone.results()["health"] == {"verdicts": [], "numbers": {}}
    assert ("overfitting_gap" in numbers) == (recipe[-1] not in ("dataset.held_out=0", "loss=began"))
    assert ("clipped" in numbers) == ("wasserstein_estimate" in numbers) == ("loss=wgan_clip" in recipe)
    assert ("ranking" in numbers) == (recipe != ("loss=began",))
    assert ("saturated" in numbers) == (recipe[0] not in ("loss=hinge", "loss=began", "loss=wgan_clip", "loss=ragan"))


def test_a_point_mass_is_told_by_nothing_but_its_samples(tiny):
    """Of real samples that are all the same, every order of logits is right or wrong at once."""
    run = tiny("run", "dataset=point_mass", "loss=r1", "health.every=50", "trainer.max_steps=400")
    assert kinds(run) == []
    numbers = run.results()["health"]["numbers"]
    assert not {"ranking", "accuracy/real", "overfitting_gap", "diversity", "coverage"} & set(numbers)


def test_a_pack_is_the_least_that_is_measured(tiny):
    run = tiny("run", "loss=pacgan", "health.every=2", "health.count=1", "trainer.max_steps=2")
    assert {"accuracy/real", "critic_gradient/interpolate/mean"} <= set(run.results()["health"]["numbers"])


def test_gradients_of_chunks_are_those_of_the_whole(tiny):
    numbers = {}
    for at_once in (7, 16):  # of 16, in packs of two
        run = tiny(f"{at_once} at once", "loss=pacgan", "trainer.max_steps=1")
        model, data = build_parts(run)
        real, held_out = data.first(16).as_floats(), data.subset("held_out", 16).as_floats()
        latents = draw_latents(model.latents, model.generator.latent_dim, 16, 0)
        with undisturbed(model, 0):
            numbers[at_once] = measure(model, model.adapter(), real, held_out, latents, at_once)
    for place in ("real", "fake", "interpolate"):
        for kind in ("mean", "max"):
            name = f"critic_gradient/{place}/{kind}"
            torch.testing.assert_close(numbers[7][name], numbers[16][name])


def build_parts(run):
    config = OmegaConf.create(run.config())
    model, data = build(config, "model"), build(config, "data")
    model.load_state_dict(run.checkpoint()["state_dict"])
    return model, data


def test_numbers_are_logged(tiny):
    run = tiny("run", "trainer.max_steps=6", "health.every=3")

    numbers = run.results()["health"]["numbers"]
    layers = {name for name in numbers if name.startswith("gradient_norm/generator/")}
    assert layers == {f"gradient_norm/generator/layers.{number}" for number in (0, 1, 3)}
    for name, value in numbers.items():
        events = run.events().Scalars(f"health/{name}")
        assert [event.step for event in events] == [3, 6]
        assert events[-1].value == pytest.approx(value)
    rows = [row for row in run.rows() if row["health/ranking"]]
    assert [row["iteration"] for row in rows] == ["3", "6"]
    assert numbers["accuracy/real"] - numbers["accuracy/held_out"] == pytest.approx(numbers["overfitting_gap"])


def test_alarm_stops_the_run_with_a_checkpoint(tiny, resume, capsys):
    run = tiny("run", *WIDER, rate("discriminator", 0), "health.on_alarm=stop")

    assert run.run.status == run.results()["status"] == "alarm"
    assert run.run.iteration == run.checkpoint()["global_step"] == 140
    assert "Stopped by a health alarm: discriminator not learning at iteration 140" in capsys.readouterr().out

    resumed = resume(run.path)  # where the verdict still stands
    assert resumed.run.status == "finished"
    assert kinds(resumed) == ["Discriminator not learning"]


def test_error_of_a_divergence_is_a_verdict(tiny, folder):
    with pytest.raises(FloatingPointError):
        tiny("run", rate("discriminator", 1e30), "trainer.max_steps=20", "trainer.log_every_n_steps=1")

    results = folder("run").results()
    assert results["status"] == "failed"
    (verdict,) = results["health"]["verdicts"]
    assert verdict["kind"] == "Diverging"
    assert "at iteration" in verdict["sentence"]
