"""How torch multiplies an iteration's float32 matrices on a CPU, and whether a faster way is as exact.

There, torch has two libraries for it: MKL, by its setting "highest", and oneDNN, by "medium". MKL takes a path on AMD's
processors that may be half as fast. But "medium" allows products to be rounded to bfloat16, which oneDNN does on
processors with matrix units (AMX), and for small matrices it is the slower. So "auto" takes it for large products on
AMD's processors, where a trial on a product of the run's own size finds it as exact. No clock has a say in it: the same
command makes the same weights on the same machine, however busy that is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

Setting = Literal["highest", "high", "medium"]
Size = tuple[int, int, int]  # of a product: (m, k) times (k, n)

SMALLEST = 1 << 22  # multiplications of a product, below which "medium" isn't tried
LARGEST_SIDE = 2048  # of what is tried
EXACT = 8.0  # times the error of "highest", at most: of other orders of summation; rounding has thousands
PROCESSORS = Path("/proc/cpuinfo")  # of Linux


@contextmanager
def multiplying(setting: Setting | None) -> Iterator[None]:
    """torch multiplies so in the block; None leaves it as it is."""
    if setting is None:
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def fastest_exact(size: Size | None) -> Setting:
    """ "medium" where it is as exact as "highest" and the faster one for products of a size; None is no product."""
    if size is None or size[0] * size[1] * size[2] < SMALLEST:
        return "highest"
    return "medium" if is_amd() and is_exact(size) else "highest"


def largest_product(batch_size: int, *networks: nn.Module) -> Size | None:
    """That of the largest linear layer of some networks; None without any."""
    weights = [layer.weight for network in networks for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not weights:
        return None
    outputs, inputs = max(weights, key=Tensor.numel).shape
    return min(batch_size, LARGEST_SIDE), min(inputs, LARGEST_SIDE), min(outputs, LARGEST_SIDE)


@cache
def is_exact(size: Size) -> bool:
    """Whether "medium" is as near to products in float64 as "highest" is, of a layer and of its weights' gradient."""
    samples, weight = factors(size)
    gradients = product(samples, weight)
    return all(
        error("medium", *pair) <= EXACT * error("highest", *pair)
        for pair in ((samples, weight), (gradients.T, samples), (gradients, weight.T))
    )


@cache
def is_amd() -> bool:
    """Whether this machine's processor is AMD's, as far as it is told."""
    try:
        return "AuthenticAMD" in PROCESSORS.read_text(errors="replace")
    except OSError:
        return False


def factors(size: Size) -> tuple[Tensor, Tensor]:
    """Matrices (m, k) and (k, n) of normal numbers, always the same."""
    source = torch.Generator().manual_seed(0)
    m, k, n = size
    return torch.randn(m, k, generator=source), torch.randn(k, n, generator=source)


def error(setting: Setting, left: Tensor, right: Tensor) -> float:
    """The root of the mean squared error of a product, by one in float64."""
    with multiplying(setting):
        found = product(left, right)
    return (found.double() - left.double() @ right.double()).square().mean().sqrt().item()


def product(left: Tensor, right: Tensor) -> Tensor:
    """torch's."""
    return left @ right
