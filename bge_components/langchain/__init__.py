"""BGE in LangChain: embeddings, rerankers, retrievers and a vector store that share one copy of each model.

What needs more than embeddings and rerankers is looked up when it is first used: the sparse embeddings import
Qdrant's and Milvus' stores where they are installed, retrievers and vector store import the hybrid index.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._extras import require

require("langchain_core", extra="langchain")

from .cross_encoder import BGECrossEncoder  # noqa: E402
from .embeddings import BGEEmbeddings  # noqa: E402
from .migration import MigrationWarning  # noqa: E402
from .reranker import BGEReranker  # noqa: E402

if TYPE_CHECKING:
    from .milvus import BGEMilvusSparseEmbeddings
    from .rescoring import BGERescoringRetriever
    from .retriever import BGEHybridRetriever
    from .sparse import BGESparseEmbeddings
    from .vector_store import BGEVectorStore

_HOME = {
    "BGEHybridRetriever": "retriever",
    "BGEMilvusSparseEmbeddings": "milvus",
    "BGERescoringRetriever": "rescoring",
    "BGESparseEmbeddings": "sparse",
    "BGEVectorStore": "vector_store",
}

__all__ = [
    "BGECrossEncoder",
    "BGEEmbeddings",
    "BGEHybridRetriever",
    "BGEMilvusSparseEmbeddings",
    "BGEReranker",
    "BGERescoringRetriever",
    "BGESparseEmbeddings",
    "BGEVectorStore",
    "MigrationWarning",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
