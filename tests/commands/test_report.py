"""`report`: the files that it writes, from one run to several data sets, and what it refuses."""

import csv
import io
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from gan_lightning.processes import Stopped
from gan_lightning.studies import endings

sys.path.append(str(Path(__file__).parent.parent / "studies"))
from planted import LOWER, plant, study

SAVED = Path(__file__).parent.parent / "saved_runs" / "format_1"
VALUES = {"vanilla": [4.0, 5.0, 4.5, 4.2, 4.8], "hinge": [3.0, 3.3, 2.9, 3.4, 3.1]}


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_a_sweep(command, here):
    study(here / "sweep", VALUES)
    outcome = command("report", "runs=sweep")
    assert (outcome.status, outcome.err) == (0, "")
    assert re.fullmatch(
        r"10 runs of 2 configurations: sweep/report\.html \(0\.\d MiB\), report\.md and report\.csv\n", outcome.out
    )
    rows = rows_of(here / "sweep" / "report.csv")
    assert {(row["configuration"], row["seed"]): float(row["frechet_distance"]) for row in rows} == {
        (loss, str(seed)): value for loss, values in VALUES.items() for seed, value in enumerate(values, 1)
    }
    markdown = (here / "sweep" / "report.md").read_text()
    assert "| **hinge** | 5 of 5 | 3.14 |" in markdown
    assert "report runs=sweep" in markdown
    page = (here / "sweep" / "report.html").read_text()
    assert page.count('class="best"') == 1
    assert page.count("data:image/") == 6
    assert "report.html" not in {path.name for path in here.iterdir()}


def test_one_run(command, here):
    shutil.copytree(SAVED, here / "run")
    assert command("report", "runs=run").status == 0
    page = (here / "run" / "report.html").read_text()
    assert "<h1>Run run</h1>" in page
    for shown in ("loss.optimizer.generator.lr", "How it went", "<polyline"):
        assert shown in page


def test_patterns_and_a_list_of_them(command, here):
    study(here / "a", {"vanilla": [4.0]})
    study(here / "b" / "deep", {"hinge": [3.0]})
    assert command("report", "runs=a/*,seed=1").status == 0
    assert (here / "a" / "loss=vanilla,seed=1" / "report.md").exists()  # the one that all runs are in
    assert command("report", "runs=[a/*, b]", "out=both").status == 0
    assert len(rows_of(here / "both" / "report.csv")) == 2
    assert rows_of(here / "both" / "report.csv")[1]["folder"] == "../b/deep/loss=hinge,seed=1"


def test_data_sets_have_tables_of_their_own(command, here):
    study(here / "sweep", VALUES)
    plant(here / "sweep" / "ring", 1, {"w2": [1.0]}, {"dataset": "ring"}, dataset="ring", protocol={"data": "77aa"})
    assert command("report", "runs=sweep").status == 0
    titles = re.findall(r"^## (.*)", (here / "sweep" / "report.md").read_text(), re.MULTILINE)
    assert [title.partition(",")[0] for title in titles[:2]] == ["digits", "ring"]


def test_names_out_of_files_are_text(command, here):
    hostile = "<img src=x>|`$\x1b"
    for seed in (1, 2):
        verdict = {"kind": hostile, "iteration": 1, "sentence": hostile}
        more = {"overrides": {"loss": hostile}, "dataset": hostile, "device": hostile, "verdicts": [verdict]}
        plant(here / "runs" / f"<b>{seed}", seed, {hostile: [1.0, 2.0]}, protocol={hostile: hostile}, **more)
        plant(here / "runs" / f"{seed}", seed, {hostile: [1.0, 2.0]}, protocol={hostile: hostile}, dataset=hostile)
    assert command("report", "runs=runs").status == 0
    page = (here / "runs" / "report.html").read_text()
    assert "<img src=x" not in page
    assert "\x1b" not in page + (here / "runs" / "report.md").read_text() + (here / "runs" / "report.csv").read_text()
    assert "<img" not in re.sub(r"\\<", "", (here / "runs" / "report.md").read_text())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "runs needs a value"),
        (("runs=nothing",), "runs is nothing, in which there is no run."),
        (("runs=swep",), "runs is swep, in which there is no run. Did you mean sweep?"),
        (("runs=sweep", "metrics=[w2]"), "metrics has w2, which none of the runs was measured by"),
        (("runs=sweep", "budget=hours"), "budget is 'hours'"),
        (("runs=sweep", "every=0"), "every is 0, but it must be above 0"),
        (("runs=sweep", "out=sweep/note.txt"), "out is sweep/note.txt"),
        (("runs=sweep", "out="), "out is '', but it must be a path, and not empty"),
        (("runs=sweep", "out=taken"), "out is taken, where no report can be written (Is a directory); out=DIR"),
        (("runs=[1]",), "runs is 1, in which there is no run."),
        (("runs=[null]",), "runs[0] is null"),
        (("runs=[]",), "runs is [], but it takes a run's folder at least"),
        (("runs=???",), "runs is ???"),
        (("run=sweep",), "there is no key run. Did you mean runs?"),
    ],
)
def test_a_mistake_is_one_paragraph(command, here, arguments, told):
    study(here / "sweep", {"vanilla": [4.0]})
    (here / "sweep" / "note.txt").write_text("")
    (here / "taken" / "report.html").mkdir(parents=True)
    before = sorted(here.rglob("*"))
    outcome = command("report", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert told in outcome.err.replace(str(here) + "/", "")
    assert outcome.err.count("\n") == 1
    assert sorted(here.rglob("*")) == before


def test_it_is_renewed_until_all_runs_have_ended(command, here, monkeypatch):
    study(here / "sweep", {"vanilla": [4.0]})
    monkeypatch.setattr(endings, "is_owned", lambda folder: len(pages) < 2)
    pages = []

    def wait(seconds: float) -> None:
        pages.append((seconds, (here / "sweep" / "report.html").read_text()))
        shutil.rmtree(here / "sweep")
        study(here / "sweep", {"vanilla": [3.0]})

    monkeypatch.setattr(time, "sleep", wait)
    outcome = command("report", "runs=sweep", "watch=true", "every=5")
    assert outcome.out.count("1 run is still going; renewed in 5 s, Ctrl-C ends it.") == 2
    assert [seconds for seconds, _ in pages] == [5, 5]
    assert all('<meta http-equiv="refresh" content="5">' in page for _, page in pages)
    last = (here / "sweep" / "report.html").read_text()
    assert "refresh" not in last
    assert "1 finished" in last


def test_watching_ends_by_ctrl_c(command, here, monkeypatch):
    study(here / "sweep", {"vanilla": [4.0]})
    monkeypatch.setattr(endings, "is_owned", lambda folder: True)
    monkeypatch.setattr(time, "sleep", lambda seconds: (_ for _ in ()).throw(Stopped(2)))
    outcome = command("report", "runs=sweep", "watch=true")
    assert (outcome.status, outcome.err) == (130, "Stopped by Ctrl-C.\n")


def test_help(command):
    outcome = command("report", "--help")
    assert outcome.status == 0
    assert "runs: ???" in outcome.out


def test_better_is_what_records_say(command, here):
    for seed in (1, 2):
        plant(here / "sweep" / f"a{seed}", seed, {"w2": [1.0], "odd": [1.0]}, {"loss": "a"}, better={"w2": "higher"})
        plant(here / "sweep" / f"b{seed}", seed, {"w2": [2.0], "odd": [2.0]}, {"loss": "b"}, better=LOWER)
    assert command("report", "runs=sweep").status == 0
    markdown = (here / "sweep" / "report.md").read_text()
    assert "### w2 (higher is better)" in markdown
    assert re.findall(r"^\| \*\*(.*?)\*\* ", markdown, re.MULTILINE) == ["b"]  # of odd, nobody says
