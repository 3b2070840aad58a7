"""Vectors in LlamaIndex's key-value stores, under keys that hold everything that decides a vector."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from llama_index.core.storage.kvstore.types import BaseKVStore

_COLLECTION = "embeddings"
_FORM = "bge-1"  # to be counted up when a change of this package changes vectors

Vector = list[float]


class VectorCache:
    """The vectors of one role (query or document) of one embedding's settings in a store."""

    def __init__(self, store: BaseKVStore, settings: dict[str, Any]) -> None:
        """Set up.

        Args:
            store: Any LlamaIndex key-value store.
            settings: Everything but the text that decides a vector; JSON-ready.
        """
        self._store = store
        self._settings = settings

    def get(self, texts: Sequence[str]) -> dict[str, Vector]:
        """Give the vectors that are there, by text."""
        found = {text: self._store.get(self.key(text), _COLLECTION) for text in dict.fromkeys(texts)}
        return _vectors(found.items())

    async def aget(self, texts: Sequence[str]) -> dict[str, Vector]:
        """Do the same without blocking the event loop."""
        distinct = list(dict.fromkeys(texts))
        found = await asyncio.gather(*(self._store.aget(self.key(text), _COLLECTION) for text in distinct))
        return _vectors(zip(distinct, found))

    def put(self, vectors: dict[str, Vector]) -> None:
        """Keep vectors, by text."""
        self._store.put_all(self._entries(vectors), _COLLECTION)

    async def aput(self, vectors: dict[str, Vector]) -> None:
        """Do the same without blocking the event loop."""
        await self._store.aput_all(self._entries(vectors), _COLLECTION)

    def key(self, text: str) -> str:
        """Give the key of a text: a digest, so that no text can be mistaken for another's key."""
        written = json.dumps([_FORM, self._settings, text], sort_keys=True)
        return blake2b(written.encode(), digest_size=24).hexdigest()

    def _entries(self, vectors: dict[str, Vector]) -> list[tuple[str, dict[str, Any]]]:
        return [(self.key(text), {"embedding": list(vector)}) for text, vector in vectors.items()]


def _vectors(found: Iterable[tuple[str, dict[str, Any] | None]]) -> dict[str, Vector]:
    return {text: list(value["embedding"]) for text, value in found if value is not None}
