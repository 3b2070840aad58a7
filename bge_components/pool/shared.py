"""The pool that all components of a process share unless they are given another: the one global."""

from __future__ import annotations

import copyreg
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .pool import ModelPool

_lock = threading.Lock()
_shared: ModelPool | None = None


def shared_pool() -> ModelPool:
    """Give the process's pool, made at the first call from `PoolSettings.from_env()`."""
    global _shared
    with _lock:
        if _shared is None or _shared.closed:
            _shared = ModelPool()
        return _shared


@contextmanager
def use_pool(pool: ModelPool) -> Iterator[ModelPool]:
    """Make `pool` the shared one inside the block (for tests, or to give a part of a program its own)."""
    global _shared
    with _lock:
        before, _shared = _shared, pool
    try:
        yield pool
    finally:
        with _lock:
            _shared = before


def _fresh_lock() -> None:
    global _lock
    _lock = threading.Lock()


copyreg.pickle(ModelPool, lambda pool: (shared_pool, ()))
if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_fresh_lock)
