"""Waiting for one's turn: so many callers at a time, in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """A semaphore that is fair: threads that search without a pause do not starve one that writes.

    Args:
        most: Callers that are let in at a time.
    """

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._free = most
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        self._wait(turn)

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1

    def _wait(self, turn: threading.Event) -> None:
        try:
            turn.wait()
        except BaseException:  # interrupted: the turn goes to the next, whether it had come or not
            with self._lock:
                came = turn.is_set()
                if not came:
                    self._waiting.remove(turn)
            if came:
                self.__exit__()
            raise
