from __future__ import annotations

import numpy as np
import pytest

from bge_components.backends.products import rows_of_products
from bge_components.backends.shares import even_shares, in_order


@pytest.mark.parametrize(
    ("count", "lengths", "expected"),
    [
        (2, [100] * 4, [[2, 3], [0, 1]]),
        (2, [100, 150, 200, 250], [[1, 2], [0, 3]]),  # a single cut would give 450 and 250
        (2, [40, 42, 52], [[0, 1], [2]]),
        (2, [5, 1000], [[0], [1]]),
        (3, [90, 100, 110, 190, 200, 210], [[2, 3], [1, 4], [0, 5]]),
        (3, [7, 8, 9], [[1], [0], [2]]),
        (4, [50] * 8, [[6, 7], [4, 5], [2, 3], [0, 1]]),
        (4, [10, 20, 30, 400], [[3], [2], [1], [0]]),
    ],
    ids=str,
)
def test_shares_are_even_and_hold_near_lengths(
    count: int, lengths: list[int], expected: list[list[int]]
) -> None:
    assert sorted(even_shares(lengths, count)) == sorted(expected)


def test_a_full_batch_of_short_texts_needs_no_more_than_half_of_its_rows() -> None:
    maker = np.random.default_rng(0)
    for _ in range(50):
        lengths = sorted(maker.integers(3, 30, size=200).tolist())
        while sum(lengths) > 2040:
            lengths.pop(int(maker.integers(len(lengths))))

        shares = even_shares(lengths, 2)

        assert max(sum(lengths[place] for place in share) for share in shares) <= 1024


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_single_cut_seldom_needs_fewer_rows(count: int) -> None:
    maker = np.random.default_rng(0)
    better = worse = 0
    for _ in range(300):
        lengths = sorted(maker.integers(3, 500, size=maker.integers(count, 60)).tolist())
        shares = even_shares(lengths, count)

        assert sorted(place for share in shares for place in share) == list(range(len(lengths)))
        assert all(list(share) == sorted(share) and len(share) for share in shares)
        needed = max(rows_of_products(sum(lengths[place] for place in share)) for share in shares)
        cut = max(rows_of_products(sum(part)) for part in cuts(lengths, count))
        better, worse = better + (needed < cut), worse + (needed > cut)
    assert better > 100
    assert worse <= (0 if count == 2 else 6)


def cuts(lengths: list[int], count: int) -> list[list[int]]:
    """Cut where the parts of so many come nearest to the same number of tokens."""
    ends = np.cumsum(lengths)
    places = [int(np.abs(ends - ends[-1] * part / count).argmin()) + 1 for part in range(1, count)]
    return [lengths[first:end] for first, end in zip([0, *places], [*places, len(lengths)])]


def test_results_come_in_the_order_of_the_batch() -> None:
    assert in_order([([1, 2], "bc"), ([0, 3], "ad")]) == list("abcd")
    assert in_order([(range(2), [7, 8])]) == [7, 8]
