"""The interfaces between the floors: what travels up and down, and nothing that does any work."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

Span = tuple[int, int]
"""Characters of a text: the first, and the one behind the last."""

Role = Literal["query", "document"]
OnTruncation = Literal["warn", "error", "ignore"]
ScoreScale = Literal["sigmoid", "raw"]
DTypeName = Literal["auto", "float32", "bfloat16", "float16", "int8"]


class Output(str, Enum):
    """What a forward pass can be asked for."""

    DENSE = "dense"
    """One vector per text, or per chunk of it: the pooled hidden state, not yet cut or normalised."""
    SPARSE = "sparse"
    """One lexical weight per token (BGE-M3's sparse head)."""
    MULTI = "multi"
    """One vector per token but the first (BGE-M3's multi-vector head), not yet normalised."""
    SCORE = "score"
    """One logit per (query, passage) pair."""

    def __str__(self) -> str:
        return self.value


class Priority(int, Enum):
    """Who goes first on a device: somebody waits for a query, nobody for one document of a bulk."""

    QUERY = 0
    BULK = 1


@dataclass(frozen=True, slots=True, eq=False)
class TokenSequence:
    """One text as the network reads it, special tokens included.

    Attributes:
        ids: Token ids, shape (tokens,), int32.
        outputs: What is wanted of this text.
        type_ids: Segment ids, shape (tokens,), int32; None means zeros.
        chunks: First token, and the one behind the last, of parts of the text, none of them empty; shape
            (chunks, 2), int32. DENSE is then the mean hidden state of each, however the checkpoint pools whole
            texts. None: one vector for the whole.
    """

    ids: Int32
    outputs: frozenset[Output]
    type_ids: Int32 | None = None
    chunks: Int32 | None = None

    def __len__(self) -> int:
        return len(self.ids)


SequenceOutputs = Mapping[Output, Float32]
"""What a model gives for one `TokenSequence`, always float32 and C-contiguous.

DENSE (width,), with `chunks` (chunks, width); SPARSE (tokens,), weights after ReLU, special tokens not yet dropped;
MULTI (tokens - 1, width); SCORE (), the raw logit.
"""


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a loaded model is, for `stats()`, `repr` and `bge doctor`.

    Attributes:
        name: The name the model was asked for.
        backend: The backend that runs it.
        engine: How the backend runs it ("native packed", "stock packed", ...).
        device: The device it is on, as torch spells it.
        dtype: The number format of the matrix products.
        dtype_reason: Why that one.
        nbytes: Memory taken by the weights, in bytes.
        width: Width of the hidden states.
        max_tokens: Longest sequence that the network takes, special tokens included.
        outputs: What it can be asked for.
        multi_width: Width of the token vectors, None where there are none.
        shareable: Whether two threads may have it run at once, which a CPU does with queries and bulk texts.
    """

    name: str
    backend: str
    engine: str
    device: str
    dtype: str
    dtype_reason: str
    nbytes: int
    width: int
    max_tokens: int
    outputs: frozenset[Output]
    multi_width: int | None = None
    shareable: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """How much a tokeniser cut off.

    Attributes:
        index: Place of the text in the list that was given.
        kept: Tokens kept, special tokens included.
        dropped: Tokens dropped; a lower bound for very long texts, which are not read to their end.
    """

    index: int
    kept: int
    dropped: int


class TextTokenizer(Protocol):
    """Turns texts into ids. Safe to share between threads: nothing in it ever changes."""

    special_ids: frozenset[int]
    """Ids that carry no text: cls, eos, sep, pad, unk, mask."""

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[list[Int32], list[Cut]]:
        """Give the ids of each text, special tokens included, cut to `max_tokens`, and the cuts."""
        ...

    def encode_plain(self, texts: Sequence[str], max_tokens: int) -> tuple[list[Int32], list[Cut]]:
        """Give the ids without special tokens, cut to `max_tokens`, and the cuts."""
        ...

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[Int32, Int32]]:
        """Give the ids of each whole text, special tokens included, and where in the text each token stands.

        Returns:
            ids, shape (tokens,), and the span of characters of each, shape (tokens, 2), int32: first, and behind
            the last, white space before it left out. Starts and stops ascend; tokens may share a character, and
            characters that gave no token lie between. Special tokens are outside: (-1, -1) before the text,
            (length, length) behind it.
        """
        ...

    def join_pair(self, first: Int32, second: Int32) -> tuple[Int32, Int32 | None]:
        """Assemble two id arrays (without special tokens) into one pair: ids and segment ids."""
        ...

    def pair_overhead(self) -> int:
        """Give the number of special tokens that `join_pair` adds."""
        ...

    def tokens_of(self, ids: Sequence[int]) -> list[str]:
        """Give the vocabulary entry of each id, word-boundary marks kept ("▁What", "##ing")."""
        ...


@runtime_checkable
class Model(Protocol):
    """A loaded checkpoint on one device.

    `run` is called by one thread at a time, or by two if `info.shareable`; the others by any.
    """

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        ...

    @property
    def tokenizer(self) -> TextTokenizer:
        """Its tokeniser."""
        ...

    def run(self, batch: Sequence[TokenSequence], *, exact: bool = False) -> list[SequenceOutputs]:
        """Run one forward pass.

        Args:
            batch: What to run, in any order and of any length.
            exact: Compute in fp32 whatever the model's own dtype is (slow: for rare recomputation).

        Returns:
            One mapping per sequence, in the order of `batch`, holding just the outputs it asked for.

        Raises:
            DeviceOutOfMemoryError: If the device has not enough memory for this batch.
            Exception: Anything else that the forward pass raised.
        """
        ...

    def free_memory(self) -> None:
        """Give cached device memory back."""
        ...

    def close(self) -> None:
        """Drop the weights."""
        ...


@dataclass(frozen=True, slots=True)
class ModelKey:
    """What makes two models the same one, but for the device. `folder` is an absolute path."""

    folder: str
    revision: str | None
    backend: str
    dtype: str
    adapter: str | None = None
    variant: Hashable = None
    """Anything else that changes the weights or the forward pass (pooling override, ...)."""


class ModelSource(Protocol):
    """Where a model comes from. Hashable; resolving may touch the disk or the network, building does."""

    @property
    def label(self) -> str:
        """Name for messages."""
        ...

    @property
    def device(self) -> str | None:
        """The device asked for, None to let the pool choose."""
        ...

    def __hash__(self) -> int: ...

    def resolve(self, device: str | None = None) -> ModelKey:
        """Find the files and say what model they are, for a device: number formats may depend on it."""
        ...

    def checkpoint(self) -> Any:
        """Give the catalogue's entry, remembered after the first look at the files."""
        ...

    def estimate_nbytes(self, key: ModelKey) -> int:
        """Guess the memory that the weights will take, in bytes, before they are loaded."""
        ...

    def build(self, key: ModelKey, device: str) -> Model:
        """Load the model onto the device."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long job is.

    Attributes:
        done: Texts (or pairs) finished.
        total: Texts (or pairs) in the job.
    """

    done: int
    total: int


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """What one call wants of the engine.

    Attributes:
        priority: Queries before bulk, on a CPU beside it; None chooses by what is called.
        timeout_s: Seconds until the call fails with `DeadlineError`, loading included; None waits.
        on_full: What to do when the queue is full: wait for room, or fail with `QueueFullError`.
        progress: Called now and then from a thread of the engine with how far the job is.
        batch_size: Most texts in a forward pass that holds one of this call; None leaves it to the pool.
        batch_tokens: Most tokens in such a forward pass; None leaves it to the pool.
        deadline: `time.monotonic()` at which the call fails; follows from `timeout_s`, see `started`.
    """

    priority: Priority | None = None
    timeout_s: float | None = None
    on_full: Literal["wait", "error"] = "wait"
    progress: ProgressCallback | None = field(default=None, compare=False)
    batch_size: int | None = None
    batch_tokens: int | None = None
    deadline: float | None = field(default=None, compare=False)

    def started(self) -> CallOptions:
        """Start the clock: give the same options with a deadline, unless they have one."""
        if self.timeout_s is None or self.deadline is not None:
            return self
        return replace(self, deadline=time.monotonic() + self.timeout_s)

    def remaining_s(self) -> float | None:
        """Give the seconds left until the deadline, at least 0; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


DEFAULT_OPTIONS = CallOptions()


__all__ = [
    "DEFAULT_OPTIONS",
    "CallOptions",
    "Cut",
    "DTypeName",
    "Float32",
    "Int32",
    "Model",
    "ModelInfo",
    "ModelKey",
    "ModelSource",
    "OnTruncation",
    "Output",
    "Priority",
    "Progress",
    "ProgressCallback",
    "Role",
    "ScoreScale",
    "SequenceOutputs",
    "Span",
    "TextTokenizer",
    "TokenSequence",
]
