"""A sparse channel in memory: rows as they came, and inverted lists that are merged as they grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....contracts import Float32, Int32
from ...contracts import Channel, SparseRow
from .arrays import GrowingArray

Posting = tuple[Int32, Float32]
"""Rows that hold one id, ascending, and its weights in them."""


class SparseColumn:
    """Weighted ids per row; a row may have none."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._dtype = np.dtype(channel.storage)
        self._rows: list[SparseRow | None] = []
        self._present = GrowingArray(np.bool_)
        self._segments: tuple[Segment, ...] = ()

    def append(self, vectors: Sequence[SparseRow | None]) -> None:
        """Add one row per vector."""
        self._rows += [vector and (vector[0].copy(), vector[1].astype(self._dtype)) for vector in vectors]
        self._present.append(np.array([vector is not None for vector in vectors], dtype=np.bool_))

    def take(self, rows: Sequence[int]) -> list[SparseRow | None]:
        """Give the vectors of rows, None where there is none."""
        found = [self._rows[row] for row in rows]
        return [vector and (vector[0].copy(), vector[1].astype(np.float32)) for vector in found]

    def kept(self, rows: NDArray[np.int64]) -> SparseColumn:
        """Give a column of these rows only."""
        column = SparseColumn(self._channel)
        column.append([self._rows[row] for row in rows])
        return column

    def view(self) -> SparseView:
        """Give what is there now, to be searched while rows are added.

        Rows added since the last view become a segment. It swallows those before it that are not at least twice as
        long, so that there are few, and a row is inverted again only as often as the column doubles.
        """
        segments, start = list(self._segments), self._inverted()
        while segments and len(segments[-1]) <= 2 * (len(self._rows) - start) > 0:
            start = segments.pop().start
        if start < len(self._rows):
            segments.append(Segment.of(self._rows[start:], start))
        self._segments = tuple(segments)
        return SparseView(self._segments, self._present.view(), self._channel.idf)

    def _inverted(self) -> int:
        return self._segments[-1].stop if self._segments else 0


@dataclass(frozen=True, eq=False)
class Segment:
    """The inverted lists of neighbouring rows.

    Attributes:
        start: First row.
        stop: One past the last row.
        ids: int32 array, ascending: ids that occur.
        offsets: int64 array, shape (len(ids) + 1,): the list of `ids[i]` is `rows[offsets[i]:offsets[i + 1]]`.
        rows: int32 array, ascending within a list.
        weights: float32 array, as long as `rows`.
    """

    start: int
    stop: int
    ids: Int32
    offsets: NDArray[np.int64]
    rows: Int32
    weights: Float32

    @classmethod
    def of(cls, vectors: Sequence[SparseRow | None], start: int) -> Segment:
        """Invert rows, the first of which is row `start`."""
        filled = [(row, vector) for row, vector in enumerate(vectors, start) if vector is not None]
        all_ids = np.concatenate([vector[0] for _, vector in filled] or [np.zeros(0, np.int32)])
        weights = np.concatenate([vector[1] for _, vector in filled] or [np.zeros(0, np.float32)])
        rows = np.repeat(
            np.array([row for row, _ in filled], dtype=np.int32), [len(vector[0]) for _, vector in filled]
        )
        order = np.argsort(all_ids, kind="stable")
        ids, counts = np.unique(all_ids[order], return_counts=True)
        offsets = np.concatenate(([0], np.cumsum(counts)))
        return cls(start, start + len(vectors), ids, offsets, rows[order], weights[order].astype(np.float32))

    def __len__(self) -> int:
        return self.stop - self.start

    def posting(self, id: int) -> Posting:
        """Give the list of an id, empty where it does not occur."""
        place = int(np.searchsorted(self.ids, id))
        if place == len(self.ids) or self.ids[place] != id:
            return self.rows[:0], self.weights[:0]
        part = slice(self.offsets[place], self.offsets[place + 1])
        return self.rows[part], self.weights[part]


@dataclass(frozen=True, eq=False)
class SparseView:
    """A sparse column as it was at one moment.

    Attributes:
        segments: Inverted lists of all rows.
        present: bool array, shape (n,): whether a row has ids.
        idf: Whether a query's weights are multiplied by the inverse document frequency.
    """

    segments: tuple[Segment, ...]
    present: NDArray[np.bool_]
    idf: bool

    def candidates(self, vector: SparseRow, alive: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Float32]:
        """Compare a sparse row with every living row that shares an id with it.

        Returns:
            Rows, ascending, and their sums of products, float32.
        """
        ids, weights = self.weighted(vector, alive)
        postings = [self._posting(id) for id in ids.tolist()]
        if not postings:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        rows = np.concatenate([posting[0] for posting in postings])
        products = np.concatenate([posting[1] * weight for posting, weight in zip(postings, weights)])
        shared = np.zeros(len(alive), np.bool_)
        shared[rows] = True
        sums = np.bincount(rows, weights=products, minlength=len(alive))
        found = np.flatnonzero(shared & alive)
        return found, sums[found].astype(np.float32)

    def weighted(self, vector: SparseRow, alive: NDArray[np.bool_]) -> SparseRow:
        """Multiply by `ln(1 + (N - df + 0.5) / (df + 0.5))` if the channel asks for it; see `Channel.idf`.

        N counts the living rows that have a vector, df those that hold the id.
        """
        ids, weights = vector
        if not self.idf:
            return ids, weights
        df = np.array(
            [np.count_nonzero(alive[self._posting(id)[0]]) for id in ids.tolist()], dtype=np.float64
        )
        count = np.count_nonzero(alive & self.present)
        return ids, (weights * np.log1p((count - df + 0.5) / (df + 0.5))).astype(np.float32)

    def _posting(self, id: int) -> Posting:
        parts = [segment.posting(id) for segment in self.segments]
        if len(parts) == 1:
            return parts[0]
        return (
            np.concatenate([rows for rows, _ in parts] or [np.zeros(0, np.int32)]),
            np.concatenate([weights for _, weights in parts] or [np.zeros(0, np.float32)]),
        )
