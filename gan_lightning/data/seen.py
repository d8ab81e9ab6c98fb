"""What a run has seen of data that may be others when it goes on."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Literal

from gan_lightning.errors import UserError, printable
from gan_lightning.files import parse_json

_log = logging.getLogger(__name__)

Changed = Literal["refuse", "accept"]
MOST_LISTED = 1000  # names; each entry of a list counts among those that a configuration may have


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


def kept(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as a configuration keeps them: names as one text if some read as interpolations, or if there are many."""
    return {key: as_text(value) if _is_no_list(value) else value for key, value in facts.items()}


def _is_no_list(value: Any) -> bool:
    names = value.get("names", []) if isinstance(value, Mapping) else value
    return isinstance(names, list) and (len(names) > MOST_LISTED or any("${" in str(name) for name in names))


def as_text(value: Any) -> str:
    """Plain containers as JSON in which no name reads as an interpolation."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("$", "\\u0024")


def from_text(value: Any) -> Any:
    """What `as_text` was given; what is no text is as it is. Raises ValueError for other texts."""
    return parse_json(value) if isinstance(value, str) else value


def known_classes(seen: Mapping[str, Any] | None) -> list[str]:
    """The classes that a run has seen. Raises ValueError if they are none."""
    classes = from_text((seen or {}).get("classes", []))
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("the classes are no list of names")
    return classes
