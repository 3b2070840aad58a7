"""What waits on a device in one lane, and the compute thread that has it run, batch after batch."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from ..contracts import Priority
from ..errors import BGEError, DeviceStuckError, DeviceThreadError, PoolClosedError, QueueFullError
from ..settings import BatchSettings
from .backlog import Backlog
from .gathering import Gathering
from .recovery import BatchRunner, TokenBudget
from .requests import Ticket
from .stats import DeviceStats

log = logging.getLogger(__name__)

_BARREN_THREADS = 5


@dataclass
class Health:
    """How a device fares.

    Attributes:
        trouble: Why a compute thread of it was lost; empty again after the next good forward pass.
    """

    trouble: str = ""


@dataclass(eq=False)
class _Running:
    tickets: list[Ticket]
    began: float
    since: float  # of the forward pass that is under way
    waiting: int | None = None  # tickets that waited before anybody got a result


class Lane:
    """A backlog and its compute thread, which nothing else shares.

    Tickets beyond `max_queued` wait in a waiting room and enter the backlog as it empties. If the thread gets
    stuck in a batch or ends in one, the lane gets a new thread; the tickets of that batch then run one by one,
    so that only the guilty one fails.
    """

    def __init__(
        self,
        device: str,
        thread_name: str,
        health: Health,
        settings: BatchSettings,
        make_room: Callable[[], bool],
        wake_keeper: Callable[[], None],
    ) -> None:
        """Set up; the thread starts with the first work.

        Args:
            device: Its name.
            thread_name: What the thread is called.
            health: The device's, which its lanes share.
            settings: How batches are formed.
            make_room: Drops idle models of the device; says whether there were any.
            wake_keeper: Called when there is something to mind.
        """
        self._device = device
        self._thread_name = thread_name
        self._health = health
        self._settings = settings
        self._wake_keeper = wake_keeper
        self._counts: Counter[str] = Counter()
        self._budget = TokenBudget(settings.tokens_on(device))
        self._runner = BatchRunner(self._budget, self._counts, make_room)
        # A plain lock and a queue, both atomic in C, and no Condition: an exception raised into the compute
        # thread from outside can then never leave a lock behind that nobody releases.
        self._lock = threading.Lock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._backlog = Backlog(settings)
        self._gathering = Gathering()
        self._waiting_room: dict[Priority, deque[list[Ticket]]] = {one: deque() for one in Priority}
        self._suspects: list[Ticket] = []
        self._running: _Running | None = None
        self._thread: threading.Thread | None = None
        self._term = 0  # which thread is in office; an older one drops what it has and leaves
        self._barren_threads = 0
        self._busy_s = 0.0
        self._closed = False

    @property
    def load(self) -> int:
        """Tokens that wait or run."""
        with self._lock:
            running = sum(t.tokens for t in self._running.tickets) if self._running else 0
            return self._backlog.tokens + running + sum(t.tokens for t in self._outside())

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
            priority = tickets[0].priority
            if not self._waiting_room[priority] and self._has_room(tickets):
                self._backlog.add(tickets)
            elif wait_for_room:
                self._waiting_room[priority].append(tickets)
            else:
                self._squeeze_in(tickets)
            self._ensure_thread()
        self._bell.put(None)
        self._wake_keeper()

    def check(self, now: float) -> None:
        """Replace a compute thread that is stuck or has ended; called by the keeper."""
        with self._lock:
            failure = self._diagnosis(now)
            guilty = [] if failure is None else self._replace_thread(failure)
        for ticket in guilty:
            assert failure is not None
            ticket.request.fail(failure)

    def stop(self) -> None:
        """Fail what waits and take nothing more; the running batch may end. Any number of times."""
        with self._lock:
            self._closed = True
            waiting = self._drain()
        self._bell.put(None)
        for ticket in waiting:
            ticket.request.fail(PoolClosedError("the pool was closed while this request waited"))

    def join(self, until: float) -> None:
        """Wait for the thread to end, after `stop`, until that `time.monotonic()` at most."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))

    def stats(self) -> DeviceStats:
        """Give a snapshot of the counters."""
        with self._lock:
            return DeviceStats(
                name=self._device,
                healthy=not self._health.trouble,
                trouble=self._health.trouble,
                queued=len(self._backlog) + len(self._outside()) + len(self._suspects),
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
                self._runner.run(
                    batch,
                    wanted=lambda: self._still_in_office(term),
                    passed=lambda: self._still_in_office(term, well=True),
                )
                self._finish_batch(term)
                del batch  # an idle thread must not hold the last results
        except BaseException as error:
            log.error("the compute thread of %s ended: %s", self._device, type(error).__name__)
            self._lose_thread(term, error)

    def _next_batch(self, term: int) -> list[Ticket] | None:
        while True:
            with self._lock:
                if self._term != term or self._closed:
                    return None
                patience_s = self._patience_s()
                batch = [] if patience_s else self._take()
                if batch:
                    self._begin_batch(batch)
                    return batch
            self._wait_for_bell(patience_s or None)

    def _wait_for_bell(self, timeout_s: float | None) -> None:
        try:
            self._bell.get(timeout=timeout_s)
        except Empty:
            pass

    def _begin_batch(self, batch: list[Ticket]) -> None:
        self._running = _Running(batch, time.monotonic(), time.monotonic())
        self._barren_threads = 0
        self._counts["batches"] += 1
        self._counts["sequences"] += len(batch)
        self._counts["tokens"] += sum(ticket.tokens for ticket in batch)

    def _take(self) -> list[Ticket]:
        while self._suspects:
            suspect = self._suspects.pop(0)
            if suspect.alive:
                return [suspect]
        self._let_in()
        batch = self._backlog.take(self._budget.now)
        self._let_in()
        return batch or self._backlog.take(self._budget.now)

    def _let_in(self) -> None:
        for parts in self._waiting_room.values():
            while parts and self._has_room(parts[0]):
                self._backlog.add(parts.popleft())

    def _still_in_office(self, term: int, *, well: bool = False) -> bool:
        """Say whether this thread may go on; asked before and after every forward pass, which starts its clock.

        Args:
            term: The thread's.
            well: Whether a forward pass has just ended well: the device is then healthy again.
        """
        with self._lock:
            if self._term != term:
                return False
            if self._running is not None:
                self._running.since = time.monotonic()
                if well and self._running.waiting is None:
                    self._running.waiting = len(self._backlog)
            if well:
                self._health.trouble = ""
            return True

    def _finish_batch(self, term: int) -> None:
        with self._lock:
            done = self._running
            if self._term == term and done is not None:
                took_s = time.monotonic() - done.began
                self._busy_s += took_s
                self._gathering.served(done.tickets, took_s, done.waiting or 0)
                self._running = None

    def _lose_thread(self, term: int, error: BaseException) -> None:
        failure = DeviceThreadError(
            f"the compute thread of {self._device} ended in this work: {type(error).__name__}"
        )
        failure.__cause__ = error
        with self._lock:
            guilty = self._replace_thread(failure) if self._term == term else []
        for ticket in guilty:
            ticket.request.fail(failure)

    # ------------------------------------------------------------------ under the lock

    def _patience_s(self) -> float:
        """Say how long to wait for more before the next batch begins."""
        full = self._backlog.tokens >= self._budget.now or any(self._waiting_room.values())
        return 0.0 if full or self._suspects else self._gathering.patience_s(len(self._backlog))

    def _diagnosis(self, now: float) -> BGEError | None:
        running, thread, limit = self._running, self._thread, self._settings.stuck_after_s
        if thread is not None and not thread.is_alive() and (running or self._anything_waits()):
            return DeviceThreadError(f"the compute thread of {self._device} ended in this work")
        if running is not None and limit is not None and now - running.since > limit:
            self._counts["stuck"] += 1
            return DeviceStuckError(
                f"a forward pass on {self._device} ran longer than {limit} s (stuck_after_s) and was given up"
            )
        return None

    def _replace_thread(self, failure: BGEError) -> list[Ticket]:
        """Put a new thread into office; give the tickets to fail once the lock is released."""
        self._counts["threads_lost"] += 1
        self._health.trouble = str(failure)
        running, self._running = self._running, None
        self._term += 1
        self._thread = None
        guilty = self._guilty(running.tickets) if running is not None else self._hopeless()
        if self._anything_waits() and not self._closed:
            self._ensure_thread()
        return guilty

    def _hopeless(self) -> list[Ticket]:
        """Give everything that waits, once thread after thread has ended without even beginning a batch."""
        self._barren_threads += 1
        if self._barren_threads < _BARREN_THREADS:
            return []
        return self._drain()

    def _guilty(self, tickets: list[Ticket]) -> list[Ticket]:
        """Give a ticket that ran alone; let several run again, one by one, to find out which it was."""
        unsettled = [ticket for ticket in tickets if ticket.alive]
        if len(tickets) == 1 or self._closed:
            return unsettled
        self._suspects.extend(unsettled)
        return []

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._term += 1
            self._thread = threading.Thread(
                target=self._work, args=(self._term,), name=self._thread_name, daemon=True
            )
            self._thread.start()

    def _anything_waits(self) -> bool:
        return bool(len(self._backlog) or any(self._waiting_room.values()) or self._suspects)

    def _outside(self) -> list[Ticket]:
        return [ticket for parts in self._waiting_room.values() for part in parts for ticket in part]

    def _drain(self) -> list[Ticket]:
        """Take everything that waits."""
        waiting = self._backlog.drain() + self._suspects + self._outside()
        self._suspects, self._waiting_room = [], {one: deque() for one in Priority}
        return waiting

    def _has_room(self, tickets: list[Ticket]) -> bool:
        """Say whether tickets fit beside those of their own priority: a full bulk queue does not stop a query."""
        waiting = self._backlog.count(tickets[0].priority)
        return waiting == 0 or waiting + len(tickets) <= self._settings.max_queued

    def _squeeze_in(self, tickets: list[Ticket]) -> None:
        """Queue the tickets if those that nobody waits for any more make room, else refuse them."""
        self._backlog.purge()
        if self._has_room(tickets):
            self._backlog.add(tickets)
            return
        waiting = self._backlog.count(tickets[0].priority)
        raise QueueFullError(
            f"{len(tickets)} texts do not fit into the queue of {self._device}: {waiting} of at most "
            f"{self._settings.max_queued} wait (max_queued); try later, or ask with on_full='wait'"
        )
