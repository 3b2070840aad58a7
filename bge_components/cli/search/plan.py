"""From the options of a search to its query plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...assembly import ModelArguments, make_reranker
from ...errors import InputError
from ...rerankers import RerankerSettings
from ...retrieval import M3_SUM, Diversity, Fusion, QueryPlan, ReciprocalRank, Rerank, WeightedSum
from ..options import FusionName

_LATE_CANDIDATES = 100


@dataclass(frozen=True, kw_only=True)
class PlanChoice:
    """What was chosen on the command line; None is the default of the plan.

    Attributes:
        top_k: Documents in the result.
        channels: Those that count, "multi" among them if token vectors are to rescore.
        fusion: How scores become one.
        weights: By channel.
        candidates: For the reranker.
        threshold: Least score.
        diverse: Lambda of maximal marginal relevance.
    """

    top_k: int
    channels: tuple[str, ...] | None = None
    fusion: FusionName = FusionName.DISTRIBUTION
    weights: Mapping[str, float] = field(default_factory=dict)
    candidates: int = 50
    threshold: float | None = None
    diverse: float | None = None


def query_plan(choice: PlanChoice, reranker: ModelArguments | None) -> QueryPlan:
    """Make the plan.

    Args:
        choice: Of the command line.
        reranker: For the last stage; None for none.

    Raises:
        InputError: If the choices make no sense together.
    """
    settings = RerankerSettings(on_truncation="ignore")
    return QueryPlan(
        top_k=choice.top_k,
        channels=_recalling(choice.channels),
        late_interaction=_late(choice.channels),
        fusion=_fusion(choice.fusion, choice.weights),
        rerank=(Rerank(reranker=make_reranker(reranker, settings), candidates=choice.candidates),)
        if reranker
        else (),
        threshold=choice.threshold,
        diversity=None if choice.diverse is None else Diversity(lambda_mult=choice.diverse),
    )


def _recalling(channels: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if channels is None:
        return None
    names = tuple(name for name in channels if name != "multi")
    if not names:
        raise InputError("token vectors (multi) rescore what others recall: name another channel beside it")
    return names


def _late(channels: tuple[str, ...] | None) -> int | None:
    if channels is None:
        return None
    return _LATE_CANDIDATES if "multi" in channels else 0


def _fusion(name: FusionName, weights: Mapping[str, float]) -> Fusion:
    if name is FusionName.RRF:
        return ReciprocalRank(weights=weights)
    if name is FusionName.M3 and weights:
        raise InputError(
            "the fusion m3 brings weights of its own: leave out --weights, or take --fusion none"
        )
    return M3_SUM if name is FusionName.M3 else WeightedSum(weights=weights, normalization=name.value)
