"""The table of cross-encoder rerankers."""

from __future__ import annotations

from typing import Any

from ..contracts import Output
from . import published
from .checkpoint import Checkpoint, Family


def _cross_encoder(name: str, parameters: float, languages: tuple[str, ...], **other: Any) -> Checkpoint:
    """Give an XLM-RoBERTa of 512 tokens with one logit, but for what `other` says."""
    facts: dict[str, Any] = {"max_tokens": 512, "recommended_tokens": 512, "licence": "MIT"}
    return Checkpoint(
        name=name,
        family=Family.CROSS_ENCODER,
        architecture="xlm-roberta",
        dim=None,
        outputs=frozenset({Output.SCORE}),
        pooling=None,
        normalize=False,
        parameters=parameters,
        languages=languages,
        examples=published.RERANKERS.get(name, ()),
        **(facts | other),
    )


RERANKERS: tuple[Checkpoint, ...] = (
    _cross_encoder("BAAI/bge-reranker-base", 278, ("zh", "en")),
    _cross_encoder("BAAI/bge-reranker-large", 560, ("zh", "en")),
    _cross_encoder(
        "BAAI/bge-reranker-v2-m3",
        568,
        ("multilingual",),
        max_tokens=8192,
        recommended_tokens=1024,
        licence="Apache-2.0",
        note="Takes 8192 tokens, was tuned on shorter pairs: its authors use 1024.",
    ),
    _cross_encoder(
        "maidalun1020/bce-reranker-base_v1",
        279,
        ("zh", "en", "ja", "ko"),
        licence="Apache-2.0",
        note="The hub asks to accept its conditions first.",
    ),
)
