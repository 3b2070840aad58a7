"""Where a text may be cut: between words, after punctuation, else between tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..contracts import Int32

_TOKEN, _LETTER, _MARK, _WORD = 1, 2, 3, 4
_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)


class Borders:
    """The places between two characters of a text, each with how good a cut there is.

    Best before a word that follows white space, then behind punctuation, then between two tokens where no accent,
    joiner or other mark is torn from its letter, then between any two tokens. Never within what the tokeniser
    cannot tell apart.
    """

    def __init__(self, text: str, spans: Int32) -> None:
        """Look at a text.

        Args:
            text: The text.
            spans: Of its tokens, as `TextTokenizer.encode_spans` gives them.
        """
        self._length = len(text)
        inside = spans[(spans[:, 0] >= 0) & (spans[:, 0] < len(text))]
        self._starts = inside[:, 0]
        self._space = _which(text, str.isspace)
        self._grades = self._graded(text, inside)

    def furthest(self, start: int, tokens: int) -> int:
        """Give the last place that leaves at most so many tokens behind `start`."""
        first_beyond = int(np.searchsorted(self._starts, start)) + tokens
        return int(self._starts[first_beyond]) if first_beyond < len(self._starts) else self._length

    def before(self, start: int, tokens: int, place: int) -> int:
        """Give the place that leaves some `tokens` between it and `place`, but is behind `start`."""
        index = int(np.searchsorted(self._starts, place)) - tokens
        return max(start + 1, int(self._starts[max(0, index)])) if tokens else place

    def last_good(self, start: int, stop: int) -> int:
        """Give the last of the best places behind `start` and up to `stop`, from the second half if it has any.

        Where there is none at all, the next one behind `stop` is given: what lies between cannot be cut.
        """
        if stop >= self._length:
            return self._length
        for low in (start + (stop - start) // 2, start):
            grades = self._grades[low + 1 : stop + 1]
            if grades.max(initial=0) >= _LETTER:
                return low + 1 + int(np.flatnonzero(grades == grades.max())[-1])
        anywhere = np.flatnonzero(self._grades[start + 1 : stop + 1])
        return start + 1 + int(anywhere[-1]) if len(anywhere) else self._next(max(start, stop))

    def first_good(self, start: int, stop: int) -> int:
        """Give the first of the best places from `start` on; `stop` where there is none before it."""
        grades = self._grades[start:stop]
        best = grades.max(initial=0)
        return start + int(np.flatnonzero(grades == best)[0]) if best >= _LETTER else stop

    def without_space(self, start: int, stop: int) -> int:
        """Give the place where white space before `stop` begins; `stop` where there is nothing else."""
        words = np.flatnonzero(~self._space[start:stop])
        return start + int(words[-1]) + 1 if len(words) and stop < self._length else stop

    def _next(self, place: int) -> int:
        found = np.flatnonzero(self._grades[place + 1 :])
        return place + 1 + int(found[0]) if len(found) else self._length

    def _graded(self, text: str, inside: Int32) -> NDArray[np.uint8]:
        grades = np.zeros(len(text) + 1, dtype=np.uint8)
        behind = np.concatenate(([0], inside[:-1, 1]))  # where the token before ends
        grades[inside[inside[:, 0] >= behind[: len(inside)], 0]] = _TOKEN
        here, before = slice(1, len(text)), slice(0, len(text) - 1)
        whole = ~_which(text, _clings)[here] & ~_which(text, _joins)[before]
        marks = _which(text, _punctuates)
        grades[here][whole & (grades[here] > 0)] = _LETTER
        grades[here][(grades[here] == _LETTER) & marks[before] & ~marks[here]] = _MARK
        grades[here][whole & self._space[before] & ~self._space[here]] = _WORD
        return grades


def _which(text: str, holds: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Say for each character whether something holds of it, asking once for each distinct one."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    distinct, places = np.unique(codes, return_inverse=True)
    answers = np.array([holds(chr(code)) for code in distinct.tolist()], dtype=np.bool_)
    return answers[places] if len(text) else np.zeros(0, dtype=np.bool_)


def _clings(character: str) -> bool:
    """Say whether a character belongs to the one before it."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or ord(character) in _SKIN_TONES


def _joins(character: str) -> bool:
    return character == _JOINER


def _punctuates(character: str) -> bool:
    return unicodedata.category(character).startswith("P")
