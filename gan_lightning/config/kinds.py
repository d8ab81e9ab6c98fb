"""What may stand at a place: a class of the kind that the place wants. Told from source, before anything is built."""

import ast
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from gan_lightning.config.signature import Definition, UnreadableError, find, last_name, lineage, names_bound, unfolded
from gan_lightning.plugins import package_of


def require_class(target: str, packages: Sequence[str] = ()) -> None:
    """Raises LookupError, saying what it is instead, unless a dotted path leads to a public class.

    With `packages`, the class has to be defined in one of them: what these import from elsewhere is not theirs.
    """
    if any(name.startswith("_") for name in target.split(".")):
        raise LookupError("it has a private name; only public classes are built.")
    module = home(target)
    if packages and package_of(f"{module}.", packages) is None:
        raise LookupError(f"it is defined in {module}, which is none of the packages that may be named.")


def home(target: str) -> str:
    """The module that the class at a dotted path is defined in. Raises LookupError for what is no class."""
    definition = _class_at(target)
    return definition.module if definition is not None else _imported(target).__module__


def objection(target: str, kind: str) -> str | None:
    """Why the class at a dotted path is not of a kind, as the end of a sentence; None if it is.

    A class is of the kind of a protocol if it has the protocol's members, and of another kind if it derives from it.
    What source doesn't tell is asked of the classes themselves.
    """
    found, wanted = _class_at(target), _class_at(kind)
    name = target.rpartition(".")[2]
    if found is not None and _is_protocol(found):
        return f"{name} only says what such a class has"
    if found is not None and wanted is not None:
        try:
            if not _is_protocol(wanted):
                is_one = any((each.module, _name(each)) == (wanted.module, _name(wanted)) for each in lineage(found))
                return None if is_one else f"{name} is none"
            missing = [member for member in _members(wanted) if member not in _members(found)]
            return f"{name} has no {missing[0]}" if missing else None
        except UnreadableError:
            pass
    if wanted is not None and _is_protocol(wanted):
        has = {member for each in _imported(target).__mro__ for member in (*vars(each), *_annotated(each))}
        missing = [member for member in _members(wanted) if member not in has]
        return f"{name} has no {missing[0]}" if missing else None
    return None if issubclass(_imported(target), _imported(kind)) else f"{name} is none"


def _imported(target: str) -> type:
    try:
        found = pkgutil.resolve_name(target)
    except Exception as error:  # an import may raise anything
        raise LookupError(f"it can't be imported ({error}).") from error
    if not isinstance(found, type):
        raise LookupError("it is no class; functions, methods and modules are not called from a configuration.")
    return found


def _annotated(found: type) -> Iterable[str]:
    return [str(name) for name in vars(found).get("__annotations__", ())]


@cache
def _class_at(target: str) -> Definition | None:
    """The definition of a class, through other names for it; None where source does not tell of any."""
    try:
        definition = find(target)
        while isinstance(definition.node, ast.Name | ast.Attribute):
            definition = find(f"{definition.module}.{ast.unparse(definition.node)}")
    except UnreadableError:
        owner = target.rpartition(".")[0]
        if "." in owner and _class_at(owner) is not None:
            raise LookupError("it is a method; only classes are built from a configuration.") from None
        return None
    if isinstance(definition.node, ast.FunctionDef | ast.AsyncFunctionDef):
        raise LookupError("it is a function; only classes are built from a configuration.")
    return definition if isinstance(definition.node, ast.ClassDef) else None


def _name(definition: Definition) -> str:
    return definition.node.name if isinstance(definition.node, ast.ClassDef) else ""


def _is_protocol(definition: Definition) -> bool:
    bases = definition.node.bases if isinstance(definition.node, ast.ClassDef) else []
    return any(last_name(base) == "Protocol" for base in bases)


@cache
def _members(definition: Definition) -> list[str]:
    """The public methods, properties and annotated attributes of a class and of those that it derives from."""
    return list(dict.fromkeys(name for each in lineage(definition) for name in _own_members(each)))


def _own_members(definition: Definition) -> Iterator[str]:
    if not isinstance(definition.node, ast.ClassDef):
        return
    yield from (name for name in names_bound(list(unfolded(definition.node.body)), "") if not name.startswith("_"))
    for statement in unfolded(definition.node.body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id
