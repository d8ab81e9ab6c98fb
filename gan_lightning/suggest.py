"""What the user probably meant: the nearest spelling among the names that exist."""

from collections.abc import Iterable
from difflib import SequenceMatcher

CUTOFF = 0.6  # difflib's own: less alike than this is another word, not a misspelling


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like `word`, or None if none is like it.

    Dotted keys are compared by their last part, so that a shared prefix makes no two keys alike and a key typed without
    its prefix is still found; how alike the prefixes are decides between equal names. Case does not count.
    """
    scored = [(_likeness(word.lower(), choice.lower()), choice) for choice in choices]
    score, choice = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return choice if score >= CUTOFF else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A sentence to append to a message, with its leading space, or nothing."""
    choice = nearest(word, choices)
    return f" Did you mean {choice}?" if choice is not None else ""


def _likeness(word: str, choice: str) -> float:
    prefix, _, name = word.rpartition(".")
    other_prefix, _, other_name = choice.rpartition(".")
    prefixes = SequenceMatcher(None, prefix, other_prefix).ratio()
    return SequenceMatcher(None, name, other_name).ratio() * (0.9 + 0.1 * prefixes)
