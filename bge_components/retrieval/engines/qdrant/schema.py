"""Channels as the vectors of a Qdrant collection: how one is made, read, and compared with what is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ...._extras import require
from ....errors import IndexMismatchError
from ...contracts import Channel, ChannelKind, Quantization, StorageType
from ..qdrant_terms.layouts import Layout
from .settings import QdrantSettings

_DENSE_TYPES: Mapping[StorageType, str] = {"float32": "float32", "float16": "float16", "int8": "turbo8"}
"""Qdrant's own one-byte type holds whole numbers from 0 to 255; "turbo8" takes any vector (TurboQuant)."""

_SPARSE_TYPES: Mapping[StorageType, str] = {"float32": "float32", "float16": "float16"}
"""Of the index alone; what is stored stays float32."""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What a collection keeps.

    Attributes:
        channels: In the order of the collection's vectors, dense ones first.
        vector_names: Of every channel.
    """

    channels: tuple[Channel, ...]
    vector_names: Mapping[str, str]


def creation_of(channels: Sequence[Channel], layout: Layout, settings: QdrantSettings) -> dict[str, Any]:
    """Give the arguments with which a collection of these channels is made."""
    sparse = [channel for channel in channels if channel.kind is ChannelKind.SPARSE]
    others = [channel for channel in channels if channel.kind is not ChannelKind.SPARSE]
    given = {
        "shard_number": settings.shard_number,
        "replication_factor": settings.replication_factor,
        "write_consistency_factor": settings.write_consistency_factor,
        "on_disk_payload": settings.on_disk_payload,
    }
    return {
        "vectors_config": {
            layout.vector_name(channel.name): _vector_params(channel, layout, settings) for channel in others
        },
        "sparse_vectors_config": {
            layout.vector_name(channel.name): _sparse_params(channel, settings) for channel in sparse
        },
        **{name: value for name, value in given.items() if value is not None},
    }


def _vector_params(channel: Channel, layout: Layout, settings: QdrantSettings) -> Any:
    models = _models()
    multi = channel.kind is ChannelKind.MULTI
    max_sim = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM) if multi else None
    return models.VectorParams(
        size=channel.dim,
        distance=models.Distance.COSINE if layout.cosine else models.Distance.DOT,
        datatype=None if channel.storage == "float32" else _DENSE_TYPES[channel.storage],
        on_disk=settings.on_disk,
        multivector_config=max_sim,
        hnsw_config=models.HnswConfigDiff(m=0, payload_m=0) if multi else _graph(settings),
        quantization_config=_quantization(channel.quantization),
    )


def _graph(settings: QdrantSettings) -> Any:
    given = {
        "m": settings.hnsw_m,
        "ef_construct": settings.hnsw_ef_construct,
        "on_disk": settings.on_disk,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    return _models().HnswConfigDiff(**chosen) if chosen else None


def _quantization(wanted: Quantization | None) -> Any:
    models = _models()
    if wanted == "scalar":
        config = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        return models.ScalarQuantization(scalar=config)
    if wanted == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None


def _sparse_params(channel: Channel, settings: QdrantSettings) -> Any:
    models = _models()
    datatype = None if channel.storage == "float32" else _SPARSE_TYPES[channel.storage]
    return models.SparseVectorParams(
        index=models.SparseIndexParams(on_disk=settings.on_disk, datatype=datatype),
        modifier=models.Modifier.IDF if channel.idf else None,
    )


def schema_of(config: Any, layout: Layout) -> Schema:
    """Read the channels of a collection.

    Args:
        config: `CollectionInfo.config`.
        layout: Names the channels.

    Raises:
        IndexMismatchError: If a vector is compared by a distance that is no dot product.
    """
    found: list[tuple[Channel, str]] = []
    for name, params in vectors_of(config).items():
        _check_distance(name, params.distance)
        found.append((_dense_or_multi(layout.channel_name(name), params, config), name))
    for name, params in (config.params.sparse_vectors or {}).items():
        found.append((_sparse(layout.channel_name(name), params), name))
    return Schema(
        channels=tuple(channel for channel, _ in found),
        vector_names={channel.name: name for channel, name in found},
    )


def vectors_of(config: Any) -> dict[str, Any]:
    """Give the parameters of every dense and multi vector by its name, "" for an unnamed one."""
    vectors = config.params.vectors or {}
    return dict(vectors) if isinstance(vectors, Mapping) else {"": vectors}


def _check_distance(vector: str, distance: Any) -> None:
    if distance not in ("Dot", "Cosine"):
        raise IndexMismatchError(
            f"vector {vector!r} is compared by {getattr(distance, 'value', distance)} distance, and this engine "
            "ranks by dot product or cosine: make the collection anew with one of these"
        )


def _dense_or_multi(name: str, params: Any, config: Any) -> Channel:
    kind = ChannelKind.MULTI if params.multivector_config else ChannelKind.DENSE
    quantized = _found_quantization(params.quantization_config or config.quantization_config)
    return Channel(
        name=name,
        kind=kind,
        dim=params.size,
        storage=_storage(_DENSE_TYPES, params.datatype, name),
        quantization=quantized if kind is ChannelKind.DENSE else None,
    )


def _sparse(name: str, params: Any) -> Channel:
    datatype = params.index.datatype if params.index else None
    return Channel(
        name=name,
        kind=ChannelKind.SPARSE,
        idf=params.modifier == "idf",
        storage=_storage(_SPARSE_TYPES, datatype, name),
    )


def _storage(types: Mapping[StorageType, str], datatype: Any, name: str) -> StorageType:
    for storage, known in types.items():
        if known == (datatype or "float32"):
            return storage
    raise IndexMismatchError(
        f"channel {name!r} is stored as {getattr(datatype, 'value', datatype)}, and this engine knows "
        f"{', '.join(types.values())}: make the collection anew with one of these"
    )


def _found_quantization(config: Any) -> Quantization | None:
    if getattr(config, "scalar", None):
        return "scalar"
    return "binary" if getattr(config, "binary", None) else None


def check_schema(wanted: Sequence[Channel], found: Schema, collection: str, *, part: bool) -> None:
    """Hold the channels of a collection against those that are wanted.

    Args:
        wanted: Channels.
        found: What the collection keeps.
        collection: For the message.
        part: Whether the collection may keep more.

    Raises:
        IndexMismatchError: If they differ; the message names every difference.
    """
    there = {channel.name: channel for channel in found.channels}
    told = [one for channel in wanted for one in _differences(channel, there.get(channel.name))]
    surplus = sorted(set(there) - {channel.name for channel in wanted})
    if surplus and not part:
        told.append(f"it also keeps {', '.join(map(repr, surplus))}")
    if told:
        raise IndexMismatchError(
            f"collection {collection!r} keeps other channels than asked for: {'; '.join(told)}. Open it with the "
            "channels that it has, or choose another collection"
        )


def _differences(wanted: Channel, found: Channel | None) -> list[str]:
    if found is None:
        return [f"it has no {wanted.name!r}"]
    return [
        f"{wanted.name!r} has {one.name} {getattr(found, one.name)}, asked for {getattr(wanted, one.name)}"
        for one in fields(Channel)
        if getattr(found, one.name) != getattr(wanted, one.name)
    ]


def _models() -> Any:
    return require("qdrant_client.models", extra="qdrant")
