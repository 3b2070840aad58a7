"""BGE recall and rerank for LangChain and LlamaIndex, from one shared model pool."""

from __future__ import annotations

__version__ = "0.1.0"
