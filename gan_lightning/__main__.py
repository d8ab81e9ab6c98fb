"""`python -m gan_lightning [command] overrides…`; without a command, train."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from gan_lightning.collecting import uncollected
from gan_lightning.errors import RunFailed, UserError, enough_memory, paragraph
from gan_lightning.files import write_failure
from gan_lightning.processes import Stopped, is_first_process, stop_if_asked, stoppable

COMMANDS = ("train", "sample", "edit", "evaluate", "report", "cache", "new", "import", "export", "synthesize")
MODULES = {"import": "import_"}  # what can't be called as its command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status: 2 for what the user can mend, said in one paragraph."""
    try:
        with stoppable():
            try:
                return run(list(sys.argv[1:] if arguments is None else arguments))
            except Exception:  # of whichever kind: what a signal has torn fails in its own way
                stop_if_asked()
                raise
    except UserError as error:
        print(paragraph(error), file=sys.stderr)
        return 2
    except RunFailed as error:
        print(paragraph(error), file=sys.stderr)
        return 1
    except Stopped as stop:
        if is_first_process():
            print(stop, file=sys.stderr)
        return stop.status
    except BrokenPipeError:
        # Whoever read the output, `head` for one, has seen enough; nor shall Python complain when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if (failure := write_failure(error, Path.cwd())) is None:
            raise
        print(paragraph(failure), file=sys.stderr)
        return 1


def run(arguments: list[str]) -> int:
    """Runs a command and returns its exit status."""
    if "--version" in arguments:
        from gan_lightning import __version__

        print(f"gan_lightning {__version__}")
        return 0
    command = arguments.pop(0) if arguments and arguments[0].isidentifier() else "train"
    if command not in COMMANDS:
        from gan_lightning.suggest import did_you_mean

        raise UserError(
            f"There is no command {command!r}; there are {', '.join(COMMANDS)}."
            f"{did_you_mean(command, COMMANDS)} An override is written KEY=VALUE."
        )
    with uncollected():
        place = f"gan_lightning.commands.{MODULES.get(command, command)}"
        chosen: Callable[[list[str]], int] = import_module(place).main
    with enough_memory(f"What {command} is to do"):
        return chosen(arguments)


if __name__ == "__main__":
    sys.exit(main())
