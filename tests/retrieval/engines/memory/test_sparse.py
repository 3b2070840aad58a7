from __future__ import annotations

import numpy as np

from bge_components.retrieval.contracts import Channel, ChannelKind, SparseRow
from bge_components.retrieval.engines.memory.sparse import SparseColumn
from support.engines import sparse_row

CHANNEL = Channel(name="sparse", kind=ChannelKind.SPARSE)


def rows_of(count: int) -> list[SparseRow | None]:
    return [None if n % 7 == 0 else sparse_row({n % 3: 1.0, 5: 2.0, 100 + n: 3.0}) for n in range(count)]


def test_rows_added_one_by_one_are_found_as_if_added_at_once() -> None:
    rows = rows_of(60)
    slow, fast, alive = SparseColumn(CHANNEL), SparseColumn(CHANNEL), np.arange(60) % 5 > 0
    for row in rows:
        slow.append([row])
        slow.view()
    fast.append(rows)
    for query in (
        sparse_row({0: 1.0, 5: 0.5}),
        sparse_row({117: 1.0}),
        sparse_row({99: 1.0}),
        sparse_row({}),
    ):
        for one, other in zip(slow.view().candidates(query, alive), fast.view().candidates(query, alive)):
            np.testing.assert_array_equal(one, other)


def test_segments_stay_few_and_what_was_viewed_stays_as_it_was() -> None:
    column = SparseColumn(CHANNEL)
    column.append(rows_of(3))
    first = column.view()
    for row in rows_of(500):
        column.append([row])
        assert len(column.view().segments) <= 10
    assert len(first.segments) == 1
    assert (first.segments[0].start, first.segments[0].stop) == (0, 3)
    found, scores = first.candidates(sparse_row({5: 1.0}), np.ones(3, np.bool_))
    assert found.tolist() == [1, 2]
    assert scores.tolist() == [2.0, 2.0]


def test_segments_follow_each_other_without_a_gap() -> None:
    column = SparseColumn(CHANNEL)
    for count in (50, 1, 1, 20, 3, 90, 2):
        column.append(rows_of(count))
        segments = column.view().segments
        assert segments[0].start == 0
        assert [one.stop for one in segments[:-1]] == [other.start for other in segments[1:]]
    assert segments[-1].stop == 167
    assert column.view().segments == segments
