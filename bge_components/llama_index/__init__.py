"""BGE embeddings and rerankers for LlamaIndex.

`Settings.embed_model = BGEEmbedding("BAAI/bge-m3")` embeds, `BGEReranker(top_n=3)` among the
`node_postprocessors` of a query engine reranks. Both hold settings only: the weights live in the pool that all
components of the process share.
"""

from __future__ import annotations

from .._extras import require

require("llama_index.core", extra="llama-index")

from .embedding import BGEEmbedding  # noqa: E402  (first say what is missing)
from .nodes import RerankedNode  # noqa: E402
from .reranker import BGEReranker  # noqa: E402
from .swapped import SwapWarning  # noqa: E402

__all__ = ["BGEEmbedding", "BGEReranker", "RerankedNode", "SwapWarning"]
