"""What all networks share: the contract, gradients, labels, packs; for sizes that halve evenly and that don't."""

from collections import Counter

import pytest
import torch
from jaxtyping import TypeCheckError
from own_parts import own_parts
from torch import nn
from typechecking import unchecked

from gan_lightning.networks.autoencoder import AutoEncoder
from gan_lightning.networks.conv1d import Conv1dDiscriminator, Conv1dGenerator
from gan_lightning.networks.course import CourseDiscriminator, CourseGenerator
from gan_lightning.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_lightning.networks.dirac import DiracGenerator, LinearDiscriminator
from gan_lightning.networks.discriminator import Discriminator, pack
from gan_lightning.networks.generator import Generator
from gan_lightning.networks.layers import ConditionalNorm, uses_batch_statistics, uses_spectral_norm
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.networks.plain import PlainDiscriminator, PlainGenerator
from gan_lightning.networks.r3gan import Block, R3GANDiscriminator, R3GANGenerator
from gan_lightning.networks.resnet import ResNetDiscriminator, ResNetGenerator
from gan_lightning.testing import check_discriminator, check_generator

LATENT, CLASSES = 7, 3
GENERATORS = {
    "mlp": MLPGenerator,
    "dcgan": DCGANGenerator,
    "resnet": ResNetGenerator,
    "r3gan": R3GANGenerator,
    "conv1d": Conv1dGenerator,
}
DISCRIMINATORS = {
    "mlp": MLPDiscriminator,
    "dcgan": DCGANDiscriminator,
    "resnet": ResNetDiscriminator,
    "r3gan": R3GANDiscriminator,
    "conv1d": Conv1dDiscriminator,
}
FAMILIES = list(GENERATORS)
NORMED = ["mlp", "dcgan", "resnet", "conv1d"]
SMALL = {
    "mlp": {"hidden_dim": 16, "blocks": 2},
    "dcgan": {"width": 8},
    "resnet": {"width": 8},
    "r3gan": {"width": 8, "group_width": 4, "blocks": 1},
    "conv1d": {"width": 8},
}
SIGNALS = [(1, 8), (3, 29), (2, 64), (1, 131)]
IMAGES = [(1, 8, 8), (2, 16, 16), (1, 28, 28), (3, 30, 31), (3, 32, 32), (5, 9, 33)]
CASES = [
    *((family, shape) for family in FAMILIES for shape in IMAGES if family != "conv1d"),
    *((family, shape) for family in ("conv1d", "mlp") for shape in SIGNALS),
    ("dcgan", (3, 64, 64)),
    ("resnet", (2, 64, 64)),
    ("r3gan", (1, 64, 64)),
    ("mlp", (2,)),
    ("mlp", (1,)),
]
NORMS = {"mlp": ("none", "batch", "layer", "group", "spectral")}
ALL_NORMS = ("none", "batch", "layer", "group", "instance", "spectral")
NORM_CASES = [(family, norm) for family in NORMED for norm in NORMS.get(family, ALL_NORMS)]


def shape_of(family, *size):
    """Two channels of images of a size, or of signals of as many stages."""
    return (2, 16 * min(size)) if family == "conv1d" else (2, *size)


def build_generator(family, shape, **options):
    torch.manual_seed(1)
    return stir(GENERATORS[family](LATENT, shape, **{**SMALL[family], **options}))


def build_discriminator(family, shape, **options):
    torch.manual_seed(2)
    return stir(DISCRIMINATORS[family](shape, **{**SMALL[family], **options}))


def stir(network):
    """R3GAN's blocks start as identities; here they are to do something."""
    for module in network.modules():
        if isinstance(module, Block):
            nn.init.normal_(module.residual[-1].weight, std=0.3)
    return network


def latents(count):
    return torch.randn(count, LATENT, generator=torch.Generator().manual_seed(3))


def images(count, shape):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(4)) * 2 - 1


def amplify(generator, factor=1e5):
    """Makes the last layer's outputs so large that an activation that is missing shows."""
    kinds = nn.Linear | nn.modules.conv._ConvNd
    last = [module for module in generator.modules() if isinstance(module, kinds)][-1]
    with torch.no_grad():
        last.weight.mul_(factor)
    return generator


@pytest.mark.parametrize(("family", "shape"), CASES)
class TestShapes:
    def test_keep_the_contract(self, family, shape):
        check_generator(build_generator(family, shape), shape, LATENT)
        check_discriminator(build_discriminator(family, shape), shape)

    def test_samples(self, family, shape):
        samples = build_generator(family, shape)(latents(5))
        assert family == "r3gan" or samples.abs().max() <= 1
        assert samples.flatten(1).std(0).min() > 0  # every pixel depends on the latents

    def test_logits(self, family, shape):
        assert len(build_discriminator(family, shape)(images(5, shape)).unique()) == 5

    def test_gradients_reach_every_pixel_and_every_parameter(self, family, shape):
        norm = {"norm": "none"} if family in NORMED else {}
        generator = build_generator(family, shape, **norm)
        discriminator = build_discriminator(family, shape, **norm)
        samples = generator(latents(5))
        samples.retain_grad()
        discriminator(samples).sum().backward()
        assert (samples.grad != 0).any(0).all()
        check_gradients(generator, discriminator)

    def test_generator_knows_its_latents(self, family, shape):
        generator = build_generator(family, shape)
        assert generator.latent_dim == LATENT
        with unchecked(), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            generator(torch.zeros(2, LATENT + 1))


def check_gradients(*networks):
    for network in networks:
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 30, 31)])
def test_last_activation(family, shape):
    shape = shape[:2] if family == "conv1d" else shape
    extremes = {}
    for activation in ("tanh", "sigmoid", "none"):
        values = amplify(build_generator(family, shape, output_activation=activation))(latents(5)).detach()
        extremes[activation] = (values.min().item(), values.max().item())
    assert extremes["tanh"] == pytest.approx((-1, 1), abs=1e-3)
    assert extremes["sigmoid"] == pytest.approx((0, 1), abs=1e-3)
    assert extremes["none"][0] < -2
    assert extremes["none"][1] > 2


@pytest.mark.parametrize("family", ["dcgan", "resnet", "r3gan"])
class TestImagesOnly:
    @pytest.mark.parametrize("shape", [(1, 7, 8), (3, 8, 7), (3, 4, 64)])
    def test_smaller_images_are_refused(self, family, shape):
        for build in (build_generator, build_discriminator):
            with pytest.raises(ValueError, match=rf"at least 8x8 pixels, got {shape[1]}x{shape[2]}"):
                build(family, shape)

    def test_vectors_are_refused(self, family):
        for build in (build_generator, build_discriminator):
            with pytest.raises(ValueError, match=r"need images .*, got samples of shape \(2,\); use network=mlp"):
                build(family, (2,))


class TestSignalsOnly:
    @pytest.mark.parametrize(
        ("shape", "told"),
        [
            ((1, 7), "at least 8 steps, got 7; use network=mlp"),
            ((9,), r"need signals \(channels, length\), got samples of shape \(9,\); use network=mlp"),
            ((1, 8, 9), r"need signals .*, got images of shape \(1, 8, 9\); use network=dcgan, resnet, r3gan or mlp"),
        ],
    )
    def test_others_are_refused(self, shape, told):
        for build in (build_generator, build_discriminator):
            with pytest.raises(ValueError, match=told):
                build("conv1d", shape)


@pytest.mark.parametrize(("family", "norm"), NORM_CASES)
class TestNorms:
    def test_gradients_reach_every_parameter(self, family, norm):
        shape = shape_of(family, 16, 16)
        generator = build_generator(family, shape, norm=norm)
        discriminator = build_discriminator(family, shape, norm=norm)
        # Squared, since batch normalisation takes away what a sum over the batch would see.
        discriminator(generator(latents(5))).square().sum().backward()
        check_gradients(generator, discriminator)

    def test_batch_statistics_of_the_discriminator(self, family, norm):
        """With batch norm alone a logit depends on the other samples, and `uses_batch_statistics` says just that."""
        shape = shape_of(family, 16, 18)
        discriminator = build_discriminator(family, shape, norm=norm)
        assert uses_batch_statistics(discriminator) is (norm == "batch")
        assert uses_spectral_norm(discriminator) is (norm == "spectral")
        discriminator.train(norm == "batch")  # else power iterations would change the logits
        batch = images(6, shape)
        others = batch.clone()
        others[1:] = 3 * others[1:] + 1
        logit = discriminator(batch)[0].item()
        with_others = discriminator(others)[0].item()
        if norm == "batch":
            assert abs(with_others - logit) > 1e-2 * abs(logit)
        else:
            assert with_others == pytest.approx(logit, rel=1e-4, abs=1e-6)
            for size in (1, 3):
                assert discriminator(batch[:size])[0].item() == pytest.approx(logit, rel=1e-4, abs=1e-6)

    def test_batch_statistics_of_the_generator(self, family, norm):
        generator = build_generator(family, shape_of(family, 16, 18), norm=norm)
        assert uses_batch_statistics(generator) is (norm == "batch")
        generator.train(norm == "batch")
        z = latents(6)
        others = torch.cat([z[:1], 3 * z[1:] + 1])
        difference = (generator(z)[0] - generator(others)[0]).abs().max().item()
        assert difference > 1e-3 if norm == "batch" else difference < 1e-5


@pytest.mark.parametrize(("family", "norm"), [*NORM_CASES, ("r3gan", None)])
def test_discriminators_are_twice_differentiable(family, norm):
    """For gradient penalties: the weights' gradient of the slope is that of finite differences."""
    options = {"norm": norm} if norm else {}
    shape = shape_of(family, 9, 10)
    discriminator = build_discriminator(family, shape, **options).double().eval()
    samples = images(3, shape).double().requires_grad_()

    def penalty():
        (gradient,) = torch.autograd.grad(discriminator(samples).sum(), samples, create_graph=True)
        return gradient.square().sum()

    parameters = list(discriminator.parameters())
    gradients = torch.autograd.grad(penalty(), parameters, allow_unused=True)
    directions = [torch.randn_like(parameter) for parameter in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None)
    values = []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(step * direction)
        values.append(penalty().item())
    assert slope.item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-3)


def weights(network):
    """The weights that spectral normalisation is for, as matrices (outputs, inputs * kernel)."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Embedding):
            yield module.weight.flatten(1)
        elif isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
            yield module.weight.transpose(0, 1).flatten(1)


@pytest.mark.parametrize("family", NORMED)
class TestSpectral:
    def networks(self, family, **options):
        return (
            build_generator(family, shape_of(family, 16, 16), norm="spectral", classes=CLASSES, label_input="concat"),
            build_discriminator(
                family, shape_of(family, 16, 16), norm="spectral", classes=CLASSES, label_input="projection"
            ),
        )

    def test_every_weight_has_a_largest_singular_value_of_one(self, family):
        labels = torch.tensor([0, 2])
        generator, discriminator = self.networks(family)
        for _ in range(40):  # a power iteration each
            discriminator(generator(latents(2), labels), labels)
        shape = shape_of(family, 16, 16)
        plain = build_discriminator(family, shape, norm="none", classes=CLASSES, label_input="projection")
        assert len(list(weights(discriminator))) == len(list(weights(plain))) > 2
        for matrix in [*weights(generator), *weights(discriminator)]:
            assert torch.linalg.matrix_norm(matrix.detach(), 2).item() == pytest.approx(1, abs=0.01)
        unlike_one = [torch.linalg.matrix_norm(matrix.detach(), 2).item() for matrix in weights(plain)]
        assert max(abs(value - 1) for value in unlike_one) > 0.3

    def test_it_is_drawn_like_the_unconstrained_network(self, family):
        plain = build_discriminator(family, shape_of(family, 16, 16), norm="none")
        spectral = build_discriminator(family, shape_of(family, 16, 16), norm="spectral")
        originals = [p for name, p in spectral.named_parameters() if name.endswith("weight.original")]
        drawn = [p for name, p in plain.named_parameters() if name.endswith("weight")]
        assert len(originals) == len(drawn)
        assert all(torch.equal(a, b) for a, b in zip(originals, drawn, strict=True))

    def test_no_activation_is_normalised(self, family):
        kinds = Counter(type(module).__name__ for network in self.networks(family) for module in network.modules())
        assert not [kind for kind in kinds if "Norm" in kind and kind != "_SpectralNorm"]


LABELLED_GENERATORS = [*((family, way) for family in NORMED for way in ("concat", "norm")), ("r3gan", None)]


class TestLabels:
    LABELS = torch.tensor([0, 2, 1, 0, 2])

    def generator(self, family, label_input, **options):
        """Gains and biases that follow the class start equal; here no class is like another."""
        options |= {"label_input": label_input} if label_input else {}
        generator = build_generator(family, shape_of(family, 16, 16), classes=CLASSES, **options)
        for name, parameter in generator.named_parameters():
            if label_input == "norm" and parameter.shape[0] == CLASSES and name.endswith(("gain", "bias")):
                nn.init.normal_(parameter, 1.0, 0.5)
        return generator

    @pytest.mark.parametrize(("family", "label_input"), LABELLED_GENERATORS)
    def test_of_the_generator(self, family, label_input):
        generator = self.generator(family, label_input)
        assert generator.label_input == (label_input or "concat")
        check_generator(generator, shape_of(family, 16, 16))
        with pytest.raises(ValueError, match="needs labels"):
            generator(latents(5))

    @pytest.mark.parametrize(("family", "label_input"), LABELLED_GENERATORS)
    def test_gradients_reach_what_the_labels_pass_through(self, family, label_input):
        generator = self.generator(family, label_input, **({"norm": "layer"} if label_input else {}))
        generator(latents(5), self.LABELS).square().sum().backward()
        check_gradients(generator)
        gains = [parameter for name, parameter in generator.named_parameters() if name.endswith(".gain")]
        assert bool(gains) is (label_input == "norm")
        for gain in gains:
            assert (gain.grad.abs().amax(1) > 0).all()  # of every class

    @pytest.mark.parametrize("family", NORMED)
    def test_class_conditional_norm_is_the_norm_with_the_classs_gain_and_bias(self, family):
        conditional = self.generator(family, "norm").eval()
        plain = build_generator(family, shape_of(family, 16, 16)).eval()
        for label in range(CLASSES):
            state = {}
            for key, value in conditional.state_dict().items():
                if key.endswith(".gain"):
                    state[key.removesuffix("gain") + "weight"] = value[label]
                elif f"{key.removesuffix('bias')}gain" in conditional.state_dict():
                    state[key] = value[label]
                else:
                    state[key.replace(".norm.", ".")] = value
            plain.load_state_dict(state)
            labels = torch.full((4,), label)
            torch.testing.assert_close(conditional(latents(4), labels), plain(latents(4)), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("family", NORMED)
    @pytest.mark.parametrize("norm", ["none", "spectral"])
    def test_of_a_norm_need_one(self, family, norm):
        advice = "use conditioning.generator=concat or network.generator.norm=batch"
        with pytest.raises(ValueError, match=f"label_input is norm, but norm is {norm}, .*; {advice}"):
            self.generator(family, "norm", norm=norm)

    @pytest.mark.parametrize(("classes", "label_input"), [(3, "none"), (0, "concat"), (0, "norm")])
    def test_of_a_generator_fit_its_classes(self, classes, label_input):
        with pytest.raises(ValueError, match=f"label_input is {label_input}, which doesn't fit classes={classes}"):
            MLPGenerator(LATENT, (2,), classes=classes, label_input=label_input)

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("label_input", ["concat", "projection"])
    @pytest.mark.parametrize("packing", [1, 2])
    def test_of_the_discriminator(self, family, label_input, packing):
        options = {"classes": CLASSES, "label_input": label_input, "packing": packing}
        shape = shape_of(family, 16, 16)
        discriminator = build_discriminator(family, shape, **options).eval()
        check_discriminator(discriminator, shape)
        samples = pack(images(6, shape), packing)
        with pytest.raises(ValueError, match="needs labels"):
            discriminator(samples)
        with unchecked(), pytest.raises(RuntimeError, match="invalid for input of size"):
            discriminator(samples, torch.zeros(2 * len(samples) * packing, dtype=torch.int64))

    @pytest.mark.parametrize("family", FAMILIES)
    def test_projection_is_an_inner_product(self, family):
        options = {"classes": CLASSES, "label_input": "projection", "packing": 2, "outputs": 3}
        shape = shape_of(family, 16, 16)
        discriminator = build_discriminator(family, shape, **options).eval()
        samples, labels = pack(images(6, shape), 2), torch.tensor([[0, 2], [1, 1], [2, 1]])
        outputs = discriminator(samples, labels)
        features = discriminator.features(samples)
        expected = discriminator.head(features)
        table = discriminator.embedding.weight
        for row, (first, second) in enumerate(labels.tolist()):
            expected[row, 0] += features[row] @ (table[first] + table[second])
        torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-6)

    def test_concat_appends_planes(self):
        discriminator = build_discriminator("dcgan", (2, 8, 8), classes=CLASSES, label_input="concat")
        planes = discriminator.planes(torch.tensor([2, 0]), images(2, (2, 8, 8)))
        assert discriminator.input_shape == (5, 8, 8)
        assert planes.shape == (2, 3, 8, 8)
        assert (planes == torch.tensor([[0.0, 0, 1], [1, 0, 0]]).view(2, 3, 1, 1)).all()

    def test_concat_appends_numbers_to_vectors(self):
        discriminator = build_discriminator("mlp", (2,), classes=CLASSES, label_input="concat", packing=2)
        assert discriminator.input_shape == (10,)
        planes = discriminator.planes(torch.tensor([[2, 0]]), images(1, (4,)))
        assert planes.tolist() == [[0, 0, 1, 1, 0, 0]]

    @pytest.mark.parametrize("family", FAMILIES)
    def test_classes_alone_ask_for_no_labels(self, family):
        """As in auxiliary conditioning, whose class logits are outputs."""
        shape = shape_of(family, 16, 16)
        discriminator = build_discriminator(family, shape, classes=CLASSES, outputs=1 + CLASSES)
        check_discriminator(discriminator, shape)
        assert discriminator.label_input == "none"

    @pytest.mark.parametrize("label_input", ["concat", "projection"])
    def test_of_a_discriminator_need_classes(self, label_input):
        with pytest.raises(ValueError, match=f"label_input is {label_input}, which doesn't fit classes=0"):
            MLPDiscriminator((2,), label_input=label_input)

    def test_projections_start_small(self):
        """Glorot's bound; with N(0, 1) the projection would have 20 times the logit's spread."""
        for family, bound in (("mlp", (6 / (16 + CLASSES)) ** 0.5), ("resnet", (6 / (8 + CLASSES)) ** 0.5)):
            embedding = build_discriminator(family, (1, 8, 8), classes=CLASSES, label_input="projection").embedding
            assert 0.8 * bound < embedding.weight.abs().max().item() <= bound


@pytest.mark.parametrize(
    ("family", "shape"), [*((family, shape_of(family, 16, 16)) for family in FAMILIES), ("mlp", (3,))]
)
class TestPacking:
    def test_a_pack_is_judged_as_one(self, family, shape):
        discriminator = build_discriminator(family, shape, packing=3).eval()
        assert discriminator.input_shape == (3 * shape[0], *shape[1:])
        samples = images(12, shape)
        logits = discriminator(pack(samples, 3))
        assert logits.shape == (4,)
        swapped = samples[[0, 1, 2, 4, 3, 5, *range(6, 12)]]  # within the second pack
        difference = (discriminator(pack(swapped, 3)) - logits).detach().abs()
        assert difference[1] > 1e-6
        assert difference[[0, 2, 3]].max() == pytest.approx(0, abs=1e-7)

    def test_packs_keep_their_order(self, family, shape):
        discriminator = build_discriminator(family, shape, packing=3).eval()
        samples = images(12, shape)
        order = [2, 0, 3, 1]
        moved = samples.view(4, 3, *shape)[order].flatten(0, 1)
        logits = discriminator(pack(samples, 3))
        torch.testing.assert_close(discriminator(pack(moved, 3)), logits[order], rtol=1e-5, atol=1e-6)


class TestPack:
    def test_joins_consecutive_samples_along_channels(self):
        samples = images(4, (2, 3, 5))
        packed = pack(samples, 2)
        assert packed.shape == (2, 4, 3, 5)
        assert torch.equal(packed[1], torch.cat([samples[2], samples[3]]))

    def test_joins_vectors_and_labels(self):
        assert pack(torch.arange(8.0).view(4, 2), 2).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert pack(torch.arange(6), 3).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert pack(torch.arange(12)[::2], 3).tolist() == [[0, 2, 4], [6, 8, 10]]

    def test_of_one_is_the_sample(self):
        samples = images(2, (1, 3, 3))
        assert pack(samples, 1) is samples


def one_hot(labels):
    return nn.functional.one_hot(labels, CLASSES).float()


class Forgetful(nn.Module):
    """A network that forgets the conditions it is told."""

    def __init__(self, network):
        super().__init__()
        self.network, self.classes = network, network.classes
        self.latent_dim, self.label_input = getattr(network, "latent_dim", 0), network.label_input
        self.packing = getattr(network, "packing", 1)

    def forward(self, inputs, labels):
        return self.network(inputs, torch.zeros_like(labels))


class TestConditions:
    """Attributes and real numbers (N, K) in place of classes."""

    @pytest.mark.parametrize(("family", "label_input"), LABELLED_GENERATORS)
    def test_of_the_generator(self, family, label_input):
        generator, shape = TestLabels().generator(family, label_input), shape_of(family, 16, 16)
        check_generator(generator, shape, conditions=True)
        with pytest.raises(AssertionError, match="outputs that depend on labels, got the same"):
            check_generator(Forgetful(generator), shape, conditions=True)

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("label_input", ["concat", "projection"])
    @pytest.mark.parametrize("packing", [1, 2])
    def test_of_the_discriminator(self, family, label_input, packing):
        options = {"classes": CLASSES, "label_input": label_input, "packing": packing}
        shape = shape_of(family, 16, 16)
        discriminator = build_discriminator(family, shape, **options).eval()
        check_discriminator(discriminator, shape, conditions=True)
        with pytest.raises(AssertionError, match="outputs that depend on labels, got the same"):
            check_discriminator(Forgetful(discriminator), shape, conditions=True)

    @pytest.mark.parametrize("classes", [1, 4])
    def test_of_any_number(self, classes):
        options = {"classes": classes, "hidden_dim": 8, "blocks": 1}
        check_generator(MLPGenerator(LATENT, (2,), label_input="concat", **options), (2,), conditions=True)
        check_discriminator(MLPDiscriminator((2,), label_input="projection", **options), (2,), conditions=True)

    @pytest.mark.parametrize(("family", "label_input"), LABELLED_GENERATORS)
    def test_a_one_hot_row_is_its_class(self, family, label_input):
        generator = TestLabels().generator(family, label_input).eval()
        labels = TestLabels.LABELS
        of_class, of_row = generator(latents(5), labels), generator(latents(5), one_hot(labels))
        torch.testing.assert_close(of_row, of_class, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("label_input", ["concat", "projection"])
    def test_a_one_hot_row_is_its_class_for_the_discriminator(self, label_input):
        options = {"classes": CLASSES, "label_input": label_input, "packing": 2, "norm": "spectral"}
        discriminator = build_discriminator("mlp", (3,), **options).eval()
        samples, labels = pack(images(6, (3,)), 2), torch.tensor([0, 2, 1, 1, 2, 0])
        of_class = discriminator(samples, pack(labels, 2))
        of_row = discriminator(samples, pack(one_hot(labels), 2))
        torch.testing.assert_close(of_row, of_class)

    def test_gains_and_biases_are_linear_in_conditions(self):
        norm = ConditionalNorm(nn.Identity(), 2, 2)
        x, y = torch.tensor([[3.0, 5.0]]), torch.tensor([[0.5, -1.0]])
        assert norm(x, y).tolist() == [[3.0, 5.0]]  # at first no condition changes anything
        with torch.no_grad():
            norm.gain.copy_(torch.tensor([[3.0, 1.0], [2.0, 0.0]]))
            norm.bias.copy_(torch.tensor([[4.0, 0.0], [0.0, 7.0]]))
        # gains 1 + 0.5 * [2, 0] - [1, -1] = [1, 2], biases 0.5 * [4, 0] - [0, 7] = [2, -7]
        assert norm(x, y).tolist() == [[5.0, 3.0]]

    @pytest.mark.parametrize("way", [("concat", "concat"), ("norm", "projection")])
    def test_gradients_reach_what_they_pass_through(self, way):
        torch.manual_seed(0)
        generator = build_generator("mlp", (3,), norm="layer", classes=CLASSES, label_input=way[0])
        discriminator = build_discriminator("mlp", (3,), classes=CLASSES, label_input=way[1])
        y = torch.rand(5, CLASSES) * 2 - 1
        discriminator(generator(latents(5), y), y).square().sum().backward()
        check_gradients(generator, discriminator)
        if way[0] == "concat":
            of_conditions = [generator.layers[0].weight.grad[:, LATENT:], discriminator.layers[1].weight.grad[:, 3:]]
        else:
            of_conditions = [generator.layers[1].gain.grad.T, discriminator.embedding.weight.grad.T]
        assert all((gradient.abs().amax(0) > 0).all() for gradient in of_conditions)  # of each condition


SHAPE = (2, 16, 16)
SPECTRAL = [
    (build(family, shape_of(family, 16, 16), norm="spectral"), shape_of(family, 16, 16))
    for build in (build_generator, build_discriminator)
    for family in NORMED
]
OTHERS = [
    DiracGenerator(LATENT, SHAPE, theta=0.5),
    LinearDiscriminator(SHAPE, psi=0.5),
    AutoEncoder(build_discriminator("dcgan", SHAPE, outputs=LATENT, norm="spectral"), build_generator("mlp", SHAPE)),
    PlainGenerator(nn.Sequential(nn.Linear(LATENT, 512), nn.Unflatten(1, SHAPE)), LATENT),
    PlainDiscriminator(nn.Sequential(nn.Conv2d(2, 3, 4, 2), nn.LeakyReLU(0.2), nn.Conv2d(3, 1, 7))),
]


@pytest.mark.parametrize(("network", "shape"), [*SPECTRAL, *((network, SHAPE) for network in OTHERS)])
def test_others_keep_the_contract(network, shape):
    check = check_generator if isinstance(network, Generator) else check_discriminator
    check(network, shape)


def test_all_are_there():
    own = own_parts("networks", "decode") | own_parts("networks", "build_head")
    of_one_size = {CourseGenerator, CourseDiscriminator}  # which test_course.py has
    assert {*GENERATORS.values(), *DISCRIMINATORS.values(), *map(type, OTHERS), *of_one_size} == own - {
        Generator,
        Discriminator,
    }


def test_shapes_are_checked():
    with pytest.raises(TypeCheckError, match="parameter 'latents'"):
        MLPGenerator(LATENT, (2,))(torch.zeros(2, LATENT + 1))
