"""How an embedded index is built and searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ....errors import InputError

Placement = Literal["memory", "disk"]

_AT_LEAST = {
    "hnsw_m": 4,
    "hnsw_ef_construct": 4,
    "hnsw_from_points": 1,
    "search_ef": 1,
    "reserve_bytes": 0,
    "threads": 0,
    "search_threads": 0,
}


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """Settings of an `EdgeEngine`. They may differ from one opening to the next; graphs are built by the newest.

    Attributes:
        hnsw_m: Edges per node of a dense channel's graph.
        hnsw_ef_construct: Neighbours looked at while the graph is built.
        hnsw_from_points: `optimize` builds graphs from so many points on; a smaller index is searched exactly.
        search_ef: Neighbours looked at while a graph is searched, at least `k`.
        oversampling: Of a quantised channel: candidates per hit that are rescored with the stored vectors.
        vectors: "memory" reads dense and token vectors into the page cache when the index is opened, from where the
            system may take them away again; "disk" reads them as they are needed.
        reserve_bytes: Room that writes leave free on the disk. The engine's files grow as they are filled, and where
            the disk is full then, the operating system ends the process instead of reporting an error.
        threads: With which graphs are built; 0: as many as there are processors.
        search_threads: With which the segments of one search are searched; 0: as many as there are processors. A
            search is short: at 100,000 points handing it to two threads cost more (3.2 ms) than it saved (2.7 ms).
    """

    hnsw_m: int = 16
    hnsw_ef_construct: int = 128
    hnsw_from_points: int = 10_000
    search_ef: int = 160
    oversampling: float = 2.0
    vectors: Placement = "memory"
    reserve_bytes: int = 128 * 2**20
    threads: int = 0
    search_threads: int = 1

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be a whole number of {least} or more, got {value!r}")
        if self.oversampling < 1:
            raise InputError(f"oversampling must be 1 or more, got {self.oversampling!r}")
        if self.vectors not in ("memory", "disk"):
            raise InputError(f"vectors must be 'memory' or 'disk', got {self.vectors!r}")
