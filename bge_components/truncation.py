"""What happens to texts longer than a checkpoint takes: how long they may be, and who hears of a cut."""

from __future__ import annotations

import sys
import warnings

from .contracts import OnTruncation
from .errors import InputError, TextTooLongError

_PACKAGE = __name__.rpartition(".")[0] + "."


class TextCutWarning(UserWarning):
    """Texts were cut to the length that the checkpoint takes."""


def checked_on_truncation(value: str) -> None:
    """Refuse anything but the three policies.

    Raises:
        InputError: If it is none of "warn", "error", "ignore".
    """
    if value not in ("warn", "error", "ignore"):
        raise InputError(f"on_truncation must be 'warn', 'error' or 'ignore', got {value!r}")


def length_limit(asked: int | None, recommended: int, most: int, name: str) -> int:
    """Give the number of tokens a text may have.

    Args:
        asked: What the caller set, or None.
        recommended: What the catalogue recommends.
        most: What the network takes.
        name: The checkpoint, for the message.

    Raises:
        InputError: If more was asked for than the network takes.
    """
    if asked is None:
        return min(recommended, most)
    if asked > most:
        raise InputError(f"max_tokens={asked} was asked for, but {name} takes at most {most} tokens")
    return asked


def report_cuts(count: int, total: int, max_tokens: int, on_truncation: OnTruncation) -> None:
    """Warn of cut texts, refuse them, or say nothing.

    Raises:
        TextTooLongError: If there are any and `on_truncation` is "error".
    """
    if not count or on_truncation == "ignore":
        return
    message = f"{count} of {total} texts have more than {max_tokens} tokens"
    if on_truncation == "error":
        raise TextTooLongError(
            f"{message}: split them, allow more with max_tokens, or accept the cut with on_truncation='warn'"
        )
    warnings.warn(
        f"{message} and were cut: what follows is not seen. Split them, allow more with max_tokens, "
        "or silence this with on_truncation='ignore'",
        TextCutWarning,
        stacklevel=_level_of_the_caller(),
    )


def _level_of_the_caller() -> int:
    """Give the `stacklevel` of the first frame outside this package; for awaited calls there is none."""
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return level
