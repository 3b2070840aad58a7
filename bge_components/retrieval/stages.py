"""What orders the best candidates again: rerankers, the threshold, diversity."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ..contracts import CallOptions, Float32
from ..errors import MissingChannelError
from ..pool import Steps
from ..vectors import normalized
from .choice import Chosen
from .contracts import Engine
from .diversity import most_diverse
from .plan import QueryPlan, Rerank

_PAIRS_PER_LOOK = 4  # at the clock


def documents_needed(plan: QueryPlan) -> int:
    """Give how many documents the stages look at."""
    stages = [stage.candidates for stage in plan.rerank]
    return max(plan.top_k, *stages, plan.diversity.candidates if plan.diversity else 0, 0)


def rerank_steps(
    query: str, chosen: list[Chosen], stages: Sequence[Rerank], options: CallOptions
) -> Steps[list[Chosen]]:
    """Let each stage order its candidates; what it did not score stays below, in the order it had."""
    for stage in stages:
        head = chosen[: stage.candidates]
        scores: Float32 = yield from _score_steps(query, head, stage, options)
        order = np.argsort(-scores, kind="stable").tolist()
        scored = [head[place].with_rerank_score(float(scores[place])) for place in order]
        chosen = scored + chosen[len(scored) :]
    return chosen


def above(chosen: list[Chosen], plan: QueryPlan) -> list[Chosen]:
    """Keep what reaches the plan's threshold; with rerankers, only what they scored."""
    if plan.threshold is None:
        return chosen
    least = plan.threshold
    return [one for one in chosen if one.score >= least and (not plan.rerank or one.reranked is not None)]


def diversified(engine: Engine, chosen: list[Chosen], plan: QueryPlan, *, cosines: bool) -> list[Chosen]:
    """Choose by maximal marginal relevance among the best.

    Args:
        engine: For the dense vectors.
        chosen: Best first.
        plan: With `diversity`.
        cosines: Whether the scores are cosines; others are mapped to 0..1 first.

    Raises:
        MissingChannelError: If the index keeps no dense vectors.
    """
    if plan.diversity is None or not chosen:
        return chosen[: plan.top_k]
    best = chosen[: max(plan.diversity.candidates, plan.top_k)]
    points = engine.get([one.id for one in best], ["dense"])
    if not any(point is not None and "dense" in point.vectors for point in points):
        raise MissingChannelError("diversity compares dense vectors, and this index keeps none")
    alive = [
        (one, point.vectors["dense"])
        for one, point in zip(best, points)
        if point and "dense" in point.vectors
    ]
    vectors = normalized(np.stack([np.asarray(vector) for _, vector in alive]))
    relevance = np.array([one.score for one, _ in alive], dtype=np.float32)
    picked = most_diverse(
        relevance if cosines else _unit_range(relevance), vectors, plan.diversity.lambda_mult, plan.top_k
    )
    return [alive[place][0] for place in picked]


def _score_steps(query: str, head: list[Chosen], stage: Rerank, options: CallOptions) -> Steps[Float32]:
    """Score the head, or as much of it as the budget allows: shape (scored,)."""
    pairs = [(query, one.passage.text) for one in head]
    if stage.budget_ms is None:
        return (yield from stage.reranker.score_steps(pairs, options))
    parts: list[Float32] = []
    until = time.perf_counter() + stage.budget_ms / 1000
    for start in range(0, len(pairs), _PAIRS_PER_LOOK):
        if parts and time.perf_counter() >= until:
            break
        part: Float32 = yield from stage.reranker.score_steps(pairs[start : start + _PAIRS_PER_LOOK], options)
        parts.append(part)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _unit_range(scores: Float32) -> Float32:
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)
