"""The embedding: LlamaIndex's `BaseEmbedding` over the dense vectors of any encoder of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding, mean_agg
from llama_index.core.bridge.pydantic import Field

from ..contracts import Output, Progress, ProgressCallback, Role
from ..texts import checked_texts
from ..vectors import Encoding
from .encoding import EncodingComponent
from .events import embedding_events
from .vector_cache import VectorCache


class BGEEmbedding(EncodingComponent, BaseEmbedding):
    """Gives the dense vectors of a checkpoint; queries and documents get the instruction that each needs.

    Every call, blocking or awaited, goes to the pool, where requests that arrive together are computed together: an
    awaited call never blocks its event loop, whichever loop that is. With an `embeddings_cache` queries, documents
    and different settings never share an entry. `from_dict` restores what `to_dict` wrote; for LlamaIndex's
    `load_embed_model`, put the class into its `RECOGNIZED_EMBEDDINGS`.
    """

    embeddings_cache: Any | None = Field(
        default=None, exclude=True, description="Key-value store for vectors; None keeps none."
    )

    @classmethod
    def class_name(cls) -> str:
        """Name for serialisation."""
        return "BGEEmbedding"

    def to_payload(self) -> dict[str, Any]:
        """Give what events say of this embedding."""
        told = {
            name: getattr(self, name) for name in ("revision", "dtype", "device", "dimensions", "max_tokens")
        }
        return {**super().to_payload(), **told}

    # ------------------------------------------------------------------ what the base class asks for

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._computed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return (await self._acomputed([query], "query"))[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._computed([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._acomputed([text], "document"))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._computed(texts, "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._acomputed(texts, "document")

    # ------------------------------------------------------------------ what users call: events, cache, batches

    def get_query_embedding(self, query: str) -> Embedding:
        """Embed a query."""
        return self._observed([query], "query")[0]

    async def aget_query_embedding(self, query: str) -> Embedding:
        """Embed a query without blocking the event loop."""
        return (await self._aobserved([query], "query"))[0]

    def get_text_embedding(self, text: str) -> Embedding:
        """Embed a document."""
        return self._observed([text], "document")[0]

    async def aget_text_embedding(self, text: str) -> Embedding:
        """Embed a document without blocking the event loop."""
        return (await self._aobserved([text], "document"))[0]

    def get_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., Embedding] | None = None
    ) -> Embedding:
        """Embed several queries in one call and aggregate their vectors, by default to their mean."""
        return (agg_fn or mean_agg)(self._observed(queries, "query"))

    async def aget_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., Embedding] | None = None
    ) -> Embedding:
        """Do the same without blocking the event loop."""
        return (agg_fn or mean_agg)(await self._aobserved(queries, "query"))

    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """Embed documents, `embed_batch_size` of them in one call to the pool.

        Args:
            texts: The documents.
            show_progress: Show a bar on stderr.
            kwargs: What a pipeline hands to all its steps; not used.

        Returns:
            One vector per document, in the order given.
        """
        return self._in_batches(texts, show_progress, self._observed_documents)

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """Embed documents without blocking the event loop; see `get_text_embedding_batch`."""
        return await self._ain_batches(texts, show_progress, self._aobserved_documents)

    def _observed_documents(self, texts: list[str], progress: ProgressCallback | None) -> list[Embedding]:
        return self._observed(texts, "document", progress)

    async def _aobserved_documents(
        self, texts: list[str], progress: ProgressCallback | None
    ) -> list[Embedding]:
        return await self._aobserved(texts, "document", progress)

    def _observed(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[Embedding]:
        texts = checked_texts(texts)
        with embedding_events(self.callback_manager, self.to_payload(), texts) as vectors:
            vectors.extend(self._cached(texts, role, progress))
        _finish(progress, len(texts))
        return vectors

    async def _aobserved(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[Embedding]:
        texts = checked_texts(texts)
        with embedding_events(self.callback_manager, self.to_payload(), texts) as vectors:
            vectors.extend(await self._acached(texts, role, progress))
        _finish(progress, len(texts))
        return vectors

    def _cached(self, texts: list[str], role: Role, progress: ProgressCallback | None) -> list[Embedding]:
        cache = self._cache(role)
        known = {} if cache is None else cache.get(texts)
        missing = [text for text in texts if text not in known]
        if missing and self.rate_limiter is not None:
            self.rate_limiter.acquire()
        fresh = self._computed(missing, role, progress)
        if cache is None:
            return fresh
        cache.put(dict(zip(missing, fresh)))
        return _filled(texts, known, fresh)

    async def _acached(
        self, texts: list[str], role: Role, progress: ProgressCallback | None
    ) -> list[Embedding]:
        cache = self._cache(role)
        known = {} if cache is None else await cache.aget(texts)
        missing = [text for text in texts if text not in known]
        if missing and self.rate_limiter is not None:
            await self.rate_limiter.async_acquire()
        fresh = await self._acomputed(missing, role, progress)
        if cache is None:
            return fresh
        await cache.aput(dict(zip(missing, fresh)))
        return _filled(texts, known, fresh)

    # ------------------------------------------------------------------ the encoder

    def _computed(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[Embedding]:
        return self._encoded(texts, role, Output.DENSE, _vectors, progress)

    async def _acomputed(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[Embedding]:
        return await self._aencoded(texts, role, Output.DENSE, _vectors, progress)

    def _cache(self, role: Role) -> VectorCache | None:
        if self.embeddings_cache is None:
            return None
        names = (
            "model_name",
            "revision",
            "backend",
            "family",
            "pooling",
            "dtype",
            "task",
            "normalize",
            "dimensions",
            "max_tokens",
        )
        return VectorCache(
            self.embeddings_cache,
            {
                "role": role,
                "instruction": self.query_instruction if role == "query" else self.document_instruction,
                "cuts_refused": self.on_truncation == "error",
                **{name: getattr(self, name) for name in names},
            },
        )


def _vectors(encoding: Encoding) -> list[Embedding]:
    # Row by row: one big conversion would hold the interpreter, and the event loop with it.
    return [row.tolist() for row in encoding.need_dense().values]


def _filled(texts: list[str], known: dict[str, Embedding], fresh: list[Embedding]) -> list[Embedding]:
    """Join known and fresh vectors in the order of the texts; no two places share a list."""
    coming = iter(fresh)
    return [list(known[text]) if text in known else next(coming) for text in texts]


def _finish(progress: ProgressCallback | None, count: int) -> None:
    """Say that a batch is done, also where its vectors came from the cache."""
    if progress is not None:
        progress(Progress(count, count))
