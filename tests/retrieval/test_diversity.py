"""Maximal marginal relevance, held against LangChain's own function."""

import numpy as np
import pytest

from bge_components.retrieval.diversity import most_diverse
from bge_components.vectors import normalized

langchain = pytest.importorskip("langchain_core.vectorstores.utils")


@pytest.mark.parametrize("lambda_mult", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_it_chooses_what_langchain_chooses(lambda_mult):
    random = np.random.default_rng(1)
    query, vectors = normalized(random.normal(size=(1, 8))), normalized(random.normal(size=(30, 8)))
    expected = langchain.maximal_marginal_relevance(query[0], list(vectors), lambda_mult=lambda_mult, k=7)
    assert most_diverse(vectors @ query[0], vectors, lambda_mult, 7) == expected


def test_one_is_relevance_alone_and_twins_come_together():
    vectors = normalized(np.array([[1, 0], [1, 0], [0.6, 0.8]], dtype=np.float32))
    relevance = np.array([1.0, 1.0, 0.6], dtype=np.float32)
    assert most_diverse(relevance, vectors, 1.0, 3) == [0, 1, 2]
    assert most_diverse(relevance, vectors, 0.3, 2) == [0, 2]


def test_it_gives_no_more_than_there_are():
    vectors = np.eye(2, dtype=np.float32)
    assert sorted(most_diverse(np.ones(2, np.float32), vectors, 0.5, 10)) == [0, 1]
    assert most_diverse(np.zeros(0, np.float32), np.zeros((0, 2), np.float32), 0.5, 3) == []
