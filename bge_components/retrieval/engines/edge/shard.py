"""The doorway to Qdrant Edge: a shard is opened, called and closed here, and its errors are told in our words."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from ...._extras import require
from ....errors import BGEError, BrokenIndexError, EngineError, IndexFullError, IndexStoreError
from ...contracts import Channel
from .folder import EdgeFolder
from .gate import ShardGate
from .schema import shard_config
from .settings import EdgeSettings

T = TypeVar("T")

_LONGEST_MESSAGE = 300
_INDEXED = {"document": "Keyword", "window.number": "Integer"}
"""Fields by which documents are found and counted, and their kind."""


class EdgeShardCalls:
    """Calls a shard, in the process that opened it.

    Args:
        shard: A `qdrant_edge.EdgeShard`.
        folder: Where it lies.
    """

    def __init__(self, shard: Any, folder: EdgeFolder) -> None:
        self._gate = ShardGate(shard)
        self._folder = folder
        self._pid = os.getpid()

    @classmethod
    def opened(
        cls, folder: EdgeFolder, channels: Mapping[str, Channel], settings: EdgeSettings
    ) -> EdgeShardCalls:
        """Open the shard of a folder, or make it.

        Raises:
            BrokenIndexError: If it cannot be loaded.
        """
        edge = require("qdrant_edge", extra="edge")
        if not folder.shard.exists():
            _create(edge, folder, channels, shard_config(channels.values(), settings))
        return cls(_loaded(edge, folder, channels, settings), folder)

    def __call__(self, action: str, *arguments: Any) -> Any:
        """Call a method of the shard.

        Raises:
            EngineError: If it failed.
            IndexFullError: If it found no room on the disk.
        """
        with self._gate.lent() as shard:
            return guarded(
                lambda: getattr(shard, action)(*arguments), f"{action} of the index in {self._folder.path}"
            )

    def move(self, copy: EdgeFolder, channels: Mapping[str, Channel], settings: EdgeSettings) -> None:
        """Let a copy take the shard's place, for calls from now on; those that go on may end on the old one.

        Args:
            copy: The same folder with the other shard, which holds the same points.
            channels: That both keep.
            settings: With which it is loaded.

        Raises:
            BrokenIndexError: If it cannot be loaded.
            IndexFullError: If there is no room to write down that it is in service.
        """
        shard = _loaded(require("qdrant_edge", extra="edge"), copy, channels, settings)
        try:
            self._folder.put_in_service(copy.shard)
        finally:  # whatever happened, what is written down decides
            self._folder.find_shard()
            unused = self._gate.replace(shard) if self._folder.shard == copy.shard else shard
            guarded(unused.close, f"closing a shard of the index in {self._folder.path}")

    @property
    def is_inherited(self) -> bool:
        """Whether this process was forked from the one that opened the shard."""
        return os.getpid() != self._pid

    def check_process(self) -> None:
        """Refuse to go on in a process that was forked from the one that opened the shard.

        Raises:
            IndexStoreError: The message names both.
        """
        if self.is_inherited:
            raise IndexStoreError(
                f"the index in {self._folder.path} was opened by process {self._pid}, and this is process "
                f"{os.getpid()}, forked from it: a shard works in one process. Open indexes after forking, in one "
                "process, and let the others ask it"
            )

    def close(self) -> None:
        """Write everything to the disk and let go of the shard."""
        self("flush")
        guarded(self._gate.replace(None).close, f"closing the index in {self._folder.path}")


def guarded(call: Callable[[], T], what: str, kind: type[IndexStoreError] = EngineError) -> T:
    """Call into the shard's library, whose errors and panics have no types of their own.

    Args:
        call: What to do.
        what: What it is, for the message.
        kind: What to raise.
    """
    try:
        return call()
    except BaseException as error:
        if isinstance(error, BGEError) or not (isinstance(error, Exception) or _is_panic(error)):
            raise
        raise failure(what, str(error) or type(error).__name__, kind) from error


def failure(what: str, said: str, kind: type[IndexStoreError] = EngineError) -> IndexStoreError:
    """Give the error that tells what failed: `IndexFullError` where that was said, else one of this kind."""
    said = " ".join(said.split())[:_LONGEST_MESSAGE]
    full = any(words in said.lower() for words in ("no space left", "os error 28", "[errno 28]"))
    return (IndexFullError if full else kind)(f"{what} failed: {said}")


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


def _loaded(edge: Any, folder: EdgeFolder, channels: Mapping[str, Channel], settings: EdgeSettings) -> Any:
    config = shard_config(channels.values(), settings)
    what = f"the index in {folder.path}"
    return guarded(lambda: edge.EdgeShard.load(str(folder.shard), config), what, BrokenIndexError)


def _create(edge: Any, folder: EdgeFolder, channels: Mapping[str, Channel], config: Any) -> None:
    folder.write_channels(channels)
    what = f"making an index in {folder.path}"
    shard = guarded(lambda: edge.EdgeShard.create(str(folder.new_shard), config), what)
    for field, kind in _INDEXED.items():
        index = edge.UpdateOperation.create_field_index(field, getattr(edge.PayloadSchemaType, kind))
        guarded(partial(shard.update, index), what)
    guarded(shard.flush, what)
    guarded(shard.close, what)
    os.replace(folder.new_shard, folder.shard)
