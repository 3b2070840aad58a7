"""Requests and tickets: what a caller waits for, and what waits on a device. No threads of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..contracts import Model, Priority, SequenceOutputs, TokenSequence
from ..errors import DeadlineError

log = logging.getLogger(__name__)
T = TypeVar("T")


class Waiting(Generic[T]):
    """A future with a deadline.

    Attributes:
        future: What the caller waits for; the caller may cancel it at any time.
        deadline: `time.monotonic()` after which the result is no longer wanted, or None.
    """

    def __init__(self, what: str, timeout_s: float | None, deadline: float | None = None) -> None:
        self.future: Future[T] = Future()
        self.deadline = deadline
        if deadline is None and timeout_s is not None:
            self.deadline = time.monotonic() + timeout_s
        self._what = what
        self._timeout_s = timeout_s

    @property
    def alive(self) -> bool:
        """Whether somebody still waits for it."""
        return not self.future.done()

    def settle(self, result: T) -> bool:
        """Give the result; False if nobody waits any more (cancelled, failed or expired)."""
        try:
            self.future.set_result(result)
        except InvalidStateError:
            return False
        return True

    def fail(self, error: BaseException) -> None:
        """Give the caller an error; what of it still waits is dropped."""
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            pass  # cancelled, or already failed: nobody waits any more

    def expire(self) -> None:
        """Fail because the deadline has passed."""
        self.fail(
            DeadlineError(f"{self._what} took longer than {self._timeout_s:.4g} s: allow more (timeout_s)")
        )


class Request(Waiting[list[SequenceOutputs]]):
    """One caller's list of sequences; the future will hold one mapping of outputs for each."""

    def __init__(
        self,
        count: int,
        *,
        timeout_s: float | None = None,
        deadline: float | None = None,
        on_done: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(f"a call with {count} texts", timeout_s, deadline)
        self._on_done = on_done
        self._results: list[SequenceOutputs | None] = [None] * count
        self._left = count
        self._lock = threading.Lock()
        if count == 0:
            self.settle([])

    @property
    def size(self) -> int:
        """How many sequences were asked for."""
        return len(self._results)

    def has(self, index: int) -> bool:
        """Say whether a place has its outputs already."""
        return self._results[index] is not None

    def deliver(self, indices: Sequence[int], outputs: SequenceOutputs) -> None:
        """Give the outputs of one sequence to every place that asked for it; a second time changes nothing."""
        with self._lock:
            if self.has(indices[0]):
                return
            for index in indices:
                self._results[index] = outputs
            self._left -= len(indices)
            finished = self._left == 0
        self._report(len(indices))
        if finished:
            self.settle([result for result in self._results if result is not None])

    def _report(self, count: int) -> None:
        if self._on_done is None:
            return
        try:
            self._on_done(count)
        except Exception:
            log.exception("a progress callback failed; it is not called again for this request")
            self._on_done = None


@dataclass(frozen=True)
class BatchLimits:
    """How large a caller allows a batch with its texts to be; None leaves it to the pool."""

    items: int | None = None
    tokens: int | None = None


NO_LIMITS = BatchLimits()


class Ticket:
    """One sequence that waits for its turn on a device.

    Attributes:
        request: Whom the result goes to.
        indices: Places in the request that hold this very sequence.
        sequence: What to run.
        model: What to run it with.
        priority: Query or bulk.
        limits: How large a batch with it may be.
        arrived: `time.monotonic()` when it was queued.
        order: Position in the order of arrival, set by the backlog.
        taken: Whether it left the backlog.
    """

    __slots__ = (
        "arrived",
        "indices",
        "limits",
        "model",
        "on_result",
        "order",
        "priority",
        "request",
        "sequence",
        "taken",
        "tokens",
    )

    def __init__(
        self,
        request: Request,
        indices: list[int],
        sequence: TokenSequence,
        model: Model,
        priority: Priority,
        limits: BatchLimits = NO_LIMITS,
        on_result: Callable[[SequenceOutputs], None] | None = None,
    ) -> None:
        self.request = request
        self.indices = indices
        self.sequence = sequence
        self.model = model
        self.priority = priority
        self.on_result = on_result
        self.limits = limits
        self.tokens = len(sequence)
        self.arrived = time.monotonic()
        self.order = 0
        self.taken = False

    @property
    def alive(self) -> bool:
        """Whether its result is still wanted: not there yet, and somebody waits for it."""
        return self.request.alive and not self.request.has(self.indices[0])

    def deliver(self, outputs: SequenceOutputs) -> None:
        """Hand the result over."""
        if self.on_result is not None:
            self.on_result(outputs)
        self.request.deliver(self.indices, outputs)
