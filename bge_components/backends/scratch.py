"""Buffers that a thread uses again and again, so that a forward pass on a CPU needs little fresh memory."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from .rounding import rounded_up

KEPT_BYTES = 64 * 2**20
"""A buffer above this size is given back after use: one very long text should not hold its memory for ever."""

_own = threading.local()


def take(slot: str, rows: int, columns: int, like: Tensor) -> Tensor:
    """Give an uninitialised tensor, (rows, columns), with the dtype and on the device of `like`.

    On a CPU it is the calling thread's buffer of that name: what was taken under the same name before is overwritten.
    Fresh blocks of this size would come from the system each time, and touching their pages costs up to a third of a
    forward pass. GPUs have an allocator that keeps its blocks, so there it is new.
    """
    size = rows * columns
    if like.device.type != "cpu" or size * like.element_size() > KEPT_BYTES:
        return like.new_empty(rows, columns)
    buffers: dict[tuple[str, torch.dtype], Tensor] = _own.__dict__.setdefault("buffers", {})
    buffer = buffers.get((slot, like.dtype))
    if buffer is None or buffer.numel() < size:
        buffer = buffers[slot, like.dtype] = like.new_empty(_roomy(size))
    return buffer[:size].view(rows, columns)


def _roomy(size: int) -> int:
    """Round up, by less than a quarter: a buffer replaced for every batch a little larger leaves holes in memory."""
    step = 1 << max(size.bit_length() - 3, 0)
    return rounded_up(size, step)


def give_back() -> None:
    """Free the calling thread's buffers."""
    _own.__dict__.pop("buffers", None)
