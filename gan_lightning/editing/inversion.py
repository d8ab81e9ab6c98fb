"""The latents whose sample is nearest to a given one, sought from several starts."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def seek(
    distance: Callable[[Tensor], Tensor], starts: Float[Tensor, "n d"], steps: int = 300, rate: float = 0.1
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """Latents (N, d) near which `distance`, (N, d) -> (N,), is least, each from its start, and their distances (N,).

    `steps` of Adam (beta 0.9 and 0.999) whose rate falls from `rate` to nothing along half a cosine; each returns the
    best that it passed. Latents may leave what the prior gives.
    """
    best = starts.detach().clone()
    least = torch.full((len(starts),), math.inf, device=starts.device)
    with torch.inference_mode(False), torch.enable_grad():
        at = starts.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([at], lr=rate)
        for number in range(steps + 1):
            distances = distance(at)
            better = distances.detach() < least
            least = torch.where(better, distances.detach(), least)
            best = torch.where(better.unsqueeze(1), at.detach(), best)
            (at.grad,) = torch.autograd.grad(distances.sum(), at)
            optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * number / max(1, steps))) / 2
            optimizer.step()
    return best, least


def squared_error(samples: Float[Tensor, "n ..."], target: Float[Tensor, "..."]) -> Float[Tensor, " n"]:
    """The mean squared difference of each of N samples from one target: of images in [-1, 1], from 0 to 4."""
    return (samples - target).square().flatten(1).mean(1)
