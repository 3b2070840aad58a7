"""The engines that the contract is tested on, and points to put into them.

A new engine is one line in `ENGINES`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from bge_components.retrieval.contracts import Channel, ChannelKind, Engine, Passage, Point, SparseRow

DENSE = Channel(name="dense", kind=ChannelKind.DENSE, dim=16)
SPARSE = Channel(name="sparse", kind=ChannelKind.SPARSE)
BM25 = Channel(name="bm25", kind=ChannelKind.SPARSE, idf=True)
MULTI = Channel(name="multi", kind=ChannelKind.MULTI, dim=8)
CHANNELS = (DENSE, SPARSE, BM25, MULTI)
VOCABULARY = 200


def _memory(place: Path) -> Engine:
    return _class("memory", "MemoryEngine")()


def _edge(place: Path) -> Engine:
    pytest.importorskip("qdrant_edge")
    return _class("edge", "EdgeEngine")(place)


def _qdrant(place: Path) -> Engine:
    client = pytest.importorskip("qdrant_client").QdrantClient
    return _class("qdrant", "QdrantEngine")("passages", client=client(":memory:"))


def _qdrant_server(place: Path) -> Engine:
    url = os.environ.get("QDRANT_URL")
    if not url:
        pytest.skip("QDRANT_URL names no Qdrant server")
    place.mkdir(exist_ok=True)
    name = place / "collection"
    if not name.exists():
        name.write_text(f"test-{uuid4()}")
    return _class("qdrant", "QdrantEngine")(name.read_text(), url=url)


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "memory": _memory,
    "edge": _edge,
    "qdrant": _qdrant,
    "qdrant-server": _qdrant_server,
}
"""Makes an engine, not yet opened, that keeps its points at a path, as far as it keeps them."""


def _class(module: str, name: str) -> Any:
    path = f"bge_components.retrieval.engines.{module}"
    if importlib.util.find_spec(path) is None:
        pytest.skip(f"there is no engine {module!r}")
    return getattr(importlib.import_module(path), name)


class EnginePlace:
    """A place for points, and the engines that were made on it."""

    def __init__(self, kind: str, path: Path) -> None:
        self._kind, self._path = kind, path
        self._made: list[Engine] = []

    def engine(self) -> Engine:
        """Make an engine, to be opened."""
        self._made.append(ENGINES[self._kind](self._path))
        return self._made[-1]

    def opened(self, channels: Sequence[Channel] = CHANNELS) -> Engine:
        """Make an engine and open it."""
        engine = self.engine()
        engine.open(channels)
        return engine

    def close(self) -> None:
        """Close every engine that was made here."""
        for engine in self._made:
            engine.close()


def sparse_row(weights: Mapping[int, float]) -> SparseRow:
    """Make a sparse row of {id: weight}."""
    ids = sorted(weights)
    return np.array(ids, np.int32), np.array([weights[id] for id in ids], np.float32)


def point(
    engine: Engine,
    document: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    text: str = "text",
    **vectors: Any,
) -> Point:
    """Make the point of a whole document."""
    passage = Passage(document=document, text=text, metadata=metadata or {}, digest="d")
    return Point(id=engine.point_id(document), passage=passage, vectors=vectors)


def random_vectors(rng: np.random.Generator) -> dict[str, Any]:
    """Make one vector per channel of `CHANNELS`; dense ones are of different lengths."""
    ids = np.sort(rng.choice(VOCABULARY, size=int(rng.integers(1, 12)), replace=False)).astype(np.int32)
    return {
        "dense": rng.standard_normal(16).astype(np.float32),
        "sparse": (ids, rng.uniform(0.1, 2, len(ids)).astype(np.float32)),
        "bm25": (ids, rng.uniform(0.1, 2, len(ids)).astype(np.float32)),
        "multi": rng.standard_normal((int(rng.integers(1, 7)), 8)).astype(np.float32),
    }


def random_points(engine: Engine, count: int, seed: int = 7) -> list[Point]:
    """Make points with every channel, but each fifth lacks one; metadata says the number and its parity."""
    rng = np.random.default_rng(seed)
    points = []
    for number in range(count):
        vectors = random_vectors(rng)
        if number % 5 == 0:
            del vectors[CHANNELS[number // 5 % 4].name]
        points.append(point(engine, f"doc-{number}", {"number": number, "even": number % 2 == 0}, **vectors))
    return points
