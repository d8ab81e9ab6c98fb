"""What the processes that train together exchange, beside what their losses do (gan_lightning/ranks.py)."""

from typing import TypeVar

import torch
from torch import nn

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


def share_buffers(network: nn.Module) -> None:
    """Gives all processes the first one's buffers, which are saved: batch statistics differ."""
    if place()[1] > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)
