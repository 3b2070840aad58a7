"""Runs a long list in chunks: tokenising the next while the last compute, with bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from ..contracts import CallOptions, Progress, SequenceOutputs, TokenSequence
from .residents import Lease
from .steps import Steps

CHUNK = 1024
_CHUNKS_IN_FLIGHT = 4

Deliver = Callable[[Sequence[TokenSequence], Sequence[SequenceOutputs]], None]


def run_in_chunks(
    lease: Lease,
    chunks: Iterable[Sequence[TokenSequence]],
    deliver: Deliver,
    options: CallOptions,
    total: int,
) -> Steps[None]:
    """Submit chunk after chunk, a few at a time, and hand the results over in order.

    Args:
        lease: The model.
        chunks: Made one by one, as they are needed.
        deliver: Gets each chunk with its outputs, first chunk first.
        options: The timeout holds for all chunks together.
        total: Sequences in all chunks, for the progress callback.
    """
    give_up = None if options.timeout_s is None else time.monotonic() + options.timeout_s
    on_done = _progress_counter(options, total)
    in_flight: deque[tuple[Sequence[TokenSequence], Future[list[SequenceOutputs]]]] = deque()
    try:
        for chunk in chunks:
            if len(in_flight) >= _CHUNKS_IN_FLIGHT:
                deliver(in_flight[0][0], (yield in_flight[0][1]))
                in_flight.popleft()
            left = None if give_up is None else max(0.0, give_up - time.monotonic())
            in_flight.append((chunk, lease.submit(chunk, replace(options, timeout_s=left), on_done)))
        while in_flight:
            deliver(in_flight[0][0], (yield in_flight[0][1]))
            in_flight.popleft()
    finally:
        for _, future in in_flight:
            future.cancel()


def _progress_counter(options: CallOptions, total: int) -> Callable[[int], None] | None:
    report = options.progress
    if report is None:
        return None
    done = 0

    def count(finished: int) -> None:
        nonlocal done
        done += finished
        report(Progress(done, total))

    return count
