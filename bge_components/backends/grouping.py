"""Which sequences of a packed row attend together, each made as long as the longest of its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .rounding import rounded_up

_WORTH_SCORES = 1024
"""A group less saves steps that take as long as computing some such number of scores for each head."""
_MOST_BETWEEN = 8
"""Beyond this there is no usual number of sequences between two powers of two."""


@dataclass(frozen=True)
class Group:
    """Neighbouring sequences of near lengths in a row that has been widened for them.

    Attributes:
        start: Place of its first token in the widened row.
        count: How many sequences, those put in included.
        length: Tokens of each, those put in included.
        real: 1 for a sequence's own tokens, 0 for those put in, all sequences once for every head: bf16, shape
            (heads x count, 1, length). None if all are real.
    """

    start: int
    count: int
    length: int
    real: Tensor | None

    @property
    def tokens(self) -> slice:
        """Where its tokens lie in the widened row."""
        return slice(self.start, self.start + self.count * self.length)


@dataclass(frozen=True)
class Grouping:
    """All sequences of a row in groups, in the order of the row.

    Attributes:
        groups: The groups.
        wide: Which token of the row stands at each place of the widened row: int64. Tokens put in are copies of their
            sequence's first one, sequences put in are copies of the group's last. None if nothing is put in: the
            widened row is the row.
        narrow: Where each token of the row stands in the widened row: int64, shape (tokens,); None like `wide`.
    """

    groups: tuple[Group, ...]
    wide: Tensor | None
    narrow: Tensor | None


def grouping(lengths: tuple[int, ...], heads: int) -> Grouping:
    """Form groups of sequences, given their lengths in the order of the row: best if near lengths are neighbours."""
    found = np.array(lengths, dtype=np.int64)
    groups, members, start = [], [], 0
    ends = _ends(lengths)
    for first, end in zip([0, *ends], ends):
        length = _next_length(int(found[first:end].max()))
        for count in _counts(end - first, length):
            # The last sequence stands in for those that are lacking.
            here = np.minimum(np.arange(first, first + count), end - 1)
            groups.append(Group(start, count, length, _real(found[here], length, heads)))
            members.append(here)
            start += count * length
            first += count
    if start == found.sum():
        return Grouping(tuple(groups), None, None)
    of_each = np.repeat([group.length for group in groups], [group.count for group in groups])
    wide, narrow = _places(found, np.concatenate(members), of_each)
    return Grouping(tuple(groups), torch.from_numpy(wide), torch.from_numpy(narrow))


def _next_length(tokens: int) -> int:
    """Round up, by less than a quarter from 32 on: oneDNN keeps a product for every size it has seen, 0.7 MB each."""
    step = 8 if tokens <= 64 else 16 if tokens <= 256 else 32 if tokens <= 2048 else 64
    return rounded_up(tokens, step)


def _counts(sequences: int, length: int) -> list[int]:
    """Cut so many sequences into usual numbers; the last one may be too large, where that costs few scores."""
    counts: list[int] = []
    while sequences > 0:
        below, above = _usual_counts(sequences)
        counts.append(above if (above - sequences) * length**2 <= _WORTH_SCORES else below)
        sequences -= counts[-1]
    return counts


def _usual_counts(sequences: int) -> tuple[int, int]:
    """Give the usual numbers nearest to one, from below and above: powers of two, and 3, 6 and 12."""
    power = 1 << (sequences.bit_length() - 1)
    between = (3 * power // 2,) if 2 <= power <= _MOST_BETWEEN else ()
    usual = (power, *between, 2 * power)
    return max(one for one in usual if one <= sequences), min(one for one in usual if one >= sequences)


def _ends(lengths: Sequence[int]) -> list[int]:
    """Give the end of each group: it grows while that costs fewer scores than another group would."""
    ends, first, longest = [], 0, lengths[0]
    for place, length in enumerate(lengths):
        widest = max(longest, length)
        extra = (place - first) * (widest**2 - longest**2) + widest**2 - length**2
        if extra > _WORTH_SCORES:
            ends.append(place)
            first, widest = place, length
        longest = widest
    return [*ends, len(lengths)]


def _real(own: NDArray[np.int64], length: int, heads: int) -> Tensor | None:
    if (own == length).all():
        return None
    real = np.arange(length) < own[:, None]  # (count, length)
    return torch.from_numpy(real).to(torch.bfloat16).repeat(heads, 1)[:, None]


def _places(
    lengths: NDArray[np.int64], members: NDArray[np.int64], longest: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the token at each place of the widened row, and the place of each token there.

    Args:
        lengths: Tokens of each sequence of the row.
        members: Which sequence each one of the widened row is; one that comes again is put in.
        longest: Tokens of each one of the widened row.
    """
    starts, wide_starts = np.cumsum(lengths) - lengths, np.cumsum(longest) - longest
    within = np.arange(longest.sum()) - np.repeat(wide_starts, longest)
    real = within < np.repeat(lengths[members], longest)
    wide = np.repeat(starts[members], longest) + np.where(real, within, 0)
    first_time = np.diff(members, prepend=-1) > 0
    return wide, np.flatnonzero(real & np.repeat(first_time, longest))
