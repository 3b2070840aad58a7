"""Why a search found nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...retrieval import HybridIndex


def why_nothing(index: HybridIndex, query: str, condition: Mapping[str, Any] | None) -> str:
    """Say why, in the words of the command line; may search once more."""
    if not index.plan.top_k:
        return "nothing was asked for: --top-k is 0"
    if not index.count():
        return "nothing was found: the index is empty"
    if condition is not None and not index.count(condition):
        return "nothing was found: no document meets --filter"
    best = _best_score(index, query, condition)
    if best is None:
        return "nothing was found"
    return f"nothing was found: the best score is {best:.3f}, and --threshold is {index.plan.threshold:g}"


def _best_score(index: HybridIndex, query: str, condition: Mapping[str, Any] | None) -> float | None:
    if index.plan.threshold is None:
        return None
    hits = index.search(query, filter=condition, plan=replace(index.plan, threshold=None))
    return hits[0].score if hits else None
