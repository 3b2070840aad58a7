"""The first import of torch in a process, during which the garbage collector rests."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
    """Collect no garbage, then count what was made among the old objects; a collector that is off stays so."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if not gc.get_freeze_count():  # else somebody keeps objects apart, before a fork for instance
            gc.freeze()
            gc.unfreeze()  # all objects belong to the oldest generation now
