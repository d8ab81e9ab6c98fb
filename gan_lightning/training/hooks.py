"""Whether anybody has anything to do at the hooks that Lightning calls around gradients and steps.

Each costs a call for every callback and a look at the profiler, beside which a small
network's gradients take little.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch.optim import Optimizer
from torch.optim import optimizer as optimizers

RECORDING = Optimizer.profile_hook_step(Optimizer.step).__code__
OF_ALL_OPTIMIZERS = optimizers._global_optimizer_pre_hooks, optimizers._global_optimizer_post_hooks
HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")


def are_idle(trainer: Trainer, module: LightningModule) -> bool:
    """Whether torch's own `backward` and `step` do all that Lightning's would.

    With a strategy, a plugin or a profiler of one's own, a scaler, or a hook that the module or a callback implements,
    they don't.
    """
    plugin = trainer.precision_plugin
    # Lightning sets it from elsewhere, where type checkers don't see it.
    is_plain = type(trainer.strategy) is SingleDeviceStrategy and type(trainer.profiler) is PassThroughProfiler  # type: ignore[attr-defined]
    scales = type(plugin) not in (Precision, MixedPrecision) or getattr(plugin, "scaler", None) is not None
    return (
        is_plain
        and not scales
        and all(inherits(module, LightningModule, hook) for hook in (*HOOKS, "backward", "manual_backward"))
        and all(inherits(callback, Callback, hook) for callback in callbacks_of(trainer) for hook in HOOKS)
    )


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """A trainer's own list, itself and not a copy."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # which Lightning's connector has set
    return callbacks


def inherits(part: object, base: type, method: str) -> bool:
    """Whether a method of an object is still that of a base class."""
    return getattr(getattr(part, method), "__func__", None) is getattr(base, method)


@contextmanager
def counted(optimizer: Optimizer | LightningOptimizer) -> Iterator[Optimizer]:
    """torch's own optimizer, to be asked for a step that counts in `trainer.global_step` if it was wrapped."""
    if not isinstance(optimizer, LightningOptimizer):
        yield optimizer
        return
    optimizer._on_before_step()
    yield optimizer.optimizer
    optimizer._on_after_step()


def take_step(optimizer: Optimizer) -> None:
    """`optimizer.step()`, without its record for torch's profiler where neither that nor a hook of torch's waits.

    The record takes a quarter of a small network's step.
    """
    own = type(optimizer).step
    # By torch, and by nobody else: what wraps a step as functools does has all that torch leaves on its own wrapper.
    is_recorded = getattr(own, "__code__", None) is RECORDING and "step" not in vars(optimizer)
    hooks = [getattr(optimizer, f"_optimizer_step_{when}_hooks", None) for when in ("pre", "post")]
    if not is_recorded or any((*hooks, *OF_ALL_OPTIMIZERS)) or torch._C._autograd._profiler_enabled():
        optimizer.step()
    else:
        own.__wrapped__(optimizer)  # type: ignore[attr-defined]  # which functools.wraps has set


def clear_gradients(optimizer: Optimizer | LightningOptimizer) -> None:
    """`optimizer.zero_grad()`, without its look at torch's profiler."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
