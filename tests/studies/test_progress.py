"""One line over all jobs of a sweep, read off their folders."""

import json
from io import StringIO

import pytest
from rich.console import Console

from gan_lightning.run_folder import CONFIG, METRICS, RESULTS
from gan_lightning.runs.ownership import disown, own
from gan_lightning.studies import endings, progress, sweep_folder
from gan_lightning.studies.endings import Ending
from gan_lightning.studies.progress import Progress, last_iteration, left
from gan_lightning.studies.sweep_folder import Sweep, SweepJob


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """A hundred seconds after the sweep was begun; and nobody looks unless a test does."""
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(progress.Progress, "watch", lambda self: None)


def watching(folder, count, **options):
    """The progress of jobs 0, 1, …, and what it prints."""
    sweep_folder.write(folder, Sweep([], [SweepJob(f"{n}", [f"seed={n}", "loss=hinge"]) for n in range(count)]))
    made = Progress(folder, Console(file=StringIO(), width=120), **options)
    made.started, made.said = 0.0, 100.0
    return made


def train(folder, iteration):
    """A run of ten iterations that somebody trains."""
    folder.mkdir(exist_ok=True)
    own(folder)
    (folder / CONFIG).write_text("trainer: {max_steps: 10}\n")
    (folder / METRICS).write_text(f"iteration,loss\n1,0.5\n{iteration},0.5\n3,")
    write(folder, "running", 0)


def write(folder, status, iteration=10):
    (folder / RESULTS).write_text(json.dumps({"status": status, "iteration": iteration, "seconds": 1.0}))


def printed(made):
    lines = made.console.file.getvalue().splitlines()
    made.console.file.truncate(0)
    made.console.file.seek(0)
    return lines


def test_tells_how_many_are_done_and_how_long_the_others_take(tmp_path):
    with watching(tmp_path, 4) as made:
        assert made.line() == "0 of 4 done"
        train(tmp_path / "0", 10)
        train(tmp_path / "1", 5)
        made.look()
        # 1.5 jobs in 100 s, and 2.5 to go.
        assert made.line() == "0 of 4 done, 2 running, 3 min left"
        write(tmp_path / "0", "finished")
        disown(tmp_path / "0")
        made.look()
        assert made.line() == "1 of 4 done, 1 running, 3 min left"
        assert printed(made)[-1] == "seed=0: finished; 1 of 4 done, 1 running, 3 min left"
        disown(tmp_path / "1")  # killed: whoever has started it has the next word
        made.look()
        assert printed(made) == []
        endings.write(tmp_path / "1", Ending("failed", "killed by SIGKILL"))
        endings.write(tmp_path / "2", Ending("refused", "seed is -1"))
    assert printed(made)[-1].endswith("1 of 4 done, 2 failed, 67 s left")  # 1.5 jobs in 100 s, and one to go
    assert made.names["2"] == "seed=2"


def test_a_killed_job_of_which_nobody_tells_is_no_running_one(tmp_path):
    with watching(tmp_path, 1) as made:
        train(tmp_path / "0", 5)
        made.look()
        disown(tmp_path / "0")
        made.look()
        made.look()
        assert printed(made)[-1].startswith("seed=0 loss=hinge: interrupted")


def test_what_earlier_attempts_have_left_is_no_news(tmp_path):
    for name, status in (("0", "finished"), ("1", "failed"), ("2", "running")):
        (tmp_path / name).mkdir()
        write(tmp_path / name, status)
    endings.write(tmp_path / "1", Ending("failed", "odd"))
    with watching(tmp_path, 3) as made:
        made.look()
        made.look()
        assert (made.line(), printed(made)) == ("1 of 3 done", [])
        train(tmp_path / "1", 10)
        made.look()
        assert made.line() == "1 of 3 done, 1 running, 2 min left"
        disown(tmp_path / "1")


def test_what_has_ended_is_not_read_again(tmp_path, monkeypatch):
    """Or each look would read the results of all that are done."""
    (tmp_path / "0").mkdir()
    with watching(tmp_path, 1) as made:
        write(tmp_path / "0", "finished")
        made.look()
        monkeypatch.setattr(endings, "state_of", None)
        made.look()
        assert made.line() == "1 of 1 done"


def test_a_line_comes_once_a_minute(tmp_path, monkeypatch):
    with watching(tmp_path, 1) as made:
        for now, expected in ((159.0, []), (161.0, ["0 of 1 done"]), (220.0, []), (222.0, ["0 of 1 done"])):
            monkeypatch.setattr(progress.time, "monotonic", lambda now=now: now)
            made.look()
            assert printed(made) == expected


def test_jobs_that_a_sweeper_finds_are_taken_up(tmp_path):
    with watching(tmp_path, 1) as made:
        sweep_folder.add(tmp_path, SweepJob("9", ["seed=9", "loss=hinge"]))
        sweep_folder.add(tmp_path, SweepJob("9", ["seed=9", "loss=hinge"]))
        made.look()
        assert made.line() == "0 of 2 done"
        assert made.names["9"] == "seed=9"


@pytest.mark.parametrize(("live", "quiet"), [(True, True), (False, False)])
def test_a_terminal_has_a_live_line_unless_jobs_write_there(tmp_path, live, quiet):
    made = watching(tmp_path, 2, is_quiet=quiet)
    made.console = Console(file=StringIO(), width=60, force_terminal=True)
    with made:
        made.look()
        assert ("0 of 2 done" in made.console.file.getvalue()) == live


@pytest.mark.parametrize(
    ("text", "expected"),
    [("iteration,x\n1,2\n12,3\n", 12), ("iteration,x\n1,2\n12,", 1), ("iteration,x\n", 0), ("", 0), (None, 0)],
)
def test_the_last_iteration(tmp_path, text, expected):
    if text is not None:
        (tmp_path / METRICS).write_text(text)
    assert last_iteration(tmp_path / METRICS) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, ""), (0.4, "0 s left"), (89, "89 s left"), (91, "2 min left"), (5300, "88 min left"), (5500, "2 h left")],
)
def test_times(seconds, expected):
    assert left(seconds) == expected
