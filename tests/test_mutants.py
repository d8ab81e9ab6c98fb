"""The mutation run: what each operator plants, and that what nothing catches is reported."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

import mutants
import pytest


def planted(tmp_path, code, operator):
    """The lines that one operator turns the one line of a function into."""
    path = tmp_path / "toy.py"
    path.write_text(f"def f(x: Tensor, real: Tensor, fake: Tensor):\n    {code}\n")
    return [mutant.after for mutant in mutants.mutants(path) if mutant.operator == operator]


@pytest.mark.parametrize(
    ("operator", "code", "after"),
    [
        ("negate", "return x", ["return -x"]),
        ("negate", "return -x", ["return --x", "return x"]),
        ("negate", "g(x + 3)", ["g(-x + 3)"]),
        ("negate", "g(softplus(x))", ["g(softplus(-x))"]),
        ("negate", "g(x.relu())", ["g((-x).relu())"]),
        ("negate", "g(x.mean())", []),  # the same as turning the result's sign, which g(...) hides
        ("negate", "g(~x)", ["g(x)"]),
        ("scale", "return x", ["return 2 * x"]),
        ("scale", "loss = g(x)", ["loss = 2 * g(x)"]),
        ("scale", "return {'real': x}", ["return {'real': 2 * x}"]),
        ("scale", "g(3)", ["g(6)", "g(1)", "g(4)"]),
        ("scale", "g(0.5)", ["g(1.0)", "g(0.25)", "g(1.5)"]),
        ("scale", "g(0)", ["g(1)"]),
        ("scale", "g(1)", ["g(2)", "g(0)"]),
        ("scale", "g(True)", []),
        ("axis", "g(x.sum(dim=1))", ["g(x.sum())", "g(x.sum(dim=2))", "g(x.sum(dim=0))"]),
        ("axis", "g(x.flatten(1))", ["g(x.flatten())", "g(x.flatten(2))", "g(x.flatten(0))"]),
        ("drop", "return x + real", ["return x", "return real"]),
        ("drop", "return x - real", ["return x", "return -real"]),
        ("drop", "return x / real", ["return x"]),
        ("drop", "return {'a': x, 'b': real}", ["return {'b': real}", "return {'a': x}"]),
        ("drop", "return [x, real]", ["return [real]", "return [x]"]),
        ("drop", "return x.abs()", ["return x"]),
        ("drop", "return x.square().mean()", ["return x.square()", "return x.mean()"]),
        ("drop", "return torch.relu(x)", ["return x"]),
        ("drop", "return x.sum(y)", ["return x.sum()", "return x"]),
        ("drop", "return g(x, real)", ["return g(x)"]),
        ("drop", "return softplus(x)", ["return x"]),
        ("drop", "return x.clamp(min=0)", ["return x.clamp()", "return x"]),
        ("drop", "return g(x, device=x.device)", []),  # no test sees a device on one machine
        ("drop", "if x: raise ValueError('no')", ["pass"]),
        ("drop", "x[0] = real", ["pass"]),
        ("drop", "return x or real", ["return x", "return real"]),
        ("detach", "return x.detach()", ["return x"]),
        (
            "detach",
            "return x * real",
            ["return (x * real).detach()", "return x.detach() * real", "return x * real.detach()"],
        ),
        ("detach", "return len(x) + x.ndim", ["return (len(x) + x.ndim).detach()"]),
        ("swap", "return real - 1", ["return fake - 1"]),
        ("swap", "return real.detach()", ["return fake.detach()"]),
        ("swap", "return torch.zeros(len(real), dtype=real.dtype)", []),  # their shapes and types are the same
        ("swap", "g(x, real)", ["g(real, x)", "g(x, fake)"]),
        ("swap", "return x / real", ["return real / x", "return x / fake"]),
        ("exchange", "return x.mean()", ["return x.sum()"]),
        ("exchange", "return torch.sum(x)", ["return torch.mean(x)"]),
        ("exchange", "return softplus(x)", ["return x.relu()"]),
        ("exchange", "return torch.relu(x)", ["return x.exp().log1p()"]),
        ("exchange", "return x.clamp(min=0)", ["return x.clamp(max=0)"]),
        ("exchange", "return max(x, real)", ["return min(x, real)"]),
        ("compare", "return x < real", ["return x >= real", "return x <= real"]),
        ("compare", "return x is None", ["return x is not None"]),
        ("arithmetic", "return x + real", ["return x - real"]),
        ("arithmetic", "return x * real", ["return x / real"]),
        ("arithmetic", "return x ** 2", ["return x * 2"]),
        ("arithmetic", "x += real", ["x -= real"]),
        (
            "condition",
            "return x if real else fake",
            [f"return x if {new} else fake" for new in ("not real", "True", "False")],
        ),
        ("condition", "g(not x)", ["g(x)"]),
        ("condition", "g(create_graph=True)", ["g(create_graph=False)"]),
        ("condition", "g(x and real)", ["g(x or real)"]),
        ("rename", "g(x, 'mean')", ["g(x, 'mean_')"]),
    ],
)
def test_operators(tmp_path, operator, code, after):
    assert planted(tmp_path, code, operator) == after


def test_every_operator_is_tested():
    (rows,) = [mark.args[1] for mark in test_operators.pytestmark]
    assert {row[0] for row in rows} == {operator.__name__ for operator in mutants.OPERATORS}


def test_defaults_and_decorators_are_mutated(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(
        "class A:\n    weight: float = 10.0\n\n    @torch.no_grad()\n    def f(self, on=True):\n        ...\n"
    )
    found = {(mutant.operator, mutant.scope, mutant.before, mutant.after) for mutant in mutants.mutants(path)}
    assert ("scale", "A", "weight: float = 10.0", "weight: float = 20.0") in found
    assert ("detach", "A.f", "@torch.no_grad()", "(nothing)") in found
    assert ("condition", "A.f", "def f(self, on=True):", "def f(self, on=False):") in found


def test_prose_stays(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(
        '''"""Twice 2."""
import a.b

class P(Protocol):
    x: int = 1

class A:
    """At most 3."""

    def f(self, kind: Literal["a", 4] | None) -> Annotated[float, 5]:
        """6."""
        raise ValueError(f"{1 + 7} is not" + "8")
'''
    )
    assert [(mutant.line, mutant.operator, mutant.after) for mutant in mutants.mutants(path)] == [(12, "drop", "pass")]


def test_mutants_are_of_one_line_and_differ_from_each_other():
    for path in sorted(Path(__file__).parents[1].glob("gan_lightning/losses/*.py")):
        original = ast.unparse(ast.parse(path.read_text()))
        sources = [original]
        for mutant in mutants.mutants(path):
            assert mutant.before in map(str.strip, original.splitlines()) or mutant.before.startswith("with ")
            compile(mutant.source, str(path), "exec")
            sources.append(mutant.source)
        assert len(set(sources)) == len(sources)


MODULE = """
def inverse(x):
    if x == 0:
        raise ValueError("zero has none")
    return 1 / x

def shifted(x):
    return x + 5
"""
TESTS = """
import pytest
from package.toy import inverse, shifted

def test_inverse():
    assert (inverse(4), inverse(-0.5)) == (0.25, -2)
    with pytest.raises(ValueError):
        inverse(0)
"""
SHIFTED = "    assert shifted(2.0) == 7\n"
UNTESTED = {  # what no test catches as long as none looks at `shifted`
    *(f"return {after}" for after in ("-(x + 5)", "2 * (x + 5)", "(x + 5).detach()", "x", "5", "x - 5", "-x + 5")),
    *(f"return x + {after}" for after in (10, 2, 6)),
}


@pytest.fixture
def toy(tmp_path):
    """Runs the tool on a package with one module: its arguments are the module's tests and EQUIVALENT."""
    for name, text in (("package/__init__.py", ""), ("package/toy.py", MODULE)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "checks").mkdir()

    def run(tests, equivalent=(), command="sys.exit(mutants.main())"):
        (tmp_path / "checks" / "test_toy.py").write_text(tests)
        code = (
            f"import sys; sys.path.insert(0, {str(Path(mutants.__file__).parent)!r}); import mutants\n"
            f"mutants.EQUIVALENT = {{'a reason': {list(equivalent)!r}}}\n{command}"
        )
        arguments = ["package/toy.py", "--tests", "checks", "--workers", "2"]
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    return run


def reported(process):
    return {line.split(" -> ")[1] for line in process.stdout.splitlines() if line.startswith("package/toy.py:")}


def test_what_no_test_catches_is_reported(toy):
    process = toy(TESTS)
    assert process.returncode == 1, process.stderr
    assert reported(process) == UNTESTED
    assert "package/toy.py:8: arithmetic in shifted: return x + 5 -> return x - 5" in process.stdout
    assert f"0 equivalent, {len(UNTESTED)} survived" in process.stdout


def test_what_is_caught_is_not_reported(toy):
    process = toy(TESTS + SHIFTED)
    assert process.returncode == 0, process.stdout + process.stderr
    assert reported(process) == set()
    assert "0 equivalent, 0 survived" in process.stdout


def test_equivalent_mutants_are_told_by_their_text(toy):
    excused = [f"toy.py shifted: {after}" for after in UNTESTED]
    assert toy(TESTS, excused).returncode == 0
    process = toy(TESTS, excused[1:])
    assert process.returncode == 1
    assert reported(process) == {excused[0].removeprefix("toy.py shifted: ")}


def test_an_equivalent_mutant_that_is_caught_is_out_of_date(toy):
    process = toy(TESTS + SHIFTED, ["toy.py shifted: return x - 5"])
    assert process.returncode == 1
    assert "EQUIVALENT lists what no longer survives: toy.py shifted: return x - 5" in process.stdout


def test_failing_tests_are_told_before_anything_is_mutated(toy):
    process = toy(TESTS + "    assert shifted(2) == 8\n")
    assert process.returncode == 2
    assert "The tests fail before anything is mutated" in process.stdout
    assert reported(process) == set()


def test_types_are_checked(toy, tmp_path):
    """The second of two runs looks at nothing but the type of what `shifted` gives."""
    for name, text in (
        ("pytest.ini", "[pytest]\naddopts = --jaxtyping-packages=package,beartype.beartype\n"),
        ("package/toy.py", MODULE.replace("(x):\n    return x + 5", "(x: int) -> float:\n    return x + 5.0")),
        ("checks/test_others.py", "from package.toy import shifted\n\ndef test_shifted():\n    shifted(2)\n"),
    ):
        (tmp_path / name).write_text(text)
    process = toy(TESTS)
    assert reported(process) == {
        *(f"return {after}" for after in ("-(x + 5.0)", "2 * (x + 5.0)", "5.0", "x - 5.0", "-x + 5.0")),
        *(f"return x + {after}" for after in (10.0, 2.5, 6.0)),
    }, process.stderr


def test_what_hangs_is_caught(toy):
    process = toy(
        TESTS,
        command="from pathlib import Path; sys.path.insert(0, '.'); path = Path('package/toy.py')\n"
        "forever = mutants.Mutant(path, 1, '', '', '', '', 'while True: pass')\n"
        "print([status for _, status in mutants.tested(iter([forever]), Path('checks'), 1, limit=2.0)])",
    )
    assert process.stdout == f"[{int(signal.SIGALRM)}]\n"
