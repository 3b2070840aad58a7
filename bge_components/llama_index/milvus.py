"""The sparse embedding as LlamaIndex's Milvus store wants it: queries and documents, encoded in lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .._extras import foreign_base
from .sparse import BGESparseEmbedding


class LonelySparseFunction(ABC):
    """The interface of `BaseSparseEmbeddingFunction`, for where LlamaIndex's Milvus store is not installed."""

    @abstractmethod
    def encode_queries(self, queries: list[str]) -> list[dict[int, float]]:
        """Give the token weights of queries."""

    @abstractmethod
    def encode_documents(self, documents: list[str]) -> list[dict[int, float]]:
        """Give the token weights of documents."""


if TYPE_CHECKING:
    BaseSparseEmbeddingFunction = LonelySparseFunction
else:
    BaseSparseEmbeddingFunction = foreign_base(
        "llama_index.vector_stores.milvus.utils",
        "BaseSparseEmbeddingFunction",
        otherwise=LonelySparseFunction,
    )


class BGEMilvusSparseEmbedding(BGESparseEmbedding, BaseSparseEmbeddingFunction):
    """A `BGESparseEmbedding` that is also the `sparse_embedding_function` of LlamaIndex's `MilvusVectorStore`.

    Where that store is installed, this is one of its `BaseSparseEmbeddingFunction`s, which it insists on.

    The store hands over the bare text of one node at a time, while dense embeddings read the metadata too: only
    nodes without metadata (or with all of it in `excluded_embed_metadata_keys`) are read in one pass for both. It
    stores no empty sparse vector: nodes without words are better left out.

    Example:
        ```python
        store = MilvusVectorStore(
            "./milvus.db",
            dim=1024,
            enable_sparse=True,
            sparse_embedding_function=BGEMilvusSparseEmbedding("BAAI/bge-m3"),
        )
        ```
    """

    @classmethod
    def class_name(cls) -> str:
        """Name for serialisation."""
        return "BGEMilvusSparseEmbedding"

    def encode_queries(self, queries: list[str]) -> list[dict[int, float]]:
        """Give the token weights of queries, in their order."""
        return self._observed(queries, "query")

    def encode_documents(self, documents: list[str]) -> list[dict[int, float]]:
        """Give the token weights of documents, in their order."""
        return self._observed(documents, "document")

    async def async_encode_queries(self, queries: list[str]) -> list[dict[int, float]]:
        """Do `encode_queries` without blocking the event loop."""
        return await self._aobserved(queries, "query")

    async def async_encode_documents(self, documents: list[str]) -> list[dict[int, float]]:
        """Do `encode_documents` without blocking the event loop."""
        return await self._aobserved(documents, "document")
