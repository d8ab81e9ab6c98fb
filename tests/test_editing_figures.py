"""What docs/editing.md shows is what its script draws, by the commands that the page has."""

import re
from pathlib import Path

from docs_scripts import DOCS, script
from PIL import Image

from gan_lightning.config.places import CONF

editing = script("editing")
PAGE = (DOCS / "editing.md").read_text()
RUN = Path(__file__).parent / "saved_runs" / "format_1"


def test_every_figure_is_small_and_has_its_command() -> None:
    figures = re.findall(r"\(images/(edit_\w+\.\w+)\)", PAGE)
    assert sorted(figures) == sorted(editing.FIGURES)
    for figure in figures:
        assert (DOCS / "images" / figure).stat().st_size < 60_000
    commands = re.findall(r"^    python -m gan_lightning (\w+) run=RUN (.*)$", PAGE, re.MULTILINE)
    shown = {(name, arguments.replace("'", "")) for name, arguments in commands}
    for name, _, arguments in editing.FIGURES.values():
        told = " ".join(arguments).format(pictures="FILE")
        assert any(name == other and told.removesuffix(" n=4") in typed for other, typed in shown), told


def test_every_means_is_in_the_table() -> None:
    for file in (CONF / "means").glob("*.yaml"):
        assert f"\n| `{file.stem}` | " in PAGE


def test_a_figure_is_drawn(tmp_path: Path) -> None:
    out = editing.draw("edit_thickness.png", {"plain": RUN}, tmp_path, tmp_path)
    with Image.open(out) as drawn:
        assert abs(drawn.width / drawn.height - 9 / 5) < 0.05  # nine stages of five samples
