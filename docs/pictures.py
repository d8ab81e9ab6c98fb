"""Makes the README's pictures from a sweep over the three losses, and those of points and signals from runs.

    python -m gan_lightning -m loss=vanilla,wgan_clip,wgan_gp hydra.sweep.dir=multirun/readme
    python docs/pictures.py multirun/readme

    python -m gan_lightning dataset=grid loss=r3gan hydra.run.dir=outputs/grid
    python docs/pictures.py --plane outputs/grid

    python -m gan_lightning dataset=sines trainer.max_steps=1500 hydra.run.dir=outputs/sines
    python docs/pictures.py --curves outputs/sines

The first writes docs/images/samples_LOSS.png, and tensorboard_PAGE.png of each of PAGES; for the latter it starts
TensorBoard on the sweep and takes screenshots with a headless Chromium (on the PATH as chromium or
google-chrome). The second writes grid_r3gan.png, the run's last picture of its points over the critic's values; the
third samples_sines.png, likewise of its curves.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gan_lightning import load_generator
from gan_lightning.pictures import grid, save_png
from gan_lightning.run_folder import SAMPLES

IMAGES = Path(__file__).parent / "images"
# The page, the height of its screenshot in pixels, and what TensorBoard's address calls it.
PAGES = {
    "custom_scalars": (1000, "#custom_scalars"),
    "images": (1100, "#images"),
    "histograms": (900, "#histograms&tagFilter=weights%2Fdiscriminator"),
}


def samples(sweep: Path) -> None:
    """One grid of 64 samples a job, of seed 0."""
    for job in sorted(path.parent for path in sweep.glob("*/generator.safetensors")):
        loss = job.name.removeprefix("loss=").partition(",")[0]
        save_png(grid(load_generator(job).sample(64, seed=0)), IMAGES / f"samples_{loss}.png")


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """The address of a TensorBoard that serves a folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(60):
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(1)
        time.sleep(5)  # it serves pages before it has read the events
        yield address
    finally:
        server.terminate()
        server.wait()


def screenshot(address: str, height: int, path: Path) -> None:
    """What a browser window 1400 pixels wide shows at an address after its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("screenshots need Chromium on the PATH")
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=30000"]
        flags += ["--disable-background-networking", "--no-first-run", f"--user-data-dir={profile}"]
        flags += [f"--window-size=1400,{height}", f"--screenshot={path.absolute()}"]
        subprocess.run([browser, *flags, address], check=True, capture_output=True, timeout=180)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, nargs="?")
    parser.add_argument("--plane", type=Path, metavar="RUN")
    parser.add_argument("--curves", type=Path, metavar="RUN")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    for run, name in ((options.plane, "grid_r3gan.png"), (options.curves, "samples_sines.png")):
        if run:
            shutil.copyfile(max((run / SAMPLES).glob("*.png")), IMAGES / name)
    sweep: Path | None = options.sweep
    if sweep is None:
        return
    samples(sweep)
    with tensorboard(sweep) as address:
        for page, (height, fragment) in PAGES.items():
            screenshot(address + fragment, height, IMAGES / f"tensorboard_{page}.png")


if __name__ == "__main__":
    main()
