"""A process that decodes pictures for another one, and both ends of what they say to each other.

It isn't forked, as the other may have threads, and none of multiprocessing's, which would run the user's own script
once more. Nothing is pickled.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile

from gan_lightning.data import decoding
from gan_lightning.data.decoding import Decoded, Form, fault
from gan_lightning.data.picture_cache import Corrupt, Pixels
from gan_lightning.data.places import OnDisk, PictureFile, Place

_log = logging.getLogger(__name__)

Results = list[Decoded | Corrupt]
Decoder = Callable[[Sequence[str]], Results]  # of pictures, by their names

# What the process runs. It is told first where modules are, which the other may know by more than its environment.
PROGRAM = (
    f"import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); from {__name__} import serve; serve()"
)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PIPE = 1 << 18  # bytes


@contextmanager
def process_that_decodes(root: Place, form: Form) -> Iterator[Decoder]:
    """Has a process decode until the block ends; where there can't be one, or it ends early, the thread that asks.

    It ends with this process too, however that ends.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | ONE_THREAD,
            pipesize=PIPE,
            process_group=0,  # Ctrl-C is for this process alone
        )
    except OSError:  # no memory for it, or too many processes
        yield partial(decode_here, root, form)
        return
    try:
        yield Asking(process, root, form)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # of what it has not read
                assert pipe is not None
                pipe.close()


def decode_here(root: Place, form: Form, names: Sequence[str]) -> Results:
    """A result for each of the named pictures, by the thread that asks."""
    return [_attempt(name, root.file(name), form) for name in names]


def _attempt(name: str, file: PictureFile, form: Form) -> Decoded | Corrupt:
    try:
        return decoding.decode(file, form)
    except Exception as error:  # Pillow's readers raise almost anything on a broken file
        return Corrupt(name, fault(error))


class Asking:
    """Has a process decode the named pictures.

    It is sent a line for each picture, behind it the contents of its files where these are in an archive, and an empty
    line, upon which it sends a line with what is known of them all, and behind it their pixels.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", root: Place, form: Form) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.root, self.form, self.is_over = process, root, form, False
        self.questions, self.answers = process.stdin, process.stdout
        settings = [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES]  # which the user's own script may set
        self.first = _line([path for path in sys.path if isinstance(path, str)]) + _line([*settings, asdict(form)])

    def __call__(self, names: Sequence[str]) -> Results:
        if not self.is_over:
            try:
                return self._asked(names)
            except (OSError, EOFError, ValueError):  # it may have been killed for the memory that it took
                self.is_over = True
                _log.warning("A process that decoded pictures has ended early; its pictures are decoded without it.")
        return decode_here(self.root, self.form, names)

    def _asked(self, names: Sequence[str]) -> Results:
        results: dict[str, Decoded | Corrupt | None] = dict.fromkeys(names)
        self.questions.write(self.first)
        self.first = b""
        for name in names:
            file = self.root.file(name)
            if isinstance(file, OnDisk):
                self.questions.write(_line([name, file.path, None]))
                continue
            try:
                contents = _contents(file, self.form)
            except Exception:  # whichever, one function has the words for it
                results[name] = _attempt(name, file, self.form)
                continue
            self.questions.write(_line([name, file.name, [[each, len(content)] for each, content in contents.items()]]))
            self.questions.writelines(contents.values())
        self.questions.write(b"\n")
        self.questions.flush()
        told = json.loads(self.answers.readline())
        rows = iter(self._pixels(sum(not isinstance(known, str) for _, known in told)))
        for name, known in told:
            results[name] = Corrupt(name, known) if isinstance(known, str) else Decoded(next(rows), *known)
        return [each for each in results.values() if each is not None]

    def _pixels(self, count: int) -> Pixels:
        """Those of so many pictures, (count, C, H, W). Raises EOFError where they end too early."""
        shape = (count, *self.form.shape)
        pixels: Pixels = np.empty(shape, np.float32) if self.form.deep else np.empty(shape, np.uint8)
        # typeshed's IO has no readinto, which buffered pipes have.
        if count and self.answers.readinto(pixels.data.cast("B")) < pixels.nbytes:  # type: ignore[attr-defined]
            raise EOFError
        return pixels


def serve() -> None:
    """What the process does, until nobody has the other end of its pipe any more."""
    questions = sys.stdin.buffer
    with suppress(BrokenPipeError), os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what libraries print is none
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, told = json.loads(questions.readline())
        form = Form(**told | {"stack": tuple(told["stack"])})
        results: Results = []
        names: list[str] = []
        while line := questions.readline():
            if line == b"\n":
                _answer(answers, names, results)
                results, names = [], []
            else:
                name, own, sizes = json.loads(line)
                file = OnDisk(own) if sizes is None else Held(own, {each: questions.read(size) for each, size in sizes})
                names.append(name)
                results.append(_attempt(name, file, form))


def _answer(answers: IO[bytes], names: Sequence[str], results: Results) -> None:
    told = [each.reason if isinstance(each, Corrupt) else each[1:] for each in results]
    rows = [each.pixels for each in results if isinstance(each, Decoded)]
    answers.write(_line(list(zip(names, told, strict=True))) + b"".join(row.tobytes() for row in rows))
    answers.flush()


class Held(NamedTuple):
    """A picture's file that has been read, or the files of its stack: contents by names."""

    name: str
    contents: Mapping[str, bytes]

    def read_bytes(self) -> bytes:
        return self.contents[self.name]

    def with_name(self, name: str) -> "Held":
        return Held(name, self.contents)


def _contents(file: PictureFile, form: Form) -> dict[str, bytes]:
    """Those of a picture's files, by their names. Raises almost anything."""
    files = [file.with_name(file.name + ending) for ending in form.stack] or [file]
    return {each.name: each.read_bytes() for each in files}


def _line(told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"
