"""A dense channel in memory: one growing matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....contracts import Float32
from ...contracts import Channel
from .arrays import Codes, GrowingArray

CHUNK_ROWS = 8192
"""Rows that are restored to float32 at a time."""


class DenseColumn:
    """One vector per row; a row may have none."""

    def __init__(self, channel: Channel) -> None:
        assert channel.dim is not None
        self._channel = channel
        self._dim = channel.dim
        self._values = GrowingArray(channel.storage, (channel.dim,))
        self._scales = GrowingArray(np.float32) if channel.storage == "int8" else None
        self._present = GrowingArray(np.bool_)

    def append(self, vectors: Sequence[Float32 | None]) -> None:
        """Add one row per vector."""
        missing = np.zeros(self._dim, np.float32)
        rows = np.stack([missing if vector is None else vector for vector in vectors])
        self._append(
            Codes.of(rows, self._channel.storage), np.array([vector is not None for vector in vectors])
        )

    def take(self, rows: Sequence[int]) -> list[Float32 | None]:
        """Give the vectors of rows, None where there is none."""
        restored = self._codes()[np.asarray(rows, dtype=np.int64)].restored().copy()
        present = self._present.view()
        return [vector if present[row] else None for row, vector in zip(rows, restored)]

    def kept(self, rows: NDArray[np.int64]) -> DenseColumn:
        """Give a column of these rows only."""
        column = DenseColumn(self._channel)
        column._append(self._codes()[rows], self._present.view()[rows])
        return column

    def view(self) -> DenseView:
        """Give what is there now, to be searched while rows are added."""
        return DenseView(self._codes(), self._present.view())

    def _append(self, codes: Codes, present: NDArray[np.bool_]) -> None:
        self._values.append(codes.values)
        if self._scales is not None and codes.scales is not None:
            self._scales.append(codes.scales)
        self._present.append(present)

    def _codes(self) -> Codes:
        return Codes(self._values.view(), None if self._scales is None else self._scales.view())


@dataclass(frozen=True, eq=False)
class DenseView:
    """A dense column as it was at one moment.

    Attributes:
        codes: All rows, those without a vector included.
        present: bool array, shape (n,): whether a row has a vector.
    """

    codes: Codes
    present: NDArray[np.bool_]

    def candidates(self, vector: Float32, alive: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Float32]:
        """Compare a vector with every living row.

        Args:
            vector: Shape (dim,).
            alive: Shape (n,).

        Returns:
            Rows that are alive and have a vector, and their dot products, float32.
        """
        rows = np.flatnonzero(alive & self.present)
        return rows, self._products(vector)[rows]

    def _products(self, vector: Float32) -> Float32:
        products = np.empty(len(self.present), np.float32)
        for start in range(0, len(products), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            np.matmul(self.codes[part].restored(), vector, out=products[part])
        return products
