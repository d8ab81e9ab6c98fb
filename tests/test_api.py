"""What a notebook uses: train, load_generator, and the sampler's pictures."""

import math
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from safetensors import safe_open

import gan_lightning
from gan_lightning import Run, UserError, load_generator, train
from gan_lightning.config.resolvers import register_resolvers
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.pictures import save_png
from gan_lightning.sampling.drawing import draw_latents
from gan_lightning.sampling.latents import Normal, Uniform, slerp
from gan_lightning.sampling.sampler import Sampler


@pytest.fixture(scope="module")
def run(tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("api") / "run"
    return train(
        *tiny, "loss=wgan_gp", "trainer.max_steps=30", "trainer.log_every_n_steps=7", f"hydra.run.dir={folder}"
    )


@pytest.fixture(scope="module")
def sampler(run: Run) -> Sampler:
    return load_generator(run.folder)


def test_what_a_run_tells(run: Run) -> None:
    assert (run.status, run.iteration) == ("finished", 30)
    assert run.seconds > 0
    assert {"loss/discriminator", "loss/generator", "loss/discriminator/gradient_penalty"} <= run.metrics.keys()
    assert all(math.isfinite(value) for value in run.metrics.values())
    header, *_, last = (run.folder / "metrics.csv").read_text().splitlines()
    row = dict(zip(header.split(","), last.split(","), strict=True))
    assert row["iteration"] == "30"
    assert float(row["loss/generator"]) == pytest.approx(run.metrics["loss/generator"], rel=1e-4)


def test_relative_paths_and_default_folders(
    tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = train(*tiny, "trainer.max_steps=1")
    second = train(*tiny, "trainer.max_steps=1", "hydra.run.dir=below/mine")
    assert first.folder.absolute().is_relative_to(tmp_path / "outputs")
    assert (tmp_path / "below" / "mine" / "config.yaml").is_file()
    assert load_generator("below/mine").sample(2).shape == (2, 1, 8, 8)
    assert load_generator(second.folder).sample(2).shape == (2, 1, 8, 8)
    assert train(f"resume={second.folder}", "trainer.max_steps=2").iteration == 2
    assert train("resume=below/mine", "trainer.max_steps=3").iteration == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("los=wgan_gp", "Did you mean loss?"),
        ("loss=wgan_gpp", "Did you mean wgan_gp?"),
        ("trainer.max_steps=0", "trainer.max_steps is 0"),
        ("dataset.batch_size=100000", "dataset.batch_size is 100000"),
        ("dataset=image_folder", "dataset.root needs a value"),
        ("loss=vanilla,wgan_gp", "loss=vanilla,wgan_gp"),
        ("resume=nowhere", "resume is nowhere"),
    ],
)
def test_a_mistake_is_a_user_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        train(override)
    assert message in str(caught.value)
    assert "\n\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not list(tmp_path.glob("outputs/*/*"))


def test_a_run_is_not_written_over(tiny: tuple[str, ...], run: Run) -> None:
    before = (run.folder / "results.json").read_bytes()
    with pytest.raises(UserError, match=r"holds another run: loss\."):
        train(*tiny, "trainer.max_steps=1", f"hydra.run.dir={run.folder}", "seed=7")
    assert (run.folder / "results.json").read_bytes() == before


def test_it_trains_within_a_program_of_hydras_own_and_leaves_it_as_it_was(
    tiny: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "app.yaml").write_text("steps: 1\nwide: ${width:3}\n")
    with initialize_config_dir(str(tmp_path)):
        OmegaConf.register_resolver("width", lambda number: 10 * number, replace=True)
        try:
            before = GlobalHydra.instance().hydra
            config = compose("app")
            for seed in range(2):
                place = f"hydra.run.dir={tmp_path / f'run_{seed}'}"
                train(*tiny, f"trainer.max_steps={config.steps}", f"seed={seed}", place)
            assert GlobalHydra.instance().hydra is before
            assert compose("app", ["steps=2"]) == {"steps": 2, "wide": 30}
        finally:
            register_resolvers()


def test_a_failure_is_itself(tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("gan_lightning.training.gan.GAN.training_step", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        train(*tiny, "trainer.max_steps=1", f"hydra.run.dir={tmp_path / 'run'}")


def test_images(sampler: Sampler) -> None:
    images = sampler.sample(300, seed=1)
    assert images.shape == (300, 1, 8, 8)
    assert images.dtype == torch.float32
    assert images.device.type == "cpu"
    assert not images.requires_grad
    assert -1 <= images.min() < images.max() <= 1
    assert torch.equal(images, sampler.sample(300, seed=1))
    assert not torch.equal(images, sampler.sample(300, seed=2))
    assert torch.equal(sampler.sample(5), sampler.sample(5, seed=0))
    assert len(images.flatten(1).unique(dim=0)) > 250


def test_sampling_leaves_torchs_random_numbers_alone(sampler: Sampler) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    sampler.sample(4)
    sampler.interpolate([1, 2], 3)
    assert torch.equal(torch.rand(3), expected)


def test_it_is_the_average_in_the_file(run: Run, sampler: Sampler) -> None:
    file = run.folder / "generator.safetensors"
    with safe_open(file, framework="pt") as content:
        for name, value in sampler.network.state_dict().items():
            assert torch.equal(value, content.get_tensor(name))
    assert isinstance(sampler.network, MLPGenerator)
    assert not sampler.network.training
    assert torch.equal(load_generator(file).sample(3), sampler.sample(3))
    assert torch.equal(load_generator(str(run.folder)).sample(3), sampler.sample(3))
    # In evaluation mode, an image does not depend on the others beside it.
    latents = draw_latents(sampler.latents, sampler.network.latent_dim, 6, 0)
    torch.testing.assert_close(sampler.network(latents[:2]), sampler.network(latents)[:2])


def test_raw_weights(run: Run, sampler: Sampler) -> None:
    state = torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    raw = load_generator(run.folder, weights="raw")
    for name, value in raw.network.state_dict().items():
        assert torch.equal(value, state[f"generator.{name}"])
    assert not torch.equal(raw.sample(4), sampler.sample(4))


@pytest.mark.parametrize(
    ("what", "message"), [("nothing", "does not exist"), ("checkpoints", "holds no generator"), ("config.yaml", "read")]
)
def test_what_is_no_generator(run: Run, what: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_generator(run.folder / what)


def test_a_file_of_another_program(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="not a generator of this program"):
        load_generator(tmp_path / "other.safetensors")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.mps, "is_available", lambda: False, raising=False)
    with pytest.raises(UserError, match=f"device is {device}"):
        load_generator(run.folder, device=device)


class Labelled(Generator):
    """Gives its first latent and its label."""

    def __init__(self) -> None:
        super().__init__(2, classes=3, label_input="concat")

    def decode(self, inputs: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return torch.stack([inputs[:, 0], inputs[:, 2:].argmax(1).float()], dim=1)


def test_labels_of_samples() -> None:
    sampler = Sampler(Labelled())
    latents = draw_latents(Normal(), 2, 5, seed=1)[:, 0]
    assert torch.equal(sampler.sample(5, seed=1), torch.stack([latents, torch.tensor([0.0, 1, 2, 0, 1])], dim=1))
    assert sampler.sample(5, seed=1, label=2)[:, 1].tolist() == [2.0] * 5
    assert sampler.sample(300, seed=1)[-1, 1] == 299 % 3  # in more batches than one
    assert sampler.interpolate([0, 1, 2], 3)[:, 1].tolist() == [0.0] * 6
    assert sampler.interpolate([0, 1, 2], 3, label=1)[:, 1].tolist() == [1.0] * 6


@pytest.mark.parametrize("label", [3, -1, 17])
def test_a_class_that_is_not_there(label: int) -> None:
    for draw in (lambda: Sampler(Labelled()).sample(2, label=label), lambda: Sampler(Labelled()).labels(2, label)):
        with pytest.raises(UserError, match=rf"label is {label}, but this generator's classes are 0 to 2\."):
            draw()


def test_a_label_for_a_generator_without_any(sampler: Sampler) -> None:
    with pytest.raises(UserError, match="trained without labels"):
        sampler.sample(2, label=0)


def test_samplers_draw_from_their_prior() -> None:
    sampler = Sampler(Labelled(), Uniform(0.5))
    assert torch.equal(sampler.sample(9, seed=2)[:, 0], draw_latents(Uniform(0.5), 2, 9, seed=2)[:, 0])
    assert sampler.sample(200)[:, 0].abs().max() <= 0.5
    assert Sampler(Labelled()).latents == Normal()


def test_a_walk_goes_from_seed_to_seed(sampler: Sampler) -> None:
    seeds = [3, 1, 4, 1]
    walk = sampler.interpolate(seeds, 5)
    assert walk.shape == (15, 1, 8, 8)
    rows = walk.unflatten(0, (3, 5))
    for row, (start, end) in zip(rows, [(3, 1), (1, 4), (4, 1)], strict=True):
        torch.testing.assert_close(row[0], sampler.sample(1, seed=start)[0])
        torch.testing.assert_close(row[-1], sampler.sample(1, seed=end)[0])
    torch.testing.assert_close(rows[1].flip(0), rows[2])
    steps = (rows[:, 1:] - rows[:, :-1]).flatten(2).norm(dim=2)
    assert steps.min() > 0


def angles(points: torch.Tensor) -> torch.Tensor:
    unit = points / points.norm(dim=1, keepdim=True)
    return torch.arccos((unit[1:] * unit[:-1]).sum(1).clamp(-1, 1))


def test_slerp_between_unit_vectors_is_the_arc() -> None:
    points = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 4)
    expected = [[math.cos(k * math.pi / 6), math.sin(k * math.pi / 6)] for k in range(4)]
    torch.testing.assert_close(points, torch.tensor(expected))


def test_slerp_in_many_dimensions() -> None:
    start, end = torch.nn.functional.normalize(torch.randn(2, 64, generator=torch.Generator().manual_seed(0)).double())
    points = slerp(8 * start, 8 * end, 9)
    assert points.shape == (9, 64)
    torch.testing.assert_close(points[0], 8 * start)
    torch.testing.assert_close(points[-1], 8 * end)
    # A straight line's middle is shorter than nearly all latents that are drawn, and its steps are of uneven angles.
    assert (4 * start + 4 * end).norm() < 6.5
    torch.testing.assert_close(points.norm(dim=1), torch.full((9,), 8.0).double())
    torch.testing.assert_close(angles(points), angles(torch.stack([start, end])).expand(8) / 8, rtol=1e-5, atol=0)
    torch.testing.assert_close(slerp(8 * end, 8 * start, 9).flip(0), points)


def test_slerp_between_latents_of_unequal_lengths() -> None:
    start, end = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 5.0, 0.0])
    lengths = slerp(start, end, 11).norm(dim=1)
    assert torch.equal(lengths, lengths.sort().values)
    torch.testing.assert_close(lengths[[0, -1]], torch.tensor([3.0, 5.0]))


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_slerp_where_there_is_no_one_arc(factor: float) -> None:
    start = torch.tensor([1.0, 2.0, 3.0])
    points = slerp(start, factor * start, 5)
    assert points.isfinite().all()
    torch.testing.assert_close(points[0], start)
    torch.testing.assert_close(points[-1], factor * start)


def test_slerp_of_one_step_is_its_start() -> None:
    start, end = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    torch.testing.assert_close(slerp(start, end, 1), start.unsqueeze(0))


def test_the_packages_names() -> None:
    assert set(gan_lightning.__all__) == {
        *("CriticUpdates", "EMA", "GAN", "GANDataModule"),
        *("Run", "Sampler", "UserError", "load_generator", "train"),
    }
    assert all(callable(getattr(gan_lightning, name)) for name in gan_lightning.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        gan_lightning.trian  # noqa: B018 (looking it up is what is tested)


def test_the_first_latents_of_a_seed_are_the_same_for_every_count() -> None:
    many = draw_latents(Normal(), 10, 20, seed=3)
    assert torch.equal(draw_latents(Normal(), 10, 1, seed=3), many[:1])
    assert len(torch.unique(many)) == many.numel()
    large = draw_latents(Normal(), 10, 2000, seed=4)
    assert abs(large.mean().item()) < 0.03
    assert abs(large.std().item() - 1) < 0.03


def test_a_typed_root_is_saved_as_an_absolute_path(
    tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for number in range(20):
        pixels = torch.full((1, 8, 8), 10 * number, dtype=torch.uint8)
        save_png(pixels, tmp_path / "pictures" / f"{number}.png")
    overrides = ("dataset=image_folder", "dataset.root=pictures", "dataset.image_size=8", "dataset.cache_dir=cache")
    run = train(*tiny, *overrides, "trainer.max_steps=1")
    saved = run.folder.absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train(f"resume={saved}", "trainer.max_steps=2").iteration == 2
