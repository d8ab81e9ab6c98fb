"""Signatures read from source agree with what an import would say, and need no import."""

import importlib
import inspect
import sys
import textwrap

import pytest

from gan_lightning.config import signature
from gan_lightning.config.signature import Parameter, static_signature

# Each module raises when it is imported, unless it is there to test the import.
SAMPLE = {
    "__init__.py": """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from .facade import Widget as Gadget, tools
            from .facade import inner
        """,
    "facade/__init__.py": """
        from .inner import *
        from . import inner as tools
        from ..circle import lost
        """,
    "facade/inner.py": """
        import typing
        from ..base import Base as Root
        class Widget(Root):
            pass
        Renamed = Widget
        Chained = Renamed
        def function(first, /, second: int, *rest: str, third: "typing.Any" = None, **others): ...
        def _hidden(): ...
        async def coroutine(value: float = 1.0): ...
        """,
    "base.py": """
        class Base:
            def __init__(self, size: int, *, name: str = 'x'): ...
            @classmethod
            def make(cls, kind: str): ...
        class Left(Base): ...
        class Right(Base):
            def __init__(self, right: bool): ...
        class Diamond(Left, Right): ...
        class New:
            def __new__(cls, value: int = 0): ...
        class Empty: ...
        """,
    "records.py": """
        import dataclasses
        from abc import ABC
        from dataclasses import KW_ONLY, InitVar, dataclass, field
        from typing import ClassVar, Generic, TypeVar
        T = TypeVar('T')
        @dataclass
        class Parent(ABC, Generic[T]):
            size: int
            name: str = 'x'
            count: ClassVar[int] = 0
        @dataclasses.dataclass(frozen=True)
        class Child(Parent[int]):
            name: str = field(default='y', repr=False)
            tags: list[str] = field(default_factory=list)
            cache: dict[str, int] = field(init=False, default_factory=dict)
            _: KW_ONLY
            late: float = 1.0
            must: bool = field(repr=False)
            extra: InitVar[int] = 0
        class Plain(Child):
            not_a_field: int
        @dataclass
        class Sorted(Parent[int]):
            late: bool = field(default=False, kw_only=True)
            size: float = 0.5
            soon: str = ''
        @dataclass(init=False)
        class Bare(Parent[int]):
            other: int
        class Mixin:
            ghost: int
        @dataclass
        class Mixed(Mixin):
            size: int
        @dataclass(init=False)
        class Manual(Parent[int]):
            def __init__(self, other): ...
        """,
    "branches.py": """
        import sys
        try:
            from .base import Base as Either
        except ImportError:
            Either = None
        if sys.platform == 'nowhere':
            def chosen(right: int): ...
        else:
            def chosen(wrong: int): ...
        """,
    "circle.py": "from .circle import lost, Wheel\nclass Loop(Wheel): ...\n",
    "dynamic.py": """
        import functools
        from typing import NamedTuple
        class Pair(NamedTuple):
            left: int
        class Original:
            def __init__(self, size: int): ...
        Same = Original
        class Same(Same): ...
        def original(value: int, factor: 'float' = 2.0, free=None): ...
        bound = functools.partial(original, 1)
        globals()['conjured'] = original
        class Outer:
            class Nested:
                def __init__(self, depth: int): ...
        """,
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    root = tmp_path_factory.mktemp("packages")
    for name, source in SAMPLE.items():
        file = root / "sample_package" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        guard = "" if name in ("__init__.py", "dynamic.py") else "raise RuntimeError('imported')\n"
        file.write_text(guard + textwrap.dedent(source))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        yield "sample_package"


@pytest.mark.parametrize(
    ("target", "parameters", "accepts_any_keyword"),
    [
        ("base.Base", [("size", "int", True), ("name", "str", False)], False),
        ("Gadget", [("size", "int", True), ("name", "str", False)], False),
        ("facade.Widget", [("size", "int", True), ("name", "str", False)], False),
        ("facade.Chained", [("size", "int", True), ("name", "str", False)], False),
        ("facade.tools.Widget", [("size", "int", True), ("name", "str", False)], False),
        ("tools.Widget", [("size", "int", True), ("name", "str", False)], False),
        ("inner.function", [("second", "int", True), ("third", "typing.Any", False)], True),
        ("facade.inner.coroutine", [("value", "float", False)], False),
        ("base.Diamond", [("right", "bool", True)], False),
        ("base.New", [("value", "int", False)], False),
        ("base.Empty", [], False),
        ("records.Parent", [("size", "int", True), ("name", "str", False)], False),
        (
            "records.Child",
            [
                ("size", "int", True),
                ("name", "str", False),
                ("tags", "list[str]", False),
                ("late", "float", False),
                ("must", "bool", True),
                ("extra", "InitVar[int]", False),
            ],
            False,
        ),
        (
            "records.Sorted",
            [("size", "float", False), ("name", "str", False), ("soon", "str", False), ("late", "bool", False)],
            False,
        ),
        ("records.Bare", [("size", "int", True), ("name", "str", False)], False),
        ("records.Mixed", [("size", "int", True)], False),
        ("records.Manual", [("other", None, True)], False),
        ("branches.Either", [("size", "int", True), ("name", "str", False)], False),
        ("branches.chosen", [("right", "int", True)], False),
    ],
)
def test_reads_source_without_importing_it(package, target, parameters, accepts_any_keyword):
    found = static_signature(f"{package}.{target}")
    assert list(found.parameters) == [Parameter(*parameter) for parameter in parameters]
    assert found.accepts_any_keyword is accepts_any_keyword
    assert not any(name.startswith(package) for name in sys.modules)


def test_a_plain_class_takes_the_fields_of_the_dataclass_above_it(package):
    assert static_signature(f"{package}.records.Plain") == static_signature(f"{package}.records.Child")


def test_annotations_know_the_module_they_were_written_in(package):
    assert {p.module for p in static_signature(f"{package}.Gadget").parameters} == {f"{package}.base"}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("base.Bsae", "sample_package.base has no Bsae. Did you mean Base?"),
        ("bose.Base", "sample_package has no bose. Did you mean base?"),
        ("facade.Wigdet", "sample_package.facade has no Wigdet."),
        ("facade._hidden", "sample_package.facade has no _hidden."),
        ("dynamic.nowhere.Thing", "sample_package.dynamic has no nowhere."),
        ("base", "sample_package.base is a module, neither a class nor a function."),
        ("facade.lost", "the imports of sample_package.circle.lost run in a circle."),
    ],
)
def test_what_is_not_there_is_said_without_an_import(package, target, message):
    with pytest.raises(LookupError) as error:
        static_signature(f"{package}.{target}")
    assert str(error.value) == message
    assert not any(name.startswith(package) for name in sys.modules)


@pytest.mark.parametrize(
    ("target", "package"), [("no_such_package.Thing", "no_such_package"), ("", ""), (".Thing", "")]
)
def test_a_package_that_is_not_installed(target, package):
    with pytest.raises(LookupError, match=rf"^no package '{package}' is installed\.$"):
        static_signature(target)


@pytest.mark.parametrize(
    ("target", "parameters"),
    [
        ("dynamic.bound", [("factor", "float", False), ("free", None, False)]),
        ("dynamic.conjured", [("value", "int", True), ("factor", "float", False), ("free", None, False)]),
        ("dynamic.Outer.Nested", [("depth", "int", True)]),
        ("dynamic.Pair", [("left", "int", True)]),
        ("dynamic.Same", [("size", "int", True)]),
    ],
)
def test_imports_what_source_does_not_tell(package, target, parameters):
    try:
        found = static_signature(f"{package}.{target}")
    finally:
        for name in [name for name in sys.modules if name.startswith(package)]:
            del sys.modules[name]
    assert list(found.parameters) == [Parameter(*parameter) for parameter in parameters]


@pytest.mark.parametrize("target", ["dynamic.unheard_of", "circle.Loop"])
def test_an_import_that_does_not_help_is_a_lookup_error(package, target):
    with pytest.raises(LookupError, match="can't be imported or has no signature"):
        static_signature(f"{package}.{target}")


@pytest.mark.parametrize(
    ("target", "name", "annotation", "required"),
    [
        ("pytorch_lightning.Trainer", "max_steps", "int", False),
        ("pytorch_lightning.Trainer", "max_epochs", "Optional[int]", False),
        ("torch.optim.Adam", "params", "ParamsT", True),
        ("torch.optim.Adam", "lr", "float | Tensor", False),
        ("torch.optim.RMSprop", "momentum", "float", False),
        ("pytorch_lightning.loggers.TensorBoardLogger", "save_dir", "_PATH", True),
        ("gan_lightning.losses.Vanilla", "saturating", "bool", False),
    ],
)
def test_parameters_of_real_targets(target, name, annotation, required):
    assert Parameter(name, annotation, required) in static_signature(target).parameters


@pytest.mark.parametrize(
    "target",
    [
        "pytorch_lightning.Trainer",
        "pytorch_lightning.callbacks.EarlyStopping",
        "pytorch_lightning.callbacks.LearningRateMonitor",
        "pytorch_lightning.callbacks.ModelCheckpoint",
        "pytorch_lightning.callbacks.TQDMProgressBar",
        "pytorch_lightning.loggers.CSVLogger",
        "pytorch_lightning.loggers.TensorBoardLogger",
        "torch.nn.BatchNorm2d",
        "torch.nn.Conv2d",
        "torch.nn.LazyLinear",
        "torch.nn.LSTM",
        "torch.nn.Tanh",
        "torch.nn.init.normal_",
        "torch.optim.Adam",
        "torch.optim.AdamW",
        "torch.optim.RMSprop",
        "torch.optim.SGD",
        "torch.optim.lr_scheduler.StepLR",
        "torchvision.datasets.CIFAR100",
        "torchvision.datasets.EMNIST",
        "torchvision.datasets.FashionMNIST",
        "torchvision.datasets.ImageFolder",
        "torchvision.transforms.Compose",
        "torchvision.transforms.v2.Resize",
        "torchmetrics.image.fid.FrechetInceptionDistance",
        "gan_lightning.losses.Vanilla",
        "gan_lightning.losses.Wasserstein",
        "gan_lightning.losses.MutualInformation",
        "gan_lightning.losses.Consistency",
        "gan_lightning.losses.GradientPenalty",
        "gan_lightning.networks.DCGANGenerator",
        "gan_lightning.networks.MLPDiscriminator",
        "gan_lightning.schedules.Cosine",
        "gan_lightning.training.EMA",
        "gan_lightning.training.CriticUpdates",
    ],
)
def test_agrees_with_inspect(monkeypatch, target):
    monkeypatch.setattr(signature, "_imported_signature", lambda target: pytest.fail(f"{target} was imported"))
    static_signature.cache_clear()
    found = static_signature(target)
    module, _, name = target.rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    by_name = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    assert [(p.name, p.required) for p in found.parameters] == [(p.name, p.default is p.empty) for p in by_name]
    assert found.accepts_any_keyword == any(p.kind == p.VAR_KEYWORD for p in parameters)


def test_extension_modules_are_imported():
    assert [p.name for p in static_signature("_bisect.insort_right").parameters] == ["a", "x", "lo", "hi", "key"]
