"""How a sweep's jobs have ended, as their folders tell."""

import json

import pytest

from gan_lightning.run_folder import RESULTS
from gan_lightning.runs.ownership import LOCK, owned
from gan_lightning.studies import endings
from gan_lightning.studies.endings import JOB, Ending
from gan_lightning.studies.studied import studied


def results(folder, status):
    (folder / RESULTS).write_text(json.dumps({"status": status, "iteration": 3, "seconds": 1.0}))


@pytest.mark.parametrize(
    ("status", "ending", "expected", "cause"),
    [
        (None, None, "not started", None),
        (None, Ending("refused", "seed is -1."), "refused", "seed is -1."),
        ("finished", None, "finished", None),
        ("alarm", None, "alarm", None),
        ("SIGTERM", None, "stopped", "stopped by SIGTERM"),
        ("failed", Ending("failed", "no room"), "failed", "no room"),
        ("failed", None, "failed", None),
        ("running", None, "interrupted", endings.NO_WORD),
        ("running", Ending("failed", "killed by SIGKILL"), "failed", "killed by SIGKILL"),
        # Of an attempt before the one that has finished.
        ("finished", Ending("failed", "no room"), "finished", None),
    ],
)
def test_what_a_folder_tells(tmp_path, status, ending, expected, cause):
    if status:
        results(tmp_path, status)
    if ending:
        endings.write(tmp_path, ending)
    (tmp_path / LOCK).touch()  # of a dead owner
    run = studied(tmp_path)
    assert (run.status, run.cause) == (expected, cause)
    with owned(tmp_path):
        assert studied(tmp_path).status == "running"


def test_an_attempt_forgets_the_one_before(tmp_path):
    endings.write(tmp_path / "new", Ending("failed", "no room"))
    assert endings.find(tmp_path / "new") == Ending("failed", "no room")
    endings.forget(tmp_path / "new")
    endings.forget(tmp_path / "new")
    assert endings.find(tmp_path / "new") is None


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"format": "gan_lightning.job/9", "status": "failed", "cause": ""}'),
        '{"format": "gan_lightning.job/1", "status": "odd", "cause": ""}',
        '{"format": "gan_lightning.job/1", "status": "failed", "cause": 1}',
    ],
)
def test_damaged_ones_tell_nothing(tmp_path, content):
    (tmp_path / JOB).write_text(content)
    assert endings.find(tmp_path) is None
