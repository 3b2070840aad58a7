"""What an engine accepts, checked before anything changes: channels, points and vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np

from ..contracts import Float32
from ..errors import InputError, MissingChannelError
from .contracts import Capabilities, Channel, ChannelKind, ChannelVector, Point, SparseRow


def checked_channels(channels: Sequence[Channel], capabilities: Capabilities) -> dict[str, Channel]:
    """Give channels by name, if an engine can keep them.

    Raises:
        InputError: If a name is given twice, a setting contradicts the kind, or the engine has no such thing.
    """
    by_name = {channel.name: channel for channel in channels}
    if len(by_name) < len(channels):
        raise InputError(
            f"every channel needs a name of its own, got {[channel.name for channel in channels]}"
        )
    for channel in channels:
        _check_shape(channel)
        _check_ability(channel, capabilities)
    return by_name


def channel_named(channels: Mapping[str, Channel], name: str) -> Channel:
    """Give a channel by its name.

    Raises:
        MissingChannelError: If there is none; the message names those there are.
    """
    if name not in channels:
        raise MissingChannelError(f"there is no channel {name!r} here: there are {sorted(channels)}")
    return channels[name]


def checked_search(channels: Mapping[str, Channel], name: str, vector: Any, k: int) -> ChannelVector:
    """Give the vector of a search, if it can be answered.

    Raises:
        InputError: If the channel is missing or of kind MULTI, the vector is not one of it, or `k` is below 1.
    """
    channel = channel_named(channels, name)
    if channel.kind is ChannelKind.MULTI:
        raise InputError(
            f"channel {name!r} is never searched, only scored for given points: recall by another one"
        )
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InputError(f"k must be a whole number of 1 or more, got {k!r}")
    return checked_vector(channel, vector)


def checked_points(points: Sequence[Point], channels: Mapping[str, Channel]) -> list[Point]:
    """Give points with vectors of the right shape and type.

    Of points with one id the last is kept. Vectors without content (a sparse row without ids, no token vectors) are
    left out: the point has no vector in that channel.

    Raises:
        InputError: If an id is none, or a vector is not one of its channel; the message names point and channel.
    """
    return list({point.id: _checked_point(point, channels) for point in points}.values())


def checked_vector(channel: Channel, vector: Any, of: str = "") -> ChannelVector:
    """Give a vector as the channel's kind has it: float32, or a `SparseRow`.

    Args:
        channel: Where it belongs.
        vector: What is to be checked.
        of: Whose vector it is, for the message.

    Raises:
        InputError: If it has another shape or type, or holds NaN or infinity.
    """
    where = f"channel {channel.name!r}{of}"
    if channel.kind is ChannelKind.SPARSE:
        return _checked_row(vector, where)
    values = _finite(vector, where)
    if channel.kind is ChannelKind.DENSE and values.shape != (channel.dim,):
        raise InputError(f"{where} expects a vector of {channel.dim} dimensions, found shape {values.shape}")
    if channel.kind is ChannelKind.MULTI and (values.ndim != 2 or values.shape[1] != channel.dim):
        raise InputError(
            f"{where} expects token vectors of {channel.dim} dimensions, found shape {values.shape}"
        )
    return values


def _check_shape(channel: Channel) -> None:
    sparse = channel.kind is ChannelKind.SPARSE
    if sparse != (channel.dim is None) or (channel.dim is not None and channel.dim < 1):
        expected = "has no dimensions" if sparse else "needs 1 dimension or more"
        raise InputError(f"channel {channel.name!r} is {channel.kind} and {expected}, got dim={channel.dim}")
    if channel.idf and not sparse:
        raise InputError(
            f"channel {channel.name!r} is {channel.kind}: only sparse ones know document frequencies"
        )
    if channel.storage == "int8" and sparse:
        raise InputError(
            f"channel {channel.name!r} is sparse: its weights are kept as float32 or float16, not int8"
        )
    if channel.quantization is not None and channel.kind is not ChannelKind.DENSE:
        raise InputError(f"channel {channel.name!r} is {channel.kind}: only dense ones have a smaller copy")


def _check_ability(channel: Channel, can: Capabilities) -> None:
    asked: list[tuple[str, str, Sequence[str]]] = [
        ("kind", str(channel.kind), sorted(map(str, can.kinds))),
        ("storage", channel.storage, sorted(can.storage)),
        ("quantization", str(channel.quantization), ["None", *sorted(can.quantization)]),
    ]
    for setting, value, known in asked:
        if value not in known:
            raise InputError(
                f"the engine {can.name!r} cannot keep channel {channel.name!r} with {setting}={value!r}: "
                f"it takes {', '.join(known)}"
            )


def _checked_point(point: Point, channels: Mapping[str, Channel]) -> Point:
    if isinstance(point.id, bool) or not isinstance(point.id, (UUID, int)):
        raise InputError(f"the id of a point is a UUID or a whole number, got {point.id!r}")
    of = f" of document {point.passage.document!r}"
    vectors = {
        name: checked_vector(channel_named(channels, name), vector, of)
        for name, vector in point.vectors.items()
    }
    return replace(point, vectors={name: vector for name, vector in vectors.items() if not _is_empty(vector)})


def _is_empty(vector: ChannelVector) -> bool:
    return len(vector[0] if isinstance(vector, tuple) else vector) == 0


def _checked_row(vector: Any, where: str) -> SparseRow:
    if not isinstance(vector, tuple) or len(vector) != 2:
        raise InputError(f"{where} expects a pair of ids and weights, found {type(vector).__name__}")
    ids, weights = np.asarray(vector[0]), _finite(vector[1], where)
    if ids.ndim != 1 or ids.shape != weights.shape:
        raise InputError(
            f"{where} expects as many weights as ids, found shapes {ids.shape} and {weights.shape}"
        )
    if len(ids) and (
        ids.dtype.kind not in "iu" or ids[0] < 0 or ids[-1] >= 2**31 or np.any(ids[1:] <= ids[:-1])
    ):
        raise InputError(f"{where} expects ids that are whole, distinct, ascending, from 0 and below 2**31")
    return ids.astype(np.int32), weights


def _finite(vector: Any, where: str) -> Float32:
    try:
        with np.errstate(over="ignore"):
            values = np.asarray(vector, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} expects numbers, found {type(vector).__name__}: {error}") from error
    if not np.isfinite(values).all():
        raise InputError(f"{where} expects finite numbers, found NaN or infinity")
    return values
