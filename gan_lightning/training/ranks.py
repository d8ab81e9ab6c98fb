"""What the processes that train together exchange, beside what their losses do (gan_lightning/ranks.py)."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import Tensor, nn

from gan_lightning.networks.layers import uses_batch_statistics
from gan_lightning.ranks import place

Made = TypeVar("Made")


def gathered(made: dict[int, Made]) -> dict[int, Made]:
    """What all processes have made, by number."""
    _, ranks = place()
    if ranks == 1:
        return made
    everywhere: list[dict[int, Made]] = [{} for _ in range(ranks)]
    torch.distributed.all_gather_object(everywhere, made)
    return {number: one for of_rank in everywhere for number, one in of_rank.items()}


def of_each_rank(made: Made) -> list[Made]:
    """What each process has made, by rank."""
    of_all = gathered({place()[0]: made})
    return [of_all[rank] for rank in sorted(of_all)]


def share_buffers(network: nn.Module) -> None:
    """Gives all processes the first one's buffers, which are saved: batch statistics differ."""
    if place()[1] > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)


def require_equal_weights(model: nn.Module, iteration: int) -> None:
    """Raises RuntimeError, in all processes, naming the first tensor that they don't have bit for bit the same.

    Of parameters, averaged ones included, and of what an objective keeps. Buffers of networks may differ: DDP gives all
    the first one's at each iteration. Call it in all processes at once.
    """
    if place()[1] == 1:
        return
    tensors: dict[str, Tensor] = dict(model.named_parameters())
    tensors |= {name: value for name, value in model.named_buffers() if name.startswith("objective.")}
    sums = torch.stack([digest(tensor) for tensor in tensors.values()])
    # Both ends at once: the least is minus the greatest of the negatives.
    ends = torch.cat([sums, -sums])
    torch.distributed.all_reduce(ends, op=torch.distributed.ReduceOp.MAX)
    greatest, least = ends[: len(sums)], -ends[len(sums) :]
    for name, is_equal in zip(tensors, (greatest == least).tolist(), strict=True):
        if not is_equal:
            raise RuntimeError(
                f"{name} is not the same in all processes at iteration {iteration}: something has changed it in one of"
                " them alone, such as a callback, or a gradient that was not averaged. The last checkpoint, if any, is"
                " kept."
            )


def digest(tensor: Tensor) -> Tensor:
    """A whole number, as a tensor on the same device, that is another one if a single bit of `tensor` is."""
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(tensor.element_size(), torch.uint8)
    return tensor.detach().contiguous().flatten().view(bits).sum(dtype=torch.int64)


def refuse_strategy(strategy: Strategy, model: nn.Module) -> None:
    """Raises ValueError for one of Lightning's strategies that would not train both networks rightly."""
    for reason in refusals_of_strategy(strategy, model):
        raise ValueError(reason)


def refusals_of_strategy(strategy: Strategy, model: nn.Module) -> Iterator[str]:
    """Why a strategy can't train the networks of a model, each reason with its fix."""
    name, fix = type(strategy).__name__, "use trainer.strategy=ddp_find_unused_parameters_true"
    if isinstance(strategy, DDPStrategy):
        options = strategy._ddp_kwargs
        if options.get("static_graph"):
            yield (
                "trainer.strategy is DDP with static_graph=True, but the networks take turns, so that no two steps have"
                f" one graph, and gradients of penalties would not be averaged; {fix}"
            )
        if not options.get("find_unused_parameters"):
            yield (
                "trainer.strategy is DDP without find_unused_parameters, but each network's step leaves the other"
                f" without gradients, which that takes for an error; {fix}"
            )
    elif not isinstance(strategy, SingleDeviceStrategy):
        yield (
            f"trainer.strategy is {name}, with which gradients of alternating networks and of penalties are not"
            f" averaged rightly, nor are whole weights at hand to average and to clip; {fix}"
        )
    if strategy_synchronises(strategy) and strategy.root_device.type != "cuda" and uses_batch_statistics(model):
        yield (
            "trainer.sync_batchnorm is true, but torch has batch statistics of all devices on GPUs alone, not on"
            f" {strategy.root_device.type}; use trainer.sync_batchnorm=false, or another normalisation:"
            " network.generator.norm=layer"
        )


def strategy_synchronises(strategy: Strategy) -> bool:
    """Whether `trainer.sync_batchnorm` has been asked for, and concerns the strategy."""
    return getattr(strategy, "_layer_sync", None) is not None


class Agreement:
    """Lets all processes come to one decision about every `seconds`, at an iteration that is the same for all.

    Usage, in all processes and after every iteration:

        if agreement.due(iteration):
            greatest = agreement.maximum(own, iteration)

    How many iterations lie between two agreements is decided at the former, by the slowest process's time since the one
    before: at least 1, and at most `GROWTH` times as many as before, since the first iterations tell little.
    Evaluations and the like count, so that agreements come too often rather than too seldom. A single process needs
    none: each iteration is due, and the maximum its own value.
    """

    GROWTH = 10

    def __init__(
        self, device: torch.device | str = "cpu", seconds: float = 1.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.device = device  # that the processes exchange tensors of
        self.seconds = seconds
        self.now = now
        self.interval = 1  # in iterations
        self.next: int | None = None  # the iteration of the next agreement; None: the first that comes
        self.before = 0.0

    def due(self, iteration: int) -> bool:
        """Whether all processes must call `maximum` now that this iteration is complete."""
        return place()[1] == 1 or self.next is None or iteration >= self.next

    def maximum(self, value: float, iteration: int) -> float:
        """The greatest of the processes' values, once `iteration` is complete, for which an agreement is due."""
        if place()[1] == 1:
            return value
        now = self.now()
        taken = 0.0 if self.next is None else now - self.before
        both = torch.tensor([value, taken], dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(both, op=torch.distributed.ReduceOp.MAX)
        greatest, slowest = both.tolist()
        self.plan(iteration, slowest)
        self.before = now
        return float(greatest)

    def plan(self, iteration: int, taken: float) -> None:
        """Chooses the next agreement after one at `iteration`, by the seconds since the one before; 0 for the first."""
        if self.next is not None:
            wanted = self.interval * self.seconds / max(taken, 1e-9)
            self.interval = max(1, min(int(wanted), self.GROWTH * self.interval))
        self.next = iteration + self.interval
