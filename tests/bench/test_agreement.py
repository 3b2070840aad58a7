from __future__ import annotations

import numpy as np
import pytest

from bge_components.bench.agreement import cosine_between_texts, lowest_cosine, nearest_score


def test_the_lowest_cosine_is_that_of_the_worst_row_whatever_the_lengths() -> None:
    reference = np.array([[1, 0], [0, 1]], dtype=np.float32)
    assert lowest_cosine(np.array([[2, 0], [3, 3]], dtype=np.float32), reference) == pytest.approx(0.5**0.5)


def test_scores_are_as_near_as_their_worst_pair() -> None:
    assert nearest_score(np.float32([0.5, 0.9]), np.float32([0.5, 0.7])) == pytest.approx(0.8)


def test_vectors_of_different_texts_are_compared_without_themselves() -> None:
    assert cosine_between_texts(np.eye(4, dtype=np.float32)) == pytest.approx(0.0)
    assert cosine_between_texts(np.ones((4, 2), dtype=np.float32)) == pytest.approx(1.0)
