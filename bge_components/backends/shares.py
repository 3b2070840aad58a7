"""How the sequences of a batch are shared out among workers, so that all are done at about the same time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import NamedTuple, TypeVar

from .products import rows_of_products

T = TypeVar("T")
Share = Sequence[int]
"""Places of sequences in the batch; `even_shares` gives them ascending."""

_GOOD_ENOUGH = 1 / 64
"""A share that is larger than the mean by no more than this needs no better one to be looked for."""


class _Stretch(NamedTuple):
    """Neighbours that may make a share, where the better of two is the smaller tuple.

    Attributes:
        rows: Of products, for this share or for the others, whichever needs more; the others count as equal.
        tokens: The same in tokens.
        first: Place of the first sequence.
        end: Place behind the last.
    """

    rows: int
    tokens: int
    first: int
    end: int


def even_shares(lengths: Sequence[int], count: int) -> list[Share]:
    """Share sequences out so that products of the largest share have few rows, with near lengths together.

    One share after the other is a stretch of neighbours among those that are left, the longest first; the last share
    holds the others.

    Args:
        lengths: Tokens of each sequence, ascending.
        count: Number of shares, no more than there are sequences.
    """
    left, shares = list(range(len(lengths))), []
    for wanted in range(count, 1, -1):
        best = _best_stretch([lengths[place] for place in left], wanted)
        shares.append(left[best.first : best.end])
        left = left[: best.first] + left[best.end :]
    return [*shares, left]


def in_order(found: Sequence[tuple[Share, Sequence[T]]]) -> list[T]:
    """Give what was found for each sequence of each share, in the order of the batch: every place is in one."""
    of_places = dict(chain.from_iterable(zip(share, results) for share, results in found))
    return [of_places[place] for place in range(len(of_places))]


def _best_stretch(lengths: Sequence[int], shares: int) -> _Stretch:
    mean = sum(lengths) / shares
    fewest = rows_of_products(-(-sum(lengths) // shares))
    best: _Stretch | None = None
    for stretch in _stretches(lengths, shares):
        best = min(best or stretch, stretch)
        if best.rows <= fewest and best.tokens <= (1 + _GOOD_ENOUGH) * mean:
            break
    assert best is not None
    return best


def _stretches(lengths: Sequence[int], shares: int) -> Iterator[_Stretch]:
    """Give the two stretches from each sequence on that are nearest to a share's tokens, the longest first.

    Each leaves a sequence at least for every other share.
    """
    starts, others = [0, *accumulate(lengths)], shares - 1
    total, most = starts[-1], len(lengths) - others
    for first in reversed(range(len(lengths))):
        near = bisect_left(starts, starts[first] + total / shares)
        for end in (near - 1, near):
            if first < end <= min(first + most, len(lengths)):
                own = starts[end] - starts[first]
                tokens = max(own, -(-(total - own) // others))
                yield _Stretch(rows_of_products(tokens), tokens, first, end)
