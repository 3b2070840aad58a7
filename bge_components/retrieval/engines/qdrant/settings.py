"""How a Qdrant collection is laid out over a cluster, and how its server is spoken to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ....errors import InputError

Consistency = int | Literal["majority", "quorum", "all"]
Ordering = Literal["weak", "medium", "strong"]

_AT_LEAST_ONE = (
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "hnsw_ef_construct",
    "search_ef",
    "upsert_batch",
    "request_bytes",
    "max_in_flight",
)
_NOT_NEGATIVE = ("hnsw_m", "retries", "backoff_s", "longest_wait_s", "optimize_timeout_s")


@dataclass(frozen=True, kw_only=True)
class QdrantSettings:
    """What a collection is made with, and how requests are sent. None leaves it to the server.

    Attributes:
        shard_number: Parts into which a new collection is cut, spread over the nodes of a cluster.
        replication_factor: Nodes that hold each part.
        write_consistency_factor: Replicas that must have written before a write counts.
        on_disk: Keep the vectors and their indexes on the disk instead of in memory.
        on_disk_payload: Keep texts and metadata on the disk.
        hnsw_m: Edges per node of a dense channel's graph; 0: no graph.
        hnsw_ef_construct: Neighbours looked at while the graph is built.
        search_ef: Neighbours looked at while it is searched.
        oversampling: Of a quantised channel: candidates per hit that are rescored with the stored vectors.
        consistency: Replicas that a read asks: a number, or a share of them.
        ordering: How strictly writes from several clients are kept in order.
        upsert_batch: Most points in one request.
        request_bytes: Most bytes in one request, estimated. By REST a server takes 32 MiB unless told otherwise, and
            a point that alone is larger is refused here; gRPC has no such limit.
        max_in_flight: Requests under way at the same time; further callers wait for their turn.
        retries: How often a request that failed for now (no answer, 429, 5xx) is sent again.
        backoff_s: Longest wait before the first of them, in seconds; doubles every time.
        longest_wait_s: No wait is longer; a server that asks for more has failed.
        optimize_timeout_s: How long `optimize` waits for the server's indexes.
    """

    shard_number: int | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None
    on_disk: bool | None = None
    on_disk_payload: bool | None = None
    hnsw_m: int | None = None
    hnsw_ef_construct: int | None = None
    search_ef: int | None = None
    oversampling: float | None = None
    consistency: Consistency | None = None
    ordering: Ordering | None = None
    upsert_batch: int = 64
    request_bytes: int = 30 * 2**20
    max_in_flight: int = 8
    retries: int = 5
    backoff_s: float = 0.5
    longest_wait_s: float = 60.0
    optimize_timeout_s: float = 3600.0

    def __post_init__(self) -> None:
        for names, least in ((_AT_LEAST_ONE, 1), (_NOT_NEGATIVE, 0)):
            for name in names:
                value = getattr(self, name)
                if value is not None and value < least:
                    raise InputError(f"{name} must be {least} or more, got {value!r}")
        if self.oversampling is not None and self.oversampling < 1:
            raise InputError(f"oversampling must be 1 or more, got {self.oversampling!r}")
