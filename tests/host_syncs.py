"""What makes a host wait for its device, refused: a GPU isn't needed to find it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

# What Python asks of a tensor, some of which reads memory past torch's dispatcher; and what is made of host memory.
ASKED: dict[Callable[..., Any], str] = {
    **{
        getattr(Tensor, name): f"Tensor.{name}"
        for name in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__array__")
    },
    torch.tensor: "torch.tensor",
    torch.as_tensor: "torch.as_tensor",
    torch.from_numpy: "torch.from_numpy",
}
# What torch does with its device's numbers: reads one, or makes a shape of them.
DONE = {
    aten._local_scalar_dense.default,
    aten.is_nonzero.default,
    aten.equal.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.unique_dim.default,
    aten._unique2.default,
}


class Waited(AssertionError):
    """Something has waited."""


class _Asked(TorchFunctionMode):
    def __init__(self, done: "_Done") -> None:
        super().__init__()
        self.done = done

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in ASKED:
            raise Waited(ASKED[func])
        # Which looks at its input on CPUs, and on GPUs leaves that to the kernel.
        self.done.spares = func is one_hot
        return func(*args, **(kwargs or {}))


class _Done(TorchDispatchMode):
    spares = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        by_flags = func is aten.index.Tensor and any(i is not None and i.dtype == torch.bool for i in args[1])
        if (func in DONE or by_flags) and not self.spares:
            raise Waited(str(func))
        return func(*args, **(kwargs or {}))


class Copies(TorchDispatchMode):
    """Counts copies from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is aten._to_copy.default:
            self.count += args[0].device != result.device
        elif func is aten.copy_.default:
            self.count += args[0].device != args[1].device
        return result


@contextmanager
def refused() -> Iterator[None]:
    """Raises Waited where anything in the block waits for a value, as far as a CPU can tell."""
    with _Done() as done, _Asked(done):
        yield
