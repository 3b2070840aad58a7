"""Channels as the vectors of a Qdrant Edge shard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...._extras import require
from ...contracts import Channel, ChannelKind
from .settings import EdgeSettings

_STORAGE = {"float32": "Float32", "float16": "Float16", "int8": "Turbo8"}
"""Its own one-byte type holds whole numbers from 0 to 255; "Turbo8" takes any vector."""


def shard_config(channels: Iterable[Channel], settings: EdgeSettings) -> Any:
    """Give the `EdgeConfig` of a shard that keeps these channels."""
    edge = _edge()
    channels = list(channels)
    sparse = [channel for channel in channels if channel.kind is ChannelKind.SPARSE]
    others = [channel for channel in channels if channel.kind is not ChannelKind.SPARSE]
    return edge.EdgeConfig(
        vectors={channel.name: _vector_params(channel, settings) for channel in others},
        sparse_vectors={channel.name: _sparse_params(channel) for channel in sparse},
        payload_memory=edge.Memory.Cold,
        optimizers=_optimizers(others, settings),
        max_search_threads=settings.search_threads or None,
    )


def _optimizers(channels: Iterable[Channel], settings: EdgeSettings) -> Any:
    """Say when segments are rebuilt: for a graph, or because a tenth of their points are deleted."""
    graphs = [
        _graph_kilobytes(channel, settings) for channel in channels if channel.kind is ChannelKind.DENSE
    ]
    return _edge().EdgeOptimizersConfig(
        indexing_threshold=min(graphs, default=None), deleted_threshold=0.1, vacuum_min_vector_number=1
    )


def _vector_params(channel: Channel, settings: EdgeSettings) -> Any:
    edge = _edge()
    multi = channel.kind is ChannelKind.MULTI
    max_sim = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    return edge.EdgeVectorParams(
        size=channel.dim,
        distance=edge.Distance.Dot,
        datatype=getattr(edge.VectorStorageDatatype, _STORAGE[channel.storage]),
        multivector_config=max_sim if multi else None,
        quantization_config=_quantization(channel),
        hnsw_config=_graph(channel, settings),
        memory=edge.Memory.Cached if settings.vectors == "memory" else edge.Memory.Cold,
    )


def _graph(channel: Channel, settings: EdgeSettings) -> Any:
    """Give the settings of a channel's graph; token vectors, which are never searched, get one without edges."""
    edge = _edge()
    if channel.kind is ChannelKind.MULTI:
        return edge.HnswIndexConfig(m=0, ef_construct=settings.hnsw_ef_construct, full_scan_threshold=1)
    return edge.HnswIndexConfig(
        m=settings.hnsw_m,
        ef_construct=settings.hnsw_ef_construct,
        full_scan_threshold=_graph_kilobytes(channel, settings),
        max_indexing_threads=settings.threads,
    )


def _graph_kilobytes(channel: Channel, settings: EdgeSettings) -> int:
    """Give how many kilobytes of vectors, counted as float32, `hnsw_from_points` are."""
    return max(1, settings.hnsw_from_points * (channel.dim or 1) * 4 // 1024)


def _quantization(channel: Channel) -> Any:
    edge = _edge()
    if channel.quantization == "scalar":
        return edge.ScalarQuantizationConfig(
            type=edge.ScalarType.Int8, quantile=0.99, memory=edge.Memory.Pinned
        )
    if channel.quantization == "binary":
        return edge.BinaryQuantizationConfig(memory=edge.Memory.Pinned)
    return None


def _sparse_params(channel: Channel) -> Any:
    edge = _edge()
    return edge.EdgeSparseVectorParams(
        modifier=edge.Modifier.Idf if channel.idf else None,
        datatype=getattr(edge.VectorStorageDatatype, _STORAGE[channel.storage]),
    )


def _edge() -> Any:
    return require("qdrant_edge", extra="edge")
