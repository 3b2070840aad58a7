"""Points on their way into a Qdrant Edge shard and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...._extras import require
from ....errors import InputError
from ...contracts import Channel, ChannelKind, ChannelVector, Point
from ..qdrant_terms.layouts import OwnLayout

LAYOUT = OwnLayout()

_BYTES_PER_NUMBER = 12
_BYTES_PER_LETTER = 8
_BYTES_PER_POINT = 8 * 1024
"""What a point takes on the disk at most, in the log and in its place together; measured and rounded up."""


def sent_points(points: Iterable[Point]) -> list[Any]:
    """Give points as the shard takes them.

    Raises:
        InputError: If a passage holds what cannot be stored.
    """
    edge = require("qdrant_edge", extra="edge")
    return [_sent(point, edge) for point in points]


def _sent(point: Point, edge: Any) -> Any:
    vectors = {name: sent_vector(vector) for name, vector in point.vectors.items()}
    try:
        return edge.Point(point.id, vectors, LAYOUT.payload(point))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"the passage of document {point.passage.document!r} cannot be stored: text and metadata must be JSON "
            "values of valid Unicode, with whole numbers of 64 bits and finite ones"
        ) from error


def sent_vector(vector: ChannelVector) -> Any:
    """Give a vector, of a point or a query, as the shard takes it; it reads lists faster than arrays."""
    if isinstance(vector, tuple):
        return require("qdrant_edge", extra="edge").SparseVector(vector[0].tolist(), vector[1].tolist())
    return vector.tolist()


def received_point(record: Any, channels: Mapping[str, Channel]) -> Point:
    """Read a `Record` with the vectors of these channels, as far as it has them."""
    found = record.vector if channels else None
    return Point(
        id=record.id,
        passage=LAYOUT.passage(record.id, record.payload or {}),
        vectors={
            name: _received_vector(channel, found[name])
            for name, channel in channels.items()
            if found and found.get(name) is not None
        },
    )


def _received_vector(channel: Channel, vector: Any) -> ChannelVector:
    if channel.kind is ChannelKind.SPARSE:
        ids, weights = np.asarray(vector.indices, np.int32), np.asarray(vector.values, np.float32)
        order = np.argsort(ids)
        return ids[order], weights[order]
    return np.asarray(vector, np.float32)


def bytes_of(points: Sequence[Point]) -> int:
    """Estimate, from above, how much room on the disk points take."""
    return sum(
        _BYTES_PER_POINT
        + _BYTES_PER_LETTER * _letters(point)
        + _BYTES_PER_NUMBER * sum(map(_numbers, point.vectors.values()))
        for point in points
    )


def _numbers(vector: ChannelVector) -> int:
    return 2 * len(vector[0]) if isinstance(vector, tuple) else vector.size


def _letters(point: Point) -> int:
    passage = point.passage
    return len(passage.text) + len(passage.whole or "") + len(str(passage.metadata))
