"""What a user chooses when an index is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import InputError
from .bm25 import Bm25Settings
from .contracts import Quantization, StorageType

CHANNELS = ("dense", "sparse", "multi", "bm25")
LongDocuments = Literal["windows", "late-chunking", "cut"]


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """How the index keeps token vectors (channel "multi").

    Attributes:
        dim: Project them to so many dimensions; None keeps all. The projection is fitted to the first batch that is
            added (or to what `HybridIndex.calibrate` is given): the directions of most variance.
        storage: Number format. A token vector of 1,024 dimensions takes 2 KB in float16, with `dim=128` 256 bytes.
    """

    dim: int | None = None
    storage: StorageType = "float16"

    def __post_init__(self) -> None:
        if self.dim is not None and self.dim < 1:
            raise InputError(f"dim of token vectors must be 1 or more, got {self.dim}")
        _check("storage", self.storage, ("float32", "float16", "int8"))


@dataclass(frozen=True, kw_only=True)
class DenseSettings:
    """How the index keeps dense vectors.

    Attributes:
        storage: Number format.
        quantization: Search on a copy of one byte ("scalar") or one bit ("binary") per dimension and rescore with
            the stored vectors; for engines that can.
    """

    storage: StorageType = "float32"
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        _check("storage", self.storage, ("float32", "float16", "int8"))
        _check("quantization", self.quantization, (None, "scalar", "binary"))


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """What an index keeps of every document. It is stored with the index and cannot be changed later.

    Attributes:
        channels: Some of "dense", "sparse", "multi", "bm25". None keeps all that the encoder gives, and "bm25" where
            it gives no sparse vectors.
        dense: How dense vectors are kept.
        multi: How token vectors are kept.
        bm25: How words are counted.
        long_documents: What happens to a document beyond the checkpoint's length. "windows" cuts it into
            overlapping windows, indexes each, and finds the document by its best. "late-chunking" reads as much
            as the checkpoint takes in one pass and pools per chunk of `window_tokens`, so that a chunk knows its
            surroundings. "cut" reads the beginning.
        window_tokens: Length of a window or chunk in tokens; None: what the encoder reads at most, and 256 for late
            chunking.
        overlap_tokens: Tokens that neighbouring windows share; None is 64, or a quarter of a smaller window. Late
            chunks share none.
    """

    channels: tuple[str, ...] | None = None
    dense: DenseSettings = field(default_factory=DenseSettings)
    multi: TokenSettings = field(default_factory=TokenSettings)
    bm25: Bm25Settings = field(default_factory=Bm25Settings)
    long_documents: LongDocuments = "windows"
    window_tokens: int | None = None
    overlap_tokens: int | None = None

    def __post_init__(self) -> None:
        _check("long_documents", self.long_documents, ("windows", "late-chunking", "cut"))
        if self.window_tokens is not None and self.window_tokens < 8:
            raise InputError(f"window_tokens must be 8 or more, got {self.window_tokens}")
        if self.overlap_tokens is not None and self.overlap_tokens < 0:
            raise InputError(f"overlap_tokens must be 0 or more, got {self.overlap_tokens}")
        if self.channels is not None:
            _check_channels(self.channels)


def _check_channels(channels: tuple[str, ...]) -> None:
    unknown = [name for name in channels if name not in CHANNELS]
    if unknown or not channels or len(set(channels)) < len(channels):
        raise InputError(f"channels must be some of {', '.join(CHANNELS)}, each once; got {channels!r}")
    if set(channels) == {"multi"}:
        raise InputError(
            "token vectors only rescore what another channel recalled: keep 'dense', 'sparse' or 'bm25' too"
        )


def _check(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")
