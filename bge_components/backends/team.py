"""The threads whose products OpenMP's threads share: one for whatever runs whole, so that nobody else calls for any.

libgomp lets its threads spin between two products while a process has no more of them than cores. Where it has more
(`gomp_managed_threads` in its sources), they sleep, and each of the 84 times that they meet in a short pass of twelve
layers costs some 60 microseconds for waking up. Two threads that each call for OpenMP's are enough for that. Beyond
four cores small work has fewer threads than large work, so there are two such threads, and OpenMP's may sleep.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import torch

from .workers import Crew

T = TypeVar("T")

MOST_FOR_SMALL = 4
"""More threads than this would spend their time on meeting where there is little to do."""
_PATIENCE_S = 0.02
"""How long to wait while another pass has a team: most take milliseconds. One that takes longer may be stuck."""
_PROBED_FOR_S = 1.0
"""How long what was found of a team's threads is believed."""
_AWAKE_S = 15e-6
"""What a meeting of threads that spin costs at most; those that sleep take several times as long."""
_PROBES = 5
_PAUSE_S = 50e-6
"""About what passes between the steps of a pass: threads that do not spin fall asleep in it."""
_GRAIN = 32768
"""Numbers that torch gives a thread at least."""


class _Team:
    """One thread with so many of OpenMP's, for one work at a time.

    Attributes:
        sleeps: Whether its threads have to be woken up whenever they meet, as far as is known.
    """

    def __init__(self, threads: int) -> None:
        self.sleeps = False
        self._threads = threads
        self._free = threading.Lock()
        self._crew: Crew | None = None
        self._probed_at = float("-inf")

    def take(self, patience_s: float) -> bool:
        """Take it, to give it back with `leave`; say whether it became free in time."""
        return self._free.acquire(timeout=patience_s)

    def leave(self) -> None:
        """Let others take it."""
        self._free.release()

    def run(self, work: Callable[[], T]) -> T:
        """Do the work there; on the calling thread if no other can be started."""
        if self._crew is None or not self._crew.alive():
            try:
                self._crew = Crew(1, self._threads, "bge-team")
            except RuntimeError:  # no thread to be had
                return work()
        (found,) = self._crew.run([work])
        if time.monotonic() - self._probed_at > _PROBED_FOR_S:
            self._probed_at = time.monotonic()
            self._crew.run_later(self._probe)
        return found

    def dismiss(self) -> None:
        """Let the thread end, and wait until it has."""
        if self._crew is not None:
            self._crew.send_home()
        self._crew = None

    def _probe(self) -> None:
        self.sleeps = _meeting_s(self._threads) > _AWAKE_S


_teams: dict[int, _Team] = {}
"""Number of threads to team: those that whole passes of this process run on."""


def run_on_team(work: Callable[[], T], *, small: bool) -> T:
    """Do the work with OpenMP's threads, as many as the calling thread has.

    Who does not get the team soon leaves it to its holder, which may be stuck, and makes another the team.

    Args:
        work: What to do, on whatever thread.
        small: Whether it is so little that a few of them are enough.

    Raises:
        RuntimeError: If the thread ended in the work.
        BaseException: What the work raised.
    """
    threads = _threads_for(small=small)
    if threads == 1:
        return work()
    team = _teams.setdefault(threads, _Team(threads))
    while not team.take(_PATIENCE_S):
        team = _teams[threads] = _Team(threads)
    try:
        return team.run(work)
    finally:
        team.leave()


def team_sleeps() -> bool:
    """Say whether the threads that share small work have to be woken up whenever they meet."""
    team = _teams.get(_threads_for(small=True))
    return team is not None and team.sleeps


def dismiss_teams() -> None:
    """Let the teams' threads end, and their buffers with them; those that are at work stay."""
    for team in list(_teams.values()):
        if team.take(0.0):
            try:
                team.dismiss()
            finally:
                team.leave()


def _threads_for(*, small: bool) -> int:
    threads = torch.get_num_threads()
    return min(threads, MOST_FOR_SMALL) if small else threads


def _meeting_s(threads: int) -> float:
    """Compare a step that all threads share with one that a single thread does a share of."""
    shared = torch.zeros(threads * _GRAIN, device="cpu")
    share = torch.zeros(_GRAIN - 1, device="cpu")
    pairs = [(_seconds(shared), _seconds(share)) for _ in range(_PROBES)]
    return median(together - alone for together, alone in pairs)


def _seconds(numbers: torch.Tensor) -> float:
    begin = time.perf_counter() + _PAUSE_S
    while time.perf_counter() < begin:
        pass
    numbers.add_(1)
    return time.perf_counter() - begin


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_teams.clear)
