"""BGE in LangChain: embeddings, reranker and cross-encoder that share one copy of each model.

The sparse embeddings for Qdrant's and Milvus' stores are looked up when they are first used: they import those
stores where they are installed.
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
    from .sparse import BGESparseEmbeddings

_HOME = {"BGEMilvusSparseEmbeddings": "milvus", "BGESparseEmbeddings": "sparse"}

__all__ = [
    "BGECrossEncoder",
    "BGEEmbeddings",
    "BGEMilvusSparseEmbeddings",
    "BGEReranker",
    "BGESparseEmbeddings",
    "MigrationWarning",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
