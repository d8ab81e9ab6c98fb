"""What all checks share: their sentences, the members of a kind, and what makes a part usable from a configuration."""

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

Given = ParamSpec("Given")
Result = TypeVar("Result")


def require(holds: bool, part: object, expected: str, got: object) -> None:
    """Raises AssertionError, the one sentence of a check that fails, unless `holds`."""
    if not holds:
        raise AssertionError(f"{type(part).__name__}: expected {expected}, got {got}.")


def attempt(
    part: object, what: str, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
) -> Result:
    """What a call of the part's gives; an AssertionError that names the call in place of whatever it raises."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        message = " ".join(str(error).split())
        raise AssertionError(f"{type(part).__name__}: {what} raised {type(error).__name__} ({message}).") from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's random numbers on the CPU from a seed, and gradients; afterwards, both are as they were."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        yield


def require_object(part: object, kind: str) -> None:
    """Refuses a class where an object of it is meant."""
    if isinstance(part, type):
        raise AssertionError(f"{part.__name__} is a class; expected {kind}, such as {part.__name__}(...).")


def require_kind(part: object, kind: str, protocol: type) -> None:
    """All members of a protocol."""
    require_object(part, kind)
    methods = [name for name in vars(protocol) if not name.startswith("_")]
    for name in [*methods, *inspect.get_annotations(protocol)]:
        require(hasattr(part, name), part, f"{kind}, which has `{name}`", "an object without it")


def require_configurable(part: object) -> None:
    """A class that a configuration can name, whose constructor it can call with checked values."""
    kind = type(part)
    module = kind.__module__ if kind.__module__ != "__main__" else ""  # a script may check what it will move elsewhere
    is_public = not any(name.startswith("_") for name in [*module.split("."), kind.__qualname__])
    where = f"{kind.__module__}.{kind.__qualname__}"
    expected = "a public class at the top of its module, which a configuration can name"
    require(is_public and "." not in kind.__qualname__, part, expected, where)
    for parameter in inspect.signature(kind).parameters.values():
        is_named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        require(is_named, part, "a constructor that takes each parameter by name", f"`{parameter}`")
        is_typed = parameter.annotation is not parameter.empty
        require(is_typed, part, "a type for each parameter of its constructor", f"none for `{parameter.name}`")


def require_record(part: object) -> None:
    """A frozen dataclass of plain values, equal to its copies."""
    settings = getattr(part, "__dataclass_params__", None)
    require(settings is not None and settings.frozen, part, "a frozen dataclass", "another kind of class")
    assert is_dataclass(part)
    for field in fields(part):
        value = getattr(part, field.name)
        expected = "fields of plain values (numbers, text, lists of such, dataclasses of such)"
        require(_is_plain(value), part, expected, f"{type(value).__name__} for `{field.name}`")
    for how, made in (("copy", copy.deepcopy), ("pickle", lambda part: pickle.loads(pickle.dumps(part)))):
        twin = attempt(part, f"{how} of it", made, part)
        require(bool(twin == part), part, f"a {how} equal to it", repr(twin))


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if is_dataclass(value) and not isinstance(value, type):
        return all(_is_plain(getattr(value, field.name)) for field in fields(value))
    return value is None or isinstance(value, bool | int | float | str)


def require_scalars(part: object, what: str, found: object, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """A dict of finite scalars by name, of one type if that is given."""
    require(isinstance(found, dict), part, f"{what} in a dict", type(found).__name__)
    assert isinstance(found, dict)
    for name, value in found.items():
        require(isinstance(name, str), part, f"{what} by name", f"the key {name!r}")
        require_scalar(part, f"{what}, `{name}`,", value, dtype)
    return found


def require_scalar(part: object, what: str, value: object, dtype: torch.dtype | None = None) -> None:
    """A finite tensor of shape ()."""
    expected = f"{what} to be a tensor of shape ()"
    require(isinstance(value, Tensor), part, expected, type(value).__name__)
    assert isinstance(value, Tensor)
    require(value.shape == (), part, expected, f"shape {tuple(value.shape)}")
    require(bool(value.isfinite()), part, f"{what} to be finite", value.item())
    require(dtype in (None, value.dtype), part, f"{what} to be {dtype}", value.dtype)


def require_unchanged(part: object, what: str, before: Sequence[Tensor], after: Sequence[Tensor]) -> None:
    """Tensors equal to copies that were made before."""
    same = all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    require(same, part, f"{what} to stay as they are", "others")


def copies(*tensors: Tensor) -> list[Tensor]:
    """Copies without a graph."""
    return [tensor.detach().clone() for tensor in tensors]
