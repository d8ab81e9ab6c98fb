"""Files that are replaced whole or not at all."""

import pytest

from gan_lightning.files import replacing


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
