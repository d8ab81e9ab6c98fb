"""What docs/extending.md shows: excerpts are of the files that they name, and the files that it adds work."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from docs_scripts import DOCS, script

from gan_lightning import train
from gan_lightning.__main__ import main
from gan_lightning.config.places import TEMPLATE

TEXT = (DOCS / "extending.md").read_text(encoding="utf-8")
SHOWN = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', TEXT, re.MULTILINE | re.DOTALL)
PLACES = (TEMPLATE, DOCS.parent)
EXCERPTS = [(name, text) for name, text in SHOWN if any((place / name).exists() for place in PLACES)]
ADDED = dict(pair for pair in SHOWN if pair not in EXCERPTS)


def lines(text: str) -> str:
    """Text without indentation and empty lines, in which an excerpt may differ from its file."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def test_there_are_both_kinds() -> None:
    assert len(EXCERPTS) > 5
    assert len(ADDED) == len(SHOWN) - len(EXCERPTS) == 8


@pytest.mark.parametrize(("name", "text"), EXCERPTS)
def test_an_excerpt_is_of_its_file(name: str, text: str) -> None:
    file = next(place / name for place in PLACES if (place / name).exists())
    assert lines(text) in lines(file.read_text(encoding="utf-8"))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package of its own name, with what the text adds, as the current folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "walked_lab"]) == 0
    for name, text in ADDED.items():
        file = tmp_path / "walked_lab" / name.replace("my_lab", "walked_lab")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("my_lab", "walked_lab"), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "walked_lab")
    yield tmp_path / "walked_lab"
    for name in [name for name in sys.modules if name.partition(".")[0] == "walked_lab"]:
        del sys.modules[name]


@pytest.mark.slow
def test_the_added_parts_train(lab: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(lab), *sys.path])
    run = train(
        *tiny,
        "regularizer=[drift]",
        "regularizer.drift.weight=0.5",
        "callbacks=[weight_norm]",
        "callbacks.weight_norm.every=1",
        "trainer.max_steps=2",
        "trainer.log_every_n_steps=1",
        plugins=["walked_lab"],
    )
    assert run.metrics["loss/discriminator/drift"] > 0
    with (run.folder / "metrics.csv").open(newline="") as file:
        assert all(float(row["weight_norm/generator"]) > 0 for row in csv.DictReader(file))


@pytest.mark.slow
def test_the_program_and_the_check_run(lab: Path) -> None:
    """In one process, which imports torch once."""
    (lab / "study.yaml").write_text("losses: [pearson]\niterations: 1\n")
    code = (
        "import runpy; runpy.run_path('tests/test_regularizers.py')['test_the_drift_penalty']();"
        " runpy.run_path('study.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=lab,
        env=os.environ | {"PYTHONPATH": str(DOCS.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^pearson outputs/\S+_pearson_moons_s0 -?\d", done.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Found . module")  # the averaged generator, which Lightning finds in eval mode
def test_the_lightning_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    samples = script("lightning_script").main(iterations=20)
    assert samples.shape == (64, 2)
    assert samples.isfinite().all()
    assert not list(tmp_path.iterdir())
