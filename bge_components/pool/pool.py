"""The model pool: each checkpoint loaded once, lent to whoever calls, run by the threads of its device."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ..backends import available_devices, device_memory_bytes
from ..contracts import ModelInfo, ModelKey, ModelSource, Priority
from ..errors import PoolClosedError, PoolError
from ..settings import PoolSettings
from .device import Device
from .keeper import Keeper
from .memo import OutputMemo
from .requests import Waiting
from .residents import Lease, Resident
from .shelf import Shelf
from .stats import PoolStats
from .steps import Steps, adrive, drive

log = logging.getLogger(__name__)
T = TypeVar("T")

_SHARE_OF_MEMORY = {"cpu": 0.5, "cuda": 0.8}
_REPLICA = "replica"
_BATCHES_END_WITHIN_S = 10.0
_LOADS_END_WITHIN_S = 10.0  # at the end of the process


class ModelPool:
    """All models of a process (or of a part of it that wants its own).

    Thread-safe and usable from any event loop. After a fork the child's copy is empty. Pickling a pool gives the
    shared pool of the process that unpickles it.
    """

    def __init__(self, settings: PoolSettings | None = None) -> None:
        """Set up; nothing is loaded and no thread is started before the first use.

        Args:
            settings: Devices, budget and batching; None reads `PoolSettings.from_env()`.
        """
        self.settings = settings or PoolSettings.from_env()
        self._begin()
        _every_pool.add(self)

    def _begin(self, *, closed: bool = False) -> None:
        self._keeper = Keeper(self._check)
        self._shelf = Shelf(self._budget, self._keeper.mind)
        self._changed = self._shelf.changed
        self._keys: dict[ModelSource, ModelKey] = {}
        self._devices: dict[str, Device] = {}
        self._opening: dict[ModelSource, list[Waiting[Lease]]] = {}
        self._building: set[tuple[ModelKey, str | None]] = set()
        self._loads = self._failed_loads = 0
        self._prepare = {
            one: ThreadPoolExecutor(self.settings.prepare_threads, f"bge-prepare-{one.name.lower()}")
            for one in Priority
        }
        self._closed = closed

    def __repr__(self) -> str:
        infos = [resident.model.info for resident in self._shelf.residents]
        models = ", ".join(f"{info.name} on {info.device} in {info.dtype}" for info in infos)
        return f"{type(self).__name__}({models or 'empty'})"

    def __deepcopy__(self, memo: dict[int, Any]) -> ModelPool:
        return self

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    # ------------------------------------------------------------------ using models

    def open(self, source: ModelSource, timeout_s: float | None = None) -> Future[Lease]:
        """Lend a model, loading it first if it is not there.

        However many callers ask at once, a model is loaded once. A load that fails is reported to all who wait for
        it and then forgotten, so that the next call tries again.

        Args:
            source: Where the model comes from.
            timeout_s: Seconds until the future fails with `DeadlineError`; None waits for the load.

        Returns:
            Future of the lease; done at once if the model is loaded. Its error is whatever loading raised.

        Raises:
            PoolClosedError: If the pool was closed.
        """
        waiting: Waiting[Lease] = Waiting(f"loading {source.label}", timeout_s)
        with self._changed:
            self._check_open()
            key = self._keys.get(source)
            residents = self._shelf.ready(key, _device_asked(source)) if key is not None else []
            if residents:
                waiting.settle(self._shelf.lend(residents))
                self._maybe_replicate(source, residents)
                return waiting.future
            waiters = self._opening.setdefault(source, [])
            waiters.append(waiting)
            if len(waiters) == 1:
                self._start_loading(source)
        self._keeper.mind(waiting)
        return waiting.future

    def lease(self, source: ModelSource) -> Lease:
        """Lend a model and block until it is loaded; see `open`."""
        return self.open(source).result()

    def warm_up(self, source: ModelSource, *, pin: bool = False) -> ModelInfo:
        """Load a model now, so that the first request does not pay for it.

        Args:
            source: Where the model comes from.
            pin: Also keep it until `unpin`, whatever room is needed.
        """
        with self.lease(source) as lease:
            if pin:
                self._shelf.pin(lease.residents[0].key)
            return lease.info

    def unpin(self, source: ModelSource) -> None:
        """Allow a pinned model to be dropped again."""
        self._shelf.unpin(self._keys.get(source) or source.resolve(_device_asked(source)))

    def evict(self, source: ModelSource | None = None) -> int:
        """Drop idle models: those of `source`, or all. Gives how many copies were dropped."""
        if source is None:
            return self._shelf.drop_idle()
        key = self._keys.get(source)
        return self._shelf.drop_idle(lambda resident: resident.key == key)

    # ------------------------------------------------------------------ running work

    def drive(self, steps: Steps[T]) -> T:
        """Run steps on this thread; see `pool.steps`."""
        return drive(steps)

    async def adrive(self, steps: Steps[T], priority: Priority = Priority.QUERY) -> T:
        """Run steps without blocking the event loop; see `pool.steps`.

        Args:
            steps: The work.
            priority: Each has threads of its own, so that a query never waits for a bulk to be tokenised.
        """
        return await adrive(steps, self._prepare[priority])

    # ------------------------------------------------------------------ looking and closing

    def stats(self) -> PoolStats:
        """Give a snapshot of what is loaded and what was done."""
        with self._changed:
            models = tuple(resident.stats() for resident in self._shelf.residents)
            devices = list(self._devices.values())
        return PoolStats(
            models=models,
            devices=tuple(device.stats() for device in devices),
            loads=self._loads,
            failed_loads=self._failed_loads,
            evictions=self._shelf.evictions,
            nbytes=sum(model.info.nbytes for model in models),
        )

    def close(self) -> None:
        """Fail what waits, let running batches end, stop the threads, drop the weights. Idempotent."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            opening = [waiting for waiters in self._opening.values() for waiting in waiters]
            self._opening.clear()
            self._changed.notify_all()
        for waiting in opening:
            waiting.fail(PoolClosedError("the pool was closed while this model was loading"))
        self._keeper.close()
        devices, until = list(self._devices.values()), time.monotonic() + _BATCHES_END_WITHIN_S
        for device in devices:
            device.stop()
        for device in devices:
            device.join(until)
        self._shelf.drop(self._shelf.residents)
        for executor in self._prepare.values():
            executor.shutdown(wait=False)

    def __enter__(self) -> ModelPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ------------------------------------------------------------------ loading

    def _start_loading(self, source: ModelSource) -> None:
        try:
            _start_thread(f"bge-load-{source.label}", self._open_for_all, source)
        except RuntimeError as error:  # no more threads: this call fails, the next one tries again
            failure = PoolError(f"no thread could be started to load {source.label}: {error}")
            for waiting in self._opening.pop(source):
                waiting.fail(failure)

    def _open_for_all(self, source: ModelSource) -> None:
        """Load a model and lend it to everybody who waits for it; runs on a thread of its own."""
        try:
            key = source.resolve(_device_asked(source) or self._device_names()[0])
            held = self._load_once(key, source)
        except BaseException as error:
            with self._changed:
                self._failed_loads += 1
                waiters = self._opening.pop(source, [])
            log.info("loading %s failed: %s", source.label, type(error).__name__)  # the callers get the error
            for waiting in waiters:
                waiting.fail(error)
            return
        with held:
            with self._changed:
                self._keys[source] = key
                waiters = self._opening.pop(source, [])
                leases = [(waiting, self._shelf.lend(held.residents)) for waiting in waiters]
            for waiting, lease in leases:
                if not waiting.settle(lease):
                    lease.release()

    def _load_once(self, key: ModelKey, source: ModelSource) -> Lease:
        """Lend a model, building it if nobody has; two sources of one model build it once."""
        with self._changed:
            while any(building == key for building, _ in self._building):
                self._changed.wait()
            residents = self._shelf.ready(key, _device_asked(source))
            if residents:
                return self._shelf.lend(residents)
            self._building.add((key, source.device))
        return self._build_announced(key, source, source.device)

    def _build_announced(self, key: ModelKey, source: ModelSource, announced: str | None) -> Lease:
        try:
            return self._build(key, source)
        finally:
            with self._changed:
                self._building.discard((key, announced))
                self._changed.notify_all()

    def _build(self, key: ModelKey, source: ModelSource) -> Lease:
        device = _device_asked(source) or self._shelf.emptiest(key, self._device_names())
        nbytes = source.estimate_nbytes(key)
        self._shelf.reserve(device, nbytes, source.label, self.settings.load_wait_s)
        started = time.monotonic()
        try:
            model = source.build(key, device)
            with self._changed:
                if self._closed:
                    model.close()
                self._check_open()
                memo = OutputMemo(self.settings.memo_s, self.settings.memo_bytes)
                lease = self._shelf.add(Resident(key, source, model, self._device(device), memo))
                self._loads += 1
        finally:
            self._shelf.release(device, nbytes)
        log.info("loaded %s on %s in %.2f s", source.label, device, time.monotonic() - started)
        self._keeper.wake()
        return lease

    def _maybe_replicate(self, source: ModelSource, residents: list[Resident]) -> None:
        """Load one more copy on another device, in the background, when all copies have work waiting."""
        key = residents[0].key
        if len(residents) >= self.settings.replicas or source.device is not None:
            return
        if len(residents) >= len(self._device_names()) or any(b == key for b, _ in self._building):
            return
        if all(one.device.load > self.settings.batch.tokens_on(one.device.name) for one in residents):
            self._building.add((key, _REPLICA))
            try:
                _start_thread(f"bge-replica-{source.label}", self._replicate, key, source)
            except RuntimeError:  # no more threads: the copies there are go on
                self._building.discard((key, _REPLICA))

    def _replicate(self, key: ModelKey, source: ModelSource) -> None:
        try:
            self._build_announced(key, source, _REPLICA).release()
        except Exception as error:
            log.warning("no further copy of %s: %s", source.label, type(error).__name__)

    # ------------------------------------------------------------------ parts

    def _check_open(self) -> None:
        if self._closed:
            raise PoolClosedError("the pool was closed; open another one")

    def _budget(self, device: str) -> int:
        if self.settings.budget_bytes is not None:
            return self.settings.budget_bytes
        return int(device_memory_bytes(device) * _SHARE_OF_MEMORY.get(device.split(":")[0], 0.5))

    def _device(self, name: str) -> Device:
        if name not in self._devices:
            self._devices[name] = Device(
                name, self.settings.batch, lambda: self._make_room_on(name), self._keeper.wake
            )
        return self._devices[name]

    def _make_room_on(self, device: str) -> bool:
        return self._shelf.drop_idle(lambda resident: resident.device.name == device) > 0

    def _device_names(self) -> tuple[str, ...]:
        if self.settings.devices == ("auto",):
            return available_devices()
        return tuple(_device_name(name) for name in self.settings.devices)

    def _check(self, now: float) -> bool:
        """Mind stuck devices, idle models and old memo entries; say whether there is anything left to mind."""
        idle_s = self.settings.idle_s
        if idle_s is not None:
            self._shelf.drop_idle(lambda resident: now - resident.used > idle_s)
        with self._changed:
            devices, residents = list(self._devices.values()), self._shelf.residents
        for device in devices:
            device.check(now)
        for resident in residents:
            resident.memo.forget_old()
        expiring = idle_s is not None and bool(residents)
        return expiring or any(d.busy for d in devices) or any(len(r.memo) for r in residents)


_every_pool: weakref.WeakSet[ModelPool] = weakref.WeakSet()
_loading: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _device_name(name: str) -> str:
    """Spell a device as the pool does: "cuda" is the first card."""
    return "cuda:0" if name == "cuda" else name


def _device_asked(source: ModelSource) -> str | None:
    return None if source.device is None else _device_name(source.device)


def _start_thread(name: str, target: Callable[..., None], *args: Any) -> None:
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    thread.start()
    _loading.add(thread)


def _end_before_the_interpreter() -> None:
    """Let running batches and loads end, for a few seconds, before the interpreter is taken down around them.

    A daemon thread that comes back from torch after that is ended inside C++ code, which aborts the whole process.
    """
    for pool in list(_every_pool):
        pool.close()
    until = time.monotonic() + _LOADS_END_WITHIN_S
    for thread in list(_loading):
        thread.join(max(0.0, until - time.monotonic()))


def _forget_after_fork() -> None:
    for pool in list(_every_pool):
        pool._begin(closed=pool.closed)


atexit.register(_end_before_the_interpreter)
if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_after_fork)
