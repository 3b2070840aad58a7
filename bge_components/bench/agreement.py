"""How near the numbers of a system are to those of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..vectors import Float32


def lowest_cosine(vectors: Float32, reference: Float32) -> float:
    """Give the lowest cosine of a row to the same row of the reference, both of shape (texts, dim)."""
    return float(np.einsum("nd,nd->n", _unit(vectors), _unit(reference)).min())


def nearest_score(scores: Float32, reference: Float32) -> float:
    """Give 1 minus the largest difference between scores from 0 to 1, both of shape (texts,)."""
    return 1.0 - float(np.abs(np.asarray(scores, np.float64) - np.asarray(reference, np.float64)).max())


def cosine_between_texts(vectors: Float32) -> float:
    """Give the mean cosine of different rows: near 1 the vectors are all alike, and any cosine is high."""
    if len(vectors) < 2:
        return 1.0
    total = _unit(vectors).sum(0)
    count = len(vectors)
    return float((total @ total - count) / (count * (count - 1)))


def _unit(vectors: Float32) -> np.ndarray[Any, np.dtype[np.float64]]:
    rows = np.asarray(vectors, np.float64)
    unit: np.ndarray[Any, np.dtype[np.float64]] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
