"""How an index is searched: what is recalled, how it is fused, and what orders the best of it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan

from ..errors import InputError, InputTypeError
from ..rerankers.reranker import StepReranker
from .contracts import ChannelVector
from .fusion import Fusion, ReciprocalRank, WeightedSum


@dataclass(frozen=True, kw_only=True)
class Rerank:
    """A stage that scores (query, text) pairs with a reranker; several make a cascade, cheap ones first.

    Attributes:
        reranker: Any reranker of the pool.
        candidates: How many of the best it gets.
        budget_ms: Begin no further four pairs after so many milliseconds of this stage; what was not scored by then
            stays below what was, in the order it had. The first four are always scored. None: no limit.
    """

    reranker: StepReranker
    candidates: int = 50
    budget_ms: float | None = None

    def __post_init__(self) -> None:
        _check_count("candidates of a reranker", self.candidates, least=1)
        if self.budget_ms is not None and not self.budget_ms > 0:
            raise InputError(f"budget_ms must be above 0, got {self.budget_ms}")


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Maximal marginal relevance over the best candidates, by their dense vectors.

    Attributes:
        lambda_mult: As LangChain has it: 1 is relevance alone, 0 diversity alone.
        candidates: How many of the best it chooses from.
    """

    lambda_mult: float = 0.5
    candidates: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.lambda_mult <= 1:
            raise InputError(f"lambda_mult must be between 0 and 1, got {self.lambda_mult}")
        _check_count("candidates of diversity", self.candidates, least=1)


@dataclass(frozen=True, kw_only=True)
class QueryPlan:
    """Recall per channel, fusion, late interaction, rerankers, threshold, diversity: in this order.

    Attributes:
        top_k: Documents in the result; 0 gives none.
        fetch_k: Points that each channel recalls; at least `top_k` are.
        channels: Which channels recall; None: all that the index has but "multi", which only rescores.
        fusion: How the channels' scores become one. With a single channel its scores stay as they are.
        late_interaction: How many of the best fused candidates get a score from token vectors, which is then fused
            with the other channels' under the name "multi". 0 for none; None is 100 where the index keeps "multi".
        rerank: Stages that each order their candidates anew.
        threshold: Least score, on the scale of the last stage: a reranker's, else the fused one, else the channel's.
        diversity: None for none.
        exact: Compare with every vector, whatever index the engine has.
    """

    top_k: int = 10
    fetch_k: int = 50
    channels: tuple[str, ...] | None = None
    fusion: Fusion = field(default_factory=WeightedSum)
    late_interaction: int | None = None
    rerank: tuple[Rerank, ...] = ()
    threshold: float | None = None
    diversity: Diversity | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.fusion, (ReciprocalRank, WeightedSum)):
            raise InputTypeError(f"fusion must be a WeightedSum or a ReciprocalRank, got {self.fusion!r}")
        if not isinstance(self.rerank, tuple) or not all(isinstance(one, Rerank) for one in self.rerank):
            raise InputTypeError("rerank must be a tuple of stages: rerank=(Rerank(reranker=...),)")
        _check_count("top_k", self.top_k, least=0)
        _check_count("fetch_k", self.fetch_k, least=1)
        if self.late_interaction is not None:
            _check_count("late_interaction", self.late_interaction, least=0)
        if self.channels is not None and not self.channels:
            raise InputError("channels must name at least one, or be None for all")
        if self.threshold is not None and isnan(self.threshold):
            raise InputError("threshold must be a number, got NaN")


@dataclass(frozen=True, eq=False, kw_only=True)
class Query:
    """What is looked for: a text, vectors, or both.

    Attributes:
        text: Encoded for every channel that `vectors` has nothing for; rerankers and explanations need it. None: only
            the channels in `vectors` are searched.
        vectors: By channel, as the index keeps them (token vectors before projection).
    """

    text: str | None = None
    vectors: Mapping[str, ChannelVector] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.text is None and not self.vectors:
            raise InputError("a query needs a text or a vector")


def _check_count(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputTypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < least:
        raise InputError(f"{name} must be {least} or more, got {value}")
