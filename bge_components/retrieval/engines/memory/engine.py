"""The engine that keeps everything in memory and compares exactly: the default without a path, and the oracle."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ....contracts import Float32
from ....errors import IndexClosedError, IndexMismatchError, IndexStoreError
from ...comparison import compared
from ...contracts import (
    Capabilities,
    Channel,
    ChannelKind,
    ChannelVector,
    Found,
    Passage,
    Point,
    PointId,
    SparseRow,
)
from ...filters import Filter
from ...identity import point_uuid
from ...matching import predicate
from ...validation import channel_named, checked_channels, checked_points, checked_search, checked_vector
from .sparse import SparseColumn
from .table import Rows, SearchableColumn, Table

CAPABILITIES = Capabilities(
    name="memory",
    kinds=frozenset(ChannelKind),
    storage=frozenset({"float32", "float16", "int8"}),
    persistent=False,
    approximate=False,
)


class MemoryEngine:
    """Keeps points in numpy arrays; see `Engine`. What it holds goes with the process.

    A search works on what was there when it began, and computes outside the lock. Equal scores come in the order in
    which the points were stored.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: Table | None = None
        self._manifest: str | None = None
        self._closed = False

    def __repr__(self) -> str:
        return "MemoryEngine()"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do: everything, exactly, and nothing that lasts."""
        return CAPABILITIES

    def foreign_channels(self) -> Sequence[Channel]:
        """Give none: no other library fills it."""
        return ()

    def open(self, channels: Sequence[Channel]) -> None:
        """Make ready to hold these channels; see `Engine.open`.

        Raises:
            InputError: If a channel contradicts itself, or asks for a smaller copy to search on, which is not kept.
        """
        asked = checked_channels(channels, CAPABILITIES)
        with self._lock:
            self._check_open()
            if self._table is None:
                self._table = Table(asked)
            elif asked != self._table.channels:
                raise IndexMismatchError(
                    f"this engine holds {list(self._table.channels.values())}, but was opened again for "
                    f"{list(asked.values())}: make another one"
                )

    def manifest(self) -> Mapping[str, Any] | None:
        """Give what was last kept; see `Engine.manifest`."""
        with self._lock:
            self._check_open()
            return None if self._manifest is None else json.loads(self._manifest)

    def keep_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Keep JSON data; see `Engine.keep_manifest`."""
        kept = json.dumps(manifest)
        with self._lock:
            self._opened()
            self._manifest = kept

    def point_id(self, document: str, window: int = 0) -> PointId:
        """Give the id of a document's point; see `identity.point_uuid`."""
        return point_uuid(document, window)

    def upsert(self, points: Sequence[Point]) -> None:
        """Store points; see `Engine.upsert`. Vectors and metadata are copied.

        Raises:
            InputError: If a vector is not one of its channel; nothing is stored then.
        """
        with self._lock:
            channels = self._opened().channels
        checked = checked_points(points, channels)
        copies = [replace(point, passage=_copied(point.passage)) for point in checked]
        with self._lock:
            table = self._opened()
            table.put(copies)
            table.compact()

    def delete(self, ids: Sequence[PointId]) -> None:
        """Delete points; see `Engine.delete`."""
        with self._lock:
            table = self._opened()
            table.drop(ids)
            table.compact()

    def delete_where(self, condition: Filter) -> None:
        """Delete every point whose passage meets the condition."""
        with self._lock:
            table = self._opened()
            table.drop(table.ids_where(condition))
            table.compact()

    def get(self, ids: Sequence[PointId], channels: Collection[str] = ()) -> list[Point | None]:
        """Give points in the order of `ids`; see `Engine.get`."""
        with self._lock:
            table = self._opened()
            names = [channel_named(table.channels, name).name for name in channels]
            rows = [table.row_of(id) for id in ids]
            found = [row for row in rows if row is not None]
            columns = {name: dict(zip(found, table.columns[name].take(found))) for name in names}
            return [None if row is None else _point(table, id, row, columns) for id, row in zip(ids, rows)]

    def search(
        self,
        channel: str,
        vector: ChannelVector,
        k: int,
        condition: Filter | None = None,
        *,
        exact: bool = False,
    ) -> Found:
        """Find the `k` nearest points, always exactly; see `Engine.search`.

        Raises:
            InputError: If the channel is missing or of kind MULTI, the vector is not one of it, or `k` is below 1.
        """
        with self._lock:
            table = self._opened()
            vector = checked_search(table.channels, channel, vector, k)
            rows = table.rows()
            view = cast(SearchableColumn, table.columns[channel]).view()
        candidates, scores = view.candidates(vector, rows.alive)
        best = _best(scores, k, _accepts(rows, candidates, condition))
        return Found([rows.ids[row] for row in candidates[best].tolist()], scores[best])

    def score(self, channel: str, vector: ChannelVector, ids: Sequence[PointId]) -> Float32:
        """Compare a vector with given points; see `Engine.score`.

        Raises:
            InputError: If the channel is missing, or the vector is not one of it.
        """
        with self._lock:
            table = self._opened()
            asked = channel_named(table.channels, channel)
            vector = checked_vector(asked, vector)
            column = table.columns[channel]
            if isinstance(column, SparseColumn):
                vector = column.view().weighted(cast(SparseRow, vector), table.rows().alive)
            rows = [table.row_of(id) for id in ids]
            taken = iter(column.take([row for row in rows if row is not None]))
            vectors = [None if row is None else next(taken) for row in rows]
        return compared(asked.kind, vector, vectors)

    def count(self, condition: Filter | None = None) -> int:
        """Count the points that meet a condition."""
        with self._lock:
            table = self._opened()
            return len(table) if condition is None else len(table.ids_where(condition))

    def scan(self, condition: Filter | None = None, batch: int = 256) -> Iterator[list[Point]]:
        """Give all points as they are now, in the order in which they were stored; see `Engine.scan`."""
        with self._lock:
            rows = self._opened().rows()
        meets = predicate(condition) if condition is not None else None
        living = (
            row for row in np.flatnonzero(rows.alive).tolist() if meets is None or meets(rows.passages[row])
        )
        return _batches(
            (Point(id=rows.ids[row], passage=_copied(rows.passages[row])) for row in living), batch
        )

    def flush(self) -> None:
        """Do nothing: there is no disk."""
        with self._lock:
            self._opened()

    def optimize(self) -> None:
        """Let go of deleted points, and merge what sparse searches read."""
        with self._lock:
            table = self._opened()
            table.compact(dead_rows=0)
            for column in table.columns.values():
                if isinstance(column, SparseColumn):
                    column.view()

    def stats(self) -> Mapping[str, Any]:
        """Give the number of points."""
        return {"points": self.count()}

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._closed, self._table, self._manifest = True, None, None

    def _check_open(self) -> None:
        if self._closed:
            raise IndexClosedError("this engine was closed, and what it held is gone: make another one")

    def _opened(self) -> Table:
        self._check_open()
        if self._table is None:
            raise IndexStoreError("this engine knows no channels yet: call open(channels) first")
        return self._table


def _point(table: Table, id: PointId, row: int, columns: Mapping[str, Mapping[int, Any]]) -> Point:
    vectors = {name: vectors[row] for name, vectors in columns.items() if vectors[row] is not None}
    return Point(id=id, passage=_copied(table.passage(row)), vectors=vectors)


def _accepts(
    rows: Rows, candidates: NDArray[np.int64], condition: Filter | None
) -> Callable[[int], bool] | None:
    if condition is None:
        return None
    meets = predicate(condition)
    return lambda place: meets(rows.passages[int(candidates[place])])


def _best(scores: Float32, k: int, accepts: Callable[[int], bool] | None) -> NDArray[np.int64]:
    """Give the places of the best `k` scores that are accepted, best first, equal ones in order.

    Few places are asked whether they are accepted: the best first, and eight times as many until there are enough.
    """
    if accepts is None:
        return _top(scores, k)
    count = k
    while True:
        top = _top(scores, count)
        kept = np.array([place for place in top.tolist() if accepts(place)][:k], dtype=np.int64)
        if len(kept) == k or count >= len(scores):
            return kept
        count *= 8


def _top(scores: Float32, k: int) -> NDArray[np.int64]:
    places = np.arange(len(scores)) if k >= len(scores) else np.argpartition(-scores, k - 1)[:k]
    return places[np.lexsort((places, -scores[places]))]


def _batches(points: Iterator[Point], batch: int) -> Iterator[list[Point]]:
    while taken := list(islice(points, batch)):
        yield taken


def _copied(passage: Passage) -> Passage:
    return replace(passage, metadata=_copied_json(passage.metadata)) if passage.metadata else passage


def _copied_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied_json(inner) for name, inner in value.items()}
    return [_copied_json(inner) for inner in value] if isinstance(value, (list, tuple)) else value
