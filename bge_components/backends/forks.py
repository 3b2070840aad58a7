"""What a forked child must know before it computes: thread pools and CUDA do not survive a fork."""

from __future__ import annotations

import os
import threading

import torch

from ..errors import PoolError

_forked = False
_settled = threading.local()


def settle_after_fork() -> None:
    """In a forked child, keep torch on one thread; to be called on each thread before it computes.

    The OpenMP threads of the parent do not exist in the child, and libgomp waits for them for ever.
    """
    if _forked and not getattr(_settled, "done", False):
        torch.set_num_threads(1)
        _settled.done = True


def check_device_after_fork(device: torch.device) -> None:
    """Refuse CUDA in a child of a process that had used it.

    Raises:
        PoolError: If so; the message says what to do.
    """
    if device.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise PoolError(
            f"{device} was asked for in a forked process whose parent had already used CUDA, which cannot work: "
            "start processes with multiprocessing.get_context('spawn'), or load models only after the fork"
        )


def _mark() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark)
