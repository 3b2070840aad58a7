"""The compute thread of one device: it alone runs forward passes there, batch after batch."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from ..errors import BGEError, DeviceStuckError, DeviceThreadError, PoolClosedError, QueueFullError
from ..settings import BatchSettings
from .backlog import Backlog
from .recovery import BatchRunner, TokenBudget
from .requests import Ticket
from .stats import DeviceStats

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Running:
    tickets: list[Ticket]
    since: float


class Device:
    """A device with its backlog and its compute thread.

    Tickets beyond `max_queued` wait in a waiting room and enter the backlog as it empties. If the thread gets
    stuck in a batch or ends in one, the device gets a new thread; the tickets of that batch then run one by one,
    so that only the guilty one fails.
    """

    def __init__(
        self,
        name: str,
        settings: BatchSettings,
        make_room: Callable[[], bool],
        wake_keeper: Callable[[], None],
    ) -> None:
        self.name = name
        self._settings = settings
        self._wake_keeper = wake_keeper
        self._counts: Counter[str] = Counter()
        self._budget = TokenBudget(settings.max_tokens)
        self._runner = BatchRunner(self._budget, self._counts, make_room)
        # A plain lock and a queue, both atomic in C, and no Condition: an exception raised into the compute
        # thread from outside can then never leave a lock behind that nobody releases.
        self._lock = threading.Lock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._backlog = Backlog(settings)
        self._waiting_room: list[list[Ticket]] = []
        self._suspects: list[Ticket] = []
        self._running: _Running | None = None
        self._thread: threading.Thread | None = None
        self._term = 0  # which thread is in office; an older one drops what it has and leaves
        self._busy_s = 0.0
        self._trouble = ""
        self._closed = False

    @property
    def load(self) -> int:
        """Tokens that wait or run, to compare devices by."""
        with self._lock:
            running = sum(t.tokens for t in self._running.tickets) if self._running else 0
            return self._backlog.tokens + running + sum(t.tokens for part in self._waiting_room for t in part)

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return self._running is not None or self._anything_waits()

    def submit(self, tickets: list[Ticket], *, wait_for_room: bool) -> None:
        """Queue the tickets of one request.

        Args:
            tickets: What to run.
            wait_for_room: When the queue is full, wait in the waiting room instead of failing.

        Raises:
            QueueFullError: If the queue is full and the caller does not want to wait.
            PoolClosedError: If the pool was closed.
        """
        with self._lock:
            if self._closed:
                raise PoolClosedError("the pool was closed")
            if self._has_room(len(tickets)):
                self._backlog.add(tickets)
            elif wait_for_room:
                self._waiting_room.append(tickets)
            else:
                self._refuse(len(tickets))
            self._ensure_thread()
        self._bell.put(None)
        self._wake_keeper()

    def check(self, now: float) -> None:
        """Replace a compute thread that is stuck or has ended; called by the keeper."""
        limit = self._settings.stuck_after_s
        with self._lock:
            running, thread = self._running, self._thread
            if thread is not None and not thread.is_alive() and (running or self._anything_waits()):
                self._replace_thread(
                    DeviceThreadError(f"the compute thread of {self.name} ended in this work")
                )
            elif running is not None and limit is not None and now - running.since > limit:
                self._counts["stuck"] += 1
                self._replace_thread(
                    DeviceStuckError(
                        f"a batch on {self.name} ran longer than {limit} s (stuck_after_s) and was given up"
                    )
                )

    def close(self, timeout_s: float = 10.0) -> None:
        """Fail what waits, let the running batch end, stop the thread."""
        with self._lock:
            self._closed = True
            waiting = self._backlog.drain() + self._suspects
            waiting += [ticket for part in self._waiting_room for ticket in part]
            self._suspects, self._waiting_room = [], []
            thread = self._thread
        self._bell.put(None)
        for ticket in waiting:
            ticket.request.fail(PoolClosedError("the pool was closed while this request waited"))
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def stats(self) -> DeviceStats:
        """Give a snapshot of the counters."""
        with self._lock:
            return DeviceStats(
                name=self.name,
                healthy=not self._trouble,
                trouble=self._trouble,
                queued=len(self._backlog) + sum(map(len, self._waiting_room)) + len(self._suspects),
                max_tokens=self._budget.now,
                busy_s=self._busy_s,
                batches=self._counts["batches"],
                sequences=self._counts["sequences"],
                tokens=self._counts["tokens"],
                out_of_memory=self._counts["out_of_memory"],
                failed_passes=self._counts["failed_passes"],
                exact_reruns=self._counts["exact_reruns"],
                stuck=self._counts["stuck"],
                threads_lost=self._counts["threads_lost"],
            )

    # ------------------------------------------------------------------ the compute thread

    def _work(self, term: int) -> None:
        try:
            while batch := self._next_batch(term):
                self._runner.run(batch, wanted=lambda: self._term == term)
                self._finish_batch(term)
        except BaseException as error:
            log.error("the compute thread of %s ended: %s", self.name, type(error).__name__)
            self._lose_thread(term, error)

    def _next_batch(self, term: int) -> list[Ticket] | None:
        while True:
            with self._lock:
                if self._term != term or self._closed:
                    return None
                batch = self._take()
                if batch:
                    self._begin_batch(batch)
                    return batch
            self._bell.get()

    def _begin_batch(self, batch: list[Ticket]) -> None:
        self._running = _Running(batch, time.monotonic())
        self._counts["batches"] += 1
        self._counts["sequences"] += len(batch)
        self._counts["tokens"] += sum(ticket.tokens for ticket in batch)

    def _take(self) -> list[Ticket]:
        while self._suspects:
            suspect = self._suspects.pop(0)
            if suspect.alive:
                return [suspect]
        batch = self._backlog.take(self._budget.now)
        while self._waiting_room and self._has_room(len(self._waiting_room[0])):
            self._backlog.add(self._waiting_room.pop(0))
            batch = batch or self._backlog.take(self._budget.now)
        return batch

    def _finish_batch(self, term: int) -> None:
        with self._lock:
            if self._term == term and self._running is not None:
                self._busy_s += time.monotonic() - self._running.since
                self._running = None
                self._trouble = ""

    def _lose_thread(self, term: int, error: BaseException) -> None:
        failure = DeviceThreadError(
            f"the compute thread of {self.name} ended in this work: {type(error).__name__}"
        )
        failure.__cause__ = error
        with self._lock:
            if self._term == term:
                self._replace_thread(failure)

    # ------------------------------------------------------------------ under the lock

    def _replace_thread(self, failure: BGEError) -> None:
        self._counts["threads_lost"] += 1
        self._trouble = str(failure)
        running, self._running = self._running, None
        self._term += 1
        self._thread = None
        if running is not None:
            self._blame(running.tickets, failure)
        if self._anything_waits() and not self._closed:
            self._ensure_thread()

    def _blame(self, tickets: list[Ticket], failure: BGEError) -> None:
        """Fail a ticket that ran alone; let the others run again, one by one."""
        unsettled = [ticket for ticket in tickets if ticket.alive]
        if len(tickets) == 1 or self._closed:
            for ticket in unsettled:
                ticket.request.fail(failure)
            return
        for ticket in unsettled:
            ticket.suspect = True
        self._suspects.extend(unsettled)

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._term += 1
            self._thread = threading.Thread(
                target=self._work, args=(self._term,), name=f"bge-compute-{self.name}", daemon=True
            )
            self._thread.start()

    def _anything_waits(self) -> bool:
        return bool(len(self._backlog) or self._waiting_room or self._suspects)

    def _has_room(self, count: int) -> bool:
        return len(self._backlog) == 0 or len(self._backlog) + count <= self._settings.max_queued

    def _refuse(self, count: int) -> None:
        raise QueueFullError(
            f"{count} texts do not fit into the queue of {self.name}: {len(self._backlog)} of at most "
            f"{self._settings.max_queued} wait (max_queued); try later, or ask with on_full='wait'"
        )
