"""Up the gradient of an attribute, with what else may change kept back, and what has moved along."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Score = Callable[[Tensor], Tensor]  # latents (N, d) -> the attributes of their samples (N, K), differentiably


def climb(
    score: Score,
    latents: Float[Tensor, "n d"],
    target: int,
    steps: int = 10,
    step: float = 0.1,
    penalty: float = 0.1,
    down: bool = False,
) -> Float[Tensor, "{steps}+1 n d"]:
    """The latents on the way to more of attribute `target`, the first ones included: (steps + 1, N, d).

    Each step adds `step` times the gradient of s_target - penalty * |changes of all other attributes|, with the norm
    over these: the controllable generation of "Build Basic GANs" (Coursera's GAN specialisation), week 4. There, the
    mean over the images is what is raised, so that a step shrinks with their number; here each climbs for itself.
    `down` lowers s_target instead.
    """
    start: Tensor | None = None
    path = [latents]
    with torch.inference_mode(False), torch.enable_grad():
        for _ in range(steps):
            at = path[-1].detach().clone().requires_grad_()
            scores = score(at)
            start = scores.detach() if start is None else start
            # The norm's gradient at no change at all is 0.
            others = torch.arange(scores.shape[1], device=scores.device) != target
            moved = torch.linalg.vector_norm((scores - start)[:, others], dim=1)
            objective = (-1 if down else 1) * scores[:, target] - penalty * moved
            (gradient,) = torch.autograd.grad(objective.sum(), at)
            path.append((at + step * gradient).detach())
    return torch.stack(path)


class Change(NamedTuple):
    """How much an attribute changed while another was raised, or lowered.

    `less` and `more` are the means over the samples at either end of the way. `covariance` is that of its changes with
    those of the target, over all samples and stages, and `correlation` the same in units of both.
    """

    name: str
    less: float
    more: float
    covariance: float
    correlation: float


def changes(scores: Float[Tensor, "stages n k"], start: int, target: int, names: tuple[str, ...]) -> list[Change]:
    """What moved along with the attribute `target` on a way of stages, from the one numbered `start`.

    The target comes first, then the others, those of the largest covariance with it before. What the course's lab on
    bias calls the top covariances (course 2, week 2).
    """
    moved = (scores - scores[start]).double().cpu()
    centred = moved.flatten(0, 1) - moved.flatten(0, 1).mean(0)
    covariances = centred.T @ centred[:, target] / max(1, len(centred) - 1)
    spreads = centred.square().sum(0).div(max(1, len(centred) - 1)).sqrt()
    correlations = covariances / (spreads * spreads[target]).clamp_min(torch.finfo(torch.float64).tiny)
    ends = moved[0].mean(0), moved[-1].mean(0)
    order = sorted(range(len(names)), key=lambda k: (k != target, -abs(float(covariances[k]))))
    columns = [each.tolist() for each in (*ends, covariances, correlations)]
    return [Change(names[k], *(column[k] for column in columns)) for k in order]
