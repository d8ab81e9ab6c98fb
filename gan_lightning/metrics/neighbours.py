"""Nearest neighbours, and whether samples lie in the balls that reach to others' neighbours.

Distances are Euclidean and in float64. Which samples are near is found from |q|^2 + |r|^2 - 2 qr about the references'
mean, in blocks of rows, which is four to eight times faster than differences and wrong by about 1e-15 of the squared
norms; the distances that are returned are of differences, so that those of copies are exactly 0. In float32 that
formula gives copies distances of about 1e-3 of the norms, torch.cdist's default for more than 25 rows included.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from gan_lightning.metrics.matrices import BLOCK, as_matrix

TIE = 1e-13  # of the squared norms: above the formula's rounding, below that of float32 features


def _blocks(
    queries: Float64[Tensor, "n d"], references: Float64[Tensor, "m d"], width: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows of queries, their squared distances from all references, and what those may be wrong by.

    `width` is how many numbers a row of the caller's own results takes.
    """
    centre = references.mean(0)
    references = references - centre
    of_references = references.square().sum(1)
    for chunk in queries.split(max(1, BLOCK // max(len(references), width))):
        centred = chunk - centre
        norms = centred.square().sum(1, keepdim=True) + of_references
        yield chunk, torch.addmm(norms, centred, references.T, alpha=-2), TIE * norms


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
    first = 0
    for chunk, squared, _ in _blocks(queries, references, k * references.shape[1]):
        rows = slice(first, first := first + len(chunk))
        near = squared.topk(k, largest=False).indices
        exact = torch.linalg.vector_norm(chunk.unsqueeze(1) - references[near], dim=2)
        distances[rows], order = exact.sort(stable=True)
        indices[rows] = near.gather(1, order)
    return distances, indices


def radii(samples: Float[Tensor, "n d"], k: int) -> Float64[Tensor, " n"]:
    """The distance (N,) of each sample (N, D) from its k-th nearest other one."""
    return nearest(samples, samples, k + 1)[0][:, k]


def balls_around(
    queries: Float[Tensor, "n d"], references: Float[Tensor, "m d"], radii: Float[Tensor, " m"], closed: bool
) -> Int64[Tensor, " n"]:
    """How many of the balls about references (M, D), with `radii` (M,), hold each query (N, D): int64 (N,).

    Points at a distance that equals the radius, up to rounding, lie in `closed` balls alone.
    """
    queries, references = as_matrix(queries, "queries"), as_matrix(references, "references")
    reach = radii.square()
    counts = torch.empty(len(queries), dtype=torch.int64)
    first = 0
    for chunk, squared, tie in _blocks(queries, references, 1):
        inside = squared <= reach + tie if closed else squared < reach - tie
        counts[first : (first := first + len(chunk))] = inside.sum(1)
    return counts
