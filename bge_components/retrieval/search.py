"""Runs a query plan: vectors of the queries, recall and fusion, documents, stages, hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contracts import CallOptions
from ..errors import InputError, MissingChannelError
from ..pool import Steps
from .choice import Chosen, choose
from .contracts import Engine
from .explanation import explanations_steps
from .filters import Filter
from .hits import Explanation, Hit, Part
from .manifest import Manifest
from .plan import Query, QueryPlan
from .recall import Candidates, Depth, find_candidates
from .stages import above, diversified, documents_needed, rerank_steps
from .vectorizer import Row, Vectorizer

_LATE_CANDIDATES = 100
_DEEPER = 6  # each time 4 times as deep


@dataclass(frozen=True, eq=False, kw_only=True)
class Search:
    """One search, for any number of queries.

    Attributes:
        engine: Where.
        vectorizer: For the queries' vectors.
        manifest: Of the index.
        plan: How.
        condition: Which passages count; None for all.
        explain: Whether hits explain themselves.
        options: For encoder and rerankers.
    """

    engine: Engine
    vectorizer: Vectorizer
    manifest: Manifest
    plan: QueryPlan
    condition: Filter | None
    explain: bool
    options: CallOptions

    def steps(self, queries: Sequence[Query]) -> Steps[list[list[Hit]]]:
        """Search for every query; the hits of each, best first.

        Raises:
            MissingChannelError: If the plan names a channel that the index does not keep.
            InputError: If a query has neither a text nor a vector for any channel of the plan.
        """
        for query in queries:
            self._check_kept(list(query.vectors), "the query's vectors")
        late = self._late()
        wanted = [*self._recalling(), *(["multi"] if late else [])]
        self._check_weights(wanted)
        if not self.plan.top_k:
            return [[] for _ in queries]
        rows = yield from self._vectors_steps(queries, wanted)
        found: list[list[Hit]] = []
        for query, row in zip(queries, rows):
            hits = yield from self._hits_steps(query, row, late if "multi" in row else 0)
            found.append(hits)
        return found

    def _recalling(self) -> list[str]:
        kept = [channel.name for channel in self.manifest.channels]
        if self.plan.channels is None:
            return [name for name in kept if name != "multi"]
        if "multi" in self.plan.channels:
            raise InputError(
                "token vectors do not recall, they rescore: leave 'multi' out of channels and set late_interaction"
            )
        self._check_kept(self.plan.channels, "channels")
        return [name for name in kept if name in self.plan.channels]

    def _late(self) -> int:
        """Give how many candidates late interaction scores."""
        asked = self.plan.late_interaction
        if asked:
            self._check_kept(["multi"], "late_interaction")
        if asked is None:
            asked = _LATE_CANDIDATES if self.manifest.channel("multi") else 0
        return max(asked, documents_needed(self.plan)) if asked else 0

    def _check_weights(self, wanted: Sequence[str]) -> None:
        weights = self.plan.fusion.weights
        self._check_kept(list(weights), "weights of the fusion")
        if not any(weights.get(name, 1.0) for name in wanted):
            raise InputError(
                f"{', '.join(wanted)}: every channel that is asked weighs 0, nothing would be ranked"
            )

    def _check_kept(self, names: Sequence[str], what: str) -> None:
        missing = [name for name in names if self.manifest.channel(name) is None]
        if missing:
            kept = ", ".join(channel.name for channel in self.manifest.channels)
            raise MissingChannelError(
                f"{what} asks for {', '.join(map(repr, missing))}, and this index keeps {kept}: which channels there "
                "are is chosen when an index is made"
            )

    def _vectors_steps(self, queries: Sequence[Query], wanted: Sequence[str]) -> Steps[list[Row]]:
        """Give the queries' vectors: those that they bring, and those of their texts."""
        brought = [{name: one.vectors[name] for name in wanted if name in one.vectors} for one in queries]
        places = [
            place
            for place, one in enumerate(queries)
            if one.text is not None and len(brought[place]) < len(wanted)
        ]
        rows = [self._shortened(row) for row in brought]
        if places:
            texts = [queries[place].text or "" for place in places]
            made, _ = yield from self.vectorizer.steps(texts, "query", wanted, self.options)
            for place, row in zip(places, made):
                rows[place] = {**row, **rows[place]}
        for query, row in zip(queries, rows):
            if query.text is None and not any(name != "multi" for name in row):
                raise InputError(
                    f"a query without text brings vectors for {sorted(query.vectors)}, and the plan searches {wanted}"
                )
        return rows

    def _shortened(self, row: Row) -> Row:
        if "multi" not in row:
            return dict(row)
        tokens = np.asarray(row["multi"], dtype=np.float32)
        return {**row, "multi": self.vectorizer.shortened(tokens)}

    def _found(self, row: Row, depth: Depth) -> tuple[Candidates, list[Chosen]]:
        """Recall documents; where windows of few of them fill the lists, look deeper until there are enough."""
        wanted = documents_needed(self.plan)
        for _ in range(_DEEPER):
            candidates = find_candidates(self.engine, self.plan, row, self.condition, depth)
            chosen = choose(self.engine, candidates, wanted)
            if len(chosen) >= wanted or not candidates.full:
                break
            depth = depth.times(4)
        return candidates, chosen

    def _hits_steps(self, query: Query, row: Row, late: int) -> Steps[list[Hit]]:
        candidates, chosen = self._found(row, Depth(max(self.plan.fetch_k, self.plan.top_k), late))
        if self.plan.rerank:
            if query.text is None:
                raise InputError("rerankers read the query: give it a text, not only vectors")
            chosen = yield from rerank_steps(query.text, chosen, self.plan.rerank, self.options)
        cosines = candidates.channels == ("dense",) and not self.plan.rerank
        best = diversified(self.engine, above(chosen, self.plan), self.plan, cosines=cosines)
        explanations: Sequence[Explanation | None] = [None] * len(best)
        if self.explain:
            explanations = yield from explanations_steps(
                self.engine,
                self.vectorizer,
                query.text,
                row,
                [(one.id, one.passage.text) for one in best],
                self.options,
            )
        return [_hit(one, candidates, why) for one, why in zip(best, explanations)]


def _hit(chosen: Chosen, candidates: Candidates, explanation: Explanation | None) -> Hit:
    scores, ranks = candidates.scores[chosen.row].tolist(), candidates.ranks[chosen.row].tolist()
    return Hit(
        id=chosen.passage.document,
        score=chosen.score,
        text=chosen.text,
        metadata=dict(chosen.passage.metadata),
        passage=chosen.passage.text,
        window=chosen.passage.window,
        parts={
            name: Part(score=_number(score), rank=None if (place := _number(rank)) is None else int(place))
            for name, score, rank in zip(candidates.channels, scores, ranks)
        },
        fused=float(candidates.fused[chosen.row]),
        reranked=chosen.reranked,
        explanation=explanation,
    )


def _number(value: float) -> float | None:
    return None if value != value else value  # NaN
