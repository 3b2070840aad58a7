"""How far an embedded index is built, and how well its graphs find: measured once, and kept beside the shard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ...._extras import require
from ....errors import IndexFullError
from ...contracts import Channel, ChannelKind
from .folder import EdgeFolder
from .queries import counted
from .settings import EdgeSettings
from .shard import EdgeShardCalls

SAMPLE = 64
"""Stored vectors that are searched for to measure recall."""

NEAREST = 10
_EQUAL = 1e-6


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What `stats` tells besides what the shard knows itself.

    Attributes:
        optimized_points: How many points there were at the last optimisation.
        unindexed_points: Points written since. After a crash, those of them that took the place of others may not be
            counted.
        recall_at_10: Share of the ten nearest that a search by graph finds, the worst of all dense channels; None
            where there is no graph.
    """

    optimized_points: int = 0
    unindexed_points: int = 0
    recall_at_10: float | None = None

    @classmethod
    def read(cls, folder: EdgeFolder, points: int) -> Figures:
        """Read what was kept, and add what must have come since."""
        figures = cls(**(folder.read("figures") or {}))
        return replace(
            figures, unindexed_points=max(figures.unindexed_points, points - figures.optimized_points)
        )

    def keep(self, folder: EdgeFolder) -> None:
        """Write them down, if there is room: nothing depends on them."""
        try:
            folder.write("figures", asdict(self))
        except IndexFullError:
            pass

    def with_written(self, points: int) -> Figures:
        """Count points as written."""
        return replace(self, unindexed_points=self.unindexed_points + points)


def optimized(
    shard: EdgeShardCalls, folder: EdgeFolder, channels: Mapping[str, Channel], settings: EdgeSettings
) -> Figures:
    """Optimise a shard in this process, and measure it."""
    shard("optimize")
    recall = measured_recall(shard, channels_with_graph(folder, channels.values()), settings.search_ef)
    return Figures(optimized_points=counted(shard), recall_at_10=recall)


def measured_recall(shard: EdgeShardCalls, channels: Iterable[Channel], search_ef: int) -> float | None:
    """Measure how much of what an exact search finds a search by graph finds.

    Each of some stored vectors is searched for both ways; a point counts as found if its score is as good as that of
    the tenth best of the exact search, so that equal ones can stand for each other.

    Args:
        shard: Opened.
        channels: Dense ones that have a graph.
        search_ef: With which the graph is searched.

    Returns:
        The smallest share of all channels; None without channels.
    """
    return min((_recall(shard, channel.name, search_ef) for channel in channels), default=None)


def _recall(shard: EdgeShardCalls, name: str, search_ef: int) -> float:
    edge = require("qdrant_edge", extra="edge")
    has_vector = edge.Filter(must=[edge.HasVectorCondition(name)])
    asked = edge.ScrollRequest(limit=SAMPLE, filter=has_vector, with_payload=False, with_vector=[name])
    records, _ = shard("scroll", asked)
    shares = [_share(shard, name, record.vector[name], search_ef) for record in records]
    return float(np.mean(shares)) if shares else 1.0


def _share(shard: EdgeShardCalls, name: str, vector: Any, search_ef: int) -> float:
    best = _scores(shard, name, vector, search_ef, exact=True)
    found = _scores(shard, name, vector, search_ef, exact=False)
    return float(np.mean(found[: len(best)] >= best[-1] - _EQUAL) * len(found) / len(best))


def _scores(shard: EdgeShardCalls, name: str, vector: Any, search_ef: int, *, exact: bool) -> Any:
    edge = require("qdrant_edge", extra="edge")
    request = edge.QueryRequest(
        limit=NEAREST,
        query=edge.Query.Nearest(vector, using=name),
        params=edge.SearchParams(hnsw_ef=search_ef, exact=exact),
        with_payload=False,
    )
    return np.array([point.score for point in shard("query", request)])


def channels_with_graph(folder: EdgeFolder, channels: Iterable[Channel]) -> list[Channel]:
    """Give the dense channels of which a graph was built."""
    dense = [channel for channel in channels if channel.kind is ChannelKind.DENSE]
    return [channel for channel in dense if folder.graph_bytes(channel.name)]
