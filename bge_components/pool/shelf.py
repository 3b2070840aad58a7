"""The shelf of loaded models: which are there, who uses them, how much room they take, which may go."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from ..contracts import ModelKey
from ..errors import PoolFullError
from .requests import Request
from .residents import Lease, Resident

log = logging.getLogger(__name__)


class Shelf:
    """Loaded models with byte accounting per device. Safe to share between threads.

    Attributes:
        changed: The condition that guards the shelf; notified whenever room or a model may have become free.
        evictions: Models dropped: for room, for being idle, or on request.
    """

    def __init__(self, budget_of: Callable[[str], int], track: Callable[[Request], None]) -> None:
        """Set up.

        Args:
            budget_of: Gives the bytes that weights may take on a device.
            track: Told of every request, so that its deadline is kept.
        """
        self.changed = threading.Condition(threading.RLock())
        self.evictions = 0
        self._budget_of = budget_of
        self._track = track
        self._residents: list[Resident] = []
        self._reserved: dict[str, int] = {}
        self._pins: set[ModelKey] = set()

    @property
    def residents(self) -> tuple[Resident, ...]:
        """What is loaded."""
        with self.changed:
            return tuple(self._residents)

    def ready(self, key: ModelKey, device: str | None) -> list[Resident]:
        """Give the copies of a model; on `device` only, unless that is None."""
        with self.changed:
            return [r for r in self._residents if r.key == key and device in (None, r.device.name)]

    def lend(self, residents: Sequence[Resident]) -> Lease:
        """Lend copies of one model together."""
        with self.changed:
            for resident in residents:
                resident.leases += 1
        return Lease(residents, self._take_back, self._track)

    def add(self, resident: Resident) -> Lease:
        """Put a model on the shelf and lend it at once, so that nobody drops it before its first use."""
        with self.changed:
            resident.pinned = resident.key in self._pins
            self._residents.append(resident)
            return self.lend([resident])

    def emptiest(self, key: ModelKey, devices: Sequence[str]) -> str:
        """Give the device with the least weights, one without a copy of the model if there is one."""
        with self.changed:
            taken = {resident.device.name for resident in self._residents if resident.key == key}
            return min([name for name in devices if name not in taken] or devices, key=self._used_bytes)

    def reserve(self, device: str, nbytes: int, label: str, wait_s: float) -> None:
        """Set bytes aside for a load, dropping idle models and waiting for busy ones where needed.

        Raises:
            PoolFullError: If there is no room even then.
        """
        give_up = time.monotonic() + wait_s
        while (dropped := self._reserve_or_drop(device, nbytes, label, give_up)) is not None:
            _close(dropped)

    def _reserve_or_drop(self, device: str, nbytes: int, label: str, give_up: float) -> list[Resident] | None:
        """Set bytes aside and give None; or take idle models off the shelf, or wait a while, to be tried again."""
        budget = self._budget_of(device)
        with self.changed:
            used = self._used_bytes(device)
            if used + nbytes <= budget:
                self._reserved[device] = self._reserved.get(device, 0) + nbytes
                return None
            idle = [r for r in self._residents if r.idle and r.device.name == device]
            if nbytes <= budget and idle:
                return self._take_off([min(idle, key=lambda r: r.used)])
            if nbytes > budget or time.monotonic() >= give_up:
                raise PoolFullError(
                    f"{label} needs about {nbytes:,} bytes on {device}, where {used:,} of {budget:,} "
                    "(budget_bytes) are taken by models in use or pinned: "
                    "raise the budget, unpin a model, or choose a smaller checkpoint or dtype"
                )
            self.changed.wait(max(0.0, give_up - time.monotonic()))
            return []

    def release(self, device: str, nbytes: int) -> None:
        """Give reserved bytes back: the load is over, and the model counts for itself."""
        with self.changed:
            self._reserved[device] -= nbytes
            self.changed.notify_all()

    def pin(self, key: ModelKey) -> None:
        """Keep a model whatever room is needed."""
        self._set_pins(self._pins | {key})

    def unpin(self, key: ModelKey) -> None:
        """Allow a model to be dropped again."""
        self._set_pins(self._pins - {key})

    def drop(self, residents: Sequence[Resident]) -> int:
        """Drop models; give how many."""
        with self.changed:
            dropped = self._take_off(residents)
        _close(dropped)
        return len(dropped)

    def drop_idle(self, wanted: Callable[[Resident], bool] = lambda resident: True) -> int:
        """Drop the idle models that `wanted` picks; give how many."""
        with self.changed:
            dropped = self._take_off([r for r in self._residents if r.idle and wanted(r)])
        _close(dropped)
        return len(dropped)

    def _take_off(self, residents: Sequence[Resident]) -> list[Resident]:
        taken = [resident for resident in residents if resident in self._residents]
        for resident in taken:
            self._residents.remove(resident)
        self.evictions += len(taken)
        self.changed.notify_all()
        return taken

    def _take_back(self, lease: Lease) -> None:
        with self.changed:
            for resident in lease.residents:
                resident.leases -= 1
                resident.used = time.monotonic()
            self.changed.notify_all()

    def _set_pins(self, pins: set[ModelKey]) -> None:
        with self.changed:
            self._pins = pins
            for resident in self._residents:
                resident.pinned = resident.key in pins
            self.changed.notify_all()

    def _used_bytes(self, device: str) -> int:
        loaded = sum(r.model.info.nbytes for r in self._residents if r.device.name == device)
        return loaded + self._reserved.get(device, 0)


def _close(residents: Sequence[Resident]) -> None:
    """Drop the weights; not under the lock, as giving memory back takes its time."""
    for resident in residents:
        resident.model.close()
        log.info("dropped %s from %s", resident.model.info.name, resident.device.name)
