"""What travels between an index and its engine: channels, points, passages, and the engine's interface."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import UUID

from ..contracts import Float32, Int32
from .filters import Filter

PointId = UUID | int
"""How an engine knows a point. Indexes of our own use UUIDs; foreign collections may hold integers."""

SparseRow = tuple[Int32, Float32]
"""Distinct ids, ascending, shape (n,), and their weights, shape (n,)."""

ChannelVector = Float32 | SparseRow
"""Dense: float32 (dim,). Sparse: a `SparseRow`. Multi: float32 (tokens, dim)."""

StorageType = Literal["float32", "float16", "int8"]
Quantization = Literal["scalar", "binary"]


class ChannelKind(str, Enum):
    """What the vectors of a channel look like, and how two of them are compared."""

    DENSE = "dense"
    """One vector; dot product."""
    SPARSE = "sparse"
    """Weighted ids; sum of the products of shared ids."""
    MULTI = "multi"
    """One vector per token; late interaction. Never searched, only scored for given points."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One kind of vector that an index keeps of every passage.

    Attributes:
        name: "dense", "sparse", "multi" or "bm25" in indexes of our own.
        kind: What its vectors look like.
        dim: Number of dimensions (of each token vector); None for sparse.
        idf: Whether a query's weights are multiplied by the inverse document frequency of their ids,
            `ln(1 + (N - df + 0.5) / (df + 0.5))`, which the engine counts over what it holds: N points have a
            vector in this channel, df of them hold the id. In `search` and in `score` alike. An engine may go on
            counting points that were deleted or replaced until it rewrites what it stores.
        storage: Number format in which the engine keeps the vectors.
        quantization: Dense only: search on a smaller copy and rescore with the stored vectors.
    """

    name: str
    kind: ChannelKind
    dim: int | None = None
    idf: bool = False
    storage: StorageType = "float32"
    quantization: Quantization | None = None


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which part of a document a passage is.

    Attributes:
        number: From 0, in reading order.
        count: Windows that the document has.
        start: First character in the document's text.
        stop: One past the last character.
    """

    number: int
    count: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Passage:
    """What is found: a document, or a window of a long one.

    Attributes:
        document: Id of the document, any string.
        text: The text of the passage.
        metadata: JSON values by name.
        digest: Of the document's text and metadata.
        version: Of a document of several windows: the write that stored it, which all its windows share.
        window: Which part of the document it is; None where it is the whole.
        whole: The whole document's text, kept with window 0 only.
    """

    document: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    version: str = ""
    window: Window | None = None
    whole: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Point:
    """A passage with its id and its vectors.

    Attributes:
        id: Given by `Engine.point_id`.
        passage: What is found.
        vectors: By channel; a channel may be missing (an empty text has no sparse ids). A sparse row without ids,
            and token vectors of no token, count as missing.
    """

    id: PointId
    passage: Passage
    vectors: Mapping[str, ChannelVector] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Found:
    """What one channel recalled, best first.

    Attributes:
        ids: Points.
        scores: float32 array, shape (len(ids),), descending.
    """

    ids: Sequence[PointId]
    scores: Float32

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an engine can do.

    Attributes:
        name: "memory", "edge", "qdrant", ...
        kinds: Kinds of channels that it keeps.
        storage: Number formats that it keeps vectors in.
        quantization: Which smaller copies it can search on.
        persistent: Whether what it acknowledged outlives the process.
        approximate: Whether a search may be approximate unless `exact=True` is asked for.
    """

    name: str
    kinds: frozenset[ChannelKind]
    storage: frozenset[StorageType]
    quantization: frozenset[Quantization] = frozenset()
    persistent: bool
    approximate: bool


@runtime_checkable
class Engine(Protocol):
    """Keeps points and answers one question: for this vector, in this channel, which k points are nearest?

    Every method may be called from any thread at any time, and raises `IndexStoreError` or a subclass for what goes
    wrong below it. What `upsert` and the deletes acknowledge by returning is in every later search, and, where
    `capabilities.persistent`, outlives the process. No method may be called on an event loop's thread: they block.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def foreign_channels(self) -> Sequence[Channel]:
        """Give the channels of a store that another library made, also before `open`; none of a store of our own."""
        ...

    def open(self, channels: Sequence[Channel]) -> None:
        """Make ready to hold these channels: create what is missing, or check what is there.

        Raises:
            IndexMismatchError: If what is there has other channels, dimensions or number formats.
            IndexHeldError: If another process holds it.
        """
        ...

    def manifest(self) -> Mapping[str, Any] | None:
        """Give what `keep_manifest` last kept; None where nothing was. May be called before `open`."""
        ...

    def keep_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Keep JSON data (up to some megabytes) with the points, atomically: after a crash the old or the new.

        Called after `open`. It is no point: no search, scan or count sees it.
        """
        ...

    def point_id(self, document: str, window: int = 0) -> PointId:
        """Give the id of a document's point, or of one of its windows: always the same for the same document."""
        ...

    def upsert(self, points: Sequence[Point]) -> None:
        """Store points, replacing those of the same ids: all of them, or none if this raises."""
        ...

    def delete(self, ids: Sequence[PointId]) -> None:
        """Delete points; ids that are not there are ignored."""
        ...

    def delete_where(self, condition: Filter) -> None:
        """Delete every point whose passage meets the condition."""
        ...

    def get(self, ids: Sequence[PointId], channels: Collection[str] = ()) -> list[Point | None]:
        """Give points in the order of `ids`, None where there is none, with the vectors of these channels.

        Stored vectors come back as float32, in the precision of the channel's `storage`.
        """
        ...

    def search(
        self,
        channel: str,
        vector: ChannelVector,
        k: int,
        condition: Filter | None = None,
        *,
        exact: bool = False,
    ) -> Found:
        """Find the `k` points nearest to a vector, of a channel that is not MULTI, among those that meet a condition.

        Args:
            channel: Its name.
            vector: A dense vector or a sparse row. A sparse row finds only points that share an id with it.
            k: 1 or more; fewer come back where there are fewer.
            condition: None for all.
            exact: Compare with every point, whatever index there is.

        Returns:
            Scores descending. The order of equal scores, and which of them is cut at k, is the engine's.
        """
        ...

    def score(self, channel: str, vector: ChannelVector, ids: Sequence[PointId]) -> Float32:
        """Compare a vector exactly with given points.

        Returns:
            float32 array, shape (len(ids),). Dense: dot product; NaN where a point or its vector is not there.
            Multi: mean over the query's tokens of the best dot product with a token of the point; NaN likewise.
            Sparse: sum over shared ids, 0 where there is none.
        """
        ...

    def count(self, condition: Filter | None = None) -> int:
        """Count the points that meet a condition, exactly."""
        ...

    def scan(self, condition: Filter | None = None, batch: int = 256) -> Iterator[list[Point]]:
        """Give all points that meet a condition, without vectors, in batches, in an order of the engine's own."""
        ...

    def flush(self) -> None:
        """Write everything to the disk."""
        ...

    def optimize(self) -> None:
        """Build what makes search faster (HNSW, merged segments).

        May take long: searches and everything else in the process go on meanwhile, writes may wait, and `close` may
        give it up.
        """
        ...

    def stats(self) -> Mapping[str, Any]:
        """Give numbers on what is stored: at least "points" and, where there is a disk, "disk_bytes"."""
        ...

    def close(self) -> None:
        """Let go of everything; a second call does nothing."""
        ...
