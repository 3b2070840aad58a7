"""Runs a long list in chunks: tokenising the next while the last compute, with bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from ..contracts import CallOptions, Progress, ProgressCallback, SequenceOutputs, TokenSequence
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
    per_chunk: int = CHUNK,
) -> Steps[None]:
    """Submit chunk after chunk, a few at a time, and hand the results over in order.

    Args:
        lease: The model.
        chunks: Made one by one, as they are needed.
        deliver: Gets each chunk with its outputs, first chunk first.
        options: The deadline holds for all chunks together.
        total: Items (texts or pairs) in all chunks.
        per_chunk: Items whose sequences each chunk but the last holds.
    """
    meter = _Meter(options.progress, total)
    in_flight: deque[tuple[Sequence[TokenSequence], Future[list[SequenceOutputs]]]] = deque()
    try:
        for number, chunk in enumerate(chunks):
            if len(in_flight) >= _CHUNKS_IN_FLIGHT:
                deliver(in_flight[0][0], (yield in_flight[0][1]))
                in_flight.popleft()
            on_done = meter.of_chunk(min(per_chunk, total - number * per_chunk), len(chunk))
            in_flight.append((chunk, lease.submit(chunk, options, on_done)))
        while in_flight:
            deliver(in_flight[0][0], (yield in_flight[0][1]))
            in_flight.popleft()
    finally:
        for _, future in in_flight:
            future.cancel()


class _Meter:
    """Counts finished items over all chunks; an item may be several sequences (windows of a long passage)."""

    def __init__(self, report: ProgressCallback | None, total: int) -> None:
        self._report = report
        self._total = total
        self._done: list[int] = []
        self._lock = threading.Lock()

    def of_chunk(self, items: int, sequences: int) -> Callable[[int], None] | None:
        """Give what a chunk reports its finished sequences to."""
        report = self._report
        if report is None:
            return None
        place, finished = len(self._done), 0
        self._done.append(0)

        def count(more: int) -> None:
            nonlocal finished
            with self._lock:
                finished += more
                self._done[place] = items * finished // max(sequences, 1)
                done = sum(self._done)
            report(Progress(done, self._total))

        return count
