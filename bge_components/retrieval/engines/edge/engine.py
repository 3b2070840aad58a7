"""The embedded engine: keeps points in a folder, with Qdrant's own storage and search, in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...._extras import require
from ....contracts import Float32
from ....errors import IndexClosedError, IndexFullError, IndexStoreError
from ...contracts import Capabilities, Channel, ChannelKind, ChannelVector, Found, Point, PointId
from ...filters import Filter
from ...identity import point_uuid
from ...validation import channel_named, checked_channels, checked_points, checked_search, checked_vector
from .figures import Figures
from .folder import EdgeFolder, check_channels
from .holder import FolderHolder
from .optimizing import Optimizer
from .points import bytes_of, received_point, sent_points
from .queries import counted, found_scores, given_scores, scores_in_order, scrolled, shard_filter
from .settings import EdgeSettings
from .shard import EdgeShardCalls

CAPABILITIES = Capabilities(
    name="edge",
    kinds=frozenset(ChannelKind),
    storage=frozenset({"float32", "float16", "int8"}),
    quantization=frozenset({"scalar", "binary"}),
    persistent=True,
    approximate=True,
)

_BYTES_TO_OPEN = 16 * 2**20
"""What replaying the shard's log may write, measured and rounded up."""

_LOG_BYTES = 256 * 2**20
"""Written so much, flush: that cuts the log, which otherwise grows, and is replayed when a killed index is opened."""


class EdgeEngine:
    """Keeps points in a folder, in a shard of Qdrant Edge.

    What a write acknowledged is in the shard's log and outlives the death of the process at any moment; `flush` makes
    it outlive a loss of power too. One write is stored as a whole or not at all.

    One engine at a time has a folder open, in the process that opened it: not in one that is forked from it.

    Qdrant Edge holds Python's global lock while it works, whichever thread asks, so that nothing else in the process
    goes on meanwhile: about a millisecond for a search among 100,000 points with graphs, 10 to 20 without; some
    milliseconds for a hundred points written. `optimize` takes longer, and is done by a process of its own; when that
    is ready, loading the result takes some tenths of a second.

    Inverse document frequencies count deleted and replaced points too, until `optimize` removes them.

    Args:
        path: The folder; `open` makes it where it is missing.
        settings: How it is built and searched.
    """

    def __init__(self, path: str | os.PathLike[str], settings: EdgeSettings | None = None) -> None:
        self._folder = EdgeFolder(path)
        self._holder = FolderHolder(self._folder.path)
        self._settings = settings or EdgeSettings()
        self._channels: Mapping[str, Channel] = {}
        self._optimizer = Optimizer(self._folder, self._settings)
        self._figures = Figures()
        self._shard: EdgeShardCalls | None = None
        self._unflushed_bytes = 0
        self._closed = False
        self._writing = threading.Lock()

    def __repr__(self) -> str:
        return f"EdgeEngine({str(self._folder.path)!r})"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return CAPABILITIES

    def foreign_channels(self) -> Sequence[Channel]:
        """Give none: no other library fills it."""
        return ()

    def open(self, channels: Sequence[Channel]) -> None:
        """Open what is in the folder, or make it.

        Raises:
            IndexMismatchError: If it keeps other channels.
            IndexHeldError: If another engine has it open; the message says which process.
            IndexFullError: If the disk has no room for what opening writes.
            IndexStoreError: If the folder holds something else; nothing is written then.
            BrokenIndexError: If it cannot be read.
        """
        self._check_not_closed()
        require("qdrant_edge", extra="edge")
        asked = checked_channels(channels, CAPABILITIES)
        with self._writing:
            if self._shard is not None:
                check_channels(asked, self._channels, self._folder.path)
                return
            self._folder.make()
            self._holder.acquire()
            try:
                self._open_shard(asked)
            except BaseException:
                self._holder.release()
                raise

    def manifest(self) -> Mapping[str, Any] | None:
        """Give what `keep_manifest` last kept, also while another engine has the folder open.

        Raises:
            IndexStoreError: If the folder holds something else than an index.
            BrokenIndexError: If it cannot be read.
        """
        self._check_not_closed()
        self._folder.check_ours()
        manifest: Mapping[str, Any] | None = self._folder.read("manifest")
        return manifest

    def keep_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Keep the manifest in a file beside the shard."""
        self._opened()
        with self._writing:
            self._opened()
            self._folder.write("manifest", manifest)

    def point_id(self, document: str, window: int = 0) -> PointId:
        """Give the id of a document's point; see `identity.point_uuid`."""
        return point_uuid(document, window)

    def upsert(self, points: Sequence[Point]) -> None:
        """Store points, replacing those of the same ids: all of them, or none if this raises.

        Raises:
            InputError: If a vector is not one of its channel, or a passage cannot be stored.
            IndexFullError: If the disk has no room for them beside the reserve.
        """
        self._opened()
        checked = checked_points(points, self._channels)
        if not checked:
            return
        operation = _operations().upsert_points(sent_points(checked))
        new_bytes = bytes_of(checked)
        with self._writing:
            shard = self._opened()
            self._make_room(shard, new_bytes + self._settings.reserve_bytes, f"{len(checked)} points")
            shard("update", operation)
            self._figures = self._figures.with_written(len(checked))
            self._unflushed_bytes += new_bytes
            if self._unflushed_bytes > _LOG_BYTES:
                self._flush(shard)

    def delete(self, ids: Sequence[PointId]) -> None:
        """Delete points; ids that are not there are ignored."""
        self._opened()
        if len(ids):
            self._delete(_operations().delete_points(list(ids)))

    def delete_where(self, condition: Filter) -> None:
        """Delete every point whose passage meets the condition."""
        self._opened()
        self._delete(_operations().delete_points_by_filter(shard_filter(condition)))

    def get(self, ids: Sequence[PointId], channels: Collection[str] = ()) -> list[Point | None]:
        """Give points in the order of `ids`, None where there is none, with the vectors of these channels."""
        shard = self._opened()
        asked = {name: channel_named(self._channels, name) for name in channels}
        records = shard("retrieve", list(dict.fromkeys(ids)), True, list(asked) or False) if len(ids) else []
        found = {record.id: record for record in records}
        return [received_point(found[one], asked) if one in found else None for one in ids]

    def search(
        self,
        channel: str,
        vector: ChannelVector,
        k: int,
        condition: Filter | None = None,
        *,
        exact: bool = False,
    ) -> Found:
        """Find the `k` points nearest to a vector among those that meet a condition; exactly until `optimize`.

        Raises:
            InputError: If the channel is missing or of kind MULTI, the vector is not one of it, or `k` is below 1.
        """
        shard = self._opened()
        vector = checked_search(self._channels, channel, vector, k)
        asked, among = self._channels[channel], shard_filter(condition)
        scores = found_scores(shard, asked, vector, k, among, self._settings, exact=exact)
        return Found(list(scores), np.fromiter(scores.values(), np.float32, len(scores)))

    def score(self, channel: str, vector: ChannelVector, ids: Sequence[PointId]) -> Float32:
        """Compare a vector exactly with given points; see `Engine.score`.

        Raises:
            InputError: If the channel is missing, or the vector is not one of it.
        """
        shard = self._opened()
        asked = channel_named(self._channels, channel)
        scores = given_scores(shard, asked, checked_vector(asked, vector), ids, self._settings)
        return np.array(scores_in_order(scores, ids), np.float32)

    def count(self, condition: Filter | None = None) -> int:
        """Count the points that meet a condition, exactly."""
        return counted(self._opened(), shard_filter(condition))

    def scan(self, condition: Filter | None = None, batch: int = 256) -> Iterator[list[Point]]:
        """Give all points that meet a condition, without vectors, in the order of their ids.

        A point that is written meanwhile may be among them or not; one that is there all the time is, once.
        """
        for records in scrolled(self._opened(), shard_filter(condition), batch):
            yield [received_point(record, {}) for record in records]

    def flush(self) -> None:
        """Write everything to the disk itself, so that it outlives a loss of power."""
        self._opened()
        with self._writing:
            self._flush(self._opened())
            self._figures.keep(self._folder)

    def optimize(self) -> None:
        """Merge segments, remove deleted points where they are more than a tenth, and build graphs of dense channels.

        Measures what the graphs find: `stats` tells it as "recall_at_10". Searches go on meanwhile, writes wait, and
        `close` gives it up: see `Optimizer`.

        Raises:
            IndexFullError: If the disk has no room for a copy of the shard, its new segments, and the reserve.
            EngineError: If it failed; everything is as it was.
            IndexClosedError: If the engine was closed meanwhile.
        """
        self._opened()
        with self._writing:
            shard = self._opened()
            self._flush(shard)
            self._figures = self._optimizer.optimize(shard, self._channels)
            self._figures.keep(self._folder)

    def stats(self) -> Mapping[str, Any]:
        """Give numbers on what is stored.

        Returns:
            "points", "unindexed_points" (written since `optimize`), "segments", "indexed" (whether there is a graph),
            "recall_at_10" (of searches by graph against exact ones, None without graph), "disk_bytes".
        """
        shard = self._opened()
        figures = self._figures
        return {
            "points": counted(shard),
            "unindexed_points": figures.unindexed_points,
            "segments": shard("info").segments_count,
            "indexed": figures.recall_at_10 is not None,
            "recall_at_10": figures.recall_at_10,
            "disk_bytes": self._folder.shard_bytes(),
        }

    def close(self) -> None:
        """Write everything to the disk and let go of the folder; a second call does nothing."""
        shard, self._shard, self._closed = self._shard, None, True
        if shard is None or shard.is_inherited:
            return
        self._optimizer.stop()
        with self._writing:
            try:
                shard.close()
                self._figures.keep(self._folder)
            finally:
                self._holder.release()

    def _open_shard(self, asked: Mapping[str, Channel]) -> None:
        self._folder.find_shard()
        self._folder.remove_leftovers()
        self._folder.check_room(min(_BYTES_TO_OPEN, self._settings.reserve_bytes), "opening it")
        if self._folder.shard.exists():
            self._folder.check_channels(asked)
        shard = EdgeShardCalls.opened(self._folder, asked, self._settings)
        self._figures = Figures.read(self._folder, points=counted(shard))
        self._channels, self._shard = asked, shard

    def _delete(self, operation: Any) -> None:
        """Delete, which may use half of the reserve: it is how room is made."""
        with self._writing:
            shard = self._opened()
            self._make_room(shard, self._settings.reserve_bytes // 2, "deleting")
            shard("update", operation)

    def _make_room(self, shard: EdgeShardCalls, room: int, what: str) -> None:
        """See that the disk has room, and if not, whether cutting the log gives it."""
        try:
            self._folder.check_room(room, what)
        except IndexFullError:
            if not self._unflushed_bytes:
                raise
            self._flush(shard)
            self._folder.check_room(room, what)

    def _flush(self, shard: EdgeShardCalls) -> None:
        shard("flush")
        self._unflushed_bytes = 0

    def _opened(self) -> EdgeShardCalls:
        self._check_not_closed()
        if self._shard is None:
            raise IndexStoreError(f"{self!r} is not open: call open(channels) first")
        self._shard.check_process()
        return self._shard

    def _check_not_closed(self) -> None:
        if self._closed:
            raise IndexClosedError(f"{self!r} was closed: make another one")


def _operations() -> Any:
    return require("qdrant_edge", extra="edge").UpdateOperation
