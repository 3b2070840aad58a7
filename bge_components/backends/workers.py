"""Threads that share out a forward pass on a CPU by sequences: each takes its own through the whole network.

Threads that share every single product instead (OpenMP's) meet dozens of times in a layer, and each meeting waits for
the slowest. Here they meet once in a pass.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

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
"""How often to look whether a worker that was given work still lives."""

_own = threading.local()
_starting = threading.Lock()
_under_way: set[object] = set()
"""One thing for every pass that is computed on a CPU in this process; adding to it and taking from it are atomic."""


def run_pass(plan: Plan, work: Callable[[slice], T], *, shareable: bool = True) -> list[T]:
    """Run one pass on a CPU, on the calling thread or on workers, as its batch and what else is computed make best.

    A small batch is computed by OpenMP's threads, which nobody else keeps busy; beside another pass it has one thread
    of its own, because each time OpenMP's threads meet they would wait for the one whose core the others have.

    Args:
        plan: The batch.
        work: Computes a share of it; called on several threads at once.
        shareable: Whether it may be; otherwise it is called once, with the whole batch, on the calling thread.

    Returns:
        What `work` gave for each share, in the order of the batch.
    """
    this = object()
    _under_way.add(this)
    try:
        _know_own_number()
        if not shareable:
            return [work(_whole(plan))]
        parts = shares(plan)
        crowded = len(_under_way) > 1 and _is_small(plan)
        if len(parts) == 1 and not crowded:
            return [work(parts[0])]
        return run_side_by_side([partial(work, part) for part in parts])
    finally:
        _under_way.discard(this)


def shares(plan: Plan) -> list[slice]:
    """Cut a batch between sequences into shares of nearly equal tokens, one for each worker of the calling thread.

    Returns:
        Which sequences each share holds; a single share where the batch is too small, or cannot be cut evenly, or
        torch has one thread.
    """
    count = _most_shares()
    if count < 2 or len(plan.lengths) < count or _is_small(plan):
        return [_whole(plan)]
    parts = plan.cut(count)
    largest = max(plan.starts[part.stop] - plan.starts[part.start] for part in parts)
    return parts if largest * count <= _MOST_UNEVEN * plan.starts[-1] else [_whole(plan)]


def _most_shares() -> int:
    threads = torch.get_num_threads()
    return threads // -(-threads // MOST_WORKERS)  # so that all have equally many threads


def _is_small(plan: Plan) -> bool:
    """Say whether a batch is too small for the calling thread's workers; one thread has none."""
    count = _most_shares()
    return count > 1 and plan.starts[-1] < count * LEAST_TOKENS


def _whole(plan: Plan) -> slice:
    return slice(0, len(plan.lengths))


def run_side_by_side(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do each work on a worker of its own, and give the results in their order when all have ended.

    The calling thread's number of threads is divided among them; one alone has one. The workers belong to the
    calling thread, as its buffers do: a thread that is stuck in a pass must not share them with the one that replaced
    it. They are started when first needed, and end with it.

    Raises:
        RuntimeError: If a worker's thread ended in its work.
        BaseException: What a work raised; of several, the first in their order.
    """
    crews: dict[int, _Crew] = _own.__dict__.setdefault("crews", {})
    for count in [count for count, crew in crews.items() if not crew.fits()]:
        crews.pop(count).send_home()
    if len(works) not in crews:
        crews[len(works)] = _Crew(len(works))
    return crews[len(works)].run(works)


def dismiss() -> None:
    """Let the workers of the calling thread end, and their buffers with them."""
    crews: dict[int, _Crew] = _own.__dict__.pop("crews", {})
    for crew in crews.values():
        crew.send_home()


class _Crew:
    def __init__(self, count: int) -> None:
        self._threads_of_caller = torch.get_num_threads()
        each = max(1, self._threads_of_caller // count) if count > 1 else 1
        self._desks: list[SimpleQueue[_Job[Any] | None]] = [SimpleQueue() for _ in range(count)]
        self.send_home = weakref.finalize(self, _close, self._desks)
        self.send_home.atexit = False  # the pool ends first, and needs them
        self._threads = [
            threading.Thread(target=_work, args=(desk,), name="bge-worker", daemon=True)
            for desk in self._desks
        ]
        try:
            with _starting, _number_of_new_threads_kept():
                for thread in self._threads:
                    thread.start()
                self.run([partial(_take_threads, each)] * count)
        except BaseException:
            self.send_home()
            raise

    def fits(self) -> bool:
        same = self._threads_of_caller == torch.get_num_threads()
        return same and all(thread.is_alive() for thread in self._threads)

    def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        jobs = [_Job(work) for work in works]
        for desk, job in zip(self._desks, jobs):
            desk.put(job)
        try:
            self._wait(jobs)
        except BaseException:
            self._wait(jobs)  # an interrupt must not leave a pass behind that computes for nobody
            raise
        return [job.result() for job in jobs]

    def _wait(self, jobs: Sequence[_Job[T]]) -> None:
        for thread, job in zip(self._threads, jobs):
            job.wait(thread)


class _Job(Generic[T]):
    """One share's work, and afterwards what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._ended = False
        self._found: list[T] = []
        self._error: BaseException | None = None

    def do(self) -> None:
        """Do it, on the worker's thread."""
        assert self._work is not None
        try:
            self._found.append(self._work())
        except BaseException as error:  # it belongs to the thread that asked
            self._error = error
        self._work, self._ended = None, True
        self._bell.put(None)

    def wait(self, worker: threading.Thread) -> None:
        """Wait until it has ended, or its worker has."""
        while not self._ended and (worker.is_alive() or not self._bell.empty()):
            try:
                self._bell.get(timeout=_LOOK_AFTER_S)
            except Empty:
                continue

    def result(self) -> T:
        """Give the result, or raise what the work raised; nothing of either stays here."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        if not self._ended:
            raise RuntimeError("a worker thread ended in a forward pass")
        return self._found.pop()


def _work(desk: SimpleQueue[_Job[Any] | None]) -> None:
    while (job := desk.get()) is not None:
        job.do()
        del job  # an idle thread must not hold the last results


def _close(desks: Sequence[SimpleQueue[_Job[Any] | None]]) -> None:
    for desk in desks:
        desk.put(None)


def _take_threads(count: int) -> None:
    torch.get_num_threads()  # torch sets a thread's number when it first meets it: before the next line, not after
    torch.set_num_threads(count)


def _know_own_number() -> None:
    """Have torch set the calling thread's number of threads now, and not while that of new threads is another one."""
    if not getattr(_own, "knows_number", False):
        with _starting:
            torch.get_num_threads()
        _own.knows_number = True


@contextmanager
def _number_of_new_threads_kept() -> Iterator[None]:
    """Undo what `set_num_threads` does besides: it is also the number of every thread that torch has not met yet."""
    usual = _on_a_new_thread(torch.get_num_threads)
    try:
        yield
    finally:
        _on_a_new_thread(partial(torch.set_num_threads, usual))


def _on_a_new_thread(function: Callable[[], T]) -> T:
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(function()), name="bge-worker-start", daemon=True)
    thread.start()
    thread.join()
    return found[0]


def _forget_after_fork() -> None:
    """Begin anew: the threads that computed, or were just being started, do not exist in the child."""
    global _starting
    _starting = threading.Lock()
    _under_way.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_after_fork)
