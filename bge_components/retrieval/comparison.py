"""How a query's vector is compared exactly with given vectors of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ..contracts import Float32
from ..similarity import late_interaction
from ..vectors import SparseVectors, TokenVectors
from .contracts import ChannelKind, ChannelVector, SparseRow


def compared(kind: ChannelKind, query: ChannelVector, vectors: Sequence[ChannelVector | None]) -> Float32:
    """Compare a query's vector with each of some vectors, as `Engine.score` does.

    Args:
        kind: What the vectors look like.
        query: Dense (dim,), a sparse row, or token vectors (tokens, dim).
        vectors: Of the same kind; None where there is none.

    Returns:
        float32 array, shape (len(vectors),); where there is no vector NaN, but 0 of a sparse channel.
    """
    missing = 0.0 if kind is ChannelKind.SPARSE else np.nan
    scores = np.full(len(vectors), missing, dtype=np.float32)
    places = [place for place, vector in enumerate(vectors) if vector is not None]
    if not places:
        return scores
    given = [vectors[place] for place in places]
    if kind is ChannelKind.SPARSE:
        scores[places] = _shared_products(cast(SparseRow, query), cast(list[SparseRow], given))
        return scores
    dense, rows = cast(Float32, query), cast(list[Float32], given)
    if kind is ChannelKind.DENSE:
        scores[places] = np.stack(rows) @ dense
    else:
        scores[places] = late_interaction(dense, TokenVectors.from_rows(rows, dense.shape[1]))
    return scores


def _shared_products(query: SparseRow, rows: Sequence[SparseRow]) -> Float32:
    ids, weights = query
    if not len(ids):
        return np.zeros(len(rows), np.float32)
    joined = SparseVectors.from_rows(rows)
    places = np.minimum(np.searchsorted(ids, joined.indices), len(ids) - 1)
    products = np.where(ids[places] == joined.indices, joined.weights * weights[places], 0)
    owners = np.repeat(np.arange(len(rows)), np.diff(joined.indptr))
    return np.bincount(owners, weights=products, minlength=len(rows)).astype(np.float32)
