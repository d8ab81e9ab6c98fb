"""Networks that a file names, made without memory first, so that none can ask for more than the file itself holds."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode

from gan_lightning.errors import UserError, reason
from gan_lightning.networks.generator import Generator
from gan_lightning.sampling.latents import Prior

Network = TypeVar("Network", bound=nn.Module)

SPARE = 1 << 20  # bytes of buffers that are not among the weights, such as a filter
LARGEST = 1 << 28  # bytes of a sample's largest activation: 64 channels of 1024x1024 pixels


class Outgrown(Exception):
    """A network has more layers than there are weights for."""


def outline(make: Callable[[], Network], weights: Mapping[str, Tensor], path: Path) -> Network:
    """The network that `make` makes, on torch's meta device, where it takes no memory.

    Raises UserError unless its weights have the names and shapes of `weights`, out of the file `path`. A network of a
    plug-in that can't be made there, since it computes with its weights, is made as it is.
    """
    try:
        with torch.device("meta"), warnings.catch_warnings(action="ignore"), _at_most(32 * len(weights) + 1024):
            network = make()
    except UserError:
        raise
    except Outgrown as error:
        raise _other(path) from error
    except Exception as error:  # whatever a constructor raises for arguments that it doesn't check
        if "meta tensor" not in str(error):
            raise UserError(f"{path} holds arguments that no network can be made with: {reason(error)}.") from error
        network = make()
    expected = {name: value.shape for name, value in network.state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        raise _other(path)
    besides = (buffer.nbytes for name, buffer in network.named_buffers() if name not in expected)
    if sum(besides) > SPARE + sum(value.nbytes for value in weights.values()):
        raise _other(path)
    return network


def _other(path: Path) -> UserError:
    return UserError(f"{path} is damaged: its weights are not those of the network that it names.")


@contextmanager
def _at_most(most: int) -> Iterator[None]:
    """Raises Outgrown where networks that are made in the block have more modules, parameters and buffers together."""
    count = 0

    def counted(module: nn.Module, name: str, value: object) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise Outgrown

    hooks = [
        register_module_module_registration_hook(counted),
        register_module_parameter_registration_hook(counted),
        register_module_buffer_registration_hook(counted),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Largest(TorchDispatchMode):
    """Raises Outgrown where an operation's result is larger than `LARGEST`."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to keep torch.compile out of a mode, torch imports its compiler, which takes as long as torch itself."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no annotations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.numel() * result.element_size() > LARGEST:
            raise Outgrown
        return result


def require_drawable(
    generator: Generator, prior: Prior, path: Path, has_conditions: bool = False
) -> tuple[int, ...] | None:
    """The shape of a sample of a network, drawn without memory of an `outline`; None where a plug-in can't be so.

    Raises UserError if there is none, since latents and network don't fit, or if it takes too much memory.
    """
    device = next(generator.parameters()).device
    try:
        with torch.no_grad(), _Largest():
            source = None if device.type == "meta" else torch.Generator(device)  # torch's own one is left as it is
            latents = prior.draw(1, generator.latent_dim, device=device, generator=source)
            no_labels = torch.zeros(1, generator.classes) if has_conditions else torch.zeros(1, dtype=torch.int64)
            labels = no_labels.to(device) if generator.classes else None
            sample = generator.eval()(latents, labels)[0]
        if sample.ndim not in (1, 2, 3) or not sample.is_floating_point():
            raise ValueError(f"its samples have shape {tuple(sample.shape)}")
    except Outgrown as error:
        raise UserError(f"{path} names a generator whose single sample takes {LARGEST >> 20} MiB or more.") from error
    except Exception as error:  # whatever a network raises that its arguments break
        if "meta tensor" in str(error):
            return None
        raise UserError(f"{path} names a generator that can't be sampled from: {reason(error)}.") from error
    return tuple(sample.shape)
