"""Runs' folders: made unique, found again, and never written over."""

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_lightning import formats
from gan_lightning.config.containers import plain, without_hydra
from gan_lightning.config.mistakes import first_line
from gan_lightning.config.trust import as_saved, read_data
from gan_lightning.errors import UserError, WriteFailed, reason
from gan_lightning.files import replacing, write_failure
from gan_lightning.paths import typed, whole
from gan_lightning.processes import is_first_process, tasks, was_requeued
from gan_lightning.run_folder import CONFIG, HYDRAS, METRICS, RESULTS, SAMPLES, SAVED, last_saved, saved_config
from gan_lightning.runs.ownership import LOCK, disown, held, own
from gan_lightning.suggest import did_you_mean

# What makes a run the run it is; how long, where and how often it saves may differ.
IDENTITY = (
    *("dataset", "network", "conditioning", "loss", "regularizer", "heads", "latents", "ema", "seed"),
    *("init_from", "init_strict", "speed"),
)
ROOM = 1 << 18  # bytes
CIRCUMSTANCES = ("memory_gib", "iterations", "cache_dir", "cache_gib", "changed", "seen")  # of a data set
EVENTS = "events.out.tfevents*"
LEFT = ("train.log", ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml")  # by a run that didn't start
MOST_SHOWN = 80  # characters of a value


made: list[Path] = []  # the folders that this process has made, and that may turn out to be for nothing


def folder_named(config: DictConfig, key: str) -> str:
    """The folder that one of Hydra's own keys names. Raises UserError for none, and for what can't be resolved."""
    try:
        folder = OmegaConf.select(config, key)
    except OmegaConfBaseException as error:
        raise UserError(f"{key} can't be resolved: {first_line(error)}.") from error
    if not str(folder or "").strip():
        raise UserError(f"{key} is empty, as an unset shell variable is; name a folder, or . for this one.")
    return os.path.expanduser(str(folder))


def reserve(path: str, key: str = "hydra.run.dir") -> Path:
    """Makes a new folder of that name, or of that name with _2, _3, … where it is taken, also by a simultaneous run."""
    if not is_first_process():
        return Path(path)
    for folder in numbered(Path(path)):
        try:
            make_parents(folder)
            folder.mkdir()
            probe_room(folder)
        except FileExistsError:
            if not folder.parent.is_dir():
                raise UserError(f"{key} is {folder}, but {folder.parent} is a file, not a folder.") from None
        except OSError as error:
            with suppress(OSError):
                folder.rmdir()
            raise unwritable(folder, key, error) from error
        else:
            made.append(folder)
            return folder
    raise AssertionError("names have no end")


def make_parents(folder: Path) -> None:
    """Makes the folders that a folder is to lie in; they go with it if it turns out to be for nothing."""
    missing = [path for path in reversed(folder.parents) if not path.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    made.extend(missing)


def numbered(path: Path) -> Iterator[Path]:
    """A path, and with _2, _3, … at its end."""
    yield path
    yield from (path.with_name(f"{path.name}_{number}") for number in itertools.count(2))


def place(config: DictConfig, wanted: str, named: bool) -> Path:
    """The folder for a run of a configuration, which belongs to this process from now on.

    That is `wanted` if the user has named it, or if several tasks of Slurm's must agree on it; in a job that was
    requeued the one that the job's run has; otherwise a new one. Raises UserError if it holds another run.
    """
    if named or tasks() > 1:
        folder = Path(wanted)
        if is_first_process():
            require_writable(folder, "hydra.run.dir")
    elif was_requeued() and (found := requeued(config, Path(wanted))):
        folder = found
    else:
        folder = reserve(wanted)
    if is_first_process():
        own(folder)
    goes_on(config, folder)
    return folder


def requeued(config: DictConfig, wanted: Path) -> Path | None:
    """The folder that this job's run of a configuration has had before the job was requeued, if there is one."""
    for folder in itertools.takewhile(Path.exists, numbered(wanted)):
        with suppress(UserError):
            if holds_run(folder) and difference(config, read_saved(folder)) is None:
                return folder
    return None


def holds_run(folder: Path) -> bool:
    """Whether a run has begun in a folder."""
    return any((folder / name).exists() for name in (CONFIG, SAVED, HYDRAS))


def goes_on(config: DictConfig, folder: Path) -> bool:
    """Whether a run of this configuration has been in its folder before, and has left a checkpoint to go on from.

    So the same command goes on where it was, whoever starts it again. Raises UserError if the folder holds another run.
    """
    if not holds_run(folder):
        return False
    if key := difference(config, read_saved(folder)):
        was, now = (shown(each, key) for each in (read_saved(folder), config))
        raise UserError(
            f"hydra.run.dir is {folder}, which holds another run: {key} is {was} there, and {now} here. Go on with that"
            f" one by {typed('resume', folder)}, or name another folder."
        )
    return last_saved(folder) is not None


def difference(config: DictConfig, saved: Any) -> str | None:
    """The first key in which what makes two runs differs; None for the same run. `saved` is what `read_saved` gives."""
    if not isinstance(saved, DictConfig):
        return IDENTITY[0]
    try:
        one, other = identity(config), identity(saved)
    except OmegaConfBaseException as error:
        raise UserError(f"A saved configuration can't be resolved ({reason(error)}).") from error
    return first_difference(one, other, "")


def first_difference(one: Any, other: Any, key: str, shared: bool = False) -> str | None:
    """The dotted key of the first leaf in which two containers differ; with `shared`, of those that both have."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in (*one, *(name for name in other if name not in one)):
            inner = f"{key}.{name}" if key else str(name)
            if name not in one or name not in other:
                if shared:
                    continue
                return inner
            if found := first_difference(one[name], other[name], inner, shared):
                return found
        return None
    return None if one == other else key


def shown(config: Any, key: str) -> str:
    """The value of a key, for a sentence."""
    value = OmegaConf.select(config, key, default="missing")
    text = str(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def start_over(folder: Path) -> None:
    """Takes away what a run has left that came to no checkpoint, so that its rows aren't there twice."""
    for path in (folder / METRICS, folder / RESULTS, *folder.glob(EVENTS), *(folder / SAMPLES).glob("*.png")):
        path.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Removes a folder that was made for a run that can't start; one that holds a run stays."""
    disown(folder)
    if holds_run(folder) or (folder / LOCK).exists() or not is_first_process():  # a run, or another owner
        return
    for name in LEFT:
        (folder / name).unlink(missing_ok=True)
    for path in (folder / HYDRAS.parent, folder):
        with suppress(OSError):  # something else is in it
            path.rmdir()


def let_go() -> None:
    """Gives back all folders that belong to this process, and discards those that it has made for nothing."""
    while made:
        discard(made.pop())
    while held:
        disown(next(iter(held)))


def require_writable(folder: Path, key: str) -> None:
    """Makes a folder and tries to write to it. Raises UserError, naming the key it comes from, if that fails."""
    try:
        make_parents(folder)
        is_new = not folder.exists()
        folder.mkdir(exist_ok=True)
        made.extend([folder] if is_new else [])
        probe_room(folder)
    except OSError as error:
        raise unwritable(folder, key, error) from error


def probe_room(folder: Path) -> None:
    """Writes as much as the smallest run's first files take. Raises OSError if that fails, and leaves nothing."""
    probe = folder / ".writable"
    try:
        probe.write_bytes(bytes(ROOM))
    finally:
        probe.unlink(missing_ok=True)


def unwritable(folder: Path, key: str, error: OSError) -> UserError | WriteFailed:
    """What to tell where a run's folder can't be made or written to, by its own fault or the disk's."""
    failure = write_failure(error, folder)
    if failure is not None and error.errno != errno.EROFS:
        return failure
    return UserError(
        f"{key} is {folder}, where no run can be written ({error.strerror}); name a folder that you may write to."
    )


def require_resumable(folder: Path) -> None:
    """Raises UserError unless the folder holds a run with a config."""
    if os.path.isfile(saved_config(folder)):
        return
    if os.path.exists(folder):
        elder = (
            f" One of an earlier version has {HYDRAS} instead, which copies without hidden files leave behind."
            if (folder / CONFIG).exists()
            else ""
        )
        raise UserError(f"resume is {folder}, which holds no run to go on with: {folder / SAVED} is missing.{elder}")
    siblings = [str(path) for path in folder.parent.glob("*/")] if folder.parent.is_dir() else []
    raise UserError(f"resume is {folder}, which does not exist.{did_you_mean(str(folder), siblings)}")


def read_saved(run: Path) -> Any:
    """The config that a run was composed to, with the names of today and its interpolations as they were.

    Raises UserError for one that would do more than name parts (config/trust.py).
    """
    return OmegaConf.create(read_data(saved_config(run)))


@contextmanager
def brought_up_to_date(run: Path) -> Iterator[None]:
    """Rewrites the saved config of a run that an earlier format has written, so that Hydra can compose from it.

    It is as it was before if the block raises an error.
    """
    file = saved_config(run)
    today, before = as_saved(read_saved(run)), file.read_bytes()
    is_old = is_first_process() and today != as_saved(OmegaConf.load(file))
    if is_old:
        try:
            with replacing(file) as temporary:
                temporary.write_text(today, encoding="utf-8")
        except OSError as error:
            raise unwritable(run, "resume", error) from error
    try:
        yield
    except Exception:  # whichever: what was refused stays as it was
        if is_old:
            with replacing(file) as temporary:
                temporary.write_bytes(before)
        raise


def find_resumable(config: DictConfig, root: Path) -> Path | None:
    """The newest run below `root` with the same config, circumstances apart, that has a checkpoint."""
    wanted = identity(config)
    found = {file.parents[len(name.parts) - 1] for name in (SAVED, HYDRAS) for file in root.glob(f"**/{name}")}
    times = {run: last_saved(run) for run in found}
    runs = {run: time for run, time in times.items() if time is not None}
    for run in sorted(runs, key=lambda run: runs[run], reverse=True):
        try:
            saved = read_saved(run)
            if isinstance(saved, DictConfig) and identity(saved) == wanted:
                return run
        except Exception:  # damaged in whatever way, or some other program's: it is none to go on with
            continue
    return None


def identity(config: DictConfig | dict[str, Any], moved: bool = False) -> dict[str, Any]:
    """What makes a run the run it is, as plain containers, of a configuration or of a resolved one.

    With `moved`, where its data lie is left out.
    """
    # Resolved as a whole, since what makes a run takes values from elsewhere.
    resolved = plain(without_hydra(config)) if isinstance(config, DictConfig) else config
    kept: dict[str, Any] = formats.upgrade({name: resolved[name] for name in IDENTITY if name in resolved})
    if kept.get("init_from") is not None:
        kept["init_from"] = None if moved else str(whole(kept["init_from"]))
    data: dict[str, Any] = kept.get("dataset") or {}
    for node in (data, data.get("source"), data.get("held_out")):
        if not isinstance(node, dict):
            continue
        for name in (*CIRCUMSTANCES, "root", "labels") if moved else CIRCUMSTANCES:
            node.pop(name, None)
        if "root" in node:
            node["root"] = str(whole(node["root"]))
    return kept
