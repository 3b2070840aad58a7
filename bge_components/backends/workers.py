"""Threads that share out a forward pass on a CPU by sequences: each takes its own through the whole network.

Threads that share every single product instead (OpenMP's) meet dozens of times in a layer, and each meeting waits for
the slowest. Here they meet once in a pass.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import torch

from .packing import Plan

T = TypeVar("T")

MOST_WORKERS = 4
"""With more cores than this, each worker has several: shares of a batch should not become small."""
LEAST_TOKENS = 64
"""A share smaller than this is not worth a thread of its own."""
_MOST_UNEVEN = 1.25
"""The largest share may be so many times the mean; beyond that OpenMP's threads are sooner done."""
_LOOK_AFTER_S = 1.0

_own = threading.local()


def shares(plan: Plan) -> list[slice]:
    """Cut a batch between sequences into shares of nearly equal tokens, one for each worker of the calling thread.

    Returns:
        Which sequences each share holds; a single share where the batch is too small, or cannot be cut evenly, or
        torch has one thread, or the device is no CPU.
    """
    tokens, sequences = plan.starts[-1], len(plan.lengths)
    count = min(MOST_WORKERS, torch.get_num_threads()) if plan.device.type == "cpu" else 1
    if count < 2 or sequences < count or tokens < count * LEAST_TOKENS:
        return [slice(0, sequences)]
    parts = plan.cut(count)
    largest = max(plan.starts[part.stop] - plan.starts[part.start] for part in parts)
    return parts if largest * count <= _MOST_UNEVEN * tokens else [slice(0, sequences)]


def run_side_by_side(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do each work on a worker of its own, and give the results in their order when all have ended.

    The workers belong to the calling thread, as its buffers do: a thread that is stuck in a pass must not share them
    with the one that replaced it. They are started when first needed, and end with it.

    Raises:
        BaseException: What a work raised; of several, the first in their order.
    """
    crew: _Crew[T] | None = getattr(_own, "crew", None)
    if crew is None or not crew.fits(len(works)):
        crew = _own.crew = _Crew(len(works))
    return crew.run(works)


def dismiss() -> None:
    """Let the workers of the calling thread end, and their buffers with them."""
    _own.__dict__.pop("crew", None)


class _Crew(Generic[T]):
    def __init__(self, count: int) -> None:
        self._threads_of_caller = torch.get_num_threads()
        each = max(1, self._threads_of_caller // count)
        ready: SimpleQueue[None] = SimpleQueue()
        self._desks: list[SimpleQueue[_Job[T] | None]] = [SimpleQueue() for _ in range(count)]
        self._threads = [
            threading.Thread(target=_work, args=(desk, each, ready), name="bge-worker", daemon=True)
            for desk in self._desks
        ]
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            ready.get()
        # What a thread sets for itself is also the number for threads that torch has not seen yet: set it back.
        torch.set_num_threads(self._threads_of_caller)
        weakref.finalize(self, _send_home, self._desks).atexit = False  # the pool ends first, and needs them

    def fits(self, count: int) -> bool:
        same = len(self._desks) == count and self._threads_of_caller == torch.get_num_threads()
        return same and all(thread.is_alive() for thread in self._threads)

    def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        done: SimpleQueue[None] = SimpleQueue()
        jobs = [_Job(work, done) for work in works]
        for desk, job in zip(self._desks, jobs):
            desk.put(job)
        for _ in jobs:
            self._wait(done)
        return [job.result() for job in jobs]

    def _wait(self, done: SimpleQueue[None]) -> None:
        while True:
            try:
                return done.get(timeout=_LOOK_AFTER_S)
            except Empty:
                if not all(thread.is_alive() for thread in self._threads):
                    raise RuntimeError("a worker thread ended in a forward pass") from None


class _Job(Generic[T]):
    """One share's work, and afterwards what came of it."""

    def __init__(self, work: Callable[[], T], done: SimpleQueue[None]) -> None:
        self._work, self._done = work, done
        self._found: list[T] = []
        self._error: BaseException | None = None

    def do(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:  # it belongs to the thread that asked
            self._error = error
        self._done.put(None)

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._found[0]


def _work(desk: SimpleQueue[_Job[T] | None], threads: int, ready: SimpleQueue[None]) -> None:
    torch.get_num_threads()  # torch sets a thread's number when it first meets it: before the next line, not after
    torch.set_num_threads(threads)
    ready.put(None)
    while (job := desk.get()) is not None:
        job.do()
        del job  # an idle thread must not hold the last results


def _send_home(desks: Sequence[SimpleQueue[_Job[T] | None]]) -> None:
    for desk in desks:
        desk.put(None)
