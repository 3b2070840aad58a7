"""Names that people will ask for and this version does not run, so that nothing is downloaded in vain."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_LLM_EMBEDDER = "it is an LLM-based embedder (last-token pooling), which this version does not run"
_LLM_RERANKER = "it is an LLM-based reranker, which this version does not run"
_REMOTE = "its network is code of its own on the hub, which was not tested with this version"
_VISUAL = "it embeds images too, which this version does not run"

NOT_RUN: Mapping[str, str] = MappingProxyType(
    {
        "BAAI/bge-code-v1": _LLM_EMBEDDER,
        "BAAI/bge-en-icl": _LLM_EMBEDDER,
        "BAAI/bge-multilingual-gemma2": _LLM_EMBEDDER,
        "BAAI/bge-reasoner-embed-qwen3-8b-0923": _LLM_EMBEDDER,
        "Qwen/Qwen3-Embedding-0.6B": _LLM_EMBEDDER,
        "Qwen/Qwen3-Embedding-4B": _LLM_EMBEDDER,
        "Qwen/Qwen3-Embedding-8B": _LLM_EMBEDDER,
        "intfloat/e5-mistral-7b-instruct": _LLM_EMBEDDER,
        "Alibaba-NLP/gte-Qwen2-7B-instruct": _LLM_EMBEDDER,
        "Alibaba-NLP/gte-Qwen2-1.5B-instruct": _LLM_EMBEDDER,
        "Alibaba-NLP/gte-Qwen1.5-7B-instruct": _LLM_EMBEDDER,
        "Salesforce/SFR-Embedding-2_R": _LLM_EMBEDDER,
        "Salesforce/SFR-Embedding-Mistral": _LLM_EMBEDDER,
        "Linq-AI-Research/Linq-Embed-Mistral": _LLM_EMBEDDER,
        "BAAI/bge-reranker-v2-gemma": _LLM_RERANKER,
        "BAAI/bge-reranker-v2-minicpm-layerwise": _LLM_RERANKER,
        "BAAI/bge-reranker-v2.5-gemma2-lightweight": _LLM_RERANKER,
        "jinaai/jina-reranker-v2-base-multilingual": _REMOTE,
        "jinaai/jina-reranker-v1-turbo-en": _REMOTE,
        "Alibaba-NLP/gte-multilingual-reranker-base": _REMOTE,
        "BAAI/bge-visualized": _VISUAL,
        "BAAI/BGE-VL-base": _VISUAL,
        "BAAI/BGE-VL-large": _VISUAL,
        "BAAI/BGE-VL-MLLM-S1": _VISUAL,
        "BAAI/BGE-VL-MLLM-S2": _VISUAL,
    }
)
"""Name on the hub, and why it is not run."""


def reason_not_run(name: str) -> str | None:
    """Say why a name (with or without its organisation, in any case) is not run; None if nothing is known."""
    wanted = name.casefold()
    for known, reason in NOT_RUN.items():
        if wanted in (known.casefold(), known.rpartition("/")[2].casefold()):
            return reason
    return None
