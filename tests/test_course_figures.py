"""What docs/course.md says, on shortened runs of the script that draws its figures."""

import re
from pathlib import Path

import pytest
from docs_scripts import DOCS, script
from PIL import Image
from small import small

from gan_lightning import train
from gan_lightning.config.places import CONF

pytestmark = pytest.mark.slow

course, augmentation = script("course"), script("augmentation")
LABS = sorted(path.stem for path in (CONF / "experiment").glob("course_*.yaml"))


def test_every_lab_has_its_command_and_figures_are_small() -> None:
    page = (DOCS / "course.md").read_text()
    assert sorted(course.LABS) == LABS
    for lab in LABS:
        assert f"python -m gan_lightning experiment={lab}\n" in page
    figures = re.findall(r"\(images/(course_\w+)\.png\)", page)
    assert figures
    for lab in figures:
        assert lab in LABS
        assert (DOCS / "images" / f"{lab}.png").stat().st_size < 60_000


def test_a_figure_is_the_runs_own_pictures(tmp_path: Path) -> None:
    small = ("dataset.batch_size=8", "network.generator.width=4", "network.discriminator.width=4")
    fast = "loss.optimizer.generator.lr=0.05"  # so that a few iterations can be seen
    overrides = (*course.SHORT, *small, fast, *course.LABS["course_w4a"].overrides)
    made = course.pictures("course_w4a", tmp_path / "run", 21, *overrides)
    assert list(made) == ["iteration 2", "iteration 6", "iteration 21"]
    assert len({picture.tobytes() for picture in made.values()}) > 1  # it has trained
    first = made["iteration 2"]
    assert first.width / first.height == pytest.approx(6 / 10, abs=0.02)  # a row a class, the same latents in each
    course.draw(made | {"real": course.real_images()}, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.width == pytest.approx(4 * 2.4 * 80, abs=1)


@pytest.mark.parametrize("arguments", [["nonsense"], ["course_w1", "course_w4b", "dataset=mnist"]])
def test_a_lab_that_there_is_not(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as told:
        course.main(arguments)
    assert str(told.value.code).startswith(
        f"There is no lab {arguments[-1 if len(arguments) == 1 else 1]}; there are co"
    )


def test_real_images_are_as_large_as_the_networks_see_them() -> None:
    real = course.real_images()
    assert real.width == real.height >= 6 * 28
    histogram = real.histogram()
    dark, light = sum(histogram[:64]), sum(histogram[192:])
    assert 0 < light < dark  # white on black


def test_the_figure_of_data_augmentation(tmp_path: Path) -> None:
    page = (DOCS / "course.md").read_text()
    assert "(images/augmentation.png)" in page
    assert augmentation.PICTURE.stat().st_size < 60_000
    shares, classifiers, _ = augmentation.MEASURED
    assert f"    python -m gan_lightning {' '.join(augmentation.TRAINED)}\n" in page
    assert f"    python -m gan_lightning evaluate run=outputs/DATE/RUN '{shares}' {classifiers}\n" in page
    overrides = small("dataset.batch_size=16", *augmentation.TRAINED, *augmentation.QUIET, "trainer.max_steps=1")
    run = train(*overrides, f"hydra.run.dir={tmp_path / 'run'}").folder
    augmentation.draw(run, tmp_path / "a.png", "samples=40", "reference=60", "intervals=0", "extractor=identity")
    assert (run / "augmentation.csv").read_text().count("\n") == 1 + 5
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (600, 420)
