"""Recall and fusion for one query: which points each channel finds, and their scores in every channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..contracts import Float32
from .contracts import ChannelVector, Engine, Found, PointId
from .filters import Filter
from .fusion import ranks_of
from .plan import QueryPlan

_TIES = 10_000
"""Of more equal scores at the end of a list, which ones stay is the engine's choice."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidates:
    """Points with their scores.

    Attributes:
        ids: Points, best fused score first; equals in the order of their ids, the same on every engine.
        channels: Names of the columns.
        scores: float32 array, shape (n, channels); NaN where a channel has no score.
        ranks: float32 array, shape (n, channels), from 1; NaN where a channel did not recall the point.
        fused: float32 array, shape (n,), descending.
        full: Whether a channel recalled as many points as it was asked for: there may be more.
    """

    ids: list[PointId]
    channels: tuple[str, ...]
    scores: Float32
    ranks: Float32
    fused: Float32
    full: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Depth:
    """How many points a search looks at.

    Attributes:
        fetch: Recalled by each channel.
        late: Scored by late interaction, the best fused ones; what is beyond is dropped. 0 for none.
    """

    fetch: int
    late: int

    def times(self, factor: int) -> Depth:
        """Give a search that looks at more."""
        return Depth(self.fetch * factor, self.late * factor)


def find_candidates(
    engine: Engine,
    plan: QueryPlan,
    vectors: Mapping[str, ChannelVector],
    condition: Filter | None,
    depth: Depth,
) -> Candidates:
    """Recall, fuse, and score the best again by late interaction.

    Args:
        engine: Where to search.
        plan: How.
        vectors: Of the query, by channel: all but "multi" recall.
        condition: Which passages count.
        depth: How many points each stage looks at.
    """
    recalling = tuple(name for name in vectors if name != "multi")
    k, late = depth.fetch, depth.late
    found = [_recalled(engine, name, vectors[name], k, condition, exact=plan.exact) for name in recalling]
    table = _table(recalling, found)
    if plan.fusion.needs_every_score and len(recalling) > 1:
        _fill(engine, vectors, table)
    best = _fused(plan, table)
    if late and len(best):
        best = _fused(plan, _with_late_interaction(engine, vectors["multi"], best, late))
    return replace(best, full=any(len(part) == k for part in found))


def _recalled(
    engine: Engine, channel: str, vector: ChannelVector, k: int, condition: Filter | None, *, exact: bool
) -> Found:
    """Search one channel; where equal scores straddle the k-th place, the smallest ids of them stay."""
    wanted = k + 1
    while True:
        found = engine.search(channel, vector, wanted, condition, exact=exact)
        straddling = len(found) == wanted and found.scores[k - 1] == found.scores[-1]
        if not straddling or wanted >= k + _TIES:
            break
        wanted = min(2 * wanted, k + _TIES)
    if np.any(found.scores[1:] == found.scores[:-1]):
        found = _in_order(found)
    return Found(found.ids[:k], found.scores[:k])


def _in_order(found: Found) -> Found:
    order = sorted(range(len(found)), key=lambda place: (-found.scores[place], int(found.ids[place])))
    return Found([found.ids[place] for place in order], found.scores[order])


def _table(channels: tuple[str, ...], found: Sequence[Found]) -> Candidates:
    """Put what the channels recalled side by side; rows in the order of the ids."""
    ids = sorted({one for part in found for one in part.ids}, key=int)
    place = {one: row for row, one in enumerate(ids)}
    scores = np.full((len(ids), len(channels)), np.nan, dtype=np.float32)
    ranks = np.full_like(scores, np.nan)
    for column, part in enumerate(found):
        rows = [place[one] for one in part.ids]
        scores[rows, column] = part.scores
        ranks[rows, column] = np.arange(1, len(rows) + 1)
    return Candidates(
        ids=ids, channels=channels, scores=scores, ranks=ranks, fused=np.zeros(len(ids), np.float32)
    )


def _fill(engine: Engine, vectors: Mapping[str, ChannelVector], table: Candidates) -> None:
    """Score in every channel what only another one recalled."""
    for column, channel in enumerate(table.channels):
        rows = np.flatnonzero(np.isnan(table.scores[:, column])).tolist()
        if rows:
            table.scores[rows, column] = engine.score(
                channel, vectors[channel], [table.ids[row] for row in rows]
            )


def _with_late_interaction(
    engine: Engine, query_tokens: ChannelVector, best: Candidates, late: int
) -> Candidates:
    """Give the best candidates with one column more, in the order of their ids."""
    chosen = sorted(range(min(late, len(best))), key=lambda row: int(best.ids[row]))
    ids = [best.ids[row] for row in chosen]
    scores = engine.score("multi", query_tokens, ids)
    return Candidates(
        ids=ids,
        channels=(*best.channels, "multi"),
        scores=np.column_stack((best.scores[chosen], scores)),
        ranks=np.column_stack((best.ranks[chosen], ranks_of(scores))),
        fused=best.fused[chosen],
    )


def _fused(plan: QueryPlan, table: Candidates) -> Candidates:
    """Order by fused score; a single channel's scores are taken as they are."""
    if len(table.channels) == 1:
        fused = np.nan_to_num(table.scores[:, 0], nan=-np.inf)
    else:
        fused = plan.fusion.fuse(table.channels, table.scores, table.ranks)
    order = np.argsort(-fused, kind="stable")
    return Candidates(
        ids=[table.ids[row] for row in order.tolist()],
        channels=table.channels,
        scores=table.scores[order],
        ranks=table.ranks[order],
        fused=np.asarray(fused[order], dtype=np.float32),
    )
