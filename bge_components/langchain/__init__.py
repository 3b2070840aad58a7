"""BGE in LangChain: embeddings, reranker and cross-encoder that share one copy of each model."""

from __future__ import annotations

from .._extras import require

require("langchain_core", extra="langchain")

from .cross_encoder import BGECrossEncoder  # noqa: E402
from .embeddings import BGEEmbeddings  # noqa: E402
from .migration import MigrationWarning  # noqa: E402
from .reranker import BGEReranker  # noqa: E402

__all__ = ["BGECrossEncoder", "BGEEmbeddings", "BGEReranker", "MigrationWarning"]
