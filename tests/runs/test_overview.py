"""summary.png: what it is made of, and that nothing it lacks does a run any harm."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from gan_lightning.run_folder import METRICS, RESULTS, SAMPLES, SUMMARY
from gan_lightning.runs.overview import draw_overview, headings, read_curves

SAVED = Path(__file__).parent.parent / "saved_runs" / "format_1"


@pytest.fixture
def run(tmp_path):
    """A saved run, with curves of two log points, dollar signs that are no formula, and a picture."""
    folder = Path(shutil.copytree(SAVED, tmp_path / "run"))
    (folder / METRICS).write_text(
        "iteration,loss/generator,loss/discriminator,discriminator/real,evaluation/$x$_{\n1,1,2,0.5,\n2,0.5,,0.6,3\n"
    )
    (folder / SAMPLES).mkdir(exist_ok=True)
    Image.new("L", (20, 10), 255).save(folder / SAMPLES / "00000900.png")
    return folder


def test_a_picture_of_curves_and_samples(run):
    assert draw_overview(run)
    with Image.open(run / SUMMARY) as picture:
        assert picture.size == (1000, 560)
        levels = picture.convert("L")
        assert min(levels.crop((60, 90, 500, 540)).tobytes()) < 100  # curves on the left,
    with_picture = (run / SUMMARY).read_bytes()
    Image.new("L", (20, 10), 0).save(run / SAMPLES / "00000900.png")
    assert draw_overview(run)
    assert (run / SUMMARY).read_bytes() != with_picture  # and the newest samples on the right


def test_what_stands_above(run):
    title, below = headings(run)
    assert title[3] == "wgan_clip on digits, seed 0: finished at iteration 20, 0 s"
    assert "health" not in below[3]
    text = (run / RESULTS).read_text().replace('"verdicts": []', '"verdicts": [{"kind": "Diverging\\u001b"}]')
    (run / RESULTS).write_text(text)
    assert headings(run)[1][3] == r"health check: Diverging\x1b"


def test_curves_of_long_runs_are_thinned(run):
    (run / METRICS).write_text("iteration,loss/generator\n" + "".join(f"{n},1\n" for n in range(1, 9001)))
    curves = read_curves(run / METRICS)
    assert len(curves["iteration"]) == 1800
    assert curves["iteration"][:2] == [1, 6]


def test_a_run_of_one_log_point_has_no_curves(run):
    (run / METRICS).write_text("iteration,loss/generator\n1,1\n")
    assert not draw_overview(run)
    assert not (run / SUMMARY).exists()


@pytest.mark.parametrize("name", [SUMMARY, SAMPLES / "00000901.png"])
def test_what_can_not_be_drawn_is_logged(run, name, caplog):
    (run / name).mkdir()
    assert not draw_overview(run)
    assert "summary.png was not drawn: " in caplog.text
