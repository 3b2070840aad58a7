"""The one thread whose products OpenMP's threads share: no other one of this package has any that stay.

libgomp lets its threads spin between two products while a process has no more of them than cores. Where it has more
(`gomp_managed_threads` in its sources), they sleep, and each of the 84 times that they meet in a short pass of twelve
layers costs some 60 microseconds for waking up. Two threads that each call for OpenMP's are enough for that.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import TypeVar

import torch

from .workers import Crew

T = TypeVar("T")

TEAM_THREADS = 4
"""As many as there are workers: where those have several, more here would make all together more than the cores."""
_PATIENCE_S = 0.25
"""How long to wait while another pass has the team; most take milliseconds."""


_PROBED_FOR_S = 1.0
"""How long what was found of the team's threads is believed."""
_AWAKE_S = 15e-6
"""What a meeting of threads that spin costs at most; those that sleep take several times as long."""
_PROBES = 5
_PAUSE_S = 50e-6
_GRAIN = 32768
"""Numbers that torch gives a thread at least."""


class _Team:
    def __init__(self) -> None:
        self._free = threading.Lock()
        self._crew: Crew | None = None
        self.sleeps = False
        self.probed_at = float("-inf")

    def run(self, work: Callable[[], T], threads: int, patience_s: float) -> list[T]:
        """Do the work there; the list is empty if others have the team all that time."""
        if not self._free.acquire(timeout=patience_s):
            return []
        try:
            if self._crew is None or not self._crew.fits():
                self._send_home()
                self._crew = Crew(1, threads)
            return self._crew.run([work])
        finally:
            self._free.release()

    def dismiss(self) -> None:
        """Let the thread end if nobody is using it."""
        if self._free.acquire(blocking=False):
            self._send_home()
            self._free.release()

    def _send_home(self) -> None:
        if self._crew is not None:
            self._crew.send_home()
        self._crew = None


_team = _Team()


def run_on_team(work: Callable[[], T], *, small: bool) -> T:
    """Do the work with OpenMP's threads, as many as the calling thread has.

    Args:
        work: What to do, on whatever thread.
        small: Whether four of them are enough; more would spend their time on meeting.

    Raises:
        RuntimeError: If the thread ended in the work.
        BaseException: What the work raised.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return work()
    if small or threads <= TEAM_THREADS:
        found = _team.run(work, min(threads, TEAM_THREADS), _PATIENCE_S)
        if found:
            return found[0]
    brief = Crew(1, threads)
    try:
        return brief.run([work])[0]
    finally:
        brief.send_home()


def team_sleeps() -> bool:
    """Say whether the team's threads have to be woken up whenever they meet: looked at again every second."""
    if time.monotonic() - _team.probed_at > _PROBED_FOR_S:
        _team.probed_at = time.monotonic()
        threads = min(torch.get_num_threads(), TEAM_THREADS)
        for meeting_s in _team.run(partial(_meeting_s, threads), threads, 0.0):
            _team.sleeps = meeting_s > _AWAKE_S
    return _team.sleeps


def _meeting_s(threads: int) -> float:
    """Compare a step that all threads share with one that a single thread does a share of."""
    shared = torch.zeros(threads * _GRAIN)
    share = torch.zeros(_GRAIN - 1)
    pairs = [(_seconds(shared), _seconds(share)) for _ in range(_PROBES)]
    return max(0.0, median(together - alone for together, alone in pairs))


def _seconds(numbers: torch.Tensor) -> float:
    begin = time.perf_counter() + _PAUSE_S
    while time.perf_counter() < begin:  # as between the steps of a pass: threads that do not spin fall asleep
        pass
    numbers.add_(1)
    return time.perf_counter() - begin


def dismiss_team() -> None:
    """Let the team's thread end, and its buffers with it; one that is at work stays."""
    _team.dismiss()


def _forget_after_fork() -> None:
    global _team
    _team = _Team()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_after_fork)
