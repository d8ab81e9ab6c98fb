"""The processes that train together: each has a rank, and some things must be the same for all."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Made = TypeVar("Made")


def place() -> tuple[int, int]:
    """This process's rank, and how many processes train together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def mean_of_ranks(value: Tensor) -> Tensor:
    """A scalar averaged over all processes; itself where there is one."""
    _, ranks = place()
    if ranks > 1:
        value = value.clone()
        torch.distributed.all_reduce(value)
        value /= ranks
    return value


def gathered(made: dict[int, Made]) -> dict[int, Made]:
    """What all processes have made, by number."""
    _, ranks = place()
    if ranks == 1:
        return made
    everywhere: list[dict[int, Made]] = [{} for _ in range(ranks)]
    torch.distributed.all_gather_object(everywhere, made)
    return {number: one for of_rank in everywhere for number, one in of_rank.items()}


def share_buffers(network: nn.Module) -> None:
    """Gives all processes the first one's buffers, which are saved: batch statistics differ."""
    if place()[1] > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)
