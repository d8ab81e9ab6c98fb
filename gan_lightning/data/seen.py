"""What a run has seen of data that may be others when it goes on."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

from gan_lightning.errors import UserError, printable

_log = logging.getLogger(__name__)

Changed = Literal["refuse", "accept"]


def compare(root: object, what: str, seen: Mapping[str, Any], facts: Mapping[str, Any], changed: Changed) -> None:
    """Raises UserError, or warns, if the data are not those that a run has seen before, by their `digest`.

    `what` they are, such as pictures, is also the key of their number.
    """
    if "digest" not in seen or seen["digest"] == facts["digest"]:
        return
    then, now = seen.get(what), facts[what]
    how = f"{then} then, {now} now" if then != now else f"{now} as then, but others or under other names"
    told = f"dataset.root is {root}, where the {what} are not those that the run has seen before ({how})"
    if changed == "refuse":
        raise UserError(f"{told}; dataset.changed=accept goes on with these.")
    _log.warning("%s", printable(f"{told}; they are accepted."))
