"""Whether a free device waits a moment for callers that were just served and are about to ask again."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .requests import Ticket

_SHARE = 0.1
_LONGEST_SHARE = 0.5
_LONGEST_S = 0.05


class Gathering:
    """Keeps callers with one text each together.

    Without it they fall into two halves: while one half computes the other waits, so everybody waits for two
    batches. After a batch that served several such callers the device waits until as many texts wait as were served
    or waited before anybody had a result. It waits a tenth of that batch's time for the next one of them, half of
    that time for all, and never longer than 50 ms. One caller alone is never held up, and lists that end are nobody
    to wait for. Its owner holds the lock.
    """

    def __init__(self) -> None:
        self._expected = 0
        self._seen = 0
        self._step_s = 0.0
        self._until = self._at_last = 0.0

    def served(self, tickets: Sequence[Ticket], took_s: float, waiting: int) -> None:
        """Note a finished batch.

        Args:
            tickets: What was in it.
            took_s: How long it took.
            waiting: Tickets that waited before anybody had a result of it: those that wait now may be the same
                callers again.
        """
        calls = sum(ticket.request.size == 1 and ticket.request.has(0) for ticket in tickets)
        self._expected = calls + waiting if calls > 1 else 0
        self._seen = waiting
        self._step_s = _SHARE * took_s
        self._at_last = time.monotonic() + min(_LONGEST_SHARE * took_s, _LONGEST_S)
        self._until = time.monotonic() + self._step_s

    def patience_s(self, waiting: int) -> float:
        """Say how long to wait for more than the tickets that wait now; 0 means to begin. Newcomers renew it."""
        if not 0 < waiting < self._expected:
            return 0.0
        if waiting > self._seen:  # they are coming
            self._seen, self._until = waiting, time.monotonic() + self._step_s
        return max(0.0, min(self._until, self._at_last) - time.monotonic())
