"""BGE embeddings and rerankers for LlamaIndex.

`Settings.embed_model = BGEEmbedding("BAAI/bge-m3")` embeds, `BGEReranker(top_n=3)` among the
`node_postprocessors` of a query engine reranks, `BGESparseEmbedding` gives token weights to hybrid stores. All hold
settings only: the weights live in the pool that all components of the process share. `BGEHybridRetriever` and
`BGEVectorStore` keep and search a hybrid index of nodes.

`BGEMilvusSparseEmbedding` is looked up when it is first used: it imports LlamaIndex's Milvus store where that is
installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._extras import require

require("llama_index.core", extra="llama-index")

from .embedding import BGEEmbedding  # noqa: E402  (first say what is missing)
from .index_embedding import DeferredEmbedding  # noqa: E402
from .nodes import RerankedNode  # noqa: E402
from .reranker import BGEReranker  # noqa: E402
from .retriever import BGEHybridRetriever  # noqa: E402
from .sparse import BGESparseEmbedding  # noqa: E402
from .swapped import SwapWarning  # noqa: E402
from .vector_store import BGEVectorStore  # noqa: E402

if TYPE_CHECKING:
    from .milvus import BGEMilvusSparseEmbedding

_HOME = {"BGEMilvusSparseEmbedding": "milvus"}

__all__ = [
    "BGEEmbedding",
    "BGEHybridRetriever",
    "BGEMilvusSparseEmbedding",
    "BGEReranker",
    "BGESparseEmbedding",
    "BGEVectorStore",
    "DeferredEmbedding",
    "RerankedNode",
    "SwapWarning",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
