"""LlamaIndex's vector store queries as plans of an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

from ..errors import InputError, MissingChannelError
from ..retrieval import Diversity, Filter, In, IsDocument, Query, QueryPlan, WeightedSum
from .filters import all_of, checked_filters
from .stored_nodes import SOURCE

_MODES = ("default", "sparse", "hybrid", "mmr")
_PREFETCH_FACTOR = 4.0


@dataclass(frozen=True, kw_only=True)
class IndexQuery:
    """What an index is asked.

    Attributes:
        query: Text and vector.
        plan: How to search.
        condition: Which nodes count.
    """

    query: Query
    plan: QueryPlan
    condition: Filter | None

    @classmethod
    def of(
        cls,
        asked: VectorStoreQuery,
        plan: QueryPlan,
        channels: tuple[str, ...],
        arguments: Mapping[str, Any],
    ) -> IndexQuery:
        """Read a query of LlamaIndex.

        Args:
            asked: The query.
            plan: Of the index: hybrid mode follows it where the query says nothing else.
            channels: That the index keeps.
            arguments: What was given beside the query, for mode mmr.

        Raises:
            InputError: If the mode is unknown, or lacks something.
            MissingChannelError: If the index does not keep what the mode searches.
        """
        mode = _checked_mode(asked, arguments)
        return cls(
            query=query_of(asked.query_embedding, asked.query_str),
            plan=_plan(mode, asked, plan, channels, arguments),
            condition=_condition(asked),
        )


def query_of(embedding: Any, text: str | None) -> Query:
    """Give a query of a dense vector and a text, of which one may be missing.

    Raises:
        InputError: If both are.
    """
    if embedding is None and text is None:
        raise InputError("a query needs query_embedding or query_str, got neither")
    vectors = {} if embedding is None else {"dense": np.asarray(embedding, dtype=np.float32)}
    return Query(text=text, vectors=vectors)


def _checked_mode(asked: VectorStoreQuery, arguments: Mapping[str, Any]) -> str:
    mode = str(getattr(asked.mode, "value", asked.mode))
    if mode not in _MODES:
        raise InputError(f"query mode must be one of {', '.join(_MODES)}; got {mode!r}")
    known = ("mmr_threshold", "mmr_prefetch_factor", "mmr_prefetch_k") if mode == "mmr" else ()
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise InputError(
            f"a query of mode {mode!r} takes {', '.join(known) or 'no arguments'}; got {unknown}"
        )
    return mode


def _plan(
    mode: str,
    asked: VectorStoreQuery,
    plan: QueryPlan,
    channels: tuple[str, ...],
    arguments: Mapping[str, Any],
) -> QueryPlan:
    top_k = asked.similarity_top_k
    if mode == VectorStoreQueryMode.HYBRID.value:
        return _hybrid(asked, plan, channels)
    if mode == VectorStoreQueryMode.SPARSE.value:
        words = _words(asked, channels)
        return _alone(words, top_k if asked.sparse_top_k is None else asked.sparse_top_k, plan)
    dense = _alone("dense", top_k, plan)
    return dense if mode == VectorStoreQueryMode.DEFAULT.value else _diverse(asked, dense, arguments)


def _alone(channel: str, top_k: int, plan: QueryPlan) -> QueryPlan:
    """Give a plan that searches one channel and leaves its scores as they are."""
    return QueryPlan(
        top_k=top_k, fetch_k=plan.fetch_k, channels=(channel,), late_interaction=0, exact=plan.exact
    )


def _diverse(asked: VectorStoreQuery, dense: QueryPlan, arguments: Mapping[str, Any]) -> QueryPlan:
    given = arguments.get("mmr_threshold", asked.mmr_threshold)
    factor = arguments.get("mmr_prefetch_factor", _PREFETCH_FACTOR)
    candidates = arguments.get("mmr_prefetch_k", int(dense.top_k * factor))
    diversity = Diversity(lambda_mult=0.5 if given is None else given, candidates=max(candidates, 1))
    return replace(dense, fetch_k=max(dense.fetch_k, candidates), diversity=diversity)


def _hybrid(asked: VectorStoreQuery, plan: QueryPlan, channels: tuple[str, ...]) -> QueryPlan:
    words = _words(asked, channels)
    top_k = asked.similarity_top_k if asked.hybrid_top_k is None else asked.hybrid_top_k
    deepest = max(plan.fetch_k, asked.similarity_top_k, asked.sparse_top_k or 0)
    plan = replace(plan, top_k=top_k, fetch_k=deepest)
    if asked.alpha is None:
        return plan
    if not 0 <= asked.alpha <= 1:
        raise InputError(f"alpha must be between 0 (sparse) and 1 (dense), got {asked.alpha}")
    weights = {"dense": float(asked.alpha), words: 1.0 - asked.alpha}
    return replace(plan, channels=("dense", words), late_interaction=0, fusion=WeightedSum(weights=weights))


def _words(asked: VectorStoreQuery, channels: tuple[str, ...]) -> str:
    """Name the channel that finds words."""
    if asked.query_str is None:
        raise InputError("sparse and hybrid mode look for words: give query_str")
    for name in ("sparse", "bm25"):
        if name in channels:
            return name
    raise MissingChannelError(
        f"sparse and hybrid mode search the channel 'sparse' or 'bm25', and this index keeps {', '.join(channels)}: "
        "which channels there are is chosen when an index is made"
    )


def _condition(asked: VectorStoreQuery) -> Filter | None:
    nodes = IsDocument(tuple(asked.node_ids)) if asked.node_ids else None
    sources = In(SOURCE, tuple(asked.doc_ids)) if asked.doc_ids else None
    return all_of(nodes, sources, checked_filters(asked.filters))
