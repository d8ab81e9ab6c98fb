"""Annotations as far as a config can break them: numbers and ranges, text, choices, lists, mappings. Only read."""

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from gan_lightning.config.signature import UnreadableError, find, last_name
from gan_lightning.types import Filled, Range

# Packages whose annotations say less than their code: names there accept anything.
LOOSE = ("pytorch_lightning", "torch", "torchmetrics", "torchvision")
OWN = "gan_lightning"
MODULE = "torch.nn.modules.module.Module"  # that of torch.nn, which a network is and other classes may ask for
SCHEMAS = "gan_lightning.config.schema"


@dataclass(frozen=True)
class Expectation:
    """What an annotation without unions asks of a value. A union is a tuple of these, one of which must be met."""

    words: str
    fits: Callable[[Any], bool]  # the type alone: neither its range nor its items
    bounds: Range | Filled | None = None
    choices: tuple[Any, ...] = ()
    items: "tuple[Alternatives, ...]" = ()  # of a list, in turn; a single one stands for all
    values: "Alternatives" = ()  # of a mapping
    schema: str | None = None  # the dataclass that describes a group
    kind: str | None = None  # the dotted path of what a node is to build,
    within: tuple[str, ...] = ()  # and the packages that it may come from; () are all

    def item(self, index: int) -> "Alternatives":
        return self.items[index % len(self.items)]


Alternatives = tuple[Expectation, ...]


def is_target(value: Any) -> bool:
    return isinstance(value, DictConfig) and "_target_" in value


def is_schedule(value: Any) -> bool:
    return is_target(value) and str(value["_target_"]).startswith("gan_lightning.schedules.")


ANYTHING = Expectation("anything", lambda _: True)
NOTHING = Expectation("null", lambda value: value is None)
LIST = Expectation("a list", lambda value: isinstance(value, ListConfig) or is_target(value))
MAPPING = Expectation("a mapping", lambda value: isinstance(value, DictConfig))
INTEGER = Expectation("a whole number", lambda value: type(value) is int)
NUMBER = Expectation("a number", lambda value: type(value) in (int, float))
INSTANCE = Expectation("a node with a _target_", is_target)
MADE = Expectation(
    "a node with a _target_, not _partial_", lambda value: is_target(value) and not value.get("_partial_")
)
FACTORY = Expectation(
    "a node with a _target_ and _partial_: true", lambda value: is_target(value) and bool(value.get("_partial_"))
)
GROUP = Expectation("a group of keys", lambda value: isinstance(value, DictConfig) and not is_target(value))
SCHEDULE = Expectation("a schedule such as ${linear:1e-4,0}", is_schedule)
NAMED = {
    "int": INTEGER,
    "float": NUMBER,
    "bool": Expectation("true or false", lambda value: type(value) is bool),
    # Whoever leaves out the quotes of text like 123 means text.
    "str": Expectation("text", lambda value: type(value) in (str, int, float)),
    # The `float | Tensor` of optimizers' arguments: no tensor can be written in a config, but a schedule can.
    "Tensor": SCHEDULE,
    **dict.fromkeys(("list", "List", "Sequence", "tuple", "Tuple"), LIST),
    **dict.fromkeys(("dict", "Dict", "Mapping", "MutableMapping"), MAPPING),
}


@cache
def alternatives_of(annotation: str, module: str) -> Alternatives:
    """What an annotation, as it stands in `module`, accepts. One that can't be read accepts anything."""
    try:
        return _alternatives(ast.parse(annotation, mode="eval").body, module)
    except (SyntaxError, ValueError, RecursionError):  # no expression, no plain constant, an alias made of itself
        return (ANYTHING,)


def _alternatives(node: ast.expr, module: str) -> Alternatives:
    """Reads an annotation as it stands in `module`."""
    match node:
        case ast.Constant(value=None):
            return (NOTHING,)
        case ast.Constant(value=str(text)):
            return alternatives_of(text, module)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _alternatives(left, module) + _alternatives(right, module)
        case ast.Subscript(value=value, slice=index):
            arguments = index.elts if isinstance(index, ast.Tuple) else [index]
            return _generic(last_name(value), arguments, module)
        case ast.Name() | ast.Attribute():
            named = NAMED.get(last_name(node))
            return (named,) if named else _alias(node, module)
    return (ANYTHING,)


def _alias(node: ast.expr, module: str) -> Alternatives:
    """A name for an annotation, such as PositiveInt, or a class that a node is to build an instance of."""
    if module.partition(".")[0] in LOOSE:
        return (ANYTHING,)
    try:
        definition = find(f"{module}.{ast.unparse(node)}")
    except (LookupError, UnreadableError):
        return (ANYTHING,)
    package = definition.module.partition(".")[0]
    if isinstance(definition.node, ast.expr) and package in (OWN, module.partition(".")[0]):
        return _alternatives(definition.node, definition.module)
    if isinstance(definition.node, ast.ClassDef):
        kind = f"{definition.module}.{definition.node.name}"
        if package == OWN:
            return (_instance(definition.node, definition.module),)
        if kind == MODULE:
            return (replace(MADE, kind=kind),)
    return (ANYTHING,)


def _instance(node: ast.ClassDef, module: str) -> Expectation:
    """What a class of this package asks for: a node that builds one, a schedule, or a group that it describes."""
    if node.name == "Scheduled":
        return SCHEDULE
    if module == SCHEMAS and node.decorator_list:
        return replace(GROUP, schema=f"{module}.{node.name}")
    return INSTANCE if module == SCHEMAS else replace(MADE, kind=f"{module}.{node.name}")


def _generic(name: str, arguments: list[ast.expr], module: str) -> Alternatives:
    if name == "Literal":
        return (_literal(arguments),)
    if NAMED.get(name) is MAPPING:
        return (replace(MAPPING, values=_alternatives(arguments[1], module) if len(arguments) == 2 else ()),)
    if NAMED.get(name) is LIST:
        return (_list(name, arguments, module),)
    if name == "Callable" and module.partition(".")[0] not in LOOSE and len(arguments) == 2:
        return (_factory(arguments[1], module),)
    if name == "Annotated":
        calls = [argument for argument in arguments if isinstance(argument, ast.Call)]
        for call in calls:
            if last_name(call.func) == "Builds":
                kind, *within = (str(ast.literal_eval(argument)) for argument in call.args)
                node = FACTORY if last_name(arguments[0]) == "Factory" else INSTANCE
                return (replace(node, kind=kind, within=tuple(within)),)
        bounds = next((_range(call) for call in calls if last_name(call.func) == "Range"), None)
        limits = Filled() if any(last_name(call.func) == "Filled" for call in calls) else bounds
        plain = _alternatives(arguments[0], module)
        return tuple(
            replace(each, bounds=limits) if each in (INTEGER, NUMBER, NAMED["str"]) else each for each in plain
        )
    if name in ("Optional", "Union"):
        either = tuple(inner for argument in arguments for inner in _alternatives(argument, module))
        return (*either, NOTHING) if name == "Optional" else either
    return (ANYTHING,)


def _factory(returned: ast.expr, module: str) -> Expectation:
    """A callable that gives instances of a class is a node of that kind, with `_partial_`."""
    try:
        definition = find(f"{module}.{ast.unparse(returned)}")
    except (LookupError, UnreadableError):
        return ANYTHING
    if not isinstance(definition.node, ast.ClassDef):
        return ANYTHING
    return replace(FACTORY, kind=f"{definition.module}.{definition.node.name}")


def _literal(arguments: list[ast.expr]) -> Expectation:
    choices = tuple(ast.literal_eval(argument) for argument in arguments)
    typed = [(type(choice), choice) for choice in choices]  # since True == 1
    return Expectation(either(map(show, choices)), lambda value: (type(value), value) in typed, choices=choices)


def _list(name: str, arguments: list[ast.expr], module: str) -> Expectation:
    variadic = name not in ("tuple", "Tuple") or ast.unparse(arguments[-1]) == "..."
    arguments = arguments[:1] if variadic else arguments
    items = tuple(_alternatives(argument, module) for argument in arguments)
    if variadic:
        return replace(LIST, items=items)
    length = len(items)
    return Expectation(
        f"a list of {length} items",
        lambda value: is_target(value) or (isinstance(value, ListConfig) and len(value) == length),
        items=items,
    )


def _range(call: ast.Call) -> Range:
    positional = [ast.literal_eval(argument) for argument in call.args]
    return Range(*positional, **{word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg})


def either(words: Iterable[str]) -> str:
    """Words as a list for people: a, b or c."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def show(value: Any) -> str:
    """A value as one types it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
