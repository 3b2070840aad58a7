"""The first import of torch in a process, during which the garbage collector rests."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PYTHONS_OWN = 1000
"""Fewer objects than this are kept apart by Python itself: some hundred from its start on, in some versions."""


def ensure_torch() -> None:
    """Import torch, if the process has not yet.

    It makes half a million objects that stay. Looking through them again and again as they come, and once more in
    full when the next ones do, costs a tenth of the time to the first embedding of a program.
    """
    if "torch" in sys.modules:
        return
    with _collector_at_rest():
        import torch  # noqa: F401


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Collect no garbage, then count all objects among the old ones; a collector that is off stays so.

    What else is young then waits for a full collection, too. A program that turns the collector off on another thread
    meanwhile finds it on afterwards.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        # With more than Python's own, somebody keeps objects apart, before a fork for instance.
        if gc.get_freeze_count() < _PYTHONS_OWN:
            gc.freeze()
            gc.unfreeze()  # all objects belong to the oldest generation now
