"""The keeper: one quiet thread per pool that minds deadlines, stuck devices and idle models."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

_TICK_S = 0.1
_PURGE_AT = 1024


class Expiring(Protocol):
    """Something with a deadline that can be failed."""

    @property
    def deadline(self) -> float | None:
        """When it expires, by `time.monotonic()`."""
        ...

    @property
    def alive(self) -> bool:
        """Whether somebody still waits for it."""
        ...

    def expire(self) -> None:
        """Fail it."""
        ...


class Keeper:
    """Runs a check every tenth of a second while there is something to mind, and sleeps otherwise."""

    def __init__(self, check: Callable[[float], bool]) -> None:
        """Set up.

        Args:
            check: Called with `time.monotonic()`; says whether there is anything left to mind.
        """
        self._check = check
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._deadlines: list[tuple[float, int, weakref.ref[Expiring]]] = []
        self._purge_at = _PURGE_AT
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def wake(self) -> None:
        """Say that there is something to mind."""
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._start()

    def mind(self, waiting: Expiring) -> None:
        """Fail what waits when its deadline passes."""
        if waiting.deadline is None:
            return
        with self._lock:
            heapq.heappush(self._deadlines, (waiting.deadline, next(self._numbers), weakref.ref(waiting)))
            if len(self._deadlines) > self._purge_at:
                self._purge()
        self.wake()

    def close(self) -> None:
        """Stop the thread."""
        self._closed = True
        self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._keep, name="bge-keeper", daemon=True)
                thread.start()
                self._thread = thread

    def _keep(self) -> None:
        while not self._closed:
            self._wake.wait()
            self._wake.clear()
            while self._mind_once() and not self._closed:
                time.sleep(self._until_next())

    def _mind_once(self) -> bool:
        now = time.monotonic()
        try:
            more = self._check(now)
        except Exception:
            log.exception("the keeper's check failed")
            more = True
        with self._lock:
            due = []
            while self._deadlines and (self._deadlines[0][0] <= now or not _alive(self._deadlines[0])):
                due.append(heapq.heappop(self._deadlines)[2]())
            more = more or bool(self._deadlines)
        for waiting in due:
            if waiting is not None and waiting.alive:
                waiting.expire()
        return more

    def _purge(self) -> None:
        """Forget what is done; called when the heap has doubled since the last time."""
        self._deadlines = [entry for entry in self._deadlines if _alive(entry)]
        heapq.heapify(self._deadlines)
        self._purge_at = max(_PURGE_AT, 2 * len(self._deadlines))

    def _until_next(self) -> float:
        with self._lock:
            if not self._deadlines:
                return _TICK_S
            return min(_TICK_S, max(0.001, self._deadlines[0][0] - time.monotonic()))


def _alive(entry: tuple[float, int, weakref.ref[Expiring]]) -> bool:
    waiting = entry[2]()
    return waiting is not None and waiting.alive
