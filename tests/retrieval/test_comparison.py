from __future__ import annotations

import numpy as np

from bge_components.retrieval.comparison import compared
from bge_components.retrieval.contracts import ChannelKind
from support.engines import sparse_row


def test_nothing_to_compare_with_gives_no_number() -> None:
    query = np.ones(2, np.float32)
    assert compared(ChannelKind.DENSE, query, []).shape == (0,)
    assert np.isnan(compared(ChannelKind.DENSE, query, [None, None])).tolist() == [True, True]


def test_dense_vectors_are_compared_by_dot_product() -> None:
    scores = compared(ChannelKind.DENSE, np.array([1, 2], np.float32), [np.array([3, 4], np.float32), None])
    np.testing.assert_array_equal(scores, np.array([11, np.nan], np.float32))


def test_sparse_rows_are_compared_by_the_ids_they_share() -> None:
    query = sparse_row({1: 2.0, 5: 3.0})
    rows = [sparse_row({5: 2.0, 9: 1.0}), None, sparse_row({2: 1.0}), sparse_row({1: 1.0, 5: 1.0})]
    scores = compared(ChannelKind.SPARSE, query, rows)
    np.testing.assert_array_equal(scores, np.array([6, 0, 0, 5], np.float32))
    assert compared(ChannelKind.SPARSE, sparse_row({}), rows[:1]).tolist() == [0.0]


def test_token_vectors_are_compared_by_the_mean_of_the_best() -> None:
    query = np.array([[1, 0], [0, 1]], np.float32)
    documents = [np.array([[1, 0], [0.5, 0.5]], np.float32), None, np.array([[-1, 0]], np.float32)]
    scores = compared(ChannelKind.MULTI, query, documents)
    np.testing.assert_array_equal(scores, np.array([0.75, np.nan, -0.5], np.float32))
