"""Archives as roots of pictures: the same as the folder that was packed, and what is damaged, foreign or hostile."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.data import decoding, opening, packed
from gan_lightning.data.image_folder import ImageFolder
from gan_lightning.data.opening import opened
from gan_lightning.data.picture_files import find_pictures
from gan_lightning.errors import UserError

Files = Mapping[str, bytes]


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def png(level: int) -> bytes:
    return encoded(np.full((4, 4), level, np.uint8))


def encoded(pixels: Any, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(stream, format=kind)
    return stream.getvalue()


def npy(pixels: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()


def folder(path: Path, files: Files) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zipped(path: Path, files: Files, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: Files, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # the mode is one of its many
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


PACKERS: dict[str, Callable[[Path, Files], Path]] = {
    "zip": zipped,
    "stored": lambda path, files: zipped(path, files, zipfile.ZIP_STORED),
    "tar": tarred,
    "tar.gz": lambda path, files: tarred(path, files, "w:gz"),
    "tar.bz2": lambda path, files: tarred(path, files, "w:bz2"),
    "tar.xz": lambda path, files: tarred(path, files, "w:xz"),
}
BOTH = {name: PACKERS[name] for name in ("zip", "tar")}
packings = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
zip_and_tar = pytest.mark.parametrize("pack", BOTH.values(), ids=BOTH)
Pack = Callable[[Path, Files], Path]

CATS_AND_DOGS = {
    "dog/b.png": png(3),
    "notes.txt": b"no picture",
    "cat/10.png": png(2),
    "cat/2.png": png(1),
    "dog/picture": png(4),
    "dog/array": npy(np.full((4, 4), 5, np.uint8)),
}


def found(root: Path) -> tuple[list[str], dict[str, list[str]]]:
    with opened(root) as place:
        return find_pictures(place)


def names(root: Path) -> list[str]:
    return found(root)[0]


def message(root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        ImageFolder(str(root), 4, 1, **options).load()
    text = str(caught.value)
    assert "\n" not in text
    assert str(root) in text
    return text


def within(above: str, files: Files) -> Files:
    return {f"{above}/{name}": content for name, content in files.items()}


# --- the same as a folder ---


@packings
@pytest.mark.parametrize("above", ["", "cats_dogs"])
def test_an_archive_is_the_folder_that_was_packed(tmp_path: Path, pack: Pack, above: str) -> None:
    """Under whatever name, in the same order, with the same facts, so that a run may go on with either."""
    expected, facts = ImageFolder(str(folder(tmp_path / "in", CATS_AND_DOGS)), 4, 1).load_with_facts()
    path = pack(tmp_path / "upload", within(above, CATS_AND_DOGS) if above else CATS_AND_DOGS)
    loaded, others = ImageFolder(str(path), 4, 1).load_with_facts()
    assert found(path) == found(tmp_path / "in")
    assert others == facts
    assert torch.equal(loaded.samples, expected.samples)
    assert loaded.samples[:, 0, 0, 0].tolist() == [2, 1, 5, 3, 4]
    assert loaded.labels is not None
    assert loaded.labels.tolist() == [0, 0, 1, 1, 1]
    assert loaded.classes == ("cat", "dog")


@zip_and_tar
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["a/1.png", "a/2.png"], ["1.png", "2.png"]),
        (["a/x/1.png", "a/x/2.png"], ["x/1.png", "x/2.png"]),  # one folder, as that of the root, and no more
        (["a/1.png", "b/2.png"], ["a/1.png", "b/2.png"]),
        (["a/1.png", "read.me"], ["a/1.png"]),
        (["a/1.png", "b/"], ["a/1.png"]),
        (["./a/1.png", "./a/2.png"], ["1.png", "2.png"]),
        (["./", "./a/", "./a/1.png"], ["a/1.png"]),  # tar -C FOLDER .
        (["a/1.png", "__MACOSX/a/2.png"], ["1.png"]),
        (["a/", "a/1.png", ".DS_Store", "__MACOSX/._a", "__MACOSX/a/._1.png", "a/.DS_Store"], ["1.png"]),
    ],
)
def test_the_folder_that_was_packed_is_no_class(
    tmp_path: Path, pack: Pack, entries: list[str], expected: list[str]
) -> None:
    files = {name: png(1) if name.endswith("png") else b"" for name in entries}
    assert names(pack_with_folders(pack, tmp_path / "x", files)) == expected


@zip_and_tar
@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("", ["test/cat/3.png", "train/cat/1.png", "train/dog/2.png"]),
        ("train", ["cat/1.png", "dog/2.png"]),
        ("train/dog", ["2.png"]),
        ("x/train", ["cat/1.png", "dog/2.png"]),  # as the archive lists it
        ("train/../test", ["cat/3.png"]),
    ],
)
@pytest.mark.parametrize("above", ["x/", ""])
def test_a_folder_in_an_archive(tmp_path: Path, pack: Pack, root: str, expected: list[str], above: str) -> None:
    inside = ["train/cat/1.png", "train/dog/2.png", "test/cat/3.png"]
    path = pack(tmp_path / "a", {above + name: png(number) for number, name in enumerate(inside)})
    root = root if above else root.removeprefix("x/")
    loaded = ImageFolder(f"{path}/{root}", 4, 1).load()
    assert names(Path(os.path.abspath(path / root))) == expected
    assert loaded.classes == tuple(sorted({name.split("/")[0] for name in expected if "/" in name}))


@zip_and_tar
def test_a_folder_that_is_not_in_an_archive(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path / "a", {"train/1.png": png(1), "test/t.csv": b"n,k\n2.png,x\n", "test/2.png": png(2)})
    assert message(path / "trian") == (
        f"dataset.root is {path}/trian, but {path} has no files in such a folder. Did you mean train?"
    )
    assert ImageFolder(str(path / "test"), 4, 1, labels="t.csv").load().classes == ("x",)
    (tmp_path / "b").write_bytes(b"no archive")
    assert "but there is no such folder." in message(tmp_path / "b" / "train")


def pack_with_folders(pack: Pack, path: Path, files: Files) -> Path:
    """Names with a slash at their end are folders, in .tar too."""
    if pack is zipped:
        return zipped(path, files)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(member, io.BytesIO(content))
    return path


@packings
def test_stacks_pages_and_levels(tmp_path: Path, pack: Pack) -> None:
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 256
    path = pack(tmp_path / "a", {"a_r.png": encoded(deep), "a_g.png": encoded(deep + 256)})
    loaded = ImageFolder(str(path), 4, 2, stack=["_r.png", "_g.png"], range=(0, 4096)).load().samples
    assert torch.equal(loaded[0, 0], torch.from_numpy(deep.astype(np.float32)) / 2048 - 1)
    assert torch.equal(loaded[0, 1], torch.from_numpy(deep.astype(np.float32)) / 2048 - 1 + 0.125)
    stream = io.BytesIO()
    pages = [Image.fromarray(np.full((4, 4), level, np.uint8)) for level in (1, 2, 3, 4, 5)]
    pages[0].save(stream, format="TIFF", save_all=True, append_images=pages[1:])
    loaded = ImageFolder(str(pack(tmp_path / "c", {"five": stream.getvalue()})), 4, 5).load().samples
    assert loaded[0, :, 0, 0].tolist() == [1, 2, 3, 4, 5]


@packings
def test_a_missing_channel_is_named(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path / "a", {"a_r.png": png(1), "a_g.png": png(1), "b_r.png": png(1)})
    with pytest.raises(UserError, match=r"1 of 2 .* be read: b \(b_g\.png: No such file or directory\)"):
        ImageFolder(str(path), 4, 2, stack=["_r.png", "_g.png"]).load()


@packings
@pytest.mark.parametrize("place", ["inside", "beside", "elsewhere"])
def test_labels_from_a_table(tmp_path: Path, pack: Pack, place: str, caplog: pytest.LogCaptureFixture) -> None:
    files, table = {"x/1.png": png(1), "x/more/2.png": png(2)}, b"name,kind\n1.png,cat\nmore/2.png,dog\n"
    path, labels = tmp_path / "a", "labels.csv"
    if place == "inside":
        files["x/labels.csv"] = table
        (tmp_path / "labels.csv").write_text("another one")
    else:
        (tmp_path / "labels.csv").write_bytes(table)
        labels = "labels.csv" if place == "beside" else str(tmp_path / "labels.csv")
    loaded = ImageFolder(str(pack(path, files)), 4, 1, labels=labels).load()
    assert loaded.classes == ("cat", "dog")
    assert loaded.labels is not None
    assert loaded.labels.tolist() == [0, 1]
    assert caplog.text == ""  # the table is no file that is passed over


@zip_and_tar
def test_tables_that_cannot_be_read(tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "a", {"1.png": png(1), "t.csv": b"name,kind\n1.png,caf\xe9\n"})
    assert f"dataset.labels is {path}/none.csv, which can't be read (No such file or directory)" in message(
        path, labels="none.csv"
    )
    assert "'utf-8' codec can't decode byte 0xe9" in message(path, labels="t.csv")
    monkeypatch.setattr("gan_lightning.data.labels.MOST_BYTES", 8)
    assert "it has more than 0 MiB" in message(path, labels="t.csv")


def test_a_damaged_table(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a", {"1.png": png(1), "t.csv": b"name,kind\n1.png,cat\n"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"1.png,cat", b"1.png,cut"))
    assert f"dataset.labels is {path}/t.csv, which can't be read (Bad CRC-32 for file 't.csv')" in message(
        path, labels="t.csv"
    )


# --- what is passed over ---


def test_what_is_passed_over_is_counted_by_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = zipped(
        tmp_path / "a",
        {
            "x/1.png": png(1),
            "x/.DS_Store": b"",
            "x/.thumbs/1.png": png(9),  # those in hidden folders aren't told, as in folders
            "__MACOSX/x/._1.png": b"no picture",
            "x/inner.zip": zipped(tmp_path / "inner", {"2.png": png(2)}).read_bytes(),
            "x/inner": tarred(tmp_path / "inner", {"2.png": png(2)}).read_bytes(),
            "x/inner.gz": gzip.compress(b"x"),
            "x/notes.txt": b"no picture",
            "x/zeros": bytes(600),
        },
    )
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("x/link.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert ImageFolder(str(path), 4, 1).load().samples[:, 0, 0, 0].tolist() == [1]
    (record,) = caplog.records
    assert record.getMessage() == (
        f"Passed over files in {path}: 2 hidden (.DS_Store, __MACOSX/x/._1.png), 3 that are packed themselves (inner,"
        " inner.gz, inner.zip), 2 of other kinds (notes.txt, zeros), 1 that are no plain files (link.png)."
    )


@pytest.mark.parametrize("name", ["m.png", "m"])
def test_links_pipes_and_devices_in_a_tar(tmp_path: Path, name: str) -> None:
    kinds = {
        kind: f"{number}{name}"
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE))
    }
    path = tarred(tmp_path / "a", {"1.png": png(1)})
    with tarfile.open(path, "a") as archive:
        for kind, each in kinds.items():
            member = tarfile.TarInfo(each)
            member.type, member.linkname = kind, "1.png"
            archive.addfile(member)
    assert found(path) == (["1.png"], {"that are no plain files": list(kinds.values())})


def test_a_hard_link_is_the_file_that_it_names(tmp_path: Path) -> None:
    """tar packs a file's second name so; one to a name that isn't there, or is no file, is passed over."""
    path = tarred(tmp_path / "a", {"./x/1.png": png(1)})
    with tarfile.open(path, "a") as archive:
        for name, target in (("2", "./x/1.png"), ("3", "./x/2.png"), ("4", "./x/4.png"), ("5", "/etc/passwd")):
            member = tarfile.TarInfo(f"./x/{name}.png")
            member.type, member.linkname = tarfile.LNKTYPE, target
            archive.addfile(member)
    assert found(path) == (["1.png", "2.png", "3.png"], {"that are no plain files": ["4.png", "5.png"]})
    assert ImageFolder(str(path), 4, 1).load().samples[:, 0, 0, 0].tolist() == [1, 1, 1]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@zip_and_tar
def test_of_entries_with_one_name_the_last_counts(tmp_path: Path, pack: Pack) -> None:
    path = tmp_path / "a"
    if pack is zipped:
        with zipfile.ZipFile(path, "w") as archive:
            for level in (1, 2):
                archive.writestr("x/1.png" if level == 1 else "x//./1.png", png(level))
    else:
        tarred(path, {"x/1.png": png(1)})
        tarred(path, {"./x/1.png": png(2)}, "a")
    assert found(path) == (["1.png"], {"replaced by later ones of their names": ["1.png"]})
    assert ImageFolder(str(path), 4, 1).load().samples[:, 0, 0, 0].tolist() == [2]


@packings
def test_an_empty_archive(tmp_path: Path, pack: Pack) -> None:
    assert "but there are no pictures in it or below it" in message(pack(tmp_path / "a", {}))


# --- names ---


@packings
def test_names_that_lead_out_of_the_archive_are_but_names(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "in").mkdir()
    files = {"../../a.png": png(1), "/etc/b.png": png(2), "x/../../../c.png": png(3), "/": b""}
    path = pack(tmp_path / "in" / "a", {name: content for name, content in files.items() if content})
    assert names(path) == ["a.png", "etc/b.png", "x/c.png"]
    assert ImageFolder(str(path), 4, 1).load().samples[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cache", "in"]
    assert [each.name for each in (tmp_path / "in").iterdir()] == ["a"]


def renamed(path: Path, old: bytes, new: bytes) -> Path:
    """With other bytes in both of a zip archive's records of a name."""
    content = path.read_bytes()
    assert len(old) == len(new)
    assert content.count(old) == 2
    path.write_bytes(content.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Größe".encode(), "Größe"),  # as macOS packs it, without a word on the encoding
        (b"Gr\x94\xe1e", "Größe"),  # the standard's CP437
    ],
)
def test_names_in_a_zip(tmp_path: Path, name: bytes, expected: str) -> None:
    stand_in = b"q" * len(name)
    path = zipped(tmp_path / "a", {f"{stand_in.decode()}/1.png": png(1), "b/1.png": png(2)})
    renamed(path, stand_in + b"/1.png", name + b"/1.png")
    assert names(path) == sorted(["b/1.png", f"{expected}/1.png"])


def test_separators_of_dos(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w") as archive:
        for number, system in enumerate((0, 0, 3)):
            entry = zipfile.ZipInfo(f"x{number}\\1.png")
            entry.create_system = system
            archive.writestr(entry, png(number))
    assert names(path) == ["x0/1.png", "x1/1.png", "x2\\1.png"]


def test_names_in_a_tar_that_are_not_utf_8(tmp_path: Path) -> None:
    files = {"caf\udce9/\udcff.png": png(3), "tea/x.png": png(4)}
    with tarfile.open(tmp_path / "a", "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    loaded, facts = ImageFolder(str(tmp_path / "a"), 4, 1).load_with_facts()
    assert loaded.classes == ("caf\\xe9", "tea")
    assert facts == ImageFolder(str(folder(tmp_path / "in", files)), 4, 1).load_with_facts()[1]


# --- the cache, and going on ---


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures decoded since the test began."""
    decoded: list[str] = []
    original = decoding.decode

    def record(file: Any, form: decoding.Form) -> decoding.Decoded:
        decoded.append(file.name)
        return original(file, form)

    monkeypatch.setattr(decoding, "decode", record)
    return decoded


@packings
def test_pictures_are_decoded_once(tmp_path: Path, pack: Pack, decoded: list[str]) -> None:
    path = pack(tmp_path / "a", {"1.png": png(1), "2.png": png(2)})
    for _ in range(2):
        assert ImageFolder(str(path), 4, 1).load().samples[:, 0, 0, 0].tolist() == [1, 2]
    assert sorted(decoded) == ["1.png", "2.png"]


@packings
def test_an_archive_may_move(tmp_path: Path, pack: Pack, decoded: list[str]) -> None:
    path = pack(tmp_path / "a", {"1.png": png(1), "2.png": png(2)})
    _, seen = ImageFolder(str(path), 4, 1).load_with_facts()
    ImageFolder(str(path.rename(tmp_path / "b")), 4, 1, seen=seen).load()
    assert len(decoded) == (2 if zipfile.is_zipfile(tmp_path / "b") else 4)  # a .tar has no checksums


@packings
def test_another_pixel_is_noticed(tmp_path: Path, pack: Pack) -> None:
    """By the checksum in a .zip, in which the size and the time may be the same."""
    bitmap = encoded(np.zeros((4, 4), np.uint8), "BMP")
    _, seen = ImageFolder(str(pack(tmp_path / "a", {"1.bmp": bitmap})), 4, 1).load_with_facts()
    pack(tmp_path / "a", {"1.bmp": bitmap[:-1] + b"\x07"})
    assert ImageFolder(str(tmp_path / "a"), 4, 1).load().samples.max() > 0
    assert "1 as then, but others or under other names" in message(tmp_path / "a", seen=seen)


@zip_and_tar
def test_many_threads_read_at_once(tmp_path: Path, pack: Pack) -> None:
    rng = np.random.default_rng(0)
    files = {f"{number:03}.npy": npy(rng.integers(0, 256, (200, 200), np.uint8)) for number in range(100)}
    expected = ImageFolder(str(folder(tmp_path / "in", files)), 4, 1).load().samples
    assert torch.equal(ImageFolder(str(pack(tmp_path / "a", files)), 4, 1).load().samples, expected)


# --- damage ---


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    bitmaps = {f"{level}.bmp": encoded(np.full((4, 4), level, np.uint8), "BMP") for level in (65, 66)}
    path = zipped(tmp_path / "a", bitmaps, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"A" * 16, b"A" * 15 + b"a"))
    assert "1 of 2 pictures cannot be read: 65.bmp (Bad CRC-32 for file '65.bmp')" in message(path)
    loaded = ImageFolder(str(path), 4, 1, skip_corrupt=True).load()
    assert loaded.samples[:, 0, 0, 0].tolist() == [66]


def test_a_damaged_entry_without_a_pictures_name_is_unreadable(tmp_path: Path) -> None:
    path, name = zipped(tmp_path / "a", {"1.png": png(1), "second": png(2)}), b"second"
    content = bytearray(path.read_bytes())
    content[content.find(name) + len(name)] |= 6  # a kind of block that Deflate has not
    path.write_bytes(content)
    assert found(path) == (["1.png"], {"unreadable": ["second"]})


def test_an_unknown_method_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a", {"1.png": png(1), "2": png(2)})
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            content[start + place] = 9  # Deflate64
    path.write_bytes(content)
    assert "1.png (That compression method is not supported" in message(path)
    assert found(path)[1] == {"unreadable": ["2"]}


@packings
@pytest.mark.parametrize("share", [0.4, 0.7])
def test_an_archive_that_is_cut_off(tmp_path: Path, pack: Pack, share: float) -> None:
    rng = np.random.default_rng(0)
    files = {f"{number}.png": encoded(rng.integers(0, 256, (32, 32), np.uint8)) for number in range(20)}
    content = pack(tmp_path / "a", files).read_bytes()
    (tmp_path / "a").write_bytes(content[: int(share * len(content))])
    text = message(tmp_path / "a")
    assert "which can't be read (" in text
    assert "it may be damaged or cut off." in text


def with_header(path: Path, member: int, changes: Mapping[int, bytes], is_sound: bool = True) -> Path:
    """A .tar of empty files with other bytes at some places of a header, and the right checksum if that `is_sound`."""
    content = bytearray(path.read_bytes())
    start = member * tarfile.BLOCKSIZE
    for place, value in changes.items():
        content[start + place : start + place + len(value)] = value
    if is_sound:
        header = content[start : start + 148] + b" " * 8 + content[start + 156 : start + tarfile.BLOCKSIZE]
        content[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    path.write_bytes(content)
    return path


EMPTY = {f"{number}.png": b"" for number in range(5)}


def test_a_damaged_header_loses_no_pictures_without_a_word(tmp_path: Path) -> None:
    """tarfile ends there, as if all that follows were not."""
    path = with_header(tarred(tmp_path / "a", EMPTY), 2, {0: b"x"}, is_sound=False)
    assert "which can't be read (its end is missing)" in message(path)
    path = tarred(tmp_path / "b", EMPTY)
    path.write_bytes(path.read_bytes()[: 3 * tarfile.BLOCKSIZE])
    assert "which can't be read (its end is missing)" in message(path)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE])
@pytest.mark.parametrize("size", [-1, -512, -1024])
def test_a_negative_size_is_no_endless_loop(tmp_path: Path, size: int, kind: bytes) -> None:
    """A sparse file has another size beside it, which is what tarfile tells."""
    value = struct.pack(">3sBq", b"\xff\xff\xff", 255, size)
    path = with_header(tarred(tmp_path / "a", EMPTY), 2, {124: value, 156: kind})
    if size == -1 and kind == tarfile.GNUTYPE_SPARSE:  # of no length, after all
        assert found(path)[1] == {"that are no plain files": ["2.png"]}
    else:
        assert "which can't be read (2.png has no size)" in message(path)


def test_an_archive_that_is_cut_off_while_it_is_read(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a", {"1.npy": npy(np.zeros((500, 500)))})
    with opened(path) as place:
        os.truncate(path, 1_000_000)
        with pytest.raises(ValueError, match="the archive is cut off"):
            place.file("1.npy").read_bytes()


@zip_and_tar
def test_what_begins_like_an_archive(tmp_path: Path, pack: Pack) -> None:
    content = pack(tmp_path / "a", {"1.png": png(1)}).read_bytes()
    rng = np.random.default_rng(0)
    for start in (4, 40, 80):
        (tmp_path / "a").write_bytes(content[:start] + rng.bytes(2000))
        message(tmp_path / "a")


def test_an_archive_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a", {"1.png": png(1)})

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "which can't be read (Permission denied)" in message(path)


# --- what is too large, or locked, or something else ---


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a", {"1.png": png(1), "2.png": png(2)})
    content = bytearray(path.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert message(path) == (
        f"dataset.root is {path}, where 1 of 2 files are encrypted, 2.png for one; pack them again without a password."
    )


def test_a_part_of_an_archive_is_refused(tmp_path: Path) -> None:
    """Its offsets are those in other files, where other entries may begin."""
    path = zipped(tmp_path / "a", {"1.png": png(1)})
    content = bytearray(path.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 34] = 1
    path.write_bytes(content)
    assert "which is the last part of an archive; `zip -s 0 FILE --out WHOLE` joins all." in message(path)


@pytest.mark.parametrize("pack", [zipped, PACKERS["tar.gz"]], ids=["zip", "tar.gz"])
def test_what_swells_is_no_picture(tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGE", 1 << 20)
    path = pack(tmp_path / "a", {"1.png": png(1), "2.png": bytes(3 << 20), "3": bytes(3 << 20)})
    assert "1 of 2 pictures cannot be read: 2.png (it unpacks to 3 MiB, more than 100 times its packed size)" in (
        message(path)
    )
    assert found(path)[1] == {"unreadable": ["3"]}


@packings
def test_pillows_limit_is_that_of_folders(tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "a", {"1.png": png(1), "bomb.png": encoded(np.zeros((40, 40), np.uint8))})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert "bomb.png (Image size (1600 pixels) exceeds limit" in message(path)


def test_a_compressed_tar_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MOST_IN_MEMORY", 5000)
    for mode, command in (("gz", "gunzip"), ("bz2", "bunzip2"), ("xz", "unxz")):
        path = tarred(tmp_path / f"a.{mode}", CATS_AND_DOGS, f"w:{mode}")
        assert f"{command} makes a .tar of it, of any size." in message(path)


def test_what_is_compressed_and_no_tar(tmp_path: Path) -> None:
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        (tmp_path / "a").write_bytes(compress(png(1) * 100))
        assert "which is compressed, but no .tar; expected a folder of pictures" in message(tmp_path / "a")


def test_files_that_are_archives_and_no_folders_of_pictures(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.zeros((2, 4, 4)))
    np.save(tmp_path / "a.npy", np.zeros((2, 4, 4)))
    torch.save(torch.zeros(2, 4, 4), tmp_path / "a.pt")
    for name in ("a.npz", "a.npy", "a.pt"):
        assert "dataset=array trains on" in message(tmp_path / name)
    path = zipped(tmp_path / "a.docx", {"[Content_Types].xml": b"", "word/media/1.png": png(1)})
    assert "which is an Office document; expected a folder of pictures" in message(path)
    (tmp_path / "a").write_bytes(b"7z\xbc\xaf'\x1c" + bytes(600))
    assert "which is a 7z archive; expected a folder of pictures, or a .zip or .tar of one." in message(tmp_path / "a")


def test_zeros_that_are_not_compressed_are_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGE", 1 << 10)
    path = tarred(tmp_path / "a", {"1.npy": npy(np.zeros((100, 100)))})
    assert len(ImageFolder(str(path), 4, 1, range=(0, 1)).load().samples) == 1


def test_a_zip_of_arrays_is_a_folder_of_arrays(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"1.npy": npy(np.full((4, 4), 7, np.uint8)), "notes/data.pkl": b""})
    assert ImageFolder(str(path), 4, 1).load().samples.unique().tolist() == [7]


def test_a_zip_behind_a_program_that_unpacks_it(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a", {"1.png": png(1)})
    path.write_bytes(b"#!/bin/sh\nexec unzip $0\n" + path.read_bytes())
    assert names(path) == ["1.png"]


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"x.png": png(1)}).read_bytes()
    path = tarred(tmp_path / "a", {"1.png": png(1), "inner.zip": inner})
    assert found(path) == (["1.png"], {"that are packed themselves": ["inner.zip"]})


def test_a_misspelt_archive_suggests_its_neighbour(tmp_path: Path) -> None:
    zipped(tmp_path / "pictures.zip", {"1.png": png(1)})
    assert message(tmp_path / "picture.zip").endswith(f"Did you mean {tmp_path}/pictures.zip?")
