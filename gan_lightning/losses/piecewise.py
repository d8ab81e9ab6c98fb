"""Piecewise linear activations that gradients of gradients pass through at no more than their cost.

The derivative of ReLU and LeakyReLU is constant but where their input is zero, so that the gradient of a gradient does
not depend on that input. torch has it as zeros all the same (`leaky_relu_backward`'s derivative in `self` in its
derivatives.yaml), which then travel back through the whole network: a matrix product and more a layer, to add nothing.
Written as a product with its slopes, which no gradient flows to, an activation has the same values and the same
derivatives, and its second ones end there. On a critic of such layers a gradient penalty costs about two thirds.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class AsProducts(TorchFunctionMode):
    """In the block, ReLU and LeakyReLU are products with their slopes, whatever module calls them.

    In float32 and float64 nothing else changes, but that a ReLU's zero may be -0, and that a ReLU of -inf is NaN. In
    bfloat16 a slope is rounded to it. Where hooks are told of saved tensors, all is torch's: `torch.utils.checkpoint`
    computes these again after the block, and would take those of torch's activation for the product's.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in PRODUCTS and not _has_saved_tensor_hooks():
            func = PRODUCTS[func]
        return func(*args, **(kwargs or {}))


def _has_saved_tensor_hooks() -> bool:
    """Whether this is in a block of `torch.autograd.graph.saved_tensors_hooks`."""
    return not torch.compiler.is_compiling() and torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """torch.nn.functional's, as a product; arguments are named as there."""
    slopes = torch.where(input > 0, input.new_ones(()), negative_slope)
    return input.mul_(slopes) if inplace else input * slopes


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """The same of ReLU."""
    return leaky_relu(input, 0, inplace)


PRODUCTS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    functional.leaky_relu: leaky_relu,
    **dict.fromkeys((functional.relu, torch.relu, Tensor.relu), relu),
    **dict.fromkeys((torch.relu_, Tensor.relu_), partial(relu, inplace=True)),
}
