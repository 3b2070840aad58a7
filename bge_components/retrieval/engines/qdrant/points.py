"""Points on their way to a Qdrant server and back: ids, vectors, payloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import numpy as np

from ...._extras import require
from ...contracts import Channel, ChannelKind, ChannelVector, Point, PointId
from ..qdrant_terms.layouts import Layout


def sent_id(identity: PointId) -> str | int:
    """Give an id as the client takes it."""
    return str(identity) if isinstance(identity, UUID) else identity


def received_id(identity: str | int) -> PointId:
    """Read an id as the client gives it."""
    return UUID(identity) if isinstance(identity, str) else identity


def is_empty(vector: ChannelVector) -> bool:
    """Say whether a vector has no ids, or no tokens: there is nothing to ask a server then."""
    return len(vector[0] if isinstance(vector, tuple) else vector) == 0


def sent_vector(channel: Channel, vector: ChannelVector) -> Any:
    """Give a vector, of a point or a query, as the client takes it."""
    if channel.kind is ChannelKind.SPARSE:
        sparse = require("qdrant_client.models", extra="qdrant").SparseVector
        return sparse(indices=vector[0].tolist(), values=vector[1].tolist())
    return np.asarray(vector).tolist()


def received_vector(channel: Channel, vector: Any) -> ChannelVector:
    """Read a vector as the client gives it."""
    if channel.kind is ChannelKind.SPARSE:
        order = np.argsort(vector.indices)
        ids, weights = np.asarray(vector.indices, np.int32), np.asarray(vector.values, np.float32)
        return ids[order], weights[order]
    return np.asarray(vector, np.float32)


class PointWire:
    """Turns points of one collection into what the client takes, and back.

    Args:
        channels: By name.
        vector_names: Of every channel.
        layout: Of the payload.
    """

    def __init__(
        self, channels: Mapping[str, Channel], vector_names: Mapping[str, str], layout: Layout
    ) -> None:
        self.channels = channels
        self.vector_names = vector_names
        self.layout = layout

    def sent(self, point: Point) -> Any:
        """Give a point as a `PointStruct`."""
        vectors = {
            self.vector_names[name]: sent_vector(self.channels[name], vector)
            for name, vector in point.vectors.items()
        }
        struct = require("qdrant_client.models", extra="qdrant").PointStruct
        return struct(id=sent_id(point.id), vector=vectors, payload=self.layout.payload(point))

    def received(self, record: Any, channels: Iterable[str] = ()) -> Point:
        """Read a `Record` with the vectors of some channels."""
        identity = received_id(record.id)
        vectors = record.vector if isinstance(record.vector, Mapping) else {"": record.vector}
        return Point(
            id=identity,
            passage=self.layout.passage(identity, record.payload or {}),
            vectors={
                name: received_vector(self.channels[name], vectors[self.vector_names[name]])
                for name in channels
                if vectors.get(self.vector_names[name]) is not None
            },
        )
