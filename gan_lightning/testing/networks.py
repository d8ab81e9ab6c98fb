"""The contract of generators and discriminators: this package's, or any module of the same shapes."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gan_lightning.networks.discriminator import Discriminator, pack
from gan_lightning.networks.generator import Generator
from gan_lightning.testing._contract import (
    attempt,
    copies,
    require,
    require_configurable,
    require_object,
    require_unchanged,
    seeded,
)

_COUNT = 4  # inputs of a network, samples or packs
_Draw = Callable[[int], list[Tensor]]  # inputs for so many rows: latents or samples, and labels if there are any


def check_generator(
    generator: nn.Module, sample_shape: Sequence[int], latent_dim: int | None = None, conditions: bool = False
) -> None:
    """Raises AssertionError unless a generator can be trained.

    It maps latents (N, latent_dim), and labels (N,) if it has `classes`, to samples (N, *sample_shape): float32, finite
    for finite weights, with gradients to each of its parameters. In evaluation mode, the same inputs give the same
    samples, each of which depends on its own latent and label alone, and does on the label. `copy.deepcopy` and
    `state_dict` take all of it along. `latent_dim` may be left out where the module has an attribute of that name. With
    `conditions` labels are float32 (N, classes) in [-1, 1], attributes and real numbers (`dataset.conditions`), which
    need not be asked of a generator that is for classes alone.
    """
    require_object(generator, "a generator")
    require(isinstance(generator, nn.Module), generator, "a generator, a torch module", "another class")
    if isinstance(generator, Generator):
        require_configurable(generator)
    known = getattr(generator, "latent_dim", latent_dim)
    require(isinstance(known, int), generator, "a latent_dim, its own or an argument", repr(known))
    assert isinstance(known, int)
    require(latent_dim in (None, known), generator, f"a latent_dim of {latent_dim}", known)
    classes = getattr(generator, "classes", 0)

    def draw(count: int) -> list[Tensor]:
        return [torch.randn(count, known), *([_labels(count, classes, conditions)] if classes else [])]

    _check_network(generator, draw, [tuple(sample_shape)], classes)


def check_discriminator(discriminator: nn.Module, sample_shape: Sequence[int], conditions: bool = False) -> None:
    """Raises AssertionError unless a discriminator can be trained.

    It maps samples (N, *sample_shape) to logits (N,), with `outputs` above 1 to (N, outputs): float32, finite for
    finite weights, with gradients to the samples and to each of its parameters. With `packing` m it is given packs of m
    samples, and with a `label_input` other than "none" labels too. A module that is no `Discriminator` may also give
    (N, 1). Of the evaluation mode and of copies the same is asked as of generators; with `energy` no logit is above 0.
    With `conditions` labels are those of `check_generator`, of packs (N, m * classes).
    """
    require_object(discriminator, "a discriminator")
    require(isinstance(discriminator, nn.Module), discriminator, "a discriminator, a torch module", "another class")
    is_own = isinstance(discriminator, Discriminator)
    if is_own:
        require_configurable(discriminator)
    packing, outputs = getattr(discriminator, "packing", 1), getattr(discriminator, "outputs", 1)
    classes = getattr(discriminator, "classes", 0) if getattr(discriminator, "label_input", "none") != "none" else 0

    def draw(count: int) -> list[Tensor]:
        samples = torch.rand(count * packing, *sample_shape) * 2 - 1
        labels = _labels(count * packing, max(classes, 1), conditions)
        return [pack(samples, packing), *([pack(labels, packing)] if classes else [])]

    shapes: list[tuple[int, ...]] = [(outputs,)] if outputs > 1 else [()] if is_own else [(), (1,)]
    _check_network(discriminator, draw, shapes, classes)
    with seeded(1):
        twin, (samples, *labels) = copy.deepcopy(discriminator), draw(_COUNT)
        logits = twin(samples.requires_grad_(), *labels)
        expected = "gradients to the samples, by which the generator learns"
        (gradient,) = torch.autograd.grad(logits.sum(), samples, allow_unused=True)
        require(gradient is not None and bool(gradient.any()), discriminator, expected, "none")
        assert gradient is not None
        require(bool(gradient.isfinite().all()), discriminator, f"{expected}, to be finite", "others")
        first = logits if logits.ndim == 1 else logits[:, 0]
        is_energy = not getattr(discriminator, "energy", False) or bool((first <= 0).all())
        require(is_energy, discriminator, "logits of at most 0, as energy=True says", f"{first.max().item():g}")


def _labels(count: int, classes: int, conditions: bool) -> Tensor:
    """Classes in turn, or random conditions."""
    return torch.rand(count, classes) * 2 - 1 if conditions else torch.arange(count) % classes


def _check_network(network: nn.Module, draw: _Draw, shapes: list[tuple[int, ...]], classes: int) -> None:
    """What both networks have in common, tried on copies."""
    with seeded(0):
        twin = attempt(network, "a copy of it", copy.deepcopy, network)
        _check_gradients(network, twin.train(), draw, shapes)
        twin = copy.deepcopy(network).eval()
        _check_evaluation(network, twin, draw, shapes)
        if classes:
            _check_labels(network, twin, draw, classes)
        _check_copies(network, twin, draw)


def _output(network: nn.Module, twin: nn.Module, inputs: list[Tensor], shapes: list[tuple[int, ...]]) -> Tensor:
    """What a copy makes of inputs, of one of some shapes."""
    count, mode = len(inputs[0]), "training" if twin.training else "evaluation"
    before = copies(*inputs)
    output: object = attempt(network, f"the {mode} mode with {count} inputs {tuple(inputs[0].shape)}", twin, *inputs)
    require_unchanged(network, "its inputs", before, inputs)
    wanted = [(count, *shape) for shape in shapes]
    expected = f"a tensor of shape {' or '.join(map(str, wanted))} in {mode} mode"
    require(isinstance(output, Tensor), network, expected, type(output).__name__)
    assert isinstance(output, Tensor)
    require(tuple(output.shape) in wanted, network, expected, tuple(output.shape))
    require(output.dtype == torch.float32, network, "outputs of float32", output.dtype)
    require(bool(output.isfinite().all()), network, "finite outputs", "others")
    return output


def _check_gradients(network: nn.Module, twin: nn.Module, draw: _Draw, shapes: list[tuple[int, ...]]) -> None:
    """A gradient for each parameter that is trained, in training mode."""
    _output(network, twin, draw(2), shapes)
    output = _output(network, twin, draw(_COUNT), shapes)
    trained = {name: parameter for name, parameter in twin.named_parameters() if parameter.requires_grad}
    require(bool(trained), network, "parameters that are trained", "none")
    require(output.requires_grad, network, "gradients to its parameters", "outputs without a graph")
    # Weighted, since normalisation may take away what a plain sum would see.
    loss = (output * torch.randn_like(output)).sum()
    gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    for name, gradient in zip(trained, gradients, strict=True):
        require(gradient is not None, network, "a gradient to each of its parameters", f"none to {name}")
        require(bool(gradient.isfinite().all()), network, "finite gradients", f"others to {name}")


def _check_evaluation(network: nn.Module, twin: nn.Module, draw: _Draw, shapes: list[tuple[int, ...]]) -> None:
    """Outputs that follow from each input alone."""
    inputs = draw(_COUNT)
    with torch.no_grad():
        output = _output(network, twin, inputs, shapes)
        again = _output(network, twin, inputs, shapes)
        require(torch.equal(output, again), network, "the same outputs of the same inputs in evaluation mode", "others")
        for count in (1, 2):
            alone = _output(network, twin, [tensor[:count] for tensor in inputs], shapes)
            same = torch.allclose(alone, output[:count], rtol=1e-3, atol=1e-4)
            expected = "outputs that in evaluation mode depend on no other input of the batch"
            require(same, network, expected, f"others for {count} of {_COUNT} inputs")


@torch.no_grad()
def _stir(twin: nn.Module) -> nn.Module:
    """Adds noise to all parameters: what starts at zero, or alike for all classes, is not to hide anything."""
    for parameter in twin.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return twin


@torch.no_grad()
def _check_labels(network: nn.Module, twin: nn.Module, draw: _Draw, classes: int) -> None:
    """Labels that change their own row, and no other."""
    stirred = _stir(copy.deepcopy(twin))
    inputs, labels = draw(_COUNT)
    others = labels.clone()
    row = others[1].view(-1)  # the labels of a pack may be several, of whose sum all may depend
    is_single = classes == 1 and not labels.is_floating_point()
    row[0] = row[0] + 1 if labels.is_floating_point() else (row[0] + 1) % classes
    output, changed = (stirred(inputs, each) for each in (labels, others))
    difference = (output - changed).abs().reshape(_COUNT, -1).amax(1)
    require(is_single or bool(difference[1] > 0), network, "outputs that depend on labels", "the same of another")
    require(bool(difference[[0, 2, 3]].max() < 1e-4), network, "outputs that depend on their own label alone", "others")


@torch.no_grad()
def _check_copies(network: nn.Module, twin: nn.Module, draw: _Draw) -> None:
    """Copies that do the same, and a state_dict that brings another copy to do so."""
    inputs = draw(_COUNT)
    expected = twin(*inputs)
    second = copy.deepcopy(twin)
    require(torch.equal(second(*inputs), expected), network, "a copy that does the same", "other outputs")
    _stir(second)
    require(torch.equal(twin(*inputs), expected), network, "a copy apart from it", "outputs that change with it")
    moved = not torch.equal(second(*inputs), expected)
    require(moved, network, "outputs that its parameters decide", "the same for others")
    attempt(network, "load_state_dict of its own state_dict", second.load_state_dict, twin.state_dict())
    require(torch.equal(second(*inputs), expected), network, "a state_dict that holds all its weights", "other outputs")
