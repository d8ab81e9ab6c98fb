"""Copies of weights in bfloat16 that networks compute with, beside the float32 ones that are trained.

torch's autocast casts float32 weights in every pass, and casts their gradients back. Here a *twin* of a network has the
weights of linear and convolutional layers in bfloat16 for good, and shares everything else with it: the other weights,
and all buffers. Gradients are handed over to the network's own weights, in float32, which are what optimizers step,
averages follow and checkpoints hold; after each step the copies are made anew. A twin computes under autocast, which
finds nothing to cast but activations. So twins are a function of the networks, and nothing of them has to be saved.
"""

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from gan_lightning.losses.heads import Head
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.generator import Generator
from gan_lightning.precision import rounding_gradients
from gan_lightning.training.discriminator_adapter import adapt

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KNOWN = ("torch.nn.", "gan_lightning.networks.")  # which bear weights in bfloat16, and replace none of their tensors
HEARD_BY = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

Kind = TypeVar("Kind", bound=nn.Module)

log = logging.getLogger(__name__)


class Pair(NamedTuple):
    """A weight that is trained, its copy, and where the copy's gradient goes in the weight's own precision."""

    weight: nn.Parameter
    copy: nn.Parameter
    gradient: Tensor


class Twin(Generic[Kind]):
    """`network`, of whose weights the linear layers' have copies in bfloat16; `module` computes with these.

    The copies of two-dimensional convolutions' weights are channels_last, in which processors and GPUs multiply them;
    activations follow.
    """

    def __init__(self, network: Kind) -> None:
        pairs: dict[int, Pair] = {}
        memo: dict[int, Any] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        for weight in rounded_weights(network):
            twin = nn.Parameter(as_copy(weight), requires_grad=weight.requires_grad)
            pairs[id(weight)], memo[id(weight)] = Pair(weight, twin, torch.empty_like(weight)), twin
        self.pairs = list(pairs.values())
        self.module: Kind = copy.deepcopy(network, memo)
        self.weights: list[Tensor] = [pair.weight for pair in self.pairs]
        self.copies: list[Tensor] = [pair.copy for pair in self.pairs]
        self.parts = list(zip(network.modules(), self.module.modules(), strict=True))
        self.versions = self.current()

    @torch.no_grad()
    def refresh(self) -> None:
        """Copies the weights anew."""
        if self.pairs:  # none where spectral normalisation has all weights
            torch._foreach_copy_(self.copies, self.weights)
        self.versions = self.current()

    def current(self) -> list[int]:
        """How often each weight has been changed."""
        return [weight._version for weight in self.weights]

    def follow(self) -> None:
        """Takes over what may have been done to the network between iterations: weights, freezing, evaluation mode."""
        if self.versions != self.current():
            self.refresh()
        for weight, twin, _ in self.pairs:
            twin.requires_grad_(weight.requires_grad)
        for own, twin_part in self.parts:
            twin_part.training = own.training

    @torch.no_grad()
    def hand_over(self) -> None:
        """Adds the copies' gradients to those of the weights, and forgets them."""
        due = [(pair, rounded) for pair in self.pairs if (rounded := pair.copy.grad) is not None]
        if due:
            torch._foreach_copy_([pair.gradient for pair, _ in due], [rounded for _, rounded in due])
        for (weight, twin, gradient), _ in due:
            weight.grad = gradient if weight.grad is None else weight.grad + gradient
            twin.grad = None


class Twins:
    """Those of the two networks that play. They are on their device when it is made."""

    def __init__(self, generator: Generator, discriminator: Discriminator, heads: Mapping[str, Head]) -> None:
        self.by_network: dict[str, Twin[Any]] = {}
        self.by_network["generator"] = of_generator = Twin(generator)
        self.by_network["discriminator"] = of_discriminator = Twin(discriminator)
        self.generator = of_generator.module
        self.adapter = adapt(of_discriminator.module, heads)


@contextmanager
def computing(device: torch.device) -> Iterator[None]:
    """An iteration in bfloat16, gradients that penalties take included."""
    with torch.autocast(device.type, dtype=torch.bfloat16), rounding_gradients():
        yield


def twins_of(
    generator: Generator, discriminator: Discriminator, heads: Mapping[str, Head], spares_hooks: bool
) -> Twins | None:
    """Twins, or None, which is told in one sentence, where copies of weights would leave something out."""
    reason = reason_against(generator, "generator") or reason_against(discriminator, "discriminator")
    if not spares_hooks:
        reason = "hooks, a scaler, a profiler or several devices have to do with gradients"
    if reason is None:
        log.info("networks compute in bfloat16, by copies of their weights")
        return Twins(generator, discriminator, heads)
    log.warning("Networks compute in bfloat16 by autocast, which takes longer than by copies of weights: %s.", reason)
    return None


def rounded_weights(network: nn.Module) -> Iterator[nn.Parameter]:
    """Those of the layers that autocast would round: not of a discriminator's last one, whose logits are float32."""
    exact = {
        id(parameter)
        for part in network.modules()
        if isinstance(part, Discriminator) and isinstance(getattr(part, "head", None), nn.Module)
        for parameter in part.head.parameters()
    }
    for module in network.modules():
        if type(module) in LINEAR:
            yield from (weight for weight in module.parameters(recurse=False) if id(weight) not in exact)


def as_copy(weight: Tensor) -> Tensor:
    """A weight in bfloat16, that of a two-dimensional convolution channels_last."""
    rounded = weight.detach().to(torch.bfloat16)
    return rounded.contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else rounded


def reason_against(network: nn.Module, name: str) -> str | None:
    """Why a network can't have a twin: what its copies would not be told of, or may not bear."""
    for module in network.modules():
        if not type(module).__module__.startswith(KNOWN):
            return f"the {name}'s {type(module).__name__} may not bear weights in bfloat16"
        if any(getattr(module, hooks) for hooks in HEARD_BY):
            return f"the {name}'s {type(module).__name__} has hooks"
    if any(parameter._backward_hooks or parameter._post_accumulate_grad_hooks for parameter in network.parameters()):
        return f"the {name} has hooks at its weights' gradients"
    if any(parameter.dtype != torch.float32 for parameter in network.parameters()):
        return f"the {name}'s weights are not float32"
    return None
