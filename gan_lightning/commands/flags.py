"""Hydra's flags, and Hydra itself: whatever it objects to before a job has begun is said in one paragraph."""

import traceback
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

from hydra._internal import utils

from gan_lightning.errors import RunFailed, UserError, reason

SHELLS = ("install", "uninstall", "query")


def read_flags(arguments: Sequence[str]) -> Namespace:
    """Hydra's flags of a command line, and the overrides. Raises UserError for what Hydra would not do with them."""
    parser = utils.get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]  # it would print several lines and end the process
    flags = parser.parse_intermixed_args(list(arguments))
    asked = [
        name
        for name, given in {
            "--run": flags.run,
            "--multirun": flags.multirun,
            "--cfg": flags.cfg,
            "--info": flags.info,
            "--shell-completion": flags.shell_completion,
        }.items()
        if given
    ]
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)} can't be asked for at once; one at a time.")
    if flags.resolve and not flags.cfg:
        raise UserError("--resolve says how --cfg shows a configuration; add --cfg job.")
    if flags.package and not flags.cfg:
        raise UserError(f"--package {flags.package} says what --cfg shows of a configuration; add --cfg job.")
    if flags.shell_completion:
        chosen = [text.partition("=")[0] for text in flags.overrides]
        if len(chosen) != 1 or chosen[0] not in SHELLS:
            raise UserError("--shell-completion takes one of install=SHELL, uninstall=SHELL and query=SHELL.")
    return flags


def refuse(message: str) -> NoReturn:
    raise UserError(f"The command line can't be read: {message}; --help shows what there is.")


@contextmanager
def hydra_in_a_paragraph() -> Iterator[None]:
    """Raises UserError for what Hydra objects to in the block; errors of a job are reported as Hydra does."""
    report = utils.run_and_report
    utils.run_and_report = called
    try:
        yield
    except (UserError, RunFailed):
        raise
    except Exception as error:
        if not of_a_job(error):
            raise UserError(f"The command line can't be carried out: {reason(error)}.") from error
        report(partial(throw, error))
    finally:
        utils.run_and_report = report


def of_a_job(error: Exception) -> bool:
    """Whether a job has begun: its error is handed over by Hydra's record of the job, or by its launcher."""
    names = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
    return bool(names & {"return_value", "launch"})


def called(func: Any) -> Any:
    """In place of Hydra's own, which prints what is raised and ends the process."""
    return func()


def throw(error: Exception) -> NoReturn:
    raise error
