"""Files that are replaced whole or not at all."""

import os

import pytest

from gan_lightning.files import DEEPEST, read_text, replacing, require_plain


@pytest.mark.parametrize("shared", [False, True])
def test_replaces(tmp_path, shared):
    path = tmp_path / "file.txt"
    for content in ("first", "second"):
        with replacing(path, shared) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("shared", [False, True])
def test_an_error_leaves_what_was_there(tmp_path, shared):
    path = tmp_path / "file.txt"
    path.write_text("before")

    def half():
        with replacing(path, shared) as temporary:
            temporary.write_text("half")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 (any will do)
        half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_temporary_files_place_is_not_followed(tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("other")
    (tmp_path / "file.txt.tmp").symlink_to(other)
    with replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "file.txt").read_text() == "new"
    assert other.read_text() == "other"


@pytest.mark.parametrize(("content", "problem"), [(b"x" * 11, "more than 0 MiB"), (b"\xff", "utf-8")])
def test_text_that_is_not_read(tmp_path, content, problem):
    (tmp_path / "file.txt").write_bytes(content)
    with pytest.raises(ValueError, match=problem):
        read_text(tmp_path / "file.txt", 10)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a plain file"):
        read_text(tmp_path / "pipe", 10)


def test_shared_items_count_each_time():
    nested = []
    for _ in range(DEEPEST):
        nested = [nested]
    require_plain(nested)
    with pytest.raises(ValueError, match="too deeply"):
        require_plain([nested])
    wide = [0] * 1000
    for _ in range(2):
        wide = [wide] * 1000
    with pytest.raises(ValueError, match="items"):
        require_plain(wide)


def test_what_a_killed_process_leaves_is_overwritten_but_for_shared_files(tmp_path):
    path = tmp_path / "file.txt"
    with replacing(path) as first:
        first.write_text("")
        with replacing(path, shared=True) as other, replacing(path, shared=True) as another:
            assert len({first, other, another}) == 3
            other.write_text("")
            another.write_text("")
    with replacing(path) as second:
        second.write_text("")
    assert first == second


def test_what_stood_there_gets_another_name(tmp_path):
    path, before = tmp_path / "file.txt", tmp_path / "before.txt"
    for content in ("first", "second", "third"):
        with replacing(path, before=before) as temporary:
            temporary.write_text(content)
    assert (path.read_text(), before.read_text()) == ("third", "second")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("at", ["link", "replace"])
def test_where_a_process_is_killed_while_it_renames_nothing_is_lost_or_left(tmp_path, at):
    path, before = tmp_path / "file.txt", tmp_path / "before.txt"
    for content in ("first", "second"):
        with replacing(path, before=before) as temporary:
            temporary.write_text(content)
    os.link(path, tmp_path / "before.txt.tmp")
    if at == "replace":
        os.replace(tmp_path / "before.txt.tmp", before)

    with replacing(path, before=before) as temporary:
        temporary.write_text("third")
        assert path.read_text() == "second"

    assert (path.read_text(), before.read_text()) == ("third", "second")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_in_the_place_of_the_other_name_is_put_aside(tmp_path):
    path, before = tmp_path / "file.txt", tmp_path / "before.txt"
    path.write_text("first")
    before.mkdir()
    with replacing(path, before=before) as temporary:
        temporary.write_text("second")
    assert (path.read_text(), before.read_text()) == ("second", "first")
    assert (tmp_path / "before.damaged.txt").is_dir()
