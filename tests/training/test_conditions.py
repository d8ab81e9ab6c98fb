"""Training on conditions that are numbers: what is asked for is what comes, by every way into the networks."""

from functools import partial

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from typechecking import unchecked

from gan_lightning.data.datamodule import GANDataModule
from gan_lightning.losses.heads import Classification
from gan_lightning.losses.objectives import Vanilla
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.samples import Conditions, SampleSet, Units
from gan_lightning.training.compatibility import refuse_data
from gan_lightning.training.ema import EMA
from gan_lightning.training.gan import GAN
from gan_lightning.training.minibatches import read

ADAM = partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.9))
SHAPE = (1, 4, 4)
WAYS = [("concat", "concat"), ("norm", "projection"), ("concat", "projection")]


def model(way: tuple[str, str], classes: int = 2, outputs: int = 1, heads: object = None, **options: object) -> GAN:
    torch.manual_seed(0)
    generator = MLPGenerator(4, SHAPE, hidden_dim=32, blocks=2, growth=1, classes=classes, label_input=way[0])
    discriminator = MLPDiscriminator(
        SHAPE, hidden_dim=64, blocks=2, growth=1, outputs=outputs, classes=classes, label_input=way[1]
    )
    return GAN(generator, discriminator, Vanilla(), ADAM, ADAM, heads=heads, ema=EMA(decay=0.9), **options)


def pictures(count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures whose brightness is a number, and whose left half is dark where an attribute is on; and the two."""
    brightness = torch.rand(count, generator=source) * 2 - 1
    is_on = torch.randint(2, (count,), generator=source).float()
    images = (0.6 * brightness).view(-1, 1, 1, 1) + 0.05 * torch.randn(count, *SHAPE, generator=source)
    images[:, :, :, :2] -= 0.35 * is_on.view(-1, 1, 1, 1)
    return images, torch.stack([brightness, 2 * is_on - 1], 1)


@pytest.mark.parametrize("way", WAYS[:2], ids="-".join)
def test_what_is_asked_for_is_what_comes(way: tuple[str, str]) -> None:
    gan, source = model(way), torch.Generator().manual_seed(1)
    of_discriminator, of_generator = ADAM(gan.discriminator.parameters()), ADAM(gan.generator.parameters())
    for _ in range(200):
        images, conditions = pictures(64, source)
        gan.discriminator_step(images, of_discriminator, conditions)
        gan.generator_step(images, of_generator, conditions)
    _, asked = pictures(500, source)
    gan.generator.eval()
    with torch.no_grad():
        made = gan.generator(torch.randn(500, 4, generator=source), asked)
    right, left = made[:, 0, :, 2:].mean((1, 2)), made[:, 0, :, :2].mean((1, 2))
    brightness = torch.corrcoef(torch.stack([right, asked[:, 0]]))[0, 1].item()
    attribute = torch.corrcoef(torch.stack([right - left, asked[:, 1]]))[0, 1].item()
    assert brightness > 0.9
    assert attribute > 0.9


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_both_networks_learn_of_them(way: tuple[str, str]) -> None:
    gan, source = model(way), torch.Generator().manual_seed(1)
    images, conditions = pictures(8, source)
    still = partial(torch.optim.SGD, lr=0.0)
    gan.discriminator_step(images, still(gan.discriminator.parameters()), conditions)
    by_discriminator = (
        gan.discriminator.embedding.weight.grad.T
        if way[1] == "projection"
        else gan.discriminator.layers[1].weight.grad[:, 16:].view(-1, 2, 16).sum(2)
    )
    gan.generator_step(images, still(gan.generator.parameters()), conditions)
    layers = gan.generator.layers
    by_generator = layers[1].gain.grad.T if way[0] == "norm" else layers[0].weight.grad[:, 4:]
    for gradient in (by_discriminator, by_generator):
        assert gradient.shape[1] == 2
        assert (gradient.abs().amax(0) > 0).all()


def test_fakes_have_the_conditions_of_the_real_samples() -> None:
    seen = {"generator": [], "discriminator": []}
    gan = model(("concat", "concat"))
    for name, told in seen.items():
        network = getattr(gan, name)
        network.register_forward_pre_hook(lambda _, inputs, told=told: told.append(inputs[1]))
    images, conditions = pictures(8, torch.Generator().manual_seed(1))
    gan.discriminator_step(images, ADAM(gan.discriminator.parameters()), conditions)
    assert torch.equal(torch.cat(seen["generator"]), conditions)
    assert torch.equal(torch.cat(seen["discriminator"]), torch.cat([conditions, conditions]))


def test_drawing_without_any() -> None:
    gan = model(("concat", "concat"))
    asked: list[Tensor] = []
    gan.ema_generator.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[1]))
    gan.eval()
    gan.conditions = Conditions(Units((1.0, 1.0), (0.0, 0.0), ("a", "b")), torch.tensor([[0.25, -1.0]]))
    assert gan(3).shape == (3, *SHAPE)
    gan(3, torch.zeros(3, 2))
    assert [each.tolist() for each in asked] == [[[0.25, -1.0]] * 3, [[0.0, 0.0]] * 3]


class Pictures:
    """A source of pictures with conditions."""

    def load(self) -> SampleSet:
        images, conditions = pictures(32, torch.Generator().manual_seed(1))
        return SampleSet(images.clamp(-1, 1), conditions, conditions=Units((1.0, 1.0), (0.0, 0.0), ("light", "dark")))


@pytest.mark.filterwarnings("ignore:Found .* module")
@pytest.mark.filterwarnings("ignore:The .train_dataloader. does not have many workers")
def test_a_script_knows_those_of_its_data_module() -> None:
    gan, data = model(("concat", "concat")), GANDataModule(Pictures(), SHAPE, 8, classes=2, held_out=8)
    trainer = Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(gan, data)
    assert gan.conditions is not None
    assert data.conditions is not None
    assert torch.equal(gan.conditions.rows, data.conditions.rows)
    assert gan(5).shape == (5, *SHAPE)


class TestRefused:
    def test_another_number(self) -> None:
        gan = model(("concat", "concat"), classes=3)
        images, conditions = pictures(4, torch.Generator())
        with pytest.raises(ValueError, match="the data set has 2 conditions, but the generator takes 3; set network"):
            refuse_data(gan.parts, gan.adapter(), images, conditions)

    def test_heads_that_name_classes(self) -> None:
        gan = model(("concat", "none"), outputs=3, heads={"classification": Classification(2)})
        images, conditions = pictures(4, torch.Generator())
        with pytest.raises(ValueError, match="classification names classes, but the labels of the data set are"):
            refuse_data(gan.parts, gan.adapter(), images, conditions)

    def test_a_network_that_takes_classes_alone(self) -> None:
        class OfClasses(MLPGenerator):
            def decode(self, inputs: Tensor, labels: Tensor | None) -> Tensor:
                return super().decode(inputs + nn.functional.embedding(labels, torch.zeros(2, 4)), labels)

        gan = model(("norm", "concat"))
        gan.generator = OfClasses(4, SHAPE, classes=2, label_input="norm")
        images, conditions = pictures(4, torch.Generator())
        with unchecked(), pytest.raises(ValueError, match="the generator can't take inputs of shape"):
            refuse_data(gan.parts, gan.adapter(), images, conditions)
        refuse_data(gan.parts, gan.adapter(), images, torch.zeros(4, dtype=torch.int64))

    def test_what_fits_is_not(self) -> None:
        for way in WAYS:
            gan = model(way)
            refuse_data(gan.parts, gan.adapter(), *pictures(4, torch.Generator()))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.bool])
def test_loaders_of_ones_own_serve_them(dtype: torch.dtype) -> None:
    images, attributes = torch.zeros(3, *SHAPE), torch.tensor([[0, 1], [1, 1], [0, 0]]).to(dtype)
    labels = read((images, attributes)).labels
    assert labels is not None
    assert labels.dtype == torch.float32
    assert labels.tolist() == [[0, 1], [1, 1], [0, 0]]
