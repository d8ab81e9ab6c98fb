"""Features and samples as the float64 matrices that metrics compute with."""

from jaxtyping import Float64, Num
from torch import Tensor

BLOCK = 2**22  # numbers of a block of intermediate results: 32 MiB in float64


def check_finite(values: Num[Tensor, "n ..."], name: str) -> None:
    """Raises ValueError, with the `name` of values (N, ...), where some of them are NaN or infinite."""
    finite = values.isfinite().flatten(1).all(1)
    if not finite.all():
        raise ValueError(f"{name} must be finite: {int((~finite).sum())} of {len(values)} rows aren't")


def as_matrix(values: Num[Tensor, "..."], name: str) -> Float64[Tensor, "n d"]:
    """`values` (N, D) in float64. Raises ValueError, with the `name`, for another shape and for NaN or infinity."""
    if values.ndim != 2 or not len(values):
        raise ValueError(f"{name} must be a matrix with a row for each sample, got the shape {tuple(values.shape)}")
    check_finite(values, name)
    return values.double()


def flattened(samples: Num[Tensor, "n ..."]) -> Float64[Tensor, "n d"]:
    """Samples as vectors (N, d) in float64: images, uint8 (N, C, H, W), in [-1, 1]; others, (N, ...), as they are."""
    flat = samples.flatten(1).double()
    return flat if samples.is_floating_point() else flat / 127.5 - 1
