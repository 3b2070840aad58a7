"""Running out of memory, how it shows in torch and the one error it becomes; and giving memory back."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DeviceOutOfMemoryError

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextmanager
def out_of_memory_translated(device: torch.device, doing: str) -> Iterator[None]:
    """Turn every form of running out of memory into one error; other errors pass.

    Args:
        device: Where the work is done, for the message.
        doing: What is done, for the message ("a batch of 12 texts (900 tokens)").

    Raises:
        DeviceOutOfMemoryError: If memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceOutOfMemoryError(f"{device} has not enough memory for {doing}: {error}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error of torch means that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def give_free_memory_back() -> bool:
    """Give main memory that nothing uses any more back to the system, and say whether that can be asked for (glibc).

    glibc keeps blocks up to 32 MB for each thread that asked for them: most weights of a model that was dropped, and
    what loading one took besides. Other C libraries decide for themselves.
    """
    if sys.platform != "linux":
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return False
    trim(ctypes.c_size_t(0))
    return True
