"""A multi-vector channel in memory: the token vectors of each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....contracts import Float32
from ...contracts import Channel
from .arrays import Codes


class MultiColumn:
    """Token vectors per row; a row may have none."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._rows: list[Codes | None] = []

    def append(self, vectors: Sequence[Float32 | None]) -> None:
        """Add one row per item, each of shape (tokens, dim)."""
        storage = self._channel.storage
        self._rows += [None if vector is None else Codes.of(vector, storage) for vector in vectors]

    def take(self, rows: Sequence[int]) -> list[Float32 | None]:
        """Give the token vectors of rows, None where there are none."""
        found = [self._rows[row] for row in rows]
        return [None if codes is None else np.array(codes.restored()) for codes in found]

    def kept(self, rows: NDArray[np.int64]) -> MultiColumn:
        """Give a column of these rows only."""
        column = MultiColumn(self._channel)
        column._rows = [self._rows[row] for row in rows]
        return column
