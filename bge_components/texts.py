"""What may come in as text, checked before any work is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .errors import InputError, InputTypeError

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def checked_texts(texts: Iterable[Any], what: str = "texts") -> list[str]:
    """Give the texts as a list of strings that every tokeniser accepts.

    Empty strings, white space and NUL stay as they are. A lone surrogate (half of a UTF-16 pair, which
    cannot be written as UTF-8) becomes U+FFFD.

    Args:
        texts: The caller's texts; a list, tuple or any iterable, but not a single string.
        what: What the argument is called, for messages.

    Raises:
        InputTypeError: If `texts` is a string, is no iterable, or holds something that is no string;
            the message names the place.
    """
    if isinstance(texts, (str, bytes)):
        raise InputTypeError(
            f"{what} must be a list of strings, got one {type(texts).__name__}: wrap it in a list"
        )
    try:
        items = list(texts)
    except TypeError as error:
        raise InputTypeError(f"{what} must be a list of strings, got {type(texts).__name__}") from error
    return [checked_text(text, f"{what}[{index}]") for index, text in enumerate(items)]


def checked_text(text: Any, what: str = "text") -> str:
    """Give one text as a string that every tokeniser accepts; see `checked_texts`."""
    if not isinstance(text, str):
        raise InputTypeError(f"{what} must be a string, got {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return str(text)


def checked_pairs(pairs: Iterable[Any]) -> list[tuple[str, str]]:
    """Give (query, text) pairs as tuples of strings.

    Raises:
        InputTypeError: If `pairs` is no list of any kind, an item is no pair, or a side of it is no string; the
            message names the place.
    """
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise InputTypeError(f"pairs must be a list of (query, text) tuples, got {type(pairs).__name__}")
    return [_checked_pair(pair, index) for index, pair in enumerate(pairs)]


def checked_top_n(top_n: Any) -> int | None:
    """Give `top_n` as None (keep all) or a number of at least 0.

    Raises:
        InputTypeError: If it is neither None nor an integer.
        InputError: If it is negative.
    """
    if top_n is None:
        return None
    if isinstance(top_n, bool) or not isinstance(top_n, int):
        raise InputTypeError(f"top_n must be an integer or None, got {type(top_n).__name__}")
    if top_n < 0:
        raise InputError(f"top_n must be 0 or more, or None to keep all; got {top_n}")
    return top_n


def _checked_pair(pair: Any, index: int) -> tuple[str, str]:
    if isinstance(pair, (str, bytes)) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise InputTypeError(f"pairs[{index}] must be a (query, text) tuple, got {type(pair).__name__}")
    return checked_text(pair[0], f"pairs[{index}][0]"), checked_text(pair[1], f"pairs[{index}][1]")
