"""Between two log points, nothing waits for a value: an iteration, the loader and all that looks on."""

from contextlib import ExitStack

import pytest
import torch
from host_syncs import Waited, refused
from torch import nn

from gan_lightning.training.callback import IterationCallback

QUIET = ("trainer.log_every_n_steps=10", "trainer.max_steps=10", "samples.every=10", "health.every=10")
RECIPES = ["vanilla", "wgan_gp", "began", "infogan"]


class Refusing(IterationCallback):
    """Refuses host syncs from the end of iteration 2 to the end of iteration 8, loader and callbacks included."""

    def __init__(self):
        self.stack = ExitStack()
        self.iterations = 0

    def after_iteration(self, trainer, model):
        if trainer.global_step == 2:
            self.stack.enter_context(refused())
        self.iterations += 2 < trainer.global_step <= 8
        if trainer.global_step == 8:
            self.stack.close()


@pytest.mark.parametrize("loss", RECIPES)
def test_an_iteration_waits_for_nothing(tiny, watch, loss):
    refusing = Refusing()
    watch(refusing)
    with refusing.stack:
        tiny("run", f"loss={loss}", "loss.critic_updates.boost=0", *QUIET)
    assert refusing.iterations == 6


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: bool(x.sum() > 0),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.numpy(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.tensor(1.0, device=x.device),
        lambda x: nn.utils.clip_grad_norm_([x], 1.0, error_if_nonfinite=True),
    ],
)
def test_what_waits_is_refused(wait):
    values = torch.ones(3).requires_grad_()
    values.grad = torch.ones(3)
    values = values if wait.__code__.co_names[:1] == ("nn",) else values.detach()
    with refused(), pytest.raises(Waited):
        wait(values)
