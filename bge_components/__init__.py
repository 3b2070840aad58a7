"""BGE recall and rerank for LangChain and LlamaIndex, from one shared model pool.

Importing this package loads no model library; the names below are looked up when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assembly import ModelArguments, make_encoder, make_reranker
    from .encoders import Encoder, EncoderSettings, pair_scores
    from .errors import BGEError
    from .pool import ModelPool, PoolStats, shared_pool, use_pool
    from .rerankers import CrossEncoder, LateInteraction, RerankerSettings
    from .retrieval import Document, HybridIndex, IndexSettings, QueryPlan
    from .settings import BatchSettings, PoolSettings

__version__ = "0.1.0"

_HOME = {
    "BGEError": "errors",
    "BatchSettings": "settings",
    "CrossEncoder": "rerankers",
    "Document": "retrieval",
    "Encoder": "encoders",
    "EncoderSettings": "encoders",
    "HybridIndex": "retrieval",
    "IndexSettings": "retrieval",
    "LateInteraction": "rerankers",
    "ModelArguments": "assembly",
    "ModelPool": "pool",
    "PoolSettings": "settings",
    "PoolStats": "pool",
    "QueryPlan": "retrieval",
    "RerankerSettings": "rerankers",
    "make_encoder": "assembly",
    "make_reranker": "assembly",
    "pair_scores": "encoders",
    "shared_pool": "pool",
    "use_pool": "pool",
}

__all__ = [  # noqa: RUF022  (the version first)
    "__version__",
    "BGEError",
    "BatchSettings",
    "CrossEncoder",
    "Document",
    "Encoder",
    "EncoderSettings",
    "HybridIndex",
    "IndexSettings",
    "LateInteraction",
    "ModelArguments",
    "ModelPool",
    "PoolSettings",
    "PoolStats",
    "QueryPlan",
    "RerankerSettings",
    "make_encoder",
    "make_reranker",
    "pair_scores",
    "shared_pool",
    "use_pool",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
