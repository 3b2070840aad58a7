"""A Qdrant collection as a whole: made, held against what is wanted, its manifest, its state. No points."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...._extras import require
from ....errors import BrokenIndexError, EngineError, IndexMismatchError
from ...contracts import Channel
from ..qdrant_terms.layouts import LAYOUTS, Layout
from .calls import QdrantCalls
from .schema import Schema, creation_of, schema_of, vectors_of
from .settings import QdrantSettings

_MANIFEST = "bge_components"
"""Key in the collection's own metadata."""

_POLL_S = 0.5


class QdrantCollection:
    """One collection.

    Args:
        call: Sends requests on it.
        name: For messages.
        layout: Of its payloads.
        settings: What a new one is made with.
    """

    def __init__(self, call: QdrantCalls, name: str, layout: Layout, settings: QdrantSettings) -> None:
        self._call = call
        self._name = name
        self._layout = layout
        self._settings = settings

    def exists(self) -> bool:
        """Say whether it is there; a server that does not answer at all is not waited for."""
        return bool(self._call("collection_exists", patient=False))

    def create(self, channels: Sequence[Channel], *, indexed: bool) -> None:
        """Make it, unless somebody else just did.

        Args:
            channels: What it keeps.
            indexed: Whether to index the ids of documents, by which points are found and deleted, and the numbers of
                windows, by which documents are counted.
        """
        try:
            self._call("create_collection", **creation_of(channels, self._layout, self._settings))
        except EngineError:
            if not self.exists():
                raise
        if indexed:
            self._index(self._layout.document_path, "keyword")
            self._index(self._layout.window_path, "integer")

    def _index(self, path: Sequence[str], kind: str) -> None:
        self._call("create_payload_index", field_name=".".join(path), field_schema=kind, wait=True)

    def schema(self) -> Schema:
        """Read what it keeps.

        Raises:
            IndexMismatchError: If it is of another layout, or of a kind that cannot be searched here.
        """
        config = self._call("get_collection").config
        names = [*vectors_of(config), *(config.params.sparse_vectors or {})]
        records, _ = self._call("scroll", limit=1, with_payload=True, with_vectors=False)
        payload = records[0].payload or {} if records else None
        if not self._layout.fits(names, payload):
            raise IndexMismatchError(self._other_layout(names, payload))
        return schema_of(config, self._layout)

    def _other_layout(self, names: Sequence[str], payload: Mapping[str, Any] | None) -> str:
        fitting = [one.name for one in LAYOUTS if one is not self._layout and one.fits(names, payload)]
        advice = " or ".join(f"layout={name!r}" for name in fitting) or "a layout object that names these"
        held = "no points" if payload is None else f"points with {sorted(payload)}"
        return (
            f"collection {self._name!r} is not of layout {self._layout.name!r}: it has vectors {sorted(names)} and "
            f"{held}. Open it with {advice}"
        )

    def manifest(self) -> Mapping[str, Any] | None:
        """Read the manifest from the collection's own metadata; None where it holds none.

        Raises:
            BrokenIndexError: If it cannot be read.
        """
        stored = self._metadata().get(_MANIFEST)
        if stored is None:
            return None
        try:
            manifest: Mapping[str, Any] = json.loads(stored)
        except (TypeError, ValueError) as error:
            raise BrokenIndexError(
                f"the manifest of collection {self._name!r} cannot be read: {error}"
            ) from error
        return manifest

    def keep_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Keep the manifest as one JSON text, which is replaced as a whole: the last of several writers wins.

        Raises:
            EngineError: If the server is too old to have such metadata.
        """
        self._call("update_collection", metadata={_MANIFEST: json.dumps(manifest)})
        if _MANIFEST not in self._metadata():
            raise EngineError(
                f"collection {self._name!r} did not keep the manifest: that takes Qdrant 1.16 or newer, update "
                "the server"
            )

    def _metadata(self) -> Mapping[str, Any]:
        return self._call("get_collection").config.metadata or {}

    def wait_until_indexed(self) -> None:
        """Wait until the server has built its indexes.

        Raises:
            EngineError: If it failed, or takes longer than `optimize_timeout_s`.
        """
        deadline = time.monotonic() + self._settings.optimize_timeout_s
        while (status := self._call("get_collection").status) != "green":
            if status == "red" or time.monotonic() > deadline:
                raise EngineError(
                    f"collection {self._name!r} is not indexed, its status is {status.value!r}: see the server's log"
                )
            if status == "grey":  # waits for any change before it goes on
                diff = require("qdrant_client.models", extra="qdrant").OptimizersConfigDiff
                self._call("update_collection", optimizers_config=diff())
            time.sleep(_POLL_S)

    def stats(self) -> dict[str, Any]:
        """Give numbers on how it is stored; a server does not tell how much disk that takes."""
        info = self._call("get_collection")
        return {
            "indexed_vectors": info.indexed_vectors_count or 0,
            "segments": info.segments_count,
            "shards": info.config.params.shard_number or 1,
            "replicas": info.config.params.replication_factor or 1,
            "status": info.status.value,
        }
