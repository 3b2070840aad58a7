"""The engine for a Qdrant server or cluster."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...._extras import require
from ....contracts import Float32
from ....errors import EngineError, IndexClosedError, IndexStoreError, InputError
from ...contracts import Capabilities, Channel, ChannelKind, ChannelVector, Found, Point, PointId
from ...filters import Filter
from ...validation import channel_named, checked_channels, checked_points, checked_search, checked_vector
from ..qdrant_terms.conditions import translated
from ..qdrant_terms.layouts import Layout, LayoutName, layout_of
from .calls import QdrantCalls
from .collection import QdrantCollection
from .connection import Connection
from .filters import ClientWords
from .points import (
    PointWire,
    is_empty,
    received_id,
    sent_id,
    sent_vector,
)
from .requests import RequestCutter
from .schema import check_schema
from .settings import QdrantSettings

_IDS_PER_REQUEST = 256


class QdrantEngine:
    """Keeps points in a collection of a Qdrant server or cluster.

    Start a server with::

        docker run -p 6333:6333 -p 6334:6334 -v "$(pwd)/qdrant_storage:/qdrant/storage" qdrant/qdrant

    Spread a new collection over a cluster by `settings`: `shard_number` parts, each on `replication_factor` nodes, a
    write counting once `write_consistency_factor` of them have it; reads ask `consistency` replicas::

        QdrantEngine("articles", url="https://qdrant.example:6333", api_key=key, settings=QdrantSettings(
            shard_number=6, replication_factor=2, write_consistency_factor=2))

    `upsert` sends requests of a bounded size one after another, in the order of the points, and returns when the last
    was applied. One request is stored as a whole or not at all, but a call that needs several is not one transaction:
    if it raises, points of earlier requests are stored, and the failed one's may be (if it was the answer that got
    lost). Calling it again with the same points is always safe.

    Inverse document frequencies are counted by each shard for itself. The "dense" scores of a collection that
    compares by cosine are cosines: the same for vectors of unit length.

    A collection that `langchain_qdrant` or LlamaIndex's Qdrant store made is read and extended with the `layout` of
    that name; `channels()` says what it keeps. Their points are documents known by the point's own id.

    Args:
        collection: Name of the collection; `open` makes it where it is missing.
        url: Of the server, http://localhost:6333 by default.
        api_key: Sent with every request, and shown nowhere.
        client: A `qdrant_client.QdrantClient` to use instead; it is not closed. One in local mode is for tests, and
            must not be used by others while this engine works.
        prefer_grpc: Speak gRPC, on port 6334, where possible: smaller requests for token vectors.
        timeout_s: Of one request, rounded up to whole seconds.
        layout: How passages lie in the payload.
        settings: How a new collection is made, and how requests are sent.
    """

    def __init__(
        self,
        collection: str,
        *,
        url: str | None = None,
        api_key: str | None = None,
        client: Any = None,
        prefer_grpc: bool = False,
        timeout_s: float = 60.0,
        layout: LayoutName | Layout = "own",
        settings: QdrantSettings | None = None,
    ) -> None:
        if client is not None and (url is not None or api_key is not None):
            raise InputError("a client has its own url and api_key: give either the client, or these")
        self._name = collection
        self._layout = layout_of(layout)
        self._settings = settings or QdrantSettings()
        self._connection = (
            Connection.made(url, api_key, prefer_grpc, timeout_s)
            if client is None
            else Connection.given(client)
        )
        self._call = QdrantCalls(self._connection, collection, self._settings)
        self._collection = QdrantCollection(self._call, collection, self._layout, self._settings)
        self._cutter = RequestCutter(
            layout=self._layout,
            settings=self._settings,
            grpc=self._connection.grpc,
            bounded=not (self._connection.grpc or self._connection.local),
        )
        self._wire: PointWire | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"QdrantEngine({self._name!r}, at={self._connection.place!r}, layout={self._layout.name!r})"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(
            name="qdrant",
            kinds=frozenset(ChannelKind),
            storage=frozenset({"float32", "float16", "int8"}),
            quantization=frozenset({"scalar", "binary"}),
            persistent=self._connection.persistent,
            approximate=not self._connection.local,
        )

    def channels(self) -> list[Channel]:
        """Give the channels that the collection keeps, also before `open`; none where there is no collection.

        Raises:
            IndexMismatchError: If the collection is of another layout, or of a kind that this engine cannot search.
        """
        self._check_not_closed()
        return list(self._collection.schema().channels) if self._collection.exists() else []

    def foreign_channels(self) -> Sequence[Channel]:
        """Give the channels of a collection that another library made, also before `open`; see `channels`."""
        return self.channels() if self._layout.foreign else []

    def open(self, channels: Sequence[Channel]) -> None:
        """Make the collection, or check the one that is there; of a foreign layout, it may keep more channels.

        Raises:
            IndexMismatchError: If the collection is of another layout, or keeps other channels.
            EngineError: If no server answers.
        """
        self._check_not_closed()
        wanted = checked_channels(channels, self.capabilities)
        if not self._collection.exists():
            self._collection.create(channels, indexed=not self._connection.local)
        found = self._collection.schema()
        check_schema(channels, found, self._name, part=self._layout.foreign)
        self._wire = PointWire(wanted, found.vector_names, self._layout)

    def manifest(self) -> Mapping[str, Any] | None:
        """Read the manifest from the collection's own metadata."""
        self._check_not_closed()
        return self._collection.manifest() if self._collection.exists() else None

    def keep_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Keep the manifest in the collection's own metadata, which takes Qdrant 1.16 or newer."""
        self._opened()
        self._collection.keep_manifest(manifest)

    def point_id(self, document: str, window: int = 0) -> PointId:
        """Give the id of a document's point, or of one of its windows, as the layout has it."""
        return self._layout.point_id(document, window)

    def upsert(self, points: Sequence[Point]) -> None:
        """Store points, replacing those of the same ids, in one or more requests: see the class.

        Raises:
            InputError: If a vector is not one of its channel, or a point alone is more than a request may be; nothing
                was sent then.
        """
        wire = self._opened()
        checked = checked_points(points, wire.channels)
        for request in self._cutter.requests(checked):
            self._write("upsert", points=[wire.sent(point) for point in request])

    def delete(self, ids: Sequence[PointId]) -> None:
        """Delete points; ids that are not there are ignored."""
        self._opened()
        for part in _parts(ids):
            selector = self._models().PointIdsList(points=[sent_id(identity) for identity in part])
            self._write("delete", points_selector=selector)

    def delete_where(self, condition: Filter) -> None:
        """Delete every point whose passage meets the condition."""
        self._opened()
        selector = self._models().FilterSelector(filter=self._filter(condition))
        self._write("delete", points_selector=selector)

    def get(self, ids: Sequence[PointId], channels: Collection[str] = ()) -> list[Point | None]:
        """Give points in the order of `ids`, None where there is none, with the vectors of these channels."""
        wire = self._opened()
        vectors = [wire.vector_names[channel_named(wire.channels, name).name] for name in channels]
        found: dict[PointId, Point] = {}
        for part in _parts(list(dict.fromkeys(ids))):
            sent = [sent_id(identity) for identity in part]
            records = self._read("retrieve", ids=sent, with_payload=True, with_vectors=vectors or False)
            found.update((point.id, point) for point in (wire.received(one, channels) for one in records))
        return [found.get(identity) for identity in ids]

    def search(
        self,
        channel: str,
        vector: ChannelVector,
        k: int,
        condition: Filter | None = None,
        *,
        exact: bool = False,
    ) -> Found:
        """Find the `k` points nearest to a vector among those that meet a condition.

        Raises:
            InputError: If the channel is missing or of kind MULTI, the vector is not one of it, or `k` is below 1.
        """
        channels = self._opened().channels
        vector = checked_search(channels, channel, vector, k)
        scores = self._query(channels[channel], vector, k, self._filter(condition), exact=exact)
        return Found(list(scores), np.fromiter(scores.values(), np.float32, len(scores)))

    def score(self, channel: str, vector: ChannelVector, ids: Sequence[PointId]) -> Float32:
        """Compare a vector exactly with given points; the server's sum over query tokens is made a mean.

        Raises:
            InputError: If the channel is missing, or the vector is not one of it.
        """
        kept = channel_named(self._opened().channels, channel)
        vector = checked_vector(kept, vector)
        wanted = list(dict.fromkeys(ids))
        scores = self._query(kept, vector, len(wanted), self._among(wanted), exact=True) if wanted else {}
        if kept.kind is ChannelKind.MULTI:
            scores = {identity: score / len(vector) for identity, score in scores.items()}
        if kept.kind is ChannelKind.SPARSE:
            scores = dict.fromkeys(wanted, 0.0) | scores
        return np.array([scores.get(identity, math.nan) for identity in ids], np.float32)

    def count(self, condition: Filter | None = None) -> int:
        """Count the points that meet a condition, exactly."""
        self._opened()
        return int(self._call("count", count_filter=self._filter(condition), exact=True).count)

    def scan(self, condition: Filter | None = None, batch: int = 256) -> Iterator[list[Point]]:
        """Give all points that meet a condition, without vectors, in the order of their ids."""
        wire = self._opened()
        asked = {"scroll_filter": self._filter(condition), "limit": batch, "with_payload": True}
        offset = None
        while True:
            records, offset = self._read("scroll", offset=offset, with_vectors=False, **asked)
            if records:
                yield [wire.received(record) for record in records]
            if offset is None:
                return

    def flush(self) -> None:
        """Do nothing: a write that was acknowledged is in the server's log on disk."""
        self._opened()

    def optimize(self) -> None:
        """Wait until the server, which builds its indexes by itself, has done so.

        Raises:
            EngineError: If it failed, or takes longer than `optimize_timeout_s`.
        """
        self._opened()
        self._collection.wait_until_indexed()

    def stats(self) -> Mapping[str, Any]:
        """Give numbers on what is stored; a server does not tell how much disk that takes."""
        return {"points": self.count(), **self._collection.stats()}

    def close(self) -> None:
        """Close the client, unless it was given; a second call does nothing."""
        if not self._closed and self._connection.ours:
            self._connection.client.close()
        self._closed = True

    def _query(
        self, channel: Channel, vector: ChannelVector, k: int, condition: Any, *, exact: bool
    ) -> dict[PointId, float]:
        """Give ids and scores, best first."""
        if is_empty(vector):
            return {}
        answer = self._read(
            "query_points",
            query=sent_vector(channel, vector),
            using=self._opened().vector_names[channel.name],
            query_filter=condition,
            limit=k,
            with_payload=False,
            search_params=self._search_params(channel, exact),
        )
        return {received_id(point.id): point.score for point in answer.points}

    def _search_params(self, channel: Channel, exact: bool) -> Any:
        if self._connection.local or channel.kind is ChannelKind.SPARSE:
            return None
        models = self._models()
        smaller = models.QuantizationSearchParams(
            ignore=exact, rescore=True, oversampling=self._settings.oversampling
        )
        return models.SearchParams(hnsw_ef=self._settings.search_ef, exact=exact, quantization=smaller)

    def _among(self, ids: Sequence[PointId]) -> Any:
        return ClientWords().filter(must=[ClientWords().has_id(ids)])

    def _filter(self, condition: Filter | None) -> Any:
        return None if condition is None else translated(condition, ClientWords(), self._layout)

    def _read(self, action: str, **arguments: Any) -> Any:
        consistency: Any = self._settings.consistency
        if isinstance(consistency, str):
            consistency = self._models().ReadConsistencyType(consistency)
        return self._call(action, consistency=consistency, **arguments)

    def _write(self, action: str, **arguments: Any) -> None:
        ordering: Any = self._settings.ordering
        if ordering is not None:
            ordering = self._models().WriteOrdering(ordering)
        result = self._call(action, wait=True, ordering=ordering, **arguments)
        if result.status != "completed":
            raise EngineError(
                f"{action} was taken by {self!r} but not applied in time (status {result.status.value!r}): "
                "call it again, with a longer timeout_s"
            )

    def _opened(self) -> PointWire:
        self._check_not_closed()
        if self._wire is None:
            raise IndexStoreError(f"{self!r} is not open: call open(channels) first")
        return self._wire

    def _check_not_closed(self) -> None:
        if self._closed:
            raise IndexClosedError(f"{self!r} was closed: make a new engine")

    @staticmethod
    def _models() -> Any:
        return require("qdrant_client.models", extra="qdrant")


def _parts(ids: Sequence[PointId]) -> Iterator[Sequence[PointId]]:
    return (ids[start : start + _IDS_PER_REQUEST] for start in range(0, len(ids), _IDS_PER_REQUEST))
