"""Questions to a Qdrant Edge shard, and its answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ...._extras import require
from ...contracts import Channel, ChannelKind, ChannelVector, PointId
from ...filters import Filter
from ..qdrant_terms.conditions import translated
from .filters import EdgeWords
from .points import LAYOUT, sent_vector
from .settings import EdgeSettings
from .shard import EdgeShardCalls

_LARGEST_LIMIT = 2**31


def shard_filter(condition: Filter | None) -> Any:
    """Give a condition in the shard's terms; None puts none."""
    return None if condition is None else translated(condition, EdgeWords(), LAYOUT)


def found_scores(
    shard: EdgeShardCalls,
    channel: Channel,
    vector: ChannelVector,
    k: int,
    condition: Any,
    settings: EdgeSettings,
    *,
    exact: bool,
) -> dict[PointId, float]:
    """Give the ids and scores of the `k` nearest points, best first, that meet a condition in the shard's terms."""
    if len(vector[0] if isinstance(vector, tuple) else vector) == 0:
        return {}
    edge = _edge()
    request = edge.QueryRequest(
        limit=min(k, _LARGEST_LIMIT),
        query=edge.Query.Nearest(sent_vector(vector), using=channel.name),
        filter=condition,
        params=_params(channel, k, settings, exact),
        with_payload=False,
    )
    return {point.id: point.score for point in shard("query", request)}


def _params(channel: Channel, k: int, settings: EdgeSettings, exact: bool) -> Any:
    if channel.kind is ChannelKind.SPARSE:
        return None
    edge = _edge()
    smaller = None
    if channel.quantization:
        smaller = edge.QuantizationSearchParams(
            ignore=exact, rescore=True, oversampling=settings.oversampling
        )
    return edge.SearchParams(
        hnsw_ef=max(settings.search_ef, min(k, _LARGEST_LIMIT)), exact=exact, quantization=smaller
    )


def given_scores(
    shard: EdgeShardCalls,
    channel: Channel,
    vector: ChannelVector,
    ids: Sequence[PointId],
    settings: EdgeSettings,
) -> dict[PointId, float]:
    """Give the scores of those of the points that have a vector of the channel; of a sparse one, of all."""
    if not ids:
        return {}
    only = _edge().Filter(must=[_edge().HasIdCondition(set(ids))])
    scores = found_scores(shard, channel, vector, len(ids), only, settings, exact=True)
    if channel.kind is ChannelKind.MULTI:  # the shard adds up what each token of the query finds
        return {identity: score / len(vector) for identity, score in scores.items()}
    if channel.kind is ChannelKind.SPARSE:
        return dict.fromkeys(ids, 0.0) | scores
    return scores


def scores_in_order(scores: dict[PointId, float], ids: Sequence[PointId]) -> list[float]:
    """Give the score of each id, NaN where there is none."""
    return [scores.get(identity, math.nan) for identity in ids]


def scrolled(shard: EdgeShardCalls, condition: Any, batch: int) -> Iterator[list[Any]]:
    """Give all records that meet a condition in the shard's terms, in batches, in the order of their ids."""
    edge = _edge()
    offset = None
    while True:
        asked = edge.ScrollRequest(
            offset=offset, limit=batch, filter=condition, with_payload=True, with_vector=False
        )
        records, offset = shard("scroll", asked)
        if records:
            yield records
        if offset is None:
            return


def counted(shard: EdgeShardCalls, condition: Any = None) -> int:
    """Count the points that meet a condition in the shard's terms."""
    return int(shard("count", _edge().CountRequest(exact=True, filter=condition)))


def _edge() -> Any:
    return require("qdrant_edge", extra="edge")
