"""Which channels a new index keeps: what its encoder gives, and what its user and its engine want."""

from __future__ import annotations

from collections.abc import Sequence

from ..contracts import ModelInfo, Output
from ..errors import IndexMismatchError, InputError, MissingChannelError, MissingOutputError
from .contracts import Capabilities, Channel, ChannelKind
from .settings import CHANNELS, IndexSettings

_OUTPUTS = {"dense": Output.DENSE, "sparse": Output.SPARSE, "multi": Output.MULTI}


def channels_for(
    info: ModelInfo, dimensions: int | None, settings: IndexSettings, can: Capabilities
) -> tuple[Channel, ...]:
    """Give the channels of a new index.

    Args:
        info: Of the loaded checkpoint.
        dimensions: What the encoder cuts its vectors to, if it does.
        settings: The user's choice.
        can: What the engine is able to keep.

    Raises:
        MissingOutputError: If a channel was asked for that the checkpoint does not give.
        InputError: If the engine cannot keep one as it was asked for.
    """
    given = [name for name, output in _OUTPUTS.items() if output in info.outputs]
    names = settings.channels or _defaults(given, can)
    missing = [name for name in names if name in _OUTPUTS and name not in given]
    if missing:
        raise MissingOutputError(
            f"the channels {', '.join(missing)} were asked for, but {info.name} gives {', '.join(given)}; 'bm25' "
            "counts words and needs no checkpoint, BAAI/bge-m3 gives dense, sparse and multi"
        )
    channels = tuple(_channel(name, info, dimensions, settings) for name in CHANNELS if name in names)
    for channel in channels:
        _check_engine(channel, can)
    return channels


def channels_there(
    info: ModelInfo,
    dimensions: int | None,
    wanted: Sequence[str] | None,
    there: Sequence[Channel],
    where: str,
) -> tuple[Channel, ...]:
    """Give those channels of a store without manifest (another library made it) that the encoder can use.

    A sparse channel whose weights are multiplied by document frequencies holds words of that library's own kind, and
    is left alone.

    Args:
        info: Of the loaded checkpoint.
        dimensions: What the encoder cuts its vectors to, if it does.
        wanted: Names of the channels that the user asks for; None takes all.
        there: What the store keeps.
        where: The store, for the message.

    Raises:
        IndexMismatchError: If there is none, or one has other dimensions.
        MissingChannelError: If one is asked for that is not there.
    """
    widths = {"dense": info.width, "multi": info.multi_width or info.width}
    usable = tuple(one for one in there if _OUTPUTS.get(one.name) in info.outputs and not one.idf)
    others = [one for one in usable if one.dim and one.dim != min(dimensions or one.dim, widths[one.name])]
    if others or not any(one.kind is not ChannelKind.MULTI for one in usable):
        kept = ", ".join(f"{one.name} ({one.dim or one.kind})" for one in there)
        given = ", ".join(f"{name} ({width})" for name, width in widths.items())
        raise IndexMismatchError(
            f"{where} keeps {kept}, and {info.name} gives {given}: use the encoder it was made with"
        )
    missing = [name for name in wanted or () if name not in {one.name for one in usable}]
    if missing:
        raise MissingChannelError(
            f"the channels {', '.join(missing)} were asked for, but of those that {where} keeps the encoder can use "
            f"{', '.join(one.name for one in usable)}; another library's store cannot be given more"
        )
    return tuple(one for one in usable if wanted is None or one.name in wanted)


def _defaults(given: list[str], can: Capabilities) -> list[str]:
    names = [*given, *([] if "sparse" in given else ["bm25"])]
    return names if ChannelKind.MULTI in can.kinds else [name for name in names if name != "multi"]


def _channel(name: str, info: ModelInfo, dimensions: int | None, settings: IndexSettings) -> Channel:
    if name == "dense":
        dim = min(dimensions or info.width, info.width)
        return Channel(
            name=name,
            kind=ChannelKind.DENSE,
            dim=dim,
            storage=settings.dense.storage,
            quantization=settings.dense.quantization,
        )
    if name == "multi":
        width = info.multi_width or info.width
        dim = settings.multi.dim or min(dimensions or width, width)
        return Channel(name=name, kind=ChannelKind.MULTI, dim=dim, storage=settings.multi.storage)
    return Channel(name=name, kind=ChannelKind.SPARSE, idf=name == "bm25")


def _check_engine(channel: Channel, can: Capabilities) -> None:
    problem = ""
    if channel.kind not in can.kinds:
        problem = f"keeps no {channel.kind} vectors"
    elif channel.storage not in can.storage:
        problem = f"cannot store {channel.storage}, only {', '.join(sorted(can.storage))}"
    elif channel.quantization is not None and channel.quantization not in can.quantization:
        options = ", ".join(sorted(can.quantization)) or "none"
        problem = f"cannot quantize to {channel.quantization!r}, its choices: {options}"
    if problem:
        raise InputError(f"channel {channel.name!r}: the engine {can.name!r} {problem}")
