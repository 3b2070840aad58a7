"""Threads that compute for a calling thread, each with a number of OpenMP's threads of its own."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")

_LOOK_AFTER_S = 1.0
"""How often to look whether a worker that was given work still lives."""
_LOOK_HOME_S = 0.0005
_GOING_HOME_S = 1.0
"""How long to wait for a worker to end: an idle one takes no time, and one at work may take for ever."""

_own = threading.local()
_starting = threading.Lock()


def run_side_by_side(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do each work on a worker of its own, and give the results in their order when all have ended.

    The calling thread's number of threads is divided among them; one alone has one. The workers belong to the
    calling thread, as its buffers do: a thread that is stuck in a pass must not share them with the one that replaced
    it. They are started when first needed, and end with it.

    Raises:
        RuntimeError: If a worker's thread ended in its work.
        BaseException: What a work raised; of several, the first in their order.
    """
    crews: dict[int, Crew] = _own.__dict__.setdefault("crews", {})
    threads = torch.get_num_threads()
    for count in [
        count for count, crew in crews.items() if not (crew.alive() and crew.each == _each(count, threads))
    ]:
        crews.pop(count).send_home()
    if len(works) not in crews:
        crews[len(works)] = Crew(len(works), _each(len(works), threads))
    return crews[len(works)].run(works)


def _each(workers: int, threads: int) -> int:
    return max(1, threads // workers) if workers > 1 else 1


def dismiss_workers() -> None:
    """Let the workers of the calling thread end, and their buffers with them."""
    crews: dict[int, Crew] = _own.__dict__.pop("crews", {})
    for crew in crews.values():
        crew.send_home()


class Crew:
    """Workers that live until they are sent home, or nobody holds the crew any more.

    Attributes:
        each: OpenMP's threads that each of them computes with.
    """

    def __init__(self, count: int, each: int, name: str = "bge-worker") -> None:
        """Start them.

        Args:
            count: How many.
            each: OpenMP's threads that each of them computes with.
            name: What the threads are called.

        Raises:
            RuntimeError: If the system gives no more threads.
        """
        self.each = each
        self._desks: list[SimpleQueue[_Job[Any] | None]] = [SimpleQueue() for _ in range(count)]
        self._threads = [
            threading.Thread(target=_work, args=(desk,), name=name, daemon=True) for desk in self._desks
        ]
        self._unheld = weakref.finalize(self, _close, self._desks, self._threads)
        self._unheld.atexit = False  # the pool ends first, and needs them
        try:
            with _starting, _number_of_new_threads_kept():
                for thread in self._threads:
                    thread.start()
                self.run([partial(_take_threads, each)] * count)
        except BaseException:
            self.send_home()
            raise

    def alive(self) -> bool:
        """Say whether all are there."""
        return all(thread.is_alive() for thread in self._threads)

    def send_home(self) -> None:
        """Let them end, and their buffers with them, and wait until they have; also while the program ends."""
        self._unheld.detach()  # itself it does nothing any more once Python has begun to end
        _close(self._desks, self._threads)

    def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Do a work on each, and give the results when all have ended; see `run_side_by_side`."""
        jobs = [_Job(work) for work in works]
        for desk, job in zip(self._desks, jobs):
            desk.put(job)
        try:
            self._wait(jobs)
        except BaseException:
            self._wait(jobs)  # an interrupt must not leave a pass behind that computes for nobody
            raise
        return [job.result() for job in jobs]

    def run_later(self, work: Callable[[], object]) -> None:
        """Have the first one do a work when it has nothing else to do; nobody waits for it."""
        self._desks[0].put(_Job(work))

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


def _close(desks: Sequence[SimpleQueue[_Job[Any] | None]], threads: Sequence[threading.Thread]) -> None:
    """Let workers end and wait until they have: one that drops tensors while the interpreter ends would abort it.

    This runs where a thread's own things are dropped, too: `threading.current_thread()`, which `join` asks for, would
    then enter the thread again into the list of those that live.
    """
    for desk in desks:
        desk.put(None)
    others = [thread for thread in threads if thread.ident not in (None, threading.get_ident())]
    give_up = time.monotonic() + _GOING_HOME_S
    while any(thread.is_alive() for thread in others) and time.monotonic() < give_up:
        time.sleep(_LOOK_HOME_S)


def _take_threads(count: int) -> None:
    torch.get_num_threads()  # torch sets a thread's number when it first meets it: before the next line, not after
    torch.set_num_threads(count)


def know_own_number() -> None:
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
    """Begin anew: the threads that were just being started do not exist in the child."""
    global _starting
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_after_fork)
