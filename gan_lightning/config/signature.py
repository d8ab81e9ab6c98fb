"""Signatures of classes and functions read from their source: importing torch just to know them takes seconds.

`static_signature` parses the module that a dotted path names and follows imports, aliases and base classes, as Python
would. What can't be told from source (a C extension, a name made at run time) is imported after all.
"""

import ast
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec

from gan_lightning.suggest import did_you_mean

Function = ast.FunctionDef | ast.AsyncFunctionDef
Binding = ast.ClassDef | Function | ast.expr | str  # a str is the dotted path of something imported

INTERFACES = {"object", "ABC", "Generic", "Protocol"}  # base classes without a constructor of their own
MADE_AT_RUN_TIME = re.compile(r"globals\(\)|def __getattr__\(|sys\.modules\[__name__\]")
LONGEST_CHAIN = 20  # of re-exports; more is a circle


@dataclass(frozen=True)
class Parameter:
    """An argument that can be given by name; `annotation` is source text, whose names `module` gives a meaning to."""

    name: str
    annotation: str | None
    required: bool
    module: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class Signature:
    parameters: tuple[Parameter, ...]
    accepts_any_keyword: bool


@dataclass(frozen=True)
class Definition:
    """A class, a function or the right-hand side of an assignment, and the module it stands in."""

    module: str
    node: ast.ClassDef | Function | ast.expr


@dataclass(frozen=True)
class _Module:
    bindings: dict[str, Binding]
    stars: tuple[str, ...]
    complete: bool  # whether source shows all of its names


class UnreadableError(Exception):
    """Source does not tell; importing may."""


class MissingError(LookupError):
    """A name that a module doesn't have. What was meant is looked for where that is told: mostly another path is."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(module, name)
        self.module, self.name = module, name

    def __str__(self) -> str:
        submodules = [submodule.name for submodule in pkgutil.iter_modules(_folders(self.module))]
        hint = did_you_mean(self.name, [*_read(self.module).bindings, *submodules])
        return f"{self.module} has no {self.name}.{hint}"


@cache
def static_signature(target: str) -> Signature:
    """What can be passed by name to the class or function at a dotted path. Raises LookupError if there is none."""
    try:
        return _signature(find(target))
    except (UnreadableError, RecursionError):  # the latter for `class Name(Name)`, its base an import of that name
        return _imported_signature(target)


def find(dotted: str, hops: int = 0) -> Definition:
    """The definition that a dotted path leads to, through however many imports. Raises LookupError, UnreadableError."""
    parts = dotted.split(".")
    if hops > LONGEST_CHAIN:
        raise LookupError(f"the imports of {dotted} run in a circle.")
    if _spec(parts[0]) is None:
        raise LookupError(f"no package {parts[0]!r} is installed.")
    depth = 1
    while depth < len(parts) - 1 and _spec(".".join(parts[: depth + 1])):
        depth += 1
    module, names = ".".join(parts[:depth]), parts[depth:]
    binding = _binding(module, names[0], hops, last=len(names) == 1) if names else dotted
    if binding == dotted and _spec(dotted):
        raise LookupError(f"{dotted} is a module, neither a class nor a function.")
    if isinstance(binding, str):
        return find(".".join([binding, *names[1:]]), hops + 1)
    if isinstance(binding, Definition) and len(names) == 1:
        return binding
    raise UnreadableError(dotted)


def _find_in(module: str, expression: ast.expr) -> Definition:
    """What a name means to the code of `module`."""
    try:
        return find(f"{module}.{ast.unparse(expression)}")
    except LookupError as error:  # a builtin, or not a name at all
        raise UnreadableError from error


def _binding(module: str, name: str, hops: int, last: bool) -> Definition | str:
    """What `name` is in a module: a definition there, or the path to go on with. Modules are not made at run time."""
    source = _read(module)
    binding = source.bindings.get(name)
    if isinstance(binding, str):
        return binding
    if binding is not None:
        return Definition(module, binding)
    if _spec(f"{module}.{name}"):
        return f"{module}.{name}"
    for star in () if name.startswith("_") else source.stars:
        try:
            return find(f"{star}.{name}", hops + 1)
        except LookupError:
            continue
    if last and not source.complete:
        raise UnreadableError(name)
    raise MissingError(module, name)


@cache
def _spec(module: str) -> ModuleSpec | None:
    """Where a module's file is, found without importing the packages above it."""
    parent, _, _ = module.rpartition(".")
    if not parent:
        try:
            return importlib.util.find_spec(module)
        except ValueError:  # __main__, an empty or a relative name
            return None
    for folder in _folders(parent):
        finder = pkgutil.get_importer(folder)
        spec = finder.find_spec(module) if finder else None
        if spec is not None:
            return spec
    return None


def _folders(package: str) -> list[str]:
    """Where a package's modules are; nowhere for a plain module."""
    spec = _spec(package)
    return list(spec.submodule_search_locations or ()) if spec else []


@cache
def _read(module: str) -> _Module:
    spec = _spec(module)
    if spec is None or spec.loader is None:
        return _Module({}, (), complete=True)  # a folder without __init__.py
    source = spec.loader.get_source(module) if isinstance(spec.loader, InspectLoader) else None
    if source is None:
        raise UnreadableError(module)
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    statements = list(unfolded(ast.parse(source).body))
    imports = [statement for statement in statements if isinstance(statement, ast.ImportFrom)]
    stars = tuple(_origin(statement, package) for statement in imports if statement.names[0].name == "*")
    return _Module(names_bound(statements, package), stars, complete=not MADE_AT_RUN_TIME.search(source))


def unfolded(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Unfolds `if`, `try` and `with`; what counts, since the last binding of a name does, comes after its fallback."""
    for statement in body:
        match statement:
            case ast.If():
                yield from unfolded([*statement.orelse, *statement.body])
            case ast.Try():
                fallbacks = [line for handler in statement.handlers for line in handler.body]
                yield from unfolded([*fallbacks, *statement.body, *statement.orelse, *statement.finalbody])
            case ast.With():
                yield from unfolded(statement.body)
            case _:
                yield statement


def names_bound(statements: Iterable[ast.stmt], package: str) -> dict[str, Binding]:
    bindings: dict[str, Binding] = {}
    for statement in statements:
        match statement:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                bindings[statement.name] = statement
            case ast.Import():
                for alias in statement.names:
                    head = alias.name.partition(".")[0]
                    bindings[alias.asname or head] = alias.name if alias.asname else head
            case ast.ImportFrom():
                origin = _origin(statement, package)
                bindings |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in statement.names}
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                bindings[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                bindings[name] = value
    return bindings


def _origin(statement: ast.ImportFrom, package: str) -> str:
    return importlib.util.resolve_name("." * statement.level + (statement.module or ""), package)


def _signature(definition: Definition) -> Signature:
    match definition.node:
        case ast.ClassDef():
            return _constructor(definition)
        case ast.FunctionDef(args=arguments) | ast.AsyncFunctionDef(args=arguments):
            return _from_arguments(arguments, definition.module)
        case ast.Name() | ast.Attribute():  # `new_name = old_name`
            return _signature(_find_in(definition.module, definition.node))
    raise UnreadableError


def _constructor(definition: Definition) -> Signature:
    """The nearest `__init__`, written out or made by @dataclass; without any there is nothing to pass."""
    for owner in lineage(definition):
        methods = names_bound(unfolded(_class(owner).body), "")
        for name in ("__init__", "__new__"):
            match methods.get(name):
                case ast.FunctionDef(args=arguments):
                    return _from_arguments(arguments, owner.module, bound=True)
                case None:
                    pass
                case _:
                    raise UnreadableError(name)
        if _is_dataclass(owner):
            return Signature(_fields(owner), accepts_any_keyword=False)
    return Signature((), accepts_any_keyword=False)


def _class(definition: Definition) -> ast.ClassDef:
    if not isinstance(definition.node, ast.ClassDef):
        raise UnreadableError(definition.module)  # such as NamedTuple, a function
    return definition.node


def lineage(definition: Definition) -> Iterator[Definition]:
    """A class and its ancestors, in the order of Python's method resolution."""
    yield definition
    ancestors: list[Definition] = []
    for base in _class(definition).bases:
        name = base.value if isinstance(base, ast.Subscript) else base
        if last_name(name) not in INTERFACES:
            ancestors += lineage(_find_in(definition.module, name))
    yield from reversed(dict.fromkeys(reversed(ancestors)))  # a shared ancestor comes after all that derive from it


def _from_arguments(arguments: ast.arguments, module: str, bound: bool = False) -> Signature:
    """A `def`'s parameters; `bound` leaves out the first one, as calling a method does."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    pairs = list(zip(positional, defaults, strict=True))[max(len(arguments.posonlyargs), int(bound)) :]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parameters = (_parameter(arg.arg, arg.annotation, default is None, module) for arg, default in pairs)
    return Signature(tuple(parameters), arguments.kwarg is not None)


def _parameter(name: str, annotation: ast.expr | None, required: bool, module: str) -> Parameter:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return Parameter(name, annotation.value, required, module)
    return Parameter(name, ast.unparse(annotation) if annotation else None, required, module)


def _is_dataclass(definition: Definition) -> bool:
    """Whether @dataclass writes a constructor for this class."""
    for decorator in _class(definition).decorator_list:
        name = decorator.func if isinstance(decorator, ast.Call) else decorator
        if last_name(name) == "dataclass":
            return _options(decorator).get("init") != "False"
    return False


def _fields(definition: Definition) -> tuple[Parameter, ...]:
    """The fields of a dataclass and of those it inherits from, the oldest first and field(kw_only=True) last."""
    fields: dict[str, Parameter | None] = {}
    by_keyword: dict[str, bool] = {}
    for owner in reversed(list(lineage(definition))):
        for statement in _class(owner).body if _is_dataclass(owner) else ():
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                name = statement.target.id
                fields[name] = _field(name, statement, owner.module)
                by_keyword[name] = _options(statement.value).get("kw_only") == "True"
    found = [parameter for parameter in fields.values() if parameter is not None]
    return tuple(sorted(found, key=lambda parameter: by_keyword[parameter.name]))


def _field(name: str, statement: ast.AnnAssign, module: str) -> Parameter | None:
    """The argument that a dataclass field makes; class variables and field(init=False) make none."""
    value = statement.value
    is_call = isinstance(value, ast.Call) and last_name(value.func) == "field"
    options = _options(value) if is_call else {"default": ""} if value is not None else {}
    parameter = _parameter(name, statement.annotation, not options.keys() & {"default", "default_factory"}, module)
    no_field = re.match(r"([\w.]+\.)?(ClassVar|KW_ONLY)\b", parameter.annotation or "")
    return None if no_field or options.get("init") == "False" else parameter


def _options(call: ast.expr | None) -> dict[str, str]:
    """The keyword arguments of a call, as source text."""
    keywords = call.keywords if isinstance(call, ast.Call) else []
    return {keyword.arg: ast.unparse(keyword.value) for keyword in keywords if keyword.arg}


def last_name(expression: ast.expr) -> str:
    """`Optional` for `Optional` and for `typing.Optional`."""
    return ast.unparse(expression).rpartition(".")[2]


def _imported_signature(target: str) -> Signature:
    try:
        signature = inspect.signature(pkgutil.resolve_name(target))
    except Exception as error:  # an import may raise anything
        raise LookupError(f"it can't be imported or has no signature ({error}).") from error
    parameters = []
    for p in signature.parameters.values():
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            text = p.annotation if isinstance(p.annotation, str) else inspect.formatannotation(p.annotation)
            parameters.append(Parameter(p.name, None if p.annotation is p.empty else text, p.default is p.empty))
    return Signature(tuple(parameters), any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values()))
