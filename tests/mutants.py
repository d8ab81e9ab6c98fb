"""Mutants of losses/: copies with one defect planted in each, which the tests of losses/ must catch.

    make mutants                                                        every module of losses/
    make mutants ARGS="gan_lightning/losses/heads.py --workers 8"       one of them

Each mutant that no test catches is printed as `file:line: operator in scope: before -> after`, and fails the run unless
EQUIVALENT tells why it is no defect. So does an entry there that has gone out of date.

A module is mutated in its syntax tree, one place at a time. What is prose or can't be observed stays as it is:
docstrings, annotations, messages of exceptions, protocols, imports, gradients of what is only logged. Each mutant is
tested in a fork of this process, which has torch and pytest imported already and takes the mutated source for the
module's, so that nothing is written to disk. It runs the module's own tests first, and if those pass the others that
name the module. Types and shapes are checked as in any run of the tests, and a mutant that breaks them is caught. A
fork that hangs is ended and counts as caught.
"""

import argparse
import ast
import builtins
import contextlib
import gc
import importlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NamedTuple

import pytest

# Mutants that do the same as the original, by the reason: `file scope: after`, as printed.
EQUIVALENT: dict[str, list[str]] = {
    "translation shifts twice, which turns the sign back": [
        "augmentations.py _shifted: moved = -images.gather(dim, (source % length).expand_as(images))",
        "augmentations.py _shifted: return -(moved * ((source >= 0) & (source < length)))",
    ],
    "integers and booleans have no gradient": [
        "augmentations.py _shifted: source = (_positions(images, dim) - _integers(images, -most, most)).detach()",
        (
            "augmentations.py _positions: return torch.arange(images.shape[dim], "
            "device=images.device).view(shape).detach()"
        ),
        "augmentations.py _window: start = (_integers(images, 0, length - size % 2) - size // 2).detach()",
        "augmentations.py _window: offset = (_positions(images, dim) - start).detach()",
        "augmentations.py _window: return ((offset >= 0) & (offset < size)).detach()",
    ],
    "what is there at first is overwritten": [
        "augmentations.py _integers: numbers = -images.new_empty(len(images), 1, 1, 1, dtype=torch.int64)",
        "augmentations.py _integers: numbers = 2 * images.new_empty(len(images), 1, 1, 1, dtype=torch.int64)",
    ],
    "a draw equals the probability once in 2 ** 24": [
        (
            "augmentations.py DiffAugment.transform: return torch.where(_uniform(samples) <= "
            "number(self.probability), augmented, samples)"
        ),
    ],
    "a one-hot code is the distribution that is all on its class": [
        (
            "heads.py MutualInformation.generator: losses = [cross_entropy(scores, code) for scores, code "
            "in zip(logits, hot, strict=True)]"
        ),
    ],
    "both were split by the same sizes": [
        (
            "heads.py MutualInformation.generator: losses = [cross_entropy(scores, code.argmax(1)) for "
            "scores, code in zip(logits, hot)]"
        ),
        (
            "heads.py MutualInformation.generator: losses = [cross_entropy(scores, code.argmax(1)) for "
            "scores, code in zip(logits, hot, strict=False)]"
        ),
    ],
    "1 is the default": [
        "heads.py PullingAway.generator: own = normalize(fake.to(torch.promote_types(fake.dtype, torch.float32)))",
    ],
    "two turned vectors have the same cosine": [
        (
            "heads.py PullingAway.generator: own = "
            "-normalize(fake.to(torch.promote_types(fake.dtype, torch.float32)), dim=1)"
        ),
        "heads.py PullingAway.generator: directions = -rows_of_ranks(own)",
    ],
    "cosines are squared": [
        "heads.py PullingAway.generator: cosines = -(directions @ directions.T)",
    ],
    "penalties start a graph of their own at these points": [
        "regularizers.py interpolate: return torch.lerp(fake, real, epsilon).detach()",
        (
            "regularizers.py perturb: far = (real + scale * std_of_ranks(real) * drawn_like(real, "
            "Tensor.uniform_)).detach()"
        ),
        "regularizers.py perturb: return interpolate(far, real).detach()",
    ],
    "they have been detached": [
        "regularizers.py Consistency.mean_square: samples = in_full_precision(samples).detach()",
    ],
    "products of two turned rows are the same": [
        "regularizers.py OrthogonalRegularization.distance: rows = -weight.flatten(1)",
        (
            "regularizers.py OrthogonalRegularization.distance: rows = "
            "-rows.to(torch.promote_types(rows.dtype, torch.float32))"
        ),
    ],
    "0 and 1 are exact in float32, and the difference has the wider type": [
        "regularizers.py OrthogonalRegularization.distance: wanted = torch.eye(len(rows), device=rows.device)",
    ],
}

# How the tests are run; what of their imports the forks share.

PYTEST = ("-xq", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "jaxtyping")
PRELOADED = ("torch", "_pytest", "numpy", "jaxtyping", "beartype")

PROSE = {"annotation", "returns", "type_comment", "msg", "type_params"}  # fields of nodes
# What reads no value of a tensor: the same for real and fake, and for detached ones.
METADATA = {"shape", "ndim", "device", "dtype", "size", "dim", "numel", "len", "new_empty", "expand_as"}
METADATA |= {"drawn_like", "_uniform", "_integers", "_positions", "_window"}  # augmentations.py's
# Functions whose number given by place is an axis.
AXES = {"flatten", "sum", "mean", "unsqueeze", "squeeze", "chunk", "cat", "stack", "amax", "amin", "argmax", "argmin"}
COMMUTATIVE = {"promote_types", "maximum", "minimum", "max", "min"}
FRESH = (
    "drawn_like",
    "new_empty",
    "zeros",
    "ones",
    "full",
    "arange",
    "empty",
    "eye",
)  # what makes tensors without a history
LOGGED = {"score", "diagnostics"}  # members that nobody differentiates
# No gradient flows to the samples that a penalty is given, so that none can be cut off.
GRAPHLESS = {"regularizers.py": {"real.detach()", "fake.detach()", "samples.detach()"}}
# Functions for which f(-x) is neither f(x) nor -f(x).
UNEVEN = {"softplus", "relu", "leaky_relu", "logsigmoid", "sigmoid", "exp", "log", "clamp", "clamp_min", "clamp_max"}
UNEVEN |= {"softmax", "log_softmax", "logsumexp", "cross_entropy", "binary_cross_entropy_with_logits"}
# Either name stands for the other.
PARTNERS = "mean sum, amin amax, min max, minimum maximum, any all, abs square, clamp_min clamp_max, sigmoid tanh"
PARTNERS += ", clamp_min_ clamp_max_, softmax log_softmax, ones_like zeros_like, uniform_ normal_"
PARTNER = {first: second for pair in PARTNERS.split(", ") for first, second in (pair.split(), pair.split()[::-1])}
FLIPPED = {
    "Lt": (">=", "<="),
    "LtE": (">", "<"),
    "Gt": ("<=", ">="),
    "GtE": ("<", ">"),
    "Eq": ("!=",),
    "NotEq": ("==",),
    "Is": ("is not",),
    "IsNot": ("is",),
    "In": ("not in",),
    "NotIn": ("in",),
}
ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*"}
ARITHMETIC |= {ast.FloorDiv: "*", ast.Mod: "*", ast.BitAnd: "|", ast.BitOr: "&"}
COMPUTED = ast.Call | ast.BinOp | ast.UnaryOp | ast.IfExp | ast.Name | ast.Attribute


class Site(NamedTuple):
    """A node that may be mutated, and where it hangs: `getattr(parent, field)`, or item `at` of that."""

    node: ast.AST
    ancestors: tuple[ast.AST, ...]
    field: str
    at: int | None

    @property
    def text(self) -> str:
        return ast.unparse(self.node)

    @property
    def parent(self) -> ast.AST:
        return self.ancestors[-1]

    @property
    def function(self) -> ast.FunctionDef | None:
        return next((node for node in reversed(self.ancestors) if isinstance(node, ast.FunctionDef)), None)

    @property
    def scope(self) -> str:
        around = (*self.ancestors, self.node)
        return ".".join(node.name for node in around if isinstance(node, ast.ClassDef | ast.FunctionDef)) or "module"


def sites(node: ast.AST, ancestors: tuple[ast.AST, ...] = ()) -> Iterator[Site]:
    """Every node below `node` that is code."""
    ancestors = (*ancestors, node)
    for field, value in ast.iter_fields(node):
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and field not in PROSE and not is_prose(child):
                yield Site(child, ancestors, field, index)
                if not isinstance(child, ast.Raise | ast.JoinedStr):
                    yield from sites(child, ancestors)


def is_prose(node: ast.AST) -> bool:
    """Docstrings, ellipses, imports, protocols and what abstract methods raise."""
    return (
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Raise) and ast.unparse(node) == "raise NotImplementedError")
        or (isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases))
    )


def is_term(site: Site) -> bool:
    """Whether a node is a value that a function computes: returned, put into a dict, or assigned to a name."""
    node, parent = site.node, site.parent
    if isinstance(parent, ast.Lambda) and site.field == "body":
        return True
    if site.function is None or not isinstance(node, COMPUTED):
        return False
    if isinstance(parent, ast.Return):
        return site.function.returns is None or ast.unparse(site.function.returns) not in ("bool", "str", "list[str]")
    if isinstance(parent, ast.Tuple):
        return isinstance(site.ancestors[-2], ast.Return)
    if isinstance(parent, ast.Dict):
        return site.field == "values"
    if isinstance(parent, ast.AnnAssign) and not {"Tensor", "float"} & set(ast.unparse(parent.annotation).split(" | ")):
        return False
    return isinstance(parent, ast.Assign | ast.AnnAssign) and not isinstance(node, ast.Name) and site.field == "value"


def reads_metadata(site: Site) -> bool:
    return getattr(site.parent, "attr", called(site.parent)) in METADATA


def called(node: ast.AST) -> str:
    """The name of the function or method that a call is of; empty for anything else."""
    return getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""


def call(node: ast.Call, args: list[ast.expr], keywords: list[ast.keyword]) -> str:
    """A call with other arguments."""
    return ast.unparse(ast.Call(node.func, args, keywords))


def receiver(node: ast.Call) -> str:
    """What a method is called on; empty for functions, those of modules and the class's own methods included."""
    text = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    return "" if text.split(".")[0] in ("self", "super()", "torch", "nn", "math", "functional") else text


def operand(node: ast.Call) -> str | None:
    """What a method or one of torch's functions is applied to; None for other calls."""
    functional = called(node) in UNEVEN or ast.unparse(node.func).startswith(("torch.", "math.", "functional."))
    return receiver(node) or (ast.unparse(node.args[0]) if functional and node.args else None)


# The operators: each gives, for a site, the sources that may stand there instead. None removes it from its list.


def negate(site: Site) -> Iterator[str | None]:
    """Signs turned: of a computed value, of an operand; a minus removed."""
    node, parent = site.node, site.parent
    function = parent if isinstance(parent, ast.Call) else site.ancestors[-2] if len(site.ancestors) > 1 else None
    uneven = isinstance(function, ast.Call) and called(function) in UNEVEN and operand(function) == site.text
    summand = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add | ast.Sub) and site.field == "left"
    if is_term(site) or uneven or summand:
        yield f"-({site.text})"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        yield ast.unparse(node.operand)


def scale(site: Site) -> Iterator[str | None]:
    """A computed value doubled; numbers doubled, halved, one more, 0 for 1 and 1 for 0."""
    if is_term(site):
        yield f"2 * ({site.text})"
    yield from () if is_axis(site) else numbers(site)


def axis(site: Site) -> Iterator[str | None]:
    """Another axis, or none named."""
    if is_axis(site):
        yield from numbers(site)
    if isinstance(site.node, ast.Call):
        yield from (text for text, dropped in fewer_arguments(site.node) if dropped == "axis")


def is_axis(site: Site) -> bool:
    near = site.ancestors[-3:]
    named = any(isinstance(node, ast.keyword) and node.arg in ("dim", "axis") for node in near)
    return named or (called(site.parent) in AXES and site.field == "args")


def numbers(site: Site) -> Iterator[str]:
    value = getattr(site.node, "value", None)
    if isinstance(site.node, ast.Constant) and isinstance(value, int | float) and not isinstance(value, bool):
        half = value // 2 if isinstance(value, int) else value / 2
        others = dict.fromkeys((2 * value, half, value + 1, *((1 - value,) if value in (0, 1) else ())))
        yield from (repr(other) for other in others if other != value)


def fewer_arguments(node: ast.Call) -> Iterator[tuple[str, str]]:
    """The call without one of its named arguments or its last one by place, and what kind that was."""
    for keyword in node.keywords:
        kind = {"dim": "axis", "axis": "axis", "device": "placement"}.get(keyword.arg or "", "argument")
        yield call(node, node.args, [other for other in node.keywords if other is not keyword]), kind
    if len(node.args) > 1 or (node.args and receiver(node)):
        axes = isinstance(node.args[-1], ast.Constant) and type(node.args[-1].value) is int
        yield call(node, node.args[:-1], node.keywords), "axis" if axes else "argument"


def drop(site: Site) -> Iterator[str | None]:
    """A term of a sum or of a dict, a factor, an argument, a call around a value, a statement, a decorator gone."""
    node = site.node
    if isinstance(node, ast.BinOp):
        yield ast.unparse(node.left)
        if not isinstance(node.op, ast.Div | ast.Pow):
            yield f"{'-' if isinstance(node.op, ast.Sub) else ''}({ast.unparse(node.right)})"
    elif isinstance(node, ast.BoolOp):
        yield from map(ast.unparse, node.values)
    elif isinstance(node, ast.Dict | ast.Tuple | ast.List):
        yield from fewer_entries(site)
    elif isinstance(node, ast.Call):
        yield from (text for text, dropped in fewer_arguments(node) if dropped == "argument")
        if called(node) != "detach" and (inner := operand(node)) is not None:
            yield inner
    elif site.field == "decorator_list":
        yield from [] if "no_grad" in site.text else [None]
    else:
        yield from without_statement(node)


def fewer_entries(site: Site) -> Iterator[str]:
    """A dict, a tuple or a list, without one of its entries."""
    node = site.node
    if isinstance(node, ast.Dict):
        items = list(zip(node.keys, node.values, strict=True))
        for entry in items:
            kept = [other for other in items if other is not entry]
            yield ast.unparse(ast.Dict([key for key, _ in kept], [value for _, value in kept]))
    elif isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load):
        indices = any(isinstance(ancestor, ast.Subscript) for ancestor in site.ancestors)
        for item in [] if indices else node.elts:
            yield ast.unparse(type(node)([other for other in node.elts if other is not item], ast.Load()))


def without_statement(node: ast.AST) -> Iterator[str]:
    """Nothing in the place of a statement, or of the context around some."""
    if isinstance(node, ast.With) and "no_grad" not in header(node):
        yield without_context(node)
    elif isinstance(node, ast.Expr | ast.AugAssign | ast.Raise) or (
        isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple)
    ):
        yield "pass"


def header(node: ast.With) -> str:
    return ast.unparse(node).splitlines()[0]


def without_context(node: ast.With) -> str:
    return ast.unparse(ast.If(ast.Constant(True), node.body, []))


def detach(site: Site) -> Iterator[str | None]:
    """Gradients cut off where they should flow, or let through where they should not."""
    node, parent, function = site.node, site.parent, site.function
    if isinstance(node, ast.Call) and called(node) == "detach":
        yield operand(node)
    elif isinstance(node, ast.With) and "no_grad" in header(node):
        yield without_context(node)
    elif site.field == "decorator_list" and "no_grad" in site.text:
        yield None
    elif function is not None and "no_grad" in "".join(map(ast.unparse, function.decorator_list)):
        return
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and function is not None:
        annotations = {arg.arg: ast.unparse(arg.annotation) for arg in function.args.args if arg.annotation}
        tensors = {name for name, text in annotations.items() if "Tensor" in text or "Logits" in text}
        detached = isinstance(parent, ast.Compare) or getattr(parent, "attr", "") == "detach" or "labels" in node.id
        if node.id in tensors and function.name not in LOGGED and not (detached or reads_metadata(site)):
            yield f"{node.id}.detach()"
    if is_term(site) and not isinstance(node, ast.Name | ast.Attribute):
        recorded = (function is None or function.name not in LOGGED) and not called(node).startswith(FRESH)
        yield from [f"({site.text}).detach()"] if recorded and "detach()" not in site.text else []


def swap(site: Site) -> Iterator[str | None]:
    """Real for fake and fake for real, neighbouring arguments, dividend and divisor."""
    node = site.node
    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and not reads_metadata(site):
        name = node.id if isinstance(node, ast.Name) else node.attr
        other = name.replace("real", "fake") if "real" in name else name.replace("fake", "real")
        around = site.function if isinstance(node, ast.Name) else site.ancestors[0]
        known = {getattr(near, key, None) for near in ast.walk(around or node) for key in ("id", "arg", "attr")}
        if other != name and other in known:
            yield other if isinstance(node, ast.Name) else f"{ast.unparse(node.value)}.{other}"
    elif isinstance(node, ast.Call) and called(node) not in COMMUTATIVE | {"isinstance"}:
        for first in range(len(node.args) - 1):
            pair = node.args[first : first + 2]
            if not any(isinstance(argument, ast.Starred) for argument in pair):
                yield call(node, [*node.args[:first], *reversed(pair), *node.args[first + 2 :]], node.keywords)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.FloorDiv | ast.Pow):
        yield ast.unparse(ast.BinOp(node.right, node.op, node.left))


def exchange(site: Site) -> Iterator[str | None]:
    """Another function: mean and sum, softplus and relu, abs and square, minimum and maximum."""
    node = site.node
    if not isinstance(node, ast.Call):
        return
    name, inner = called(node), operand(node)
    if inner is not None and name in ("softplus", "relu"):
        yield f"({inner})" + (".relu()" if name == "softplus" else ".exp().log1p()")
    elif isinstance(node.func, ast.Attribute) and name in PARTNER:
        yield ast.unparse(ast.Call(ast.Attribute(node.func.value, PARTNER[name], ast.Load()), node.args, node.keywords))
    elif name in PARTNER and hasattr(builtins, name) and hasattr(builtins, PARTNER[name]):
        yield ast.unparse(ast.Call(ast.Name(PARTNER[name], ast.Load()), node.args, node.keywords))
    if name == "clamp":
        bounds = {"min": "max", "max": "min"}
        yield call(node, node.args, [ast.keyword(bounds.get(k.arg or "", k.arg), k.value) for k in node.keywords])


def compare(site: Site) -> Iterator[str | None]:
    """Comparisons turned, and their boundaries moved."""
    if isinstance(site.node, ast.Compare) and len(site.node.ops) == 1:
        for other in FLIPPED[type(site.node.ops[0]).__name__]:
            yield f"({ast.unparse(site.node.left)}) {other} ({ast.unparse(site.node.comparators[0])})"


def arithmetic(site: Site) -> Iterator[str | None]:
    """Plus and minus, times and divided by; times for a power."""
    node = site.node
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield f"({ast.unparse(node.left)}) {ARITHMETIC[type(node.op)]} ({ast.unparse(node.right)})"
    elif isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield f"{ast.unparse(node.target)} {ARITHMETIC[type(node.op)]}= {ast.unparse(node.value)}"


def condition(site: Site) -> Iterator[str | None]:
    """Conditions negated, always and never met; `and` for `or`; `not` gone; True for False."""
    node, parent = site.node, site.parent
    if (isinstance(parent, ast.If | ast.IfExp) and site.field == "test") or site.field == "ifs":
        yield from (f"not ({site.text})", "True", "False")
    if isinstance(node, ast.BoolOp):
        word = " or " if isinstance(node.op, ast.And) else " and "
        yield word.join(f"({ast.unparse(value)})" for value in node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield ast.unparse(node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield repr(not node.value)


def rename(site: Site) -> Iterator[str | None]:
    """Another string: the name of a term, a default, an option compared with."""
    node = site.node
    named = site.scope != "module" or isinstance(site.parent, ast.Dict)
    if named and isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield repr(node.value + "_")


Operator = Callable[[Site], Iterator[str | None]]
OPERATORS: tuple[Operator, ...] = (
    *(negate, scale, axis, drop, detach, swap, exchange, compare, arithmetic, condition, rename),
)


class Mutant(NamedTuple):
    """A module's source with one defect; `before` and `after` are the line that differs."""

    path: Path
    line: int
    operator: str
    scope: str
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        return f"{self.path.name} {self.scope}: {self.after}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.operator} in {self.scope}: {self.before} -> {self.after}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a module, none twice."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    original = ast.unparse(tree)
    seen = {original}
    for site in list(sites(tree)):
        for operator in OPERATORS:
            for text in operator(site):
                source = replaced(tree, site, text)
                if source not in seen and text not in GRAPHLESS.get(path.name, ()):
                    seen.add(source)
                    before, after = difference(original, source)
                    line = getattr(site.node, "lineno", getattr(site.parent, "lineno", 0))
                    yield Mutant(path, line, operator.__name__, site.scope, before, after, source)


def replaced(tree: ast.AST, site: Site, text: str | None) -> str:
    """The tree's source with other code in a site's place. The tree stays as it is."""
    value = getattr(site.parent, site.field)
    new = [] if text is None else [parsed(text, site)]
    if site.at is None:
        setattr(site.parent, site.field, new[0])
    else:
        setattr(site.parent, site.field, [*value[: site.at], *new, *value[site.at + 1 :]])
    source = ast.unparse(tree)
    setattr(site.parent, site.field, value)
    return source


def parsed(text: str, site: Site) -> ast.AST:
    (statement,) = ast.parse(text).body
    return statement.value if isinstance(site.node, ast.expr) and isinstance(statement, ast.Expr) else statement


def difference(original: str, source: str) -> list[str]:
    """The lines that differ; unparsed code has a statement a line."""
    before, after = original.splitlines(), source.splitlines()
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return [" ".join(line.strip() for line in lines) or "(nothing)" for lines in (before, after)]


def plant(path: Path, source: str) -> None:
    """Makes all loaders take a source for a file's, jaxtyping's too, which adds its checks to what it reads."""
    file = str(path.resolve())
    get_data, path_stats = SourceFileLoader.get_data, SourceFileLoader.path_stats

    def planted_data(self: SourceFileLoader, name: str) -> bytes:
        return source.encode() if os.path.realpath(name) == file else get_data(self, name)

    def no_stats(self: SourceFileLoader, name: str) -> Mapping[str, Any]:
        if os.path.realpath(name) == file:
            raise OSError("bytecode is neither taken from a file nor written to one")
        return path_stats(self, name)

    SourceFileLoader.get_data, SourceFileLoader.path_stats = planted_data, no_stats  # type: ignore[method-assign]


def tests_of(path: Path, tests: Path) -> list[list[Path]]:
    """A module's own tests, and the other ones that name it."""
    own = tests / f"test_{path.name}"
    others = [other for other in sorted(tests.glob("test_*.py")) if path.stem in other.read_text(encoding="utf-8")]
    return [[own] if own.exists() else [], [other for other in others if other != own]]


def start(path: Path, source: str, runs: list[list[Path]], limit: float, imported: int | None = None) -> int:
    """Forks a process that runs tests on a module with another source; its status is 0 if all pass.

    Into the pipe `imported`, if given, it writes what of torch and pytest has been imported by then.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.setitimer(signal.ITIMER_REAL, limit)
        if imported is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        plant(path, source)
        checked: tuple[str, ...] = ()
        for files in runs:
            status = int(pytest.main([*PYTEST, *checked, *map(str, files)])) if files else 0
            if status:
                break
            if files:
                checked = ("--jaxtyping-packages=",)  # they are for good, and can't be asked for again
        sys.stdout.flush()
        if imported is not None:
            os.write(imported, " ".join(name for name in sys.modules if name.startswith(PRELOADED)).encode())
    finally:
        os._exit(status)


def passes_unmutated(path: Path, tests: Path) -> bool:
    """Whether all tests pass before anything is mutated. Imports what they needed, for the forks to have it."""
    reading, writing = os.pipe()
    everything = [sorted(tests.glob("test_*.py"))]
    pid = start(path, path.read_text(encoding="utf-8"), everything, limit=600, imported=writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        names = pipe.read().split()
    for name in names:
        with contextlib.suppress(ImportError):  # names that torch makes up
            importlib.import_module(name)
    gc.freeze()  # pytest collects garbage when it ends, and would walk through all of torch each time
    return os.waitpid(pid, 0)[1] == 0


def tested(planned: Iterator[Mutant], tests: Path, workers: int, limit: float) -> Iterator[tuple[Mutant, int]]:
    """Each mutant with the status its tests end with, 0 if all pass and SIGALRM past the limit, as they end."""
    running: dict[int, Mutant] = {}
    while (mutant := next(planned, None)) or running:
        if mutant:
            running[start(mutant.path, mutant.source, tests_of(mutant.path, tests), limit)] = mutant
        if len(running) == workers or not mutant:
            pid, status = os.wait()
            yield running.pop(pid), status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", type=Path, nargs="*", help="default: gan_lightning/losses/*.py")
    parser.add_argument("--tests", type=Path, default=Path("tests/losses"), help="the folder with their tests")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    modules = arguments.modules or sorted(Path("gan_lightning/losses").glob("[!_]*.py"))
    sys.path.insert(0, os.getcwd())
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    began = time.monotonic()
    if not passes_unmutated(modules[0], arguments.tests):
        print("The tests fail before anything is mutated: mend that first.")
        return 2
    limit = 10 + 10 * (time.monotonic() - began)

    planned = (mutant for path in modules for mutant in mutants(path))
    names = [path.name for path in modules]
    excused = {key for keys in EQUIVALENT.values() for key in keys if key.split()[0] in names}
    outdated = set(excused)
    statuses: Counter[int] = Counter()
    survived = 0
    for mutant, status in tested(planned, arguments.tests, arguments.workers, limit):
        statuses[status] += 1
        if status == 0 and mutant.key in excused:
            outdated.discard(mutant.key)
        elif status == 0:
            survived += 1
            print(mutant, flush=True)
    for key in sorted(outdated):
        print(f"EQUIVALENT lists what no longer survives: {key}")
    print(
        f"{statuses.total()} mutants of {', '.join(names)}: {statuses.total() - statuses[0]} caught "
        f"({statuses[signal.SIGALRM]} hung), {statuses[0] - survived} equivalent, {survived} survived; "
        f"{(time.monotonic() - began) / 60:.1f} minutes"
    )
    return 1 if survived or outdated else 0


if __name__ == "__main__":
    sys.exit(main())
