"""The sparse embedding: LlamaIndex's `BaseSparseEmbedding`, and the two functions that its Qdrant store wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding, mean_agg

from ..contracts import Output, ProgressCallback, Role
from ..texts import checked_texts
from ..vectors import Encoding
from .encoding import EncodingComponent
from .events import sparse_embedding_events

SparseRows = tuple[list[list[int]], list[list[float]]]


class BGESparseEmbedding(EncodingComponent, BaseSparseEmbedding):
    """Gives token weights of a checkpoint that has them (BAAI/bge-m3): one {token id: weight} per text.

    With a `BGEEmbedding` of the same settings beside it, a hybrid store loads one copy of the weights and soon pays
    one forward pass for both: after the first texts of each role the pool has learnt that dense and sparse go
    together. An index first embeds up to 2,048 nodes densely and then adds them to the store; where that takes longer
    than ten seconds, let the pool remember longer (`BGE_MEMO_S=600`). It takes the arguments of `BGEEmbedding` but
    for the cache, callbacks and limiter; `normalize` and `dimensions`, which are about dense vectors, change nothing
    here.

    Example:
        ```python
        sparse = BGESparseEmbedding("BAAI/bge-m3")
        store = QdrantVectorStore(
            "papers",
            client=QdrantClient(":memory:"),
            enable_hybrid=True,
            sparse_doc_fn=sparse.sparse_doc_fn,
            sparse_query_fn=sparse.sparse_query_fn,
        )
        context = StorageContext.from_defaults(vector_store=store)
        index = VectorStoreIndex(nodes, storage_context=context, embed_model=BGEEmbedding("BAAI/bge-m3"))
        index.as_retriever(vector_store_query_mode="hybrid").retrieve("Where is the Eiffel tower?")
        ```
    """

    @classmethod
    def class_name(cls) -> str:
        """Name for serialisation."""
        return "BGESparseEmbedding"

    def to_payload(self) -> dict[str, Any]:
        """Give what events say of this embedding."""
        told = {name: getattr(self, name) for name in ("revision", "dtype", "device", "max_tokens")}
        return {**super().to_payload(), **told}

    def sparse_doc_fn(self, texts: list[str]) -> SparseRows:
        """Give the token ids of each document, and their weights: `sparse_doc_fn` of LlamaIndex's Qdrant store."""
        return _as_rows(self._observed(texts, "document"))

    def sparse_query_fn(self, texts: list[str]) -> SparseRows:
        """Give the token ids of each query, and their weights: `sparse_query_fn` of LlamaIndex's Qdrant store."""
        return _as_rows(self._observed(texts, "query"))

    # ------------------------------------------------------------------ what the base class asks for

    def _get_query_embedding(self, query: str) -> SparseEmbedding:
        return self._computed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> SparseEmbedding:
        return (await self._acomputed([query], "query"))[0]

    def _get_text_embedding(self, text: str) -> SparseEmbedding:
        return self._computed([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> SparseEmbedding:
        return (await self._acomputed([text], "document"))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return self._computed(texts, "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return await self._acomputed(texts, "document")

    # ------------------------------------------------------------------ what users call: events, batches

    def get_query_embedding(self, query: str) -> SparseEmbedding:
        """Give the token weights of a query."""
        return self._observed([query], "query")[0]

    async def aget_query_embedding(self, query: str) -> SparseEmbedding:
        """Give the token weights of a query without blocking the event loop."""
        return (await self._aobserved([query], "query"))[0]

    def get_text_embedding(self, text: str) -> SparseEmbedding:
        """Give the token weights of a document."""
        return self._observed([text], "document")[0]

    async def aget_text_embedding(self, text: str) -> SparseEmbedding:
        """Give the token weights of a document without blocking the event loop."""
        return (await self._aobserved([text], "document"))[0]

    def get_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., SparseEmbedding] | None = None
    ) -> SparseEmbedding:
        """Give the weights of several queries, computed in one call, aggregated: by default their mean."""
        return (agg_fn or mean_agg)(self._observed(queries, "query"))

    async def aget_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., SparseEmbedding] | None = None
    ) -> SparseEmbedding:
        """Do the same without blocking the event loop."""
        return (agg_fn or mean_agg)(await self._aobserved(queries, "query"))

    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[SparseEmbedding]:
        """Give the token weights of documents, `embed_batch_size` of them in one call to the pool.

        Args:
            texts: The documents.
            show_progress: Show a bar on stderr.
            kwargs: What a pipeline hands to all its steps; not used.

        Returns:
            One {token id: weight} per document, in the order given: ids ascending, weights above 0.

        Raises:
            InputTypeError: If a text is no string.
            MissingOutputError: If the checkpoint has no sparse output.
        """
        return self._in_batches(texts, show_progress, self._observed_documents)

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[SparseEmbedding]:
        """Do the same without blocking the event loop; see `get_text_embedding_batch`."""
        return await self._ain_batches(texts, show_progress, self._aobserved_documents)

    def _observed_documents(
        self, texts: list[str], progress: ProgressCallback | None
    ) -> list[SparseEmbedding]:
        return self._observed(texts, "document", progress)

    async def _aobserved_documents(
        self, texts: list[str], progress: ProgressCallback | None
    ) -> list[SparseEmbedding]:
        return await self._aobserved(texts, "document", progress)

    def _observed(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[SparseEmbedding]:
        texts = checked_texts(texts)
        with sparse_embedding_events(self.to_payload(), texts) as vectors:
            vectors.extend(self._computed(texts, role, progress))
        return vectors

    async def _aobserved(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[SparseEmbedding]:
        texts = checked_texts(texts)
        with sparse_embedding_events(self.to_payload(), texts) as vectors:
            vectors.extend(await self._acomputed(texts, role, progress))
        return vectors

    # ------------------------------------------------------------------ the encoder

    def _computed(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[SparseEmbedding]:
        return self._encoded(texts, role, Output.SPARSE, _token_weights, progress)

    async def _acomputed(
        self, texts: list[str], role: Role, progress: ProgressCallback | None = None
    ) -> list[SparseEmbedding]:
        return await self._aencoded(texts, role, Output.SPARSE, _token_weights, progress)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["__dict__"])  # type: ignore[misc]  # as LlamaIndex's own components do


def _token_weights(encoding: Encoding) -> list[SparseEmbedding]:
    return encoding.need_sparse().todicts()


def _as_rows(vectors: list[SparseEmbedding]) -> SparseRows:
    return [list(weights) for weights in vectors], [list(weights.values()) for weights in vectors]
