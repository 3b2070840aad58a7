"""The points of a memory engine, as rows: written once, and dead when deleted or replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ....contracts import Float32
from ...contracts import Channel, ChannelKind, Passage, Point, PointId
from ...filters import And, Filter, IsDocument
from ...matching import predicate
from .arrays import GrowingArray
from .dense import DenseColumn
from .multi import MultiColumn
from .sparse import SparseColumn

DEAD_ROWS_KEPT = 1024
"""Below so many, dead rows are not worth being removed."""


class Column(Protocol):
    """The vectors of one channel, one row per row of the table."""

    def append(self, vectors: Sequence[Any]) -> None:
        """Add one row per vector; None where there is none."""

    def take(self, rows: Sequence[int]) -> Sequence[Any]:
        """Give the vectors of rows as float32, None where there is none."""

    def kept(self, rows: NDArray[np.int64]) -> Column:
        """Give a column of these rows only."""


class View(Protocol):
    """A column as it was at one moment."""

    def candidates(self, vector: Any, alive: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Float32]:
        """Give the rows that a search may find, and their scores."""


@runtime_checkable
class SearchableColumn(Column, Protocol):
    """A column whose rows can all be compared with a vector."""

    def view(self) -> View:
        """Give what is there now."""


COLUMNS: dict[ChannelKind, Callable[[Channel], Column]] = {
    ChannelKind.DENSE: DenseColumn,
    ChannelKind.SPARSE: SparseColumn,
    ChannelKind.MULTI: MultiColumn,
}


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a table at one moment.

    Attributes:
        ids: Of the points; may grow beyond `alive`.
        passages: Likewise.
        alive: bool array, shape (n,): which rows count.
    """

    ids: Sequence[PointId]
    passages: Sequence[Passage]
    alive: NDArray[np.bool_]


class Table:
    """Points by row. Not safe for threads: its owner has the lock."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self.channels = channels
        self.columns: dict[str, Column] = {
            name: COLUMNS[channel.kind](channel) for name, channel in channels.items()
        }
        self._row_of: dict[PointId, int] = {}
        self._points_of: dict[str, set[PointId]] = {}
        self._ids: list[PointId] = []
        self._passages: list[Passage] = []
        self._alive = GrowingArray(np.bool_)

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, points: Sequence[Point]) -> None:
        """Add points, all of different ids, in place of those that have their ids."""
        if not points:
            return
        for name, column in self.columns.items():
            column.append([point.vectors.get(name) for point in points])
        self.drop([point.id for point in points])
        for row, point in enumerate(points, len(self._ids)):
            self._row_of[point.id] = row
            self._points_of.setdefault(point.passage.document, set()).add(point.id)
        self._ids += [point.id for point in points]
        self._passages += [point.passage for point in points]
        self._alive.append(np.ones(len(points), np.bool_))

    def drop(self, ids: Iterable[PointId]) -> None:
        """Let points die; ids that are not there are ignored."""
        for id in ids:
            row = self._row_of.pop(id, None)
            if row is not None:
                self._alive.view()[row] = False
                self._forget(self._passages[row].document, id)

    def rows(self) -> Rows:
        """Give what is there now; nothing that happens to the table later changes it."""
        return Rows(self._ids, self._passages, self._alive.view().copy())

    def row_of(self, id: PointId) -> int | None:
        """Give the living row of a point."""
        return self._row_of.get(id)

    def passage(self, row: int) -> Passage:
        """Give the passage of a row."""
        return self._passages[row]

    def ids_where(self, condition: Filter | None) -> list[PointId]:
        """Give the points that meet a condition, in the order in which they came."""
        if condition is None:
            return sorted(self._row_of, key=self._row_of.__getitem__)
        meets = predicate(condition)
        documents = _documents(condition)
        among = self._row_of if documents is None else self._points_among(documents)
        rows = sorted(self._row_of[id] for id in among)
        return [self._ids[row] for row in rows if meets(self._passages[row])]

    def compact(self, dead_rows: int = DEAD_ROWS_KEPT) -> None:
        """Remove the dead rows if there are more of them than of the living, and more than `dead_rows`."""
        alive = self._alive.view()
        if len(alive) - len(self) <= max(dead_rows, len(self)):
            return
        rows = np.flatnonzero(alive)
        self.columns = {name: column.kept(rows) for name, column in self.columns.items()}
        self._ids = [self._ids[row] for row in rows]
        self._passages = [self._passages[row] for row in rows]
        self._row_of = {id: row for row, id in enumerate(self._ids)}
        self._alive = GrowingArray(np.bool_)
        self._alive.append(np.ones(len(rows), np.bool_))

    def _points_among(self, documents: frozenset[str]) -> set[PointId]:
        return set().union(*(self._points_of.get(document, ()) for document in documents))

    def _forget(self, document: str, id: PointId) -> None:
        points = self._points_of[document]
        points.discard(id)
        if not points:
            del self._points_of[document]


def _documents(condition: Filter) -> frozenset[str] | None:
    """Give the documents that a condition is limited to, None where it is not limited to any."""
    if isinstance(condition, IsDocument):
        return frozenset(condition.documents)
    if isinstance(condition, And):
        return next((found for part in condition.conditions if (found := _documents(part)) is not None), None)
    return None
