"""Keeps writes of long documents and deletes from tearing one another's documents apart.

The windows of a long document are written over many calls, and become visible with the first one, which is written
last. A write has windows of its own, named by its version, so two writes of one document never meet. A delete that
comes meanwhile counts as coming before: it removes what is visible and leaves alone what is being written. This holds
within one index; processes that write the same long document at once may leave windows behind that nobody sees.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from .contracts import Engine, Passage, Point, PointId
from .filters import And, Filter, IsDocument, Not
from .matching import predicate


class Writes:
    """The writes under way in one index."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def of(self, documents: Sequence[str]) -> Iterator[None]:
        """Announce a write of long documents; removes what an earlier one that broke off has left of them."""
        with self._lock:
            idle = [document for document in documents if not self._under_way[document]]
            self._engine.delete(_left_over(self._engine, idle))
            self._under_way.update(documents)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.subtract(documents)
                self._under_way += Counter()  # forget those that are done

    def show(self, heads: Sequence[Point]) -> None:
        """Store first windows, or whole documents, and remove the windows of the versions that they replace."""
        with self._lock:
            before = _heads(self._engine, [head.passage.document for head in heads])
            self._engine.upsert(heads)
            self._engine.delete([one for head in before for one in _later_windows(self._engine, head)])

    def delete(self, condition: Filter) -> None:
        """Delete every document that meets a condition."""
        with self._lock:
            under_way = tuple(self._under_way)
            if not under_way:
                self._engine.delete_where(condition)
                return
            self._engine.delete_where(And((condition, Not(IsDocument(under_way)))))
            meets = predicate(condition)
            met = [head for head in _heads(self._engine, under_way) if meets(head)]
            self._engine.delete([self._engine.point_id(head.document) for head in met])
            self._engine.delete([one for head in met for one in _later_windows(self._engine, head)])


def window_id(engine: Engine, passage: Passage) -> PointId:
    """Give the id of a passage's point: of the document for a first window, of its version for a later one."""
    if passage.window is None or not passage.window.number:
        return engine.point_id(passage.document)
    return engine.point_id(f"{passage.version}:{passage.document}", passage.window.number)


def _heads(engine: Engine, documents: Sequence[str]) -> list[Passage]:
    points = engine.get([engine.point_id(document) for document in documents])
    return [point.passage for point in points if point is not None]


def _later_windows(engine: Engine, head: Passage) -> list[PointId]:
    if head.window is None:
        return []
    return [
        window_id(engine, replace(head, window=replace(head.window, number=number)))
        for number in range(1, head.window.count)
    ]


def _left_over(engine: Engine, documents: Sequence[str]) -> list[PointId]:
    """Find windows of documents that belong to no visible version."""
    if not documents:
        return []
    versions = {head.document: head.version for head in _heads(engine, documents)}
    return [
        point.id
        for batch in engine.scan(IsDocument(tuple(documents)))
        for point in batch
        if point.passage.window is not None
        and point.passage.window.number
        and point.passage.version != versions.get(point.passage.document)
    ]
