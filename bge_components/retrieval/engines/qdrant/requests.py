"""How points are cut into requests that a Qdrant server takes: by their number, and by what they take on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ....errors import InputError
from ...contracts import ChannelVector, Point
from ..qdrant_terms.layouts import Layout
from .settings import QdrantSettings

_JSON_BYTES = 22
"""What a float32 takes in JSON, measured at vectors of unit length and rounded up: the client writes all digits."""

_GRPC_BYTES = 4
_OTHER_BYTES = 512
"""Ids, names and brackets of a point."""

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class RequestCutter:
    """Cuts points into requests.

    Attributes:
        layout: Of the payload.
        settings: How large requests may be.
        grpc: Whether numbers are sent as they are in memory, by gRPC, instead of in JSON.
        bounded: Whether the server refuses what is too large: by REST it does, by gRPC and in local mode nobody does.
    """

    layout: Layout
    settings: QdrantSettings
    grpc: bool
    bounded: bool

    def requests(self, points: Sequence[Point]) -> list[list[Point]]:
        """Cut points into requests, in their order.

        Raises:
            InputError: If one point alone is more than a server takes.
        """
        sizes = [self.bytes_of(point) for point in points]
        if self.bounded:
            self._check(points, sizes)
        return list(self._cut(points, sizes))

    def bytes_of(self, point: Point) -> int:
        """Estimate what a point takes in a request."""
        payload = json.dumps(self.layout.payload(point), ensure_ascii=False, default=str)
        return self._vector_bytes(point) + len(payload.encode("utf-8", "surrogatepass")) + _OTHER_BYTES

    def _cut(self, points: Sequence[Point], sizes: Sequence[int]) -> Iterator[list[Point]]:
        request: list[Point] = []
        room = self.settings.request_bytes
        for point, size in zip(points, sizes):
            if request and (size > room or len(request) == self.settings.upsert_batch):
                yield request
                request, room = [], self.settings.request_bytes
            request.append(point)
            room -= size
        if request:
            yield request

    def _check(self, points: Sequence[Point], sizes: Sequence[int]) -> None:
        for point, size in zip(points, sizes):
            if size > self.settings.request_bytes:
                raise InputError(self._too_large(point, size))

    def _too_large(self, point: Point, size: int) -> str:
        window = point.passage.window
        part = f" (window {window.number} of {window.count})" if window else ""
        return (
            f"document {point.passage.document!r}{part} takes {_mib(size)} in one request, "
            f"{_mib(self._vector_bytes(point))} of them vectors, and request_bytes allows "
            f"{_mib(self.settings.request_bytes)}: keep smaller token vectors with "
            "IndexSettings(multi=TokenSettings(dim=128)), or smaller windows with IndexSettings(window_tokens=...), "
            "or speak gRPC with prefer_grpc=True, or raise QdrantSettings(request_bytes=...) together with the "
            "server's service.max_request_size_mb, which is 32 unless told otherwise"
        )

    def _vector_bytes(self, point: Point) -> int:
        numbers = sum(map(_numbers, point.vectors.values()))
        return numbers * (_GRPC_BYTES if self.grpc else _JSON_BYTES)


def _numbers(vector: ChannelVector) -> int:
    return 2 * len(vector[0]) if isinstance(vector, tuple) else int(np.asarray(vector).size)


def _mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"
