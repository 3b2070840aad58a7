"""What waits on one device, and which of it runs next. A plain data structure: its owner holds the lock."""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from operator import attrgetter

from ..contracts import Priority
from ..settings import BatchSettings
from .requests import BatchLimits, Ticket

_by_length = attrgetter("tokens", "order")
_Key = tuple[Priority, int, BatchLimits]


class Backlog:
    """Tickets of all models on a device, in lines of one priority, one model and one limit each."""

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        self._lines: dict[_Key, _Line] = {}
        self._counts = dict.fromkeys(Priority, 0)
        self._tokens = 0
        self._order = 0
        self._bulk_had_its_turn = False

    def __len__(self) -> int:
        return sum(self._counts.values())

    def count(self, priority: Priority) -> int:
        """Give how many tickets of a priority wait."""
        return self._counts[priority]

    @property
    def tokens(self) -> int:
        """Tokens that wait."""
        return self._tokens

    def add(self, tickets: list[Ticket]) -> None:
        """Queue tickets in the order given."""
        for ticket in tickets:
            self._order += 1
            ticket.order, ticket.taken = self._order, False
            key = (ticket.priority, id(ticket.model), ticket.limits)
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = _Line(self._settings.window)
            line.add(ticket)
            self._counts[ticket.priority] += 1
            self._tokens += ticket.tokens

    def take(self, max_tokens: int) -> list[Ticket]:
        """Take the next batch: all of one model, with the oldest ticket of its line always in it.

        Args:
            max_tokens: Budget; a single longer ticket is given alone.

        Returns:
            Tickets whose result is still wanted; empty if there are none.
        """
        while self._lines:
            key = self._next_line()
            batch = self._take_from(key, max_tokens)
            if batch:
                self._bulk_had_its_turn = key[0] is Priority.BULK
                return batch
        return []

    def drain(self) -> list[Ticket]:
        """Take everything."""
        tickets = [ticket for line in self._lines.values() for ticket in line]
        self._lines.clear()
        self._counts = dict.fromkeys(Priority, 0)
        self._tokens = 0
        return tickets

    def purge(self) -> None:
        """Forget tickets that nobody waits for any more."""
        self.add(sorted((t for t in self.drain() if t.alive), key=attrgetter("order")))

    def _take_from(self, key: _Key, max_tokens: int) -> list[Ticket]:
        priority, _, limits = key
        max_tokens = min(max_tokens, limits.tokens or max_tokens)
        taken = self._lines[key].take(max_tokens, min(self._settings.max_items, limits.items or len(self)))
        if not len(self._lines[key]):
            del self._lines[key]
        self._counts[priority] -= len(taken)
        self._tokens -= sum(ticket.tokens for ticket in taken)
        return [ticket for ticket in taken if ticket.alive]

    def _next_line(self) -> _Key:
        """Choose queries before bulk, oldest first; a bulk that waited too long goes before queries once."""
        queries = [key for key in self._lines if key[0] is Priority.QUERY]
        bulks = [key for key in self._lines if key[0] is Priority.BULK]
        if not queries or not bulks:
            return min(queries or bulks, key=self._age)
        bulk = min(bulks, key=self._age)
        waited = time.monotonic() - self._lines[bulk].oldest.arrived
        if waited > self._settings.bulk_patience_s and not self._bulk_had_its_turn:
            return bulk
        return min(queries, key=self._age)

    def _age(self, key: _Key) -> int:
        return self._lines[key].oldest.order


class _Line:
    """Tickets of one priority and one model: a window sorted by length, and behind it a queue."""

    def __init__(self, window: int) -> None:
        self._window_size = window
        self._window: list[Ticket] = []  # sorted by (tokens, order)
        self._arrivals: deque[Ticket] = deque()  # the window's tickets by arrival; taken ones linger
        self._behind: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._window) + len(self._behind)

    def __iter__(self) -> Iterator[Ticket]:
        yield from self._window
        yield from self._behind

    @property
    def oldest(self) -> Ticket:
        while self._arrivals[0].taken:
            self._arrivals.popleft()
        return self._arrivals[0]

    def add(self, ticket: Ticket) -> None:
        self._behind.append(ticket)
        self._refill()

    def take(self, max_tokens: int, max_items: int) -> list[Ticket]:
        """Take the oldest ticket and its neighbours in length, nearest first, up to the budget."""
        start, stop = self._around(self.oldest, max_tokens, max_items)
        taken = self._window[start:stop]
        del self._window[start:stop]
        for ticket in taken:
            ticket.taken = True
        self._refill()
        return taken

    def _around(self, oldest: Ticket, max_tokens: int, max_items: int) -> tuple[int, int]:
        window = self._window
        start = bisect_left(window, _by_length(oldest), key=_by_length)
        stop, total = start + 1, oldest.tokens
        while stop - start < max_items:
            shorter = window[start - 1].tokens if start > 0 else None
            longer = window[stop].tokens if stop < len(window) else None
            go_longer = longer is not None and (
                shorter is None or longer - oldest.tokens <= oldest.tokens - shorter
            )
            extra = longer if go_longer else shorter
            if extra is None or total + extra > max_tokens:
                break
            total += extra
            start, stop = (start, stop + 1) if go_longer else (start - 1, stop)
        return start, stop

    def _refill(self) -> None:
        while self._behind and len(self._window) < self._window_size:
            ticket = self._behind.popleft()
            insort(self._window, ticket, key=_by_length)
            self._arrivals.append(ticket)
