"""Nearest neighbours, and which samples lie in the balls that reach to others' neighbours.

Distances are Euclidean and in float64. Which samples are near is found from |q|^2 + |r|^2 - 2 qr about the references'
mean, in blocks of rows, which is four to eight times faster than differences and wrong by about 1e-15 of the squared
norms; the distances that are returned are of differences, so that those of copies are exactly 0. In float32 that
formula gives copies distances of about 1e-3 of the norms, torch.cdist's default for more than 25 rows included.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from gan_lightning.metrics.matrices import BLOCK, as_matrix

TIE = 1e-13  # of the squared norms: above the formula's rounding, below that of float32 features


def _blocks(
    queries: Float64[Tensor, "n d"], references: Float64[Tensor, "m d"], width: int, tie: float = 0.0
) -> Iterator[tuple[slice, Tensor]]:
    """Which rows of queries, and their squared distances from all references plus `tie` times the squared norms.

    `width` is how many numbers a row of the caller's own results takes.
    """
    centre = references.mean(0)
    centred = references - centre
    # One product of matrices has all three terms of the formula.
    others = torch.cat([centred, torch.ones(len(centred), 1, dtype=torch.float64), _norms(centred, tie)], 1).T
    del centred
    rows = max(1, BLOCK // max(len(references), width))
    for first in range(0, len(queries), rows):
        chunk = queries[first : first + rows] - centre
        own = torch.cat([-2 * chunk, _norms(chunk, tie), torch.ones(len(chunk), 1, dtype=torch.float64)], 1)
        yield slice(first, first + len(chunk)), own @ others


def _norms(centred: Float64[Tensor, "n d"], tie: float) -> Float64[Tensor, "n 1"]:
    """Squared norms, and `tie` times as much."""
    return (1 + tie) * centred.square().sum(1, keepdim=True)


def nearest(
    queries: Float[Tensor, "n d"], references: Float[Tensor, "m d"], k: int = 1
) -> tuple[Float64[Tensor, "n {k}"], Int64[Tensor, "n {k}"]]:
    """The distances (N, k), float64, and indices (N, k) of the k references (M, D) nearest to each query (N, D).

    In ascending order. Raises ValueError for features that aren't finite, and for fewer than k references.
    """
    queries, references = as_matrix(queries, "queries"), as_matrix(references, "references")
    if k > len(references):
        raise ValueError(f"{k} neighbours among {len(references)} references")
    # Results go to their places at once: small tensors that live on between large ones would fragment the memory.
    distances, indices = queries.new_empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)
    for rows, squared in _blocks(queries, references, k * references.shape[1]):
        near = squared.topk(k, largest=False).indices
        exact = torch.linalg.vector_norm(queries[rows].unsqueeze(1) - references[near], dim=2)
        distances[rows], order = exact.sort(stable=True)
        indices[rows] = near.gather(1, order)
    return distances, indices


def radii(samples: Float[Tensor, "n d"], k: int) -> Float64[Tensor, " n"]:
    """The distance (N,) of each sample (N, D) from its k-th nearest other one."""
    return nearest(samples, samples, k + 1)[0][:, k]


def radii_in_subsets(samples: Float[Tensor, "n d"], k: int, inside: Bool[Tensor, "s n"]) -> Float64[Tensor, "s n"]:
    """The distance of each sample (N, D) of some subsets from its k-th nearest other one in the same subset: (S, N).

    `inside` (S, N) says which samples are in which subset; others have the radius -1. Of a half, the k nearest are
    among the 2k + 20 nearest of all samples, but once in some 100,000, where they are looked up.
    """
    within = min(len(samples), 2 * (k + 10))
    distances, indices = nearest(samples, samples, within)
    is_other = indices != torch.arange(len(samples)).unsqueeze(1)
    found = torch.full(inside.shape, -1.0, dtype=torch.float64)
    for reach, chosen in zip(found, inside, strict=True):
        before = ((chosen[indices] & is_other).cumsum(1) < k).sum(1)  # how many are nearer than the k-th, outside or in
        is_known = chosen & (before < within)
        reach[is_known] = distances[is_known].gather(1, before[is_known].unsqueeze(1)).squeeze(1)
        rest = chosen & (before == within)
        if rest.any():
            reach[rest] = nearest(samples[rest], samples[chosen], k + 1)[0][:, k]
    return found


class Held(NamedTuple):
    """Pairs of a query and a reference whose ball holds it: their indices (P,) and squared distances (P,), float64.

    The distances are moved by as much as their rounding, to the side that `closed` says.
    """

    queries: Tensor
    references: Tensor
    squared: Tensor


def in_balls(
    queries: Float[Tensor, "n d"], references: Float[Tensor, "m d"], radii: Float[Tensor, " m"], closed: bool
) -> Iterator[Held]:
    """All pairs of queries (N, D) and references (M, D) whose balls, with `radii` (M,), hold them; in blocks.

    Points at a distance that equals the radius, up to rounding, lie in `closed` balls alone. A negative radius holds
    nothing.
    """
    queries, references = as_matrix(queries, "queries"), as_matrix(references, "references")
    reach = torch.where(radii < 0, -torch.inf, radii.square())
    for rows, squared in _blocks(queries, references, 1, -TIE if closed else TIE):
        inside, balls = (squared <= reach if closed else squared < reach).nonzero(as_tuple=True)
        yield Held(inside + rows.start, balls, squared[inside, balls])


def balls_around(
    queries: Float[Tensor, "n d"], references: Float[Tensor, "m d"], radii: Float[Tensor, " m"], closed: bool
) -> Int64[Tensor, " n"]:
    """How many of the balls of `in_balls` hold each query: int64 (N,)."""
    counts = torch.zeros(len(queries), dtype=torch.int64)
    for held in in_balls(queries, references, radii, closed):
        counts += held.queries.bincount(minlength=len(queries))
    return counts
