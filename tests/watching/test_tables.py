"""metrics.csv as a crash, a full disk or an editor may leave it: what can be read of it is gone on with."""

from pathlib import Path

import pytest

from gan_lightning import UserError
from gan_lightning.watching.loggers import MetricsTable

LINES = [b"iteration,a,b\r\n", b"1,0.5,\r\n", b"2,nan,3e-05\r\n", b"3,-inf,7\r\n"]
WHOLE = b"".join(LINES)


def resumed(path: Path, at: int = 3) -> bytes:
    MetricsTable(path, at)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "dropped", "kept"),
    [
        (WHOLE, 0, WHOLE),
        (b"", 0, b""),
        (b"a\n1\n", 2, b""),
        (b"\xff\xfe", 1, b""),
        (b"iteration,a\nx,2\n", 1, b"iteration,a\r\n"),
        (b"iteration\n" + b"9" * 5000 + b"\n", 1, b"iteration\r\n"),
        (WHOLE + bytes(4096), 1, WHOLE),
        (LINES[0] + LINES[1] + bytes(50) + LINES[2] + LINES[3], 1, LINES[0] + LINES[1] + LINES[3]),
        (bytes(50) + WHOLE, 4, b""),  # without its header, nothing tells what the numbers are
        (bytes(50) + WHOLE + WHOLE, 4, WHOLE),
        (WHOLE[:-4], 1, WHOLE[: -len(LINES[3])]),  # within a row
        (WHOLE[:-2], 1, WHOLE[: -len(LINES[3])]),  # the last cell may lack digits
        (WHOLE + b"4,1\r\n", 1, WHOLE),
        (WHOLE + b"4,1,2,3\r\n", 1, WHOLE),
        (WHOLE + b'4,1,"2\r\n', 1, WHOLE),
        (WHOLE + b"4,x,2\r\n" + b"-4,1,2\r\n" + b",1,2\r\n", 3, WHOLE),
        (WHOLE + b"4,1\xff,2\r\n", 1, WHOLE),
        (WHOLE + WHOLE, 0, WHOLE),
        (WHOLE + b"iteration,a\r\n2,9\r\n", 0, LINES[0] + LINES[1] + b"2,9,\r\n" + LINES[3]),
        (WHOLE + b"iteration,c\r\n3,9\r\n", 0, b"iteration,a,b,c\r\n1,0.5,,\r\n2,nan,3e-05,\r\n3,,,9\r\n"),
    ],
)
def test_what_can_be_read_is_kept_and_the_rest_said(tmp_path, caplog, content, dropped, kept):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)

    assert resumed(path) == kept

    lines = "a line" if dropped == 1 else f"{dropped} lines"
    assert [f"had {lines} that can't be read" in record.message for record in caplog.records] == [True] * bool(dropped)
    aside = tmp_path / "metrics.damaged.csv"
    assert not dropped or aside.read_bytes() == content
    assert aside.exists() == bool(dropped)


def test_damage_is_kept_each_time(tmp_path):
    path = tmp_path / "metrics.csv"
    for _ in range(2):
        path.write_bytes(WHOLE + bytes(9))
        resumed(path)
    assert {each.name for each in tmp_path.iterdir()} == {
        *("metrics.csv", "metrics.damaged.csv", "metrics.damaged_2.csv")
    }


def test_a_damaged_table_is_written_on(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_bytes(WHOLE[:-4])
    table = MetricsTable(path, 3)
    table.log_metrics({"a": 1.5, "c": 2.0}, step=3)
    assert path.read_bytes() == b"iteration,a,b,c\r\n1,0.5,,\r\n2,nan,3e-05,\r\n3,1.5,,2.0\r\n"


def test_a_folder_in_its_place_is_named(tmp_path):
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(UserError, match=r"metrics\.csv is not a file"):
        MetricsTable(tmp_path / "metrics.csv", 3)


def test_a_row_that_finds_no_room_leaves_no_half(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "metrics.csv"
    table = MetricsTable(path)
    table.log_metrics({"a": 1.0}, step=1)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 2, limits[1]))
    try:
        with pytest.raises(OSError, match=r"metrics\.csv"):
            table.log_metrics({"a": 2.0}, step=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
