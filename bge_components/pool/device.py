"""One device of a pool: a CPU computes queries beside bulk texts, a GPU one batch after the other."""

from __future__ import annotations

from collections.abc import Callable

from ..contracts import Priority
from ..settings import BatchSettings
from .lane import Health, Lane
from .requests import Ticket
from .stats import DeviceStats, joined


class Device:
    """A device with its lanes: on a CPU one for bulk texts and one for queries, elsewhere one for both.

    A batch of documents takes a CPU a second and more; a query that had to wait for its end would be answered then.
    The processor's cores are shared out by the operating system. On a GPU a batch takes milliseconds, and two at once
    would need memory for both. Queries of a model that two threads cannot run at once stay in the first lane, where
    they go before bulk texts.
    """

    def __init__(
        self,
        name: str,
        settings: BatchSettings,
        make_room: Callable[[], bool],
        wake_keeper: Callable[[], None],
    ) -> None:
        """Set up a device by its name as torch spells it; for the rest see `Lane`."""
        self.name = name
        thread, health = f"bge-compute-{name}", Health()
        names = (thread, f"{thread}-queries") if name.split(":")[0] == "cpu" else (thread,)
        self._lanes = tuple(Lane(name, one, health, settings, make_room, wake_keeper) for one in names)

    @property
    def load(self) -> int:
        """Tokens that wait or run, to compare devices by."""
        return sum(lane.load for lane in self._lanes)

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return any(lane.busy for lane in self._lanes)

    def submit(self, tickets: list[Ticket], *, wait_for_room: bool) -> None:
        """Queue the tickets of one request, all of one priority; see `Lane.submit`."""
        aside = tickets[0].priority is Priority.QUERY and tickets[0].model.info.shareable
        self._lanes[-1 if aside else 0].submit(tickets, wait_for_room=wait_for_room)

    def check(self, now: float) -> None:
        """Replace compute threads that are stuck or have ended; called by the keeper."""
        for lane in self._lanes:
            lane.check(now)

    def stop(self) -> None:
        """Fail what waits and take nothing more; running batches may end."""
        for lane in self._lanes:
            lane.stop()

    def join(self, until: float) -> None:
        """Wait for the threads to end, after `stop`, until that `time.monotonic()` at most."""
        for lane in self._lanes:
            lane.join(until)

    def stats(self) -> DeviceStats:
        """Give a snapshot of the counters."""
        return joined([lane.stats() for lane in self._lanes])
