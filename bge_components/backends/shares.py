"""How the sequences of a batch are shared out among workers, so that all are done at about the same time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from .packing import usual_rows

Share = Sequence[int]
"""Places of the sequences in the batch, ascending."""


def even_shares(lengths: Sequence[int], count: int) -> list[Share]:
    """Share sequences out so that the largest share needs as few rows as can be, with near lengths together.

    Each share but the last is a stretch of neighbours among those that are left; the last holds the others.

    Args:
        lengths: Tokens of each sequence, ascending.
        count: Number of shares, no more than there are sequences.
    """
    left, found = list(range(len(lengths))), []
    for shares in range(count, 1, -1):
        first, end = _stretch([lengths[place] for place in left], shares)
        found.append(left[first:end])
        left = left[:first] + left[end:]
    return [*found, left]


def _stretch(lengths: Sequence[int], shares: int) -> tuple[int, int]:
    """Choose the neighbours that are best taken as one of so many shares: first of them, and end."""
    fewest = usual_rows(-(-sum(lengths) // shares))
    best: tuple[int, int, int] | None = None
    for found in _stretches(lengths, shares):
        best = min(best or found, found)
        if best[0] <= fewest:
            break
    assert best is not None
    return best[1:]


def _stretches(lengths: Sequence[int], shares: int) -> Iterator[tuple[int, int, int]]:
    """Give stretches of about a share's tokens: rows that the largest share will need, first sequence and end."""
    starts, others = [0, *accumulate(lengths)], shares - 1
    total, most = starts[-1], len(lengths) - others
    for first in range(len(lengths)):
        near = bisect_left(starts, starts[first] + total / shares)
        for end in {near - 1, near}:
            if first < end <= min(first + most, len(lengths)):
                tokens = starts[end] - starts[first]
                yield max(usual_rows(tokens), usual_rows(-(-(total - tokens) // others))), first, end
