"""Weights of another program's networks under the names of ours: by order and shape, or as the user says."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn

from gan_lightning.archives import load_archive
from gan_lightning.files import in_natural_order

# What torch.nn.utils.spectral_norm keeps of a weight, and its successor, which our networks have.
SPECTRAL = {
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",
}
LEAF = re.compile(r"(?:(.*?)\.)?(parametrizations\.weight\.(?:original|0\._u|0\._v)|[^.]*)")
DEEPEST_STATE = 3  # levels of a file that are looked at
FIRST_LAYERS = 8
MEAN, COUNT = "running_mean", "num_batches_tracked"

Layer = dict[str, tuple[str, Tensor]]  # by what a tensor is to its layer, such as weight: its whole name, and itself


class Unfit(ValueError):
    """Weights are not those of a network; the message says which, with both shapes."""


class Taken(NamedTuple):
    """What a tensor of ours gets: the name and the shape of theirs, "" and () for none, and `how`, unless as it is."""

    name: str
    source: str
    shape: tuple[int, ...]
    value: Tensor
    how: str = ""


def read_foreign(path: Path) -> Any:
    """What a safetensors file or one of torch.save holds, as plain data on the CPU; nothing in it is run.

    Raises ValueError, or whatever else torch and safetensors raise, for any other file.
    """
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            # Its names are sorted as text, h.10 before h.2; networks count their layers.
            return {name: file.get_tensor(name) for name in in_natural_order(file.keys())}
    return load_archive(path)


def states(content: Any, path: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The states in a file's content, each with where it lies: `netG_state_dict`, or "" for the whole file.

    A state whose names begin with those of several networks is followed by each of these: `state_dict.generator`.
    """
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return
    here = f"{path}." if path else ""
    if state := {name: value for name, value in content.items() if isinstance(value, Tensor)}:
        yield path, state
        networks = dict.fromkeys(name.partition(".")[0] for name in state)
        for network in networks if len(networks) > 1 else ():
            part = {name: value for name, value in state.items() if name.startswith(f"{network}.")}
            yield from [(f"{here}{network}", part)] if part else ()
    if path.count(".") < DEEPEST_STATE:
        for name, value in content.items():
            yield from states(value, f"{here}{name}")


def fitting(content: Any, part: str | None, match: Callable[[dict[str, Tensor]], list[Taken]]) -> list[Taken]:
    """What `match` takes of the state in a file's content that fits it; `part` says which, if there are several.

    Raises Unfit where none fits, or more than one.
    """
    found = dict(states(content))
    if not found:
        raise Unfit("it holds no weights by name, as a state dict does")
    if part is not None:
        if part not in found:
            raise Unfit(f"it has no part {part}; there are {', '.join(filter(None, found))}")
        return match(found[part])
    fits, told = {}, {}
    for name, state in found.items():
        try:
            fits[name] = match(state)
        except Unfit as error:
            told[name] = str(error)
    if len(fits) > 1:
        raise Unfit(f"it has several parts that fit: {', '.join(fits)}; part=NAME says which")
    if not fits:
        largest = max(told, key=lambda name: len(found[name]))
        of = f" (in its part {largest}, the largest)" if largest else ""
        raise Unfit(f"{told[largest]}{of}")
    return fits.popitem()[1]


def matched(
    expected: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    named: Mapping[str, str] | None = None,
    ignored: Sequence[str] = (),
) -> list[Taken]:
    """What each of the `expected` tensors gets of a foreign `state`, in their order.

    Layers with weights follow each other in both, and within a layer a tensor goes by its name. `named` says of layers
    or tensors of ours which of theirs they get instead; `ignored` are layers or tensors of theirs that none gets.

    - A transposed convolution of a single pixel, (in, out, *kernel), is put in order for a linear layer of ours.
    - A bias that only theirs has is taken off the running mean behind it; one that only ours has is 0.

    Raises Unfit if anything is missing, left over or of another shape.
    """
    named = dict(named or {})
    _require_there([*named], expected, "the network")
    _require_there([*named.values(), *ignored], state, "the file")
    alone = {name: source for name, source in named.items() if name in expected and source in state}
    taken = {name: _taken(name, expected[name], source, state[source]) for name, source in alone.items()}
    left = [name for name in state if name not in alone.values() and not any(_is_in(name, each) for each in ignored)]
    ours = layers({name: value for name, value in expected.items() if name not in alone})
    theirs = layers({name: state[name] for name in left})
    spare = {}
    for key, other in _pairs(ours, theirs, {key: each for key, each in named.items() if key not in alone}):
        if key is None:
            raise Unfit(f"nothing of the network's is left for {_shown(theirs[other or ''])}")
        if other is None:
            raise Unfit(f"nothing is left for {_shown(ours[key])}")
        taken |= _of_layer(ours[key], theirs[other])
        if "bias" in theirs[other] and "bias" not in ours[key]:
            spare[key] = theirs[other]["bias"]
    for key, bias in spare.items():
        _take_off(bias, list(ours)[list(ours).index(key) + 1 :], ours, taken)
    return [taken[name] for name in expected]


def adopt(
    network: nn.Module,
    state: Mapping[str, Tensor],
    named: Mapping[str, str] | None = None,
    ignored: Sequence[str] = (),
) -> list[Taken]:
    """Loads the state of another program's network into ours, as `matched` finds it, and returns what was taken.

    adopt(CourseGenerator(64, (1, 28, 28)), torch.load("generator.pth", weights_only=True))
    """
    found = matched(network.state_dict(), state, named, ignored)
    network.load_state_dict({each.name: each.value for each in found})
    return found


def layers(state: Mapping[str, Tensor]) -> dict[str, Layer]:
    """The tensors of each layer, in the order of the first."""
    found: dict[str, Layer] = {}
    for name, value in state.items():
        place = LEAF.fullmatch(name)
        key, leaf = (place[1] or "", place[2]) if place else ("", name)
        found.setdefault(key, {})[SPECTRAL.get(leaf, leaf)] = (name, value)
    return found


def _is_in(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")


def _require_there(names: Sequence[str], state: Mapping[str, Tensor], where: str) -> None:
    known = {*state, *layers(state)}
    for name in names:
        if name not in known and not any(_is_in(other, name) for other in state):
            raise Unfit(
                f"{where} has no layer and no tensor {name}; its first layers are {', '.join([*layers(state)][:8])}"
            )


def _pairs(
    ours: Mapping[str, Layer], theirs: Mapping[str, Layer], named: Mapping[str, str]
) -> Iterator[tuple[str | None, str | None]]:
    """A layer of ours and one of theirs, in our order; None where one side has no more."""
    for key, other in named.items():
        if key not in ours or other not in theirs:
            raise Unfit(f"{key} and {other} are not both a layer with weights, or not both a tensor")
    rest = iter([other for other in theirs if other not in named.values()])
    for key in ours:
        yield key, named[key] if key in named else next(rest, None)
    yield from ((None, other) for other in rest)


def _of_layer(mine: Layer, other: Layer) -> dict[str, Taken]:
    """What the tensors of a layer of ours get."""
    taken = {}
    for leaf, (name, want) in mine.items():
        if leaf in other:
            taken[name] = _taken(name, want, *other[leaf])
        elif leaf in ("bias", COUNT):
            taken[name] = Taken(name, "", (), torch.zeros(want.shape, dtype=want.dtype), "0, as there is none")
        else:
            raise Unfit(f"{name} {_size(want)} would get nothing of {_shown(other)}")
    for leaf in other.keys() - mine.keys() - {"bias", COUNT}:
        raise Unfit(f"{_shown({leaf: other[leaf]})} has no place in {_shown(mine)}")
    return taken


def _taken(name: str, want: Tensor, source: str, value: Tensor) -> Taken:
    """A tensor of theirs for one of ours, in our order and type."""
    shape = tuple(value.shape)
    how, fitted = "", value
    if want.ndim == 2 < value.ndim and tuple(want.shape) == (prod(shape[1:]), shape[0]):
        how, fitted = "a transposed convolution as a linear layer", value.movedim(0, -1).reshape(want.shape)
    elif value.ndim == want.ndim == 1 and len(want) != len(value) > 0 and len(want) % len(value) == 0:
        how, fitted = "each for all pixels of its channel", value.repeat_interleave(len(want) // len(value))
    if fitted.shape != want.shape or fitted.is_floating_point() != want.is_floating_point():
        raise Unfit(f"{name} {_size(want)} would get {source} {_size(value)}")
    return Taken(name, source, shape, fitted.to(want.dtype).contiguous(), how)


def _take_off(
    bias: tuple[str, Tensor], behind: Sequence[str], ours: Mapping[str, Layer], taken: dict[str, Taken]
) -> None:
    """Takes a bias that has no place off the running mean of the layer behind it, which comes to the same."""
    source, value = bias
    name = ours[behind[0]].get(MEAN, ("",))[0] if behind else ""
    if name and taken[name].value.shape == value.shape:
        mean = taken[name]
        taken[name] = mean._replace(value=mean.value - value.to(mean.value.dtype), how=f"less {source}")
    elif value.any():
        raise Unfit(f"{source} {_size(value)} is a bias that the network has no place for")


def _shown(layer: Layer) -> str:
    name, value = layer.get("weight") or next(iter(layer.values()))
    return f"{name} {_size(value)}"


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "of one number"
