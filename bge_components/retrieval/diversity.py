"""Maximal marginal relevance: results that are near the query and far from one another."""

from __future__ import annotations

import numpy as np

from ..contracts import Float32


def most_diverse(relevance: Float32, vectors: Float32, lambda_mult: float, k: int) -> list[int]:
    """Choose rows one by one, each the best by `lambda * relevance - (1 - lambda) * likeness`.

    Likeness is the largest cosine with a row chosen before (Carbonell and Goldstein, SIGIR 1998). `lambda_mult` has
    LangChain's meaning: 1 looks at relevance alone, 0 at diversity alone; the first row is always the most relevant.

    Args:
        relevance: float32 array, shape (n,): how well each row answers the query.
        vectors: float32 array, shape (n, dim), unit rows.
        lambda_mult: Between 0 and 1.
        k: How many to choose.

    Returns:
        Places of the chosen rows, in the order of choice, at most `min(k, n)`; the earlier of equals.
    """
    left = np.ones(len(relevance), dtype=bool)
    likeness = np.full(len(relevance), -np.inf, dtype=np.float32)
    chosen: list[int] = []
    while len(chosen) < k and left.any():
        value = lambda_mult * relevance - (1 - lambda_mult) * likeness if chosen else relevance
        best = int(np.argmax(np.where(left, value, -np.inf)))
        chosen.append(best)
        left[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return chosen
