"""One device of a pool: a CPU computes queries beside bulk texts, a GPU one batch after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..contracts import Priority
from ..settings import BatchSettings
from .lane import Lane
from .requests import Ticket
from .stats import DeviceStats, joined


class Device:
    """A device with its lanes: on a CPU one for queries and one for bulk texts, elsewhere one for both.

    A batch of documents takes a CPU a second and more; a query that had to wait for its end would be answered then.
    The processor's cores are shared out by the operating system. On a GPU a batch takes milliseconds, and two at once
    would need memory for both.
    """

    def __init__(
        self,
        name: str,
        settings: BatchSettings,
        make_room: Callable[[], bool],
        wake_keeper: Callable[[], None],
    ) -> None:
        """Set up; threads start with the first work.

        Args:
            name: As torch spells it.
            settings: How batches are formed.
            make_room: Drops idle models of the device; says whether there were any.
            wake_keeper: Called when there is something to mind.
        """
        self.name = name
        lane = partial(Lane, name, settings=settings, make_room=make_room, wake_keeper=wake_keeper)
        thread = f"bge-compute-{name}"
        self._bulk = lane(thread)
        self._queries = lane(f"{thread}-queries") if name.split(":")[0] == "cpu" else self._bulk
        self._lanes = tuple({self._bulk, self._queries})

    @property
    def load(self) -> int:
        """Tokens that wait or run, to compare devices by."""
        return sum(lane.load for lane in self._lanes)

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return any(lane.busy for lane in self._lanes)

    def submit(self, tickets: list[Ticket], *, wait_for_room: bool) -> None:
        """Queue the tickets of one request, all of one priority.

        Args:
            tickets: What to run.
            wait_for_room: When the queue is full, wait in the waiting room instead of failing.

        Raises:
            QueueFullError: If the queue is full and the caller does not want to wait.
            PoolClosedError: If the pool was closed.
        """
        lane = self._queries if tickets[0].priority is Priority.QUERY else self._bulk
        lane.submit(tickets, wait_for_room=wait_for_room)

    def check(self, now: float) -> None:
        """Replace compute threads that are stuck or have ended; called by the keeper."""
        for lane in self._lanes:
            lane.check(now)

    def close(self) -> None:
        """Fail what waits, let running batches end, stop the threads."""
        for lane in self._lanes:
            lane.close()

    def stats(self) -> DeviceStats:
        """Give a snapshot of the counters."""
        return joined([lane.stats() for lane in self._lanes])
